/**
 * The hot log as the broker uses it: partitions of segment files in Apache Kafka's on-disk format. Interfaces only; the door
 * exports `openHotLog` beside them.
 */
import type { LeaderEpoch, Offset, PartitionId, TimestampMs, TopicId, TopicName } from '../kernel/index.js';
import type { Spans } from './append-spans.js';
import type { CompactionRules } from './compaction-plan.js';
import type { ProducerSnapshotEntry } from './producer-snapshot.js';

/** What the log needs to know of a topic's configuration. Bytes and ms; −1 is "no bound". */
export interface LogConfig {
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly indexIntervalBytes: number;
  readonly maxMessageBytes: number;
  /** For topics that are not tiered: whole segments beyond these are deleted and log start moves. */
  readonly retentionMs: number;
  readonly retentionBytes: number;
  /** For tiered topics: how long and how much stays local of what lies below the boundary. */
  readonly localRetentionMs: number;
  readonly localRetentionBytes: number;
  readonly isTiered: boolean;
  /** Of a topic that is compacted: never of one that is tiered. */
  readonly compaction?: CompactionRules | undefined;
  readonly timestampBeforeMaxMs: number;
  readonly timestampAfterMaxMs: number;
}

export interface HotLogOptions {
  /** `<data-dir>/log`. */
  readonly dir: string;
  readonly flushPolicy: 'group-commit' | 'os';
  /** Worker threads that flush. */
  readonly flushWorkers: number;
  readonly producerIdExpirationMs: number;
  /** Defaults: 32 MiB, which are 1.2 million keys a pass, and 64 MiB a second, read and written together. */
  readonly compaction?: { readonly keyTableBytes: number; readonly bytesPerSecond: number };
}

export interface AppendResult {
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  /** The batch was there already (idempotent retry); offsets are those of the first time (KIP-98). */
  readonly isDuplicate: boolean;
  /** Of the batch as it lies in the log: of a repeated one that of the first time. */
  readonly maxTimestampMs: TimestampMs;
  readonly logStartOffset: Offset;
}

export interface LogRead {
  /** Whole batches as they lie on disk, the first covering the offset asked for; never concatenated copies. */
  readonly chunks: readonly Buffer[];
  readonly bytes: number;
  /** There was no room for the batch behind it. */
  readonly isCut: boolean;
}

export interface PartitionLog {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly partition: PartitionId;

  readonly logStartOffset: Offset;
  readonly localStartOffset: Offset;
  /** First offset served hot; everything below is in the table. 0 … log start for a topic that is not tiered. */
  readonly boundary: Offset;
  readonly flushedOffset: Offset;
  readonly logEndOffset: Offset;
  /** On one broker the log end. */
  readonly highWatermark: Offset;
  readonly lastStableOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
  readonly hotBytes: number;
  /** Of them at or above the boundary; of the segment that it falls into, by the share of its offsets. */
  readonly tailBytes: number;
  readonly segmentCount: number;
  /** Below it each key is there once; 0 where nothing was compacted. It grows with each pass, and only records below the active segment went. */
  readonly compactedOffset: Offset;
  /** Set after a failed write or flush, or where damage was met: the partition refuses everything with this until the next start. */
  readonly offline: Error | undefined;

  /**
   * Appends one batch that `validateProduceBatch` has passed: checks the producer's sequence, patches base offset and
   * leader epoch in place (the buffer is altered), writes to the page cache. Synchronous, so that check and append are one step.
   * Errors: `log-offline`, `disk-full`, and producer errors with Kafka codes 45 and 47.
   */
  append(batch: Buffer, nowMs: TimestampMs): AppendResult;

  /**
   * Resolves when everything below `upTo` (default: the present end) is on disk; all who wait share one flush. Under
   * `os` policy it still flushes. Errors: `log-offline`; a failed fsync is never tried again.
   */
  flush(upTo?: Offset): Promise<{ readonly flushedOffset: Offset; readonly leaderEpoch: LeaderEpoch }>;

