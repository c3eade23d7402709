/**
 * Reads the segments of all partitions again, slowly, and does about what it finds damaged what is done where a reader meets it: a disk
 * rots where nobody reads, and a copy can be had back only while somebody still has one.
 *
 * A round goes once over everything, in order of the partitions' names. It holds nothing between its steps, a segment's index files apart,
 * and remembers nothing over a restart: the first round begins anywhere and comes round to there, so that all is read in time however often
 * the broker starts. What is appended, made or put in the place of something else during a round is for the next one.
 */
import {
  type Clock,
  isLakeError,
  KiB,
  MiB,
  type Offset,
  type Random,
  secondMs,
  type TimestampMs,
  type TopicName,
} from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';
import { batchBaseOffset, batchLastOffset, batchMaxTimestamp } from '../wire/index.js';
import type { PartitionLog, ScrubFound, ScrubLimits, Scrubbed, ScrubWatch } from './hot-log.js';
import { IndexCheck } from './index-check.js';
import { damagedAt } from './segment-file.js';
import type { Segment } from './segment.js';

/** Between two rests: a quarter of a second's worth, and no more than is read without being felt. A batch is read whole. */
const stepsPerSecond = 4;
const stepBytesMax = MiB;
/** A window has the header of a batch, at the least. */
const stepBytesMin = KiB;
const windowBytesMax = 256 * KiB;
/** What a look at a segment counts for beside its bytes, so that a thousand empty partitions are rested between, too. */
const lookBytes = 4 * KiB;
/** Between two looks whether the disk has room again. */
const waitMs = secondMs;

/** A partition as the scrub sees it. */
export interface ScrubbablePartition
  extends Pick<PartitionLog, 'topic' | 'partition' | 'offline' | 'logStartOffset' | 'flushedOffset' | 'hotBytes'> {
  /** The segment that holds the offset, or the first behind it. */
  segmentAt(offset: Offset): Segment | undefined;
  /** Does what can be done about damage that was met; false where nothing was damaged in its log, or nothing could be done. */
  examine(error: unknown): Promise<boolean>;
}

export interface ScrubPorts {
  readonly partitions: ReadonlyMap<string, ScrubbablePartition>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What is wrong with a segment, and where. */
interface Fault {
  readonly what: string;
  readonly position: number;
}

interface Place {
  readonly key: string;
  /** First offset of a segment. */
  readonly offset: Offset;
}

export class LogScrub implements Scrubbed {
  readonly #ports: ScrubPorts;
  bytes = 0;
  findings = 0;
  lastRoundMs: TimestampMs = 0;

  constructor(ports: ScrubPorts) {
    this.#ports = ports;
  }

  /** See `HotLog.scrub`. */
  async round(limits: ScrubLimits, signal: AbortSignal): Promise<void> {
    const { partitions, clock, logger } = this.#ports;
    const keys = [...partitions.keys()].sort();
    const run = new Run(clock, limits, signal);
    const beganMs = clock.monotonicMs();
    const begin = this.lastRoundMs === 0 ? this.#anywhere(keys) : { key: '', offset: 0 };
    for (const key of keys.filter((one) => one >= begin.key)) {
      await this.#scrub(key, { from: key === begin.key ? begin.offset : 0, to: Number.POSITIVE_INFINITY }, run);
    }
    for (const key of keys.filter((one) => one <= begin.key)) {
      await this.#scrub(key, { from: 0, to: key === begin.key ? begin.offset : Number.POSITIVE_INFINITY }, run);
    }
    this.lastRoundMs = clock.nowMs();
    const seconds = Math.round((clock.monotonicMs() - beganMs) / secondMs);
    logger.info('the hot log was read again', { bytes: run.bytes, findings: run.findings, seconds });
  }

  /** See `HotLog.scrubTopic`. */
  async topic(topic: TopicName, limits: ScrubLimits, signal: AbortSignal, watch?: ScrubWatch): Promise<ScrubFound> {
    const { partitions, clock } = this.#ports;
    const run = new Run(clock, limits, signal, watch);
    const its = [...partitions].filter(([, partition]) => partition.topic === topic);
    for (const [key, { partition }] of its) {
      const { bytes, findings } = run;
      await this.#scrub(key, { from: 0, to: Number.POSITIVE_INFINITY }, run);
      await watch?.onPartition(partition, { bytes: run.bytes - bytes, findings: run.findings - findings });
    }
    return run.found;
  }

  /** A segment, each as likely as it has bytes, nearly. */
  #anywhere(keys: readonly string[]): Place {
    const { partitions, random } = this.#ports;
    const hot = keys.map((key) => ({ key, partition: partitions.get(key) as ScrubbablePartition }));
    let bytes = random.float() * hot.reduce((sum, { partition }) => sum + partition.hotBytes, 0);
    for (const { key, partition } of hot) {
      const { hotBytes, logStartOffset, flushedOffset } = partition;
      if (bytes < hotBytes) {
        const offset = Math.floor(logStartOffset + (bytes / hotBytes) * (flushedOffset - logStartOffset));
        return { key, offset: partition.segmentAt(offset)?.baseOffset ?? 0 };
      }
      bytes -= hotBytes;
    }
    return { key: '', offset: 0 };
  }

