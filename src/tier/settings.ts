/** The daemon's bounds, each with its arithmetic, and a topic's own settings as the broker resolved them. */
import { type BackoffPolicy, invariant, KiB, MiB, GiB, dayMs, hourMs, minuteMs, secondMs } from '../kernel/index.js';
import type { ValueFormat } from '../columns/index.js';
import type { RetentionRule } from './retention.js';

export interface TierSettings {
  /** Disk for what is fetched and not yet committed. Beyond it nothing is fetched and the fullest topic is cut early. */
  readonly spoolBytesMax: number;
  /** Uncompressed bytes after which a piece is closed and staged while more arrives. */
  readonly pieceBytes: number;
  /** Pieces are never smaller, whatever `lake.file.bytes` is. */
  readonly pieceBytesMin: number;
  /** One fetch: in memory at once, twice while the next is on its way. */
  readonly fetchBytes: number;
  readonly fetchPartitionBytes: number;
  /** How long the broker may hold an empty fetch. */
  readonly fetchWaitMs: number;
  /** Pause after a small fetch, so that a trickle is not fetched record by record. */
  readonly fetchLingerMs: number;
  /** How long a partition's verified file waits for others of its topic, so that they share a commit. */
  readonly commitGatherMs: number;
  /** Partitions that are encoded, uploaded and verified at the same time. */
  readonly cutsAtOnce: number;
  readonly stagesAtOnce: number;
  /** A bucket that has not answered the first request by then holds up nobody's start: the daemon goes on trying. */
  readonly firstTryMs: number;
  /** Deadline of one small request to the bucket, or of a commit. */
  readonly bucketTimeoutMs: number;
  /** Slowest acceptable transfer: an upload or download may take `bucketTimeoutMs` plus its bytes at this rate. */
  readonly transferBytesPerSecondMin: number;
  readonly brokerTimeoutMs: number;
  readonly jobTimeoutMs: number;
  /** How often the broker is asked for its topics besides when it says that they changed. */
  readonly describeIntervalMs: number;
  /** How often the broker is asked what the bucket is to know of it; no request to the bucket. */
  readonly stateLookMs: number;
  /** While offsets move, the state of the cluster in the bucket is never older than this. */
  readonly stateWriteMs: number;
  /** Behind a deletion a topic's folder is emptied once more after so long: no upload of that time is under way then. */
  readonly droppedAgeMs: number;
  /** How often retention looks at a topic that has a bound. */
  readonly retentionCheckMs: number;
  /** Row groups of each file whose typed columns are compared with an independent decoder. */
  readonly verifyTypedRowGroups: number | 'all';
  /** Wait between tries of what failed: cuts, commits, reports, start. */
  readonly retry: BackoffPolicy;
  /** Each holds a downloaded file and up to 32 MiB of rebuilt batches on disk, and a few parts in memory. */
  readonly hydrationsAtOnce: number;
  readonly hydrationsQueued: number;
  /** Time lookups under way; each holds a footer and a few columns of one row group, some MiB. */
  readonly lookupsAtOnce: number;
  readonly lookupsQueued: number;
  /** Bytes of whole batches in one part of a hydration. */
  readonly hydratePartBytes: number;
  /** Disk for cold files that were downloaded; only where the bucket is not a local directory. */
  readonly coldCacheBytes: number;
  /** Pause between two rounds of upkeep. */
  readonly upkeepIntervalMs: number;
  /** Bytes of cold files that one round reads of one topic to write them anew: with the pause, some 4 MiB/s at most. */
  readonly rewriteBytesPerRound: number;
  /** Pause between two sweeps of a topic. A sweep reads the manifests and lists the objects, 1,000 a request. */
  readonly sweepIntervalMs: number;
  /** Objects one sweep deletes at most. */
  readonly sweepObjectsMax: number;
  /** An object that no snapshot needs goes when it is so old; a file is committed within half of it, or uploaded again. */
  readonly sweepMinAgeMs: number;
  /** Of the slow scrub in the background; 0 for none. At 1 MiB/s 84 GiB a day. */
  readonly scrubBytesPerSecond: number;
  /** Pause before each pass of it, and after a request that failed. */
  readonly scrubPauseMs: number;
  /** How long after it was the current one a snapshot's objects stay: longer than any query. */
  readonly sweepGraceMs: number;
}

