/**
 * How far a partition is on disk: what no flush has covered yet (segments that were written, held open until one has, and their folder's
 * names), and the flushes that come to cover it. One that fails takes the partition offline, for good.
 */
import { LakeError, type Offset } from '../kernel/index.js';
import type { Flusher } from './flush-pool.js';
import { type FlushWork, GroupFlush } from './group-flush.js';
import type { PartitionLog } from './hot-log.js';
import type { Segment } from './segment.js';

/** A partition as its flushes see it. */
export interface FlushedPartition extends Pick<PartitionLog, 'offline' | 'logEndOffset'> {
  goOffline(error: LakeError): LakeError;
}

export interface PartitionFlushPorts {
  readonly directory: string;
  readonly pool: Flusher;
  /** More is on disk. */
  readonly onFlushed: () => void;
}

export class PartitionFlush {
  readonly #partition: FlushedPartition;
  readonly #ports: PartitionFlushPorts;
  readonly #flushes: GroupFlush;
  #offset: Offset;
  #segments: Segment[] = [];
  #isDirectoryChanged = false;

  /** Everything below `offset` is on disk. */
  constructor(partition: FlushedPartition, offset: Offset, ports: PartitionFlushPorts) {
    this.#partition = partition;
    this.#offset = offset;
    this.#ports = ports;
    this.#flushes = new GroupFlush(
      () => this.#prepare(),
      (work) => ports.pool.afterTurn(work),
    );
  }

  /** Everything below is on disk. */
  get offset(): Offset {
    return this.#offset;
  }

  /** The segment is about to be written. */
  note(segment: Segment): void {
    if (segment.isDirty) return;
    segment.isDirty = true;
    segment.file.retain();
    this.#segments.push(segment);
  }

  /** A file was made. */
  noteDirectory(): void {
    this.#isDirectoryChanged = true;
  }

  /** Resolves when a flush that covers everything below `upTo`, at most the log's end, is through. Errors: `log-offline`. */
  reach(upTo: Offset): Promise<void> {
    return this.#flushes.ask(upTo);
  }

  /** No flush will come. */
  letGo(): void {
    for (const segment of this.#segments.splice(0)) segment.file.release();
  }

  /** Takes all that is there now; what comes from here on is the next one's. */
  #prepare(): FlushWork {
    const { offline, logEndOffset: endOffset } = this.#partition;
    if (offline !== undefined) throw offline;
    const segments = this.#segments;
    const directories = this.#isDirectoryChanged ? [this.#ports.directory] : [];
    this.#segments = [];
    this.#isDirectoryChanged = false;
    for (const segment of segments) segment.isDirty = false;
    return { endOffset, run: () => this.#run(endOffset, segments, directories) };
  }

  async #run(endOffset: Offset, segments: readonly Segment[], directories: readonly string[]): Promise<void> {
    try {
      await this.#sync(segments, directories);
    } catch (error) {
      const hint = 'Look at the disk and its messages, then restart the broker.';
      const failure = new LakeError('log-offline', `a flush of ${this.#ports.directory} failed`, { cause: error, hint });
      throw this.#partition.goOffline(failure);
    }
    this.#offset = Math.max(this.#offset, endOffset);
    this.#ports.onFlushed();
  }

  async #sync(segments: readonly Segment[], directories: readonly string[]): Promise<void> {
    try {
      const fds = segments.map((segment) => {
        const fd = segment.file.retain();
        segment.file.release();
        return fd;
      });
      await this.#ports.pool.flush(fds, directories);
    } finally {
      for (const segment of segments) segment.file.release();
    }
  }
}