  /**
   * Reads whole batches from the one that covers `offset`, up to `maxBytes`, none at or above `endOffset`. With
   * `isMinOneBatch` the first batch comes even if larger (KIP-74). Empty where `offset` = end.
   * Errors: `offset-out-of-range` (below local start or above the end), `log-offline`.
   */
  read(offset: Offset, maxBytes: number, options: { readonly isMinOneBatch: boolean; readonly endOffset?: Offset }): Promise<LogRead>;

  /** First record at or above `fromOffset` whose timestamp is ≥ t, exact (time index, then scan); `null`: none. */
  offsetForTimestamp(
    timestampMs: TimestampMs,
    fromOffset: Offset,
  ): Promise<{ readonly offset: Offset; readonly timestampMs: TimestampMs; readonly leaderEpoch: LeaderEpoch } | null>;

  /** The local record with the largest timestamp, the first of several. */
  maxTimestamp(): Promise<{ readonly offset: Offset; readonly timestampMs: TimestampMs; readonly leaderEpoch: LeaderEpoch } | null>;

  /** Since when it is known what was appended when; `undefined` where it never is. */
  readonly appendsKnownSinceMs: TimestampMs | undefined;

  /** When what was appended, as far as it is known; see `cutAt`. Errors: `log-offline`, the system's. */
  appendSpans(): Promise<Spans>;

  /** The latest time of which all appends are known: from here on none counts as earlier than `nowMs`. */
  settledAppendMs(nowMs: TimestampMs): TimestampMs;

  /**
   * Where the records of a leader epoch end: the start of the next one, for the newest the log end. Of an epoch without records the
   * one before it, or itself where there is none. `undefined`: it is not known, or has not begun. (Kafka's LeaderEpochFileCache.)
   */
  endOfEpoch(epoch: LeaderEpoch): { readonly epoch: LeaderEpoch; readonly endOffset: Offset } | undefined;

  /** The idempotent producers that are remembered, each with its last batch. */
  producers(): readonly ProducerSnapshotEntry[];

  /** Last offset of each leader epoch: the epoch that an offset was written in, −1 if unknown. */
  epochForOffset(offset: Offset): LeaderEpoch;

  /** Whether offsets may be served from the table: some are, or a move of the boundary is under way. */
  readonly mayBeCold: boolean;

  /**
   * Notes a commit durably (written and fsynced before it resolves); only then may `evict` drop anything. Never goes
   * back. A boundary above the flushed end is refused with `log-damaged`: an alarm, never a reason to evict.
   */
  moveBoundary(boundary: Offset, logStartOffset: Offset): Promise<void>;

  /**
   * Deletes records below an offset: what lies below it is flushed and the log start is on disk before this resolves, to the
   * log start. Never goes back: a lower offset changes nothing. Segments wholly below it go with the next `maintain`.
   * Errors: `offset-out-of-range` above the high watermark, `log-offline`, `disk-full`.
   */
  raiseLogStart(logStartOffset: Offset): Promise<Offset>;

  /**
   * Reads the segments that hold offsets of [from, to) whole: somebody met a batch of theirs that is not what was appended. A damaged copy
   * of what the table has is dropped; other damage takes the partition offline, with nothing cut, and is answered. Errors: `log-offline`
   * where the disk cannot be read.
   */
  verify(from: Offset, to: Offset): Promise<Error | undefined>;

  /** Called after each append and whenever offsets, start or state change. Returns its own removal. */
  onChange(listener: () => void): () => void;

  updateConfig(config: LogConfig): void;
}

/** A partition whose log is lost, and where it goes on. */
export interface PartitionStart {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly partition: PartitionId;
  /** First offset of the new log. */
  readonly startOffset: Offset;
  /** At most the start: what lies between them is gone. */
  readonly boundary: Offset;
  readonly logStartOffset: Offset;
  /** What is appended bears it; newer than all that the former log had. */
  readonly leaderEpoch: LeaderEpoch;
}

export interface EvictResult {
  readonly segments: number;
  readonly bytes: number;
}