  /** The segments of a partition that begin in [from, to), of what is flushed now. */
  async #scrub(key: string, { from, to }: { readonly from: Offset; readonly to: Offset }, run: Run): Promise<void> {
    const partition = this.#ports.partitions.get(key);
    if (partition === undefined) return;
    const endOffset = Math.min(to, partition.flushedOffset);
    let offset = Math.max(from, partition.logStartOffset);
    // Else the segment that is written would be read again for as long as anything is appended to it.
    while (offset < endOffset && partition.offline === undefined) {
      const segment = partition.segmentAt(offset);
      if (segment === undefined || segment.baseOffset >= endOffset) return;
      // What takes the place of a segment that goes meanwhile is as new as what is appended.
      offset = segment.nextOffset;
      await this.#scrubSegment(partition, segment, endOffset, run);
    }
  }

  async #scrubSegment(partition: ScrubbablePartition, segment: Segment, endOffset: Offset, run: Run): Promise<void> {
    const isThere = (): boolean => partition.offline === undefined && partition.segmentAt(segment.baseOffset) === segment;
    let error: unknown;
    try {
      const fault = await this.#faultOf(segment, endOffset, isThere, run);
      if (fault === undefined) return;
      error = damagedAt(segment.file.path, fault.position, fault.what);
    } catch (cause) {
      if (!isLakeError(cause, 'log-damaged', 'log-offline')) throw cause;
      error = cause;
    }
    if (!isThere()) return;
    const facts = { topic: partition.topic, partition: partition.partition, path: segment.file.path, error };
    const isMended = await partition.examine(error);
    if (!isMended && !isLakeError(partition.offline, 'log-damaged') && !isThere()) return;
    this.findings++;
    run.findings++;
    this.#ports.logger.error('the scrub found damage in the hot log', facts);
  }

  /** `undefined` also where it has gone. Errors: `log-damaged` where the file is shorter than it was, `log-offline` where it cannot be read. */
  async #faultOf(segment: Segment, endOffset: Offset, isThere: () => boolean, run: Run): Promise<Fault | undefined> {
    const indexes = await segment.savedIndexes();
    if (indexes === 'missing') return { what: 'an index file is missing or cannot be read', position: 0 };
    const check = indexes === undefined ? undefined : new IndexCheck(segment.baseOffset, indexes);
    run.owe(lookBytes + (indexes === undefined ? 0 : indexes.offsets.length + indexes.times.length));
    const seen = { position: 0, nextOffset: segment.baseOffset, isPastEnd: false };
    while (!seen.isPastEnd && seen.position < segment.bytes && seen.nextOffset < endOffset) {
      await run.rest();
      if (!isThere()) return undefined;
      const from = seen.position;
      const what = await stepThrough(segment, endOffset, seen, run.stepBytes, check);
      this.bytes += seen.position - from;
      run.bytes += seen.position - from;
      run.owe(seen.position - from);
      if (what !== undefined) return seen.nextOffset < endOffset ? { what, position: seen.position } : undefined;
    }
    if (seen.position < segment.bytes) return undefined;
    const { position, nextOffset } = seen;
    if (nextOffset !== segment.nextOffset) return { what: `it ends at ${nextOffset}, not at ${segment.nextOffset}`, position };
    const what = check?.end();
    return what === undefined ? undefined : { what, position };
  }
}

/** How far a segment was read. */
interface Seen {
  position: number;
  nextOffset: Offset;
  /** A batch begins at or behind the end that was asked for. */
  isPastEnd: boolean;
}

/** Reads on by a step; answers what is wrong with the batch it has come to. */
async function stepThrough(
  segment: Segment,
  endOffset: Offset,
  seen: Seen,
  stepBytes: number,
  check: IndexCheck | undefined,
): Promise<string | undefined> {
  const { file } = segment;
  const from = seen.position;
  const walk = { from, until: from + stepBytes, follows: seen.nextOffset, isCrcChecked: true };
  // Held for the step only: else what is evicted would keep its room on the disk.
  file.retain();
  try {
    const windowBytes = Math.min(stepBytes, windowBytesMax);
    const { position, fault } = await segment.walk({ ...walk, windowBytes }, (window, at, batchPosition) => {
      if (batchBaseOffset(window, at) >= endOffset) {
        seen.isPastEnd = true;
        return false;
      }
      const lastOffset = batchLastOffset(window, at);
      check?.note(batchPosition, lastOffset, batchMaxTimestamp(window, at));
      seen.nextOffset = lastOffset + 1;
      return true;
    });
    seen.position = position;
    return fault;
  } finally {
    file.release();
  }
}

/** One run over some of it, with its budget: what was read is rested for before more is. */
class Run {
  bytes = 0;
  findings = 0;
  readonly #clock: Clock;
  readonly #limits: ScrubLimits;
  readonly #signal: AbortSignal;
  readonly #watch: ScrubWatch | undefined;
  #owed = 0;

  constructor(clock: Clock, limits: ScrubLimits, signal: AbortSignal, watch?: ScrubWatch) {
    this.#clock = clock;
    this.#limits = limits;
    this.#signal = signal;
    this.#watch = watch;
  }

  get found(): ScrubFound {
    return { bytes: this.bytes, findings: this.findings };
  }

  get stepBytes(): number {
    return Math.max(stepBytesMin, Math.min(stepBytesMax, Math.ceil(this.#limits.bytesPerSecond / stepsPerSecond)));
  }

  owe(bytes: number): void {
    this.#owed += bytes;
  }

  /** Before a step. Errors: the signal's reason. */
  async rest(): Promise<void> {
    this.#signal.throwIfAborted();
    this.#watch?.onStep(this.found);
    if (this.#owed >= this.stepBytes) {
      const owed = this.#owed;
      this.#owed = 0;
      await this.#clock.sleep((owed / this.#limits.bytesPerSecond) * secondMs, this.#signal);
    }
    while (!this.#limits.mayGoOn()) await this.#clock.sleep(waitMs, this.#signal);
  }
}