export const defaultTierSettings: TierSettings = {
  spoolBytesMax: 2 * GiB,
  pieceBytes: 32 * MiB,
  pieceBytesMin: 64 * KiB,
  fetchBytes: 16 * MiB,
  fetchPartitionBytes: 4 * MiB,
  fetchWaitMs: 500,
  fetchLingerMs: 100,
  commitGatherMs: 10 * secondMs,
  cutsAtOnce: 2,
  stagesAtOnce: 1,
  firstTryMs: 3 * secondMs,
  bucketTimeoutMs: 30 * secondMs,
  transferBytesPerSecondMin: MiB,
  brokerTimeoutMs: 30 * secondMs,
  jobTimeoutMs: 10 * minuteMs,
  describeIntervalMs: 10 * secondMs,
  stateLookMs: 5 * secondMs,
  stateWriteMs: 30 * secondMs,
  droppedAgeMs: dayMs,
  retentionCheckMs: 30 * secondMs,
  verifyTypedRowGroups: 1,
  retry: { firstMs: 250, maxMs: 30 * secondMs, tries: Number.POSITIVE_INFINITY },
  hydrationsAtOnce: 4,
  hydrationsQueued: 256,
  lookupsAtOnce: 4,
  lookupsQueued: 1024,
  hydratePartBytes: MiB,
  coldCacheBytes: 2 * GiB,
  upkeepIntervalMs: minuteMs,
  rewriteBytesPerRound: 256 * MiB,
  sweepIntervalMs: 6 * hourMs,
  sweepObjectsMax: 10_000,
  sweepMinAgeMs: dayMs,
  sweepGraceMs: hourMs,
  scrubBytesPerSecond: MiB,
  scrubPauseMs: hourMs,
};

export interface TopicSettings {
  readonly commitIntervalMs: number;
  readonly fileBytes: number;
  /** Snapshots older than this leave the table's metadata with its next commit. */
  readonly snapshotMaxAgeMs: number;
  /** A file that the log start falls into loses its head within this. */
  readonly deleteMaxDelayMs: number;
  readonly valueFormat: ValueFormat;
  readonly maxMessageBytes: number;
  readonly retention: RetentionRule;
}

const valueFormats: readonly ValueFormat[] = ['auto', 'json', 'string', 'bytes'];

/** Reads a topic's resolved configuration, which the broker has checked. */
export function topicSettings(config: Readonly<Record<string, string>>): TopicSettings {
  const number = (key: string): number => {
    const value = Number(config[key]);
    invariant(config[key] !== undefined && Number.isFinite(value), 'the broker resolves every topic key', { key, value: config[key] });
    return value;
  };
  const format = config['lake.value.format'];
  const valueFormat = valueFormats.find((known) => known === format);
  invariant(valueFormat !== undefined, 'the broker resolves every topic key', { key: 'lake.value.format', value: format });
  return {
    commitIntervalMs: number('lake.commit.interval.ms'),
    fileBytes: number('lake.file.bytes'),
    snapshotMaxAgeMs: number('lake.snapshot.max.age.ms'),
    deleteMaxDelayMs: number('lake.delete.max.delay.ms'),
    valueFormat,
    maxMessageBytes: number('max.message.bytes'),
    retention: { ms: number('retention.ms'), bytes: number('retention.bytes') },
  };
}

/** Four pieces a file, so that a cut has at most a quarter left to stage. */
export function pieceBytesFor(settings: TierSettings, topic: TopicSettings): number {
  return Math.max(settings.pieceBytesMin, Math.min(settings.pieceBytes, Math.floor(topic.fileBytes / 4)));
}

/**
 * DuckDB writes no row group of fewer than 2,048 records, and whoever reads one has it in memory. Of records above 8 KiB that is
 * more than 16 MiB, so their files are cut as soon as they have that much: a piece of at most 32 MiB is one.
 */
const largeRecordBytes = 8 * KiB;
const largeRecordFileBytes = 16 * MiB;

/** Raw bytes after which a file of such records is cut. */
export function fileBytesFor(topic: TopicSettings, meanRecordBytes: number): number {
  return meanRecordBytes > largeRecordBytes ? Math.min(topic.fileBytes, largeRecordFileBytes) : topic.fileBytes;
}
