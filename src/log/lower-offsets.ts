/**
 * Where the log of a partition begins, and from where on it is served hot: the log start and the boundary. Both only rise, and neither
 * counts before it is on disk: a start must find them no lower than anybody was told.
 */
import { LakeError, type Offset, type PartitionId, type TopicName } from '../kernel/index.js';
import type { DurableOffsets } from './durable-offsets.js';

/** Whose they are. */
interface Owner {
  readonly topic: TopicName;
  readonly partition: PartitionId;
  readonly key: string;
}

export interface LowerOffsetsPorts {
  readonly boundaries: DurableOffsets;
  readonly logStarts: DurableOffsets;
  /** The log start is this, and on disk: what lies below it is of no use to anybody. */
  readonly onLogStart: (logStartOffset: Offset) => void;
}

export class LowerOffsets {
  readonly #owner: Owner;
  readonly #ports: LowerOffsetsPorts;
  #logStartOffset: Offset;
  #boundary: Offset;
  /** Of the boundary: not saved yet. */
  #moves = 0;

  constructor(owner: Owner, at: { readonly logStartOffset: Offset; readonly boundary: Offset }, ports: LowerOffsetsPorts) {
    this.#owner = owner;
    this.#logStartOffset = at.logStartOffset;
    this.#boundary = at.boundary;
    this.#ports = ports;
  }

  get logStartOffset(): Offset {
    return this.#logStartOffset;
  }

  get boundary(): Offset {
    return Math.max(this.#boundary, this.#logStartOffset);
  }

  /** See `PartitionLog.mayBeCold`. */
  get mayBeCold(): boolean {
    return this.boundary > 0 || this.#moves > 0;
  }

  /** Moves both; a lower one changes nothing. See `PartitionLog.moveBoundary`; errors of the disk are those of `DurableOffsets.set`. */
  async move(boundary: Offset, logStartOffset: Offset, flushedOffset: Offset): Promise<void> {
    this.#moves++;
    try {
      await this.#save(boundary, logStartOffset, flushedOffset);
      this.#boundary = Math.max(this.#boundary, boundary);
      this.#setLogStart(logStartOffset);
    } finally {
      this.#moves--;
    }
  }

  async #save(boundary: Offset, logStartOffset: Offset, flushedOffset: Offset): Promise<void> {
    const { topic, partition, key } = this.#owner;
    const facts = { topic, partition, boundary, logStartOffset, flushedOffset };
    if (boundary > flushedOffset || logStartOffset > flushedOffset) {
      throw new LakeError('log-damaged', `the boundary ${boundary} lies above the flushed end ${flushedOffset} of ${key}`, {
        hint: 'The table knows records that the log lost: do not produce to this topic, and restore the log from a copy.',
        facts,
      });
    }
    if (logStartOffset > boundary) throw new LakeError('message-invalid', 'a log start lies above its boundary', { facts });
    await Promise.all([
      boundary > this.#boundary ? this.#ports.boundaries.set(key, boundary) : undefined,
      logStartOffset > this.#logStartOffset ? this.#ports.logStarts.set(key, logStartOffset) : undefined,
    ]);
  }

  /** Moves the log start alone, to an offset that is flushed. Errors: those of `DurableOffsets.set`. */
  async moveLogStart(offset: Offset): Promise<void> {
    await this.#ports.logStarts.set(this.#owner.key, offset);
    this.#setLogStart(offset);
  }

  /** Once it is on disk. */
  #setLogStart(offset: Offset): void {
    this.#logStartOffset = Math.max(this.#logStartOffset, offset);
    this.#ports.onLogStart(this.#logStartOffset);
  }
}
