/** Which leader epoch an offset was written in: the partition's history as `leader-epoch-checkpoint` keeps it (KIP-101). */
import { type LeaderEpoch, none, type Offset } from '../kernel/index.js';
import type { EpochStart } from './checkpoint-text.js';

export class LeaderEpochs {
  #entries: EpochStart[];

  constructor(entries: readonly EpochStart[] = []) {
    this.#entries = [...entries];
  }

  get entries(): readonly EpochStart[] {
    return this.#entries;
  }

  /** The newest epoch; −1 where none is known. */
  get latest(): LeaderEpoch {
    return this.#entries.at(-1)?.epoch ?? none;
  }

  /**
   * Notes that `epoch` begins at `startOffset`; epochs that began there or later never got a record and are forgotten.
   * An epoch that is not newer changes nothing. True where something changed.
   */
  assign(epoch: LeaderEpoch, startOffset: Offset): boolean {
    if (epoch <= this.latest) return false;
    this.#entries = [...this.#entries.filter((entry) => entry.startOffset < startOffset), { epoch, startOffset }];
    return true;
  }

  /** Forgets epochs that begin above the log's end: their records were cut. */
  cutAbove(endOffset: Offset): boolean {
    const kept = this.#entries.filter((entry) => entry.startOffset <= endOffset);
    const hasChanged = kept.length !== this.#entries.length;
    this.#entries = kept;
    return hasChanged;
  }

  /** Forgets what lies below the log start: the epoch that covers it begins there from now on, as in Kafka. */
  forgetBelow(startOffset: Offset): boolean {
    const first = this.#entries.findLastIndex((entry) => entry.startOffset <= startOffset);
    const covering = this.#entries[first];
    if (covering === undefined || (first === 0 && covering.startOffset === startOffset)) return false;
    this.#entries = [{ epoch: covering.epoch, startOffset }, ...this.#entries.slice(first + 1)];
    return true;
  }

  /** Where an epoch's records end; see `PartitionLog.endOfEpoch`. */
  endOf(epoch: LeaderEpoch, logEndOffset: Offset): { readonly epoch: LeaderEpoch; readonly endOffset: Offset } | undefined {
    if (epoch === none) return undefined;
    if (epoch === this.latest) return { epoch, endOffset: logEndOffset };
    const next = this.#entries.find((entry) => entry.epoch > epoch);
    if (next === undefined) return undefined;
    const own = this.#entries.findLast((entry) => entry.epoch <= epoch);
    return { epoch: own?.epoch ?? epoch, endOffset: next.startOffset };
  }

  /** The epoch that covers `offset`, −1 if unknown. */
  epochFor(offset: Offset): LeaderEpoch {
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const entry = this.#entries[i] as EpochStart;
      if (entry.startOffset <= offset) return entry.epoch;
    }
    return none;
  }
}