/** How a scrub of the hot log gives way. */
export interface ScrubLimits {
  readonly bytesPerSecond: number;
  /** Asked before each step; while it is false nothing is read. */
  readonly mayGoOn: () => boolean;
}

/** What one scrub did. */
export interface ScrubFound {
  readonly bytes: number;
  readonly findings: number;
}

/** Who waits for a scrub is told how far it is. */
export interface ScrubWatch {
  /** What was read and found so far, of all partitions. */
  onStep(found: ScrubFound): void;
  /** What was read and found in one, which is done; the next waits. */
  onPartition(partition: PartitionId, found: ScrubFound): Promise<void>;
}

/** What scrubs did since the start. */
export interface Scrubbed {
  /** Of segments that were read, each round's anew. */
  readonly bytes: number;
  /** Damaged or unreadable segments, and indexes that did not agree with theirs. */
  readonly findings: number;
  /** When a round over everything ended last, 0 before the first. */
  readonly lastRoundMs: TimestampMs;
}

/** What a round of compaction did. */
export interface CompactionTally {
  readonly passes: number;
  readonly droppedRecords: number;
  /** Of the segments that were read, and of those that took their place. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

export interface HotLog {
  readonly partitions: ReadonlyMap<string, PartitionLog>;
  /** Bytes of all segments. */
  readonly hotBytes: number;

  partition(topic: TopicName, partition: PartitionId): PartitionLog | undefined;

  /**
   * Makes the directories and first segments of partitions of a topic, several at a time, and answers them in the order asked for; one
   * that is there already is opened. Where one fails the others are there when this rejects. Errors: `topic-exists` where a folder is
   * another topic's, and those of the disk.
   */
  createPartitions(
    topic: TopicName,
    topicId: TopicId,
    partitions: readonly PartitionId[],
    config: LogConfig,
  ): Promise<readonly PartitionLog[]>;

  /**
   * Makes partitions that go on where a lost log ended, all durable when it resolves; none of them is there yet.
   * Their configuration is that of a start until `createPartitions` gives it. `onStarted` hears how many are there.
   */
  startPartitions(starts: readonly PartitionStart[], onStarted?: (count: number) => void): Promise<void>;

  /** Removes the files of partitions that are there (renamed first, as Kafka does, so that a kill midway leaves no half log). */
  deletePartitions(topic: TopicName, partitions: readonly PartitionId[]): Promise<void>;

  /**
   * One round of upkeep: rolls by `segment.ms`, deletes by retention where not tiered, evicts below the boundary by
   * `local.retention.*` and, while all hot bytes exceed `hotDiskBytes`, oldest first.
   */
  maintain(nowMs: TimestampMs, hotDiskBytes: number): Promise<EvictResult>;

  /**
   * Compacts what is due of the topics that are, one partition after the other, in a thread of its own; appends, reads and upkeep go
   * on meanwhile. One call at a time. Errors: the signal's reason; what goes wrong with a partition is logged.
   */
  compact(nowMs: TimestampMs, signal: AbortSignal): Promise<CompactionTally>;

  readonly scrubbed: Scrubbed;

  /**
   * Reads once, slowly, all that is flushed: each batch's framing and checksum, and whether index files agree with it. What is damaged is
   * dealt with as where a reader meets it (`verify`), and logged. Appends, reads and upkeep go on meanwhile. One call at a time; the first
   * begins anywhere and comes round to there. Errors: the signal's reason.
   */
  scrub(limits: ScrubLimits, signal: AbortSignal): Promise<void>;

  /** The same of one topic, beside whatever round is under way. Errors: the signal's reason, those of the watch. */
  scrubTopic(topic: TopicName, limits: ScrubLimits, signal: AbortSignal, watch?: ScrubWatch): Promise<ScrubFound>;

  /** Rolls the active segments and drops every segment that lies wholly below the boundary. */
  evictAll(partitions: readonly PartitionLog[]): Promise<EvictResult>;

  /** Flushes everything, writes checkpoints and the clean-shutdown marker. */
  close(): Promise<void>;
}
