/**
 * What a partition does where a reader met what is no batch, or one whose checksum is wrong: the segment is read whole. Where its batches
 * are all good, its index was not, and is made anew; a damaged copy of what the table has is dropped; other damage takes the partition
 * offline, with nothing cut.
 */
import { isLakeError, type LakeError, type Offset } from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';
import type { ReadPlaces } from './batch-reads.js';
import { DamageNote } from './damage-note.js';
import type { DurableOffsets } from './durable-offsets.js';
import type { Flusher } from './flush-pool.js';
import type { PartitionLog } from './hot-log.js';
import { SegmentExaminer } from './segment-examiner.js';
import type { SegmentList } from './segment-list.js';
import type { SegmentRemoval } from './segment-removal.js';
import type { Segment } from './segment.js';

/** A partition as the response to damage sees it. */
export interface DamagedPartition extends Pick<PartitionLog, 'topic' | 'partition' | 'offline' | 'flushedOffset'> {
  readonly key: string;
  goOffline(error: LakeError): LakeError;
  /** Behind what is being saved. */
  saveIndexesInBackground(segment: Segment): void;
}

export interface DamageResponsePorts {
  readonly directory: string;
  readonly segments: SegmentList;
  readonly places: ReadPlaces;
  readonly removal: Pick<SegmentRemoval, 'evictableCount' | 'drop'>;
  readonly pool: Flusher;
  readonly recoveryPoints: DurableOffsets;
  readonly logger: Logger;
}

export class DamageResponse {
  readonly #partition: DamagedPartition;
  readonly #ports: DamageResponsePorts;
  readonly #examiner = new SegmentExaminer();
  readonly #note: DamageNote;

  constructor(partition: DamagedPartition, ports: DamageResponsePorts) {
    this.#partition = partition;
    this.#ports = ports;
    this.#note = new DamageNote({ ...ports, key: partition.key });
  }

  /** Resolves when damage that was found is noted for the next start, as far as the disk lets it be. */
  noted(): Promise<void> {
    return this.#note.save();
  }

  /**
   * Reads. A read that the partition's end overtook fails for that reason; one that met no batch is tried again where that was mended.
   * Errors: `log-offline`, those of `read`.
   */
  async reading<T>(read: () => Promise<T>): Promise<T> {
    if (this.#partition.offline !== undefined) throw this.#partition.offline;
    try {
      return await read();
    } catch (error) {
      if (await this.examine(error)) return read();
      throw this.#partition.offline ?? error;
    }
  }

  /** Does what can be done about what a reader met; true: the read can be tried again. */
  async examine(error: unknown): Promise<boolean> {
    if (!isLakeError(error, 'log-damaged') || this.#partition.offline !== undefined) return false;
    const segment = this.#ports.segments.all.find(({ file }) => file.path === error.facts['path']);
    if (segment === undefined) return false;
    const state = await this.#stateOf(segment);
    if (state !== 'whole') return state === 'dropped';
    this.#ports.places.clear();
    this.#partition.saveIndexesInBackground(segment);
    this.#ports.logger.warn('an index led to no batch and is made anew', this.#factsOf(segment));
    return true;
  }

  /** See `PartitionLog.verify`. */
  async verify(from: Offset, to: Offset): Promise<Error | undefined> {
    const asked = this.#ports.segments.all.filter((segment) => segment.nextOffset > from && segment.baseOffset < to);
    for (const segment of asked) if (this.#partition.offline === undefined) await this.#stateOf(segment);
    return this.#partition.offline;
  }

  /** Reads a segment whole, and does about damage what can be done. */
  async #stateOf(segment: Segment): Promise<'whole' | 'dropped' | 'damaged' | 'gone'> {
    const { segments, removal, logger } = this.#ports;
    const damage = await this.#examiner.damageOf(segment);
    const index = segments.all.indexOf(segment);
    if (index < 0 || this.#partition.offline !== undefined) return 'gone';
    if (damage === undefined) return 'whole';
    if (index < removal.evictableCount) {
      logger.error('a damaged segment is dropped: the table has all of it', { ...this.#factsOf(segment), error: damage.message });
      await removal.drop(index + 1);
      return segments.all.includes(segment) ? 'damaged' : 'dropped';
    }
    this.#partition.goOffline(damage);
    const { flushedOffset } = this.#partition;
    this.#note.begin({ baseOffset: segment.baseOffset, endOffset: Math.min(segment.nextOffset, flushedOffset) }, flushedOffset);
    return 'damaged';
  }

  #factsOf(segment: Segment): { readonly topic: string; readonly partition: number; readonly path: string } {
    return { topic: this.#partition.topic, partition: this.#partition.partition, path: segment.file.path };
  }
}
