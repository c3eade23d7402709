/**
 * Topic configuration. Kafka's names keep Kafka's meaning; the differences are listed in the docs. `server` is the name of
 * the server-wide default, where there is one.
 */
import { dayMs, GiB, hourMs, MiB, minuteMs } from '../kernel/index.js';
import { bool, double, int, type KeySpec, list, listLike, long, oneOf } from './key.js';

interface TopicKeySpec<Value> extends KeySpec<Value> {
  readonly server?: string;
}

function key<Value>(server: string | undefined, spec: KeySpec<Value>): TopicKeySpec<Value> {
  return server === undefined ? spec : { ...spec, server };
}

/** All replicas, or some of a partition each. */
const throttledReplicas = /^(\*|(\d+:\d+(,\d+:\d+)*)?)$/;

const maxLong = '9223372036854775807';

export const topicKeys = {
  'cleanup.policy': key(
    'log.cleanup.policy',
    list(
      'delete',
      ['delete', 'compact'],
      'What happens to old records: `delete` drops them by age and size, `compact` keeps the last of each key, `compact,delete` does both. A compacted topic is not tiered.',
    ),
  ),
  'compression.gzip.level': key(
    'compression.gzip.level',
    int(-1, 'Level where compression.type is `gzip`: 1 (fastest) to 9, or -1 for zlib’s own.', { min: -1, max: 9 }),
  ),
  'compression.lz4.level': key(
    'compression.lz4.level',
    int(9, 'Level where compression.type is `lz4`: only 9, which in Kafka too is the fast one.', { min: 1, max: 17 }),
  ),
  'compression.type': key(
    'compression.type',
    oneOf(
      ['producer', 'uncompressed', 'gzip', 'snappy', 'lz4', 'zstd'],
      'producer',
      'Codec of stored batches: `producer` keeps them as sent, others are compressed anew when they are produced with another.',
    ),
  ),
  'compression.zstd.level': key(
    'compression.zstd.level',
    int(3, 'Level where compression.type is `zstd`: above 15 a MiB takes seconds.', { min: -131_072, max: 22 }),
  ),
  'delete.retention.ms': key(
    'log.cleaner.delete.retention.ms',
    long(dayMs, 'How long a tombstone is kept after the compaction that first met it.', { min: 0 }),
  ),
  'errors.deadletterqueue.group.enable': key(
    undefined,
    bool(false, 'Kept for compatibility: there are no share groups here that could write undeliverable records to the topic.'),
  ),
  'file.delete.delay.ms': key('log.segment.delete.delay.ms', long(minuteMs, 'Delay before a deleted segment file is removed.', { min: 0 })),
  'flush.messages': key('log.flush.interval.messages', long(maxLong, 'Kept for compatibility: flushing follows flush.policy.', { min: 1 })),
  'flush.ms': key('log.flush.interval.ms', long(maxLong, 'Kept for compatibility: flushing follows flush.policy.', { min: 0 })),
  'index.interval.bytes': key('log.index.interval.bytes', int(4096, 'Bytes of log between two index entries.', { min: 0 })),
  'lake.commit.interval.ms': key(
    'lake.commit.interval.ms',
    long(5 * minuteMs, 'A record is in the table at most this long after it was acknowledged, plus the commit itself.', { min: 100 }),
  ),
  'lake.delete.max.delay.ms': key(
    'lake.delete.max.delay.ms',
    long(dayMs, 'A cold file that the log start falls into is rewritten within this.', { min: 0 }),
  ),
  'lake.file.bytes': key(
    'lake.file.bytes',
    long(128 * MiB, 'Raw bytes after which a cold file is cut earlier.', { min: MiB, max: 4 * GiB }),
  ),
  'lake.snapshot.max.age.ms': key(
    'lake.snapshot.max.age.ms',
    long(dayMs, 'Snapshots of the table older than this expire with the next commit; the current one stays.', { min: 1000 }),
  ),
  'lake.value.format': key(
    'lake.value.format',
    oneOf(['auto', 'json', 'string', 'bytes'], 'auto', 'How values become typed columns: JSON objects do under `auto` and `json`.'),
  ),
  'local.retention.bytes': key(
    'log.local.retention.bytes',
    long(-2, 'Bytes of a partition kept on local disk; −2 follows retention.bytes.', { min: -2 }),
  ),
  'local.retention.ms': key(
    'log.local.retention.ms',
    long(-2, 'How long committed records stay on local disk; −2 follows retention.ms.', { min: -2 }),
  ),
  'max.decompressed.message.bytes': key(
    'max.decompressed.message.bytes',
    int(2_147_483_639, 'Largest record of a compressed batch, inflated; a batch with a larger one is refused when it is produced.', {
      min: 1,
      max: 2_147_483_639,
    }),
  ),
  'max.message.bytes': key('message.max.bytes', int(1_048_588, 'Largest record batch, as compressed by its producer.', { min: 0 })),
  'max.compaction.lag.ms': key(
    'log.cleaner.max.compaction.lag.ms',
    long(maxLong, 'What was appended so long ago is compacted, however little it is; the segment that is written is rolled for it.', {
      min: 1,
    }),
  ),
  'message.timestamp.after.max.ms': key(
    'log.message.timestamp.after.max.ms',
    long(hourMs, 'How far a record timestamp may lie in the future, under `CreateTime`.', { min: 0 }),
  ),
  'message.timestamp.before.max.ms': key(
    'log.message.timestamp.before.max.ms',
    long(maxLong, 'How far a record timestamp may lie in the past, under `CreateTime`.', { min: 0 }),
  ),
  'message.timestamp.type': key(
    'log.message.timestamp.type',
    oneOf(
      ['CreateTime', 'LogAppendTime'],
      'CreateTime',
      'Whose clock a record carries: `CreateTime` its producer’s, `LogAppendTime` the broker’s. A change counts for what is produced from then on.',
    ),
  ),
  'min.cleanable.dirty.ratio': key(
    'log.cleaner.min.cleanable.ratio',
    double(0.5, 'Share of bytes not compacted yet above which a partition is compacted.', { min: 0, max: 1 }),
  ),
  'min.compaction.lag.ms': key(
    'log.cleaner.min.compaction.lag.ms',
    long(0, 'A record stays at least so long before compaction may drop it.', { min: 0 }),
  ),
  'min.insync.replicas': key('min.insync.replicas', int(1, 'Kept for compatibility: one broker is one replica.', { min: 1 })),
  'preallocate': key('log.preallocate', bool(false, 'Kept for compatibility: segments are not preallocated.')),
  'query.require.time.bound': key(
    'query.require.time.bound',
    bool(false, 'Refuse SQL of the topic that does not say from when on, or from which offset.'),
  ),
  'remote.copy.lag.bytes': key(
    'log.remote.copy.lag.bytes',
    long(-1, 'Kept for compatibility: a topic is tiered by lake.commit.interval.ms, whatever its hot log holds.', { min: -1 }),
  ),
  'remote.copy.lag.ms': key(
    'log.remote.copy.lag.ms',
    long(0, 'Kept for compatibility: a topic is tiered by lake.commit.interval.ms. Of a tiered topic this or remote.copy.lag.bytes is 0.', {
      min: -1,
    }),
  ),
  'remote.log.copy.disable': key(
    undefined,
    bool(false, 'Kept for compatibility: tiering of a topic cannot be halted. Of a tiered topic false.'),
  ),
  'remote.log.delete.on.disable': key(
    undefined,
    bool(false, 'Kept for compatibility: tiering ends only where nothing is cold yet. Of a tiered topic false.'),
  ),
  'remote.storage.enable': key(
    undefined,
    bool(
      true,
      'Whether the topic is tiered. By default true where cleanup.policy is `delete`. Taken back only while nothing is in the table yet.',
    ),
  ),
  'retention.bytes': key(
    'log.retention.bytes',
    long(-1, 'Bytes of a partition kept over both tiers; −1, like any number below 0, keeps all.'),
  ),
  'retention.ms': key(
    'log.retention.ms',
    long(7 * dayMs, 'How long records are kept over both tiers. By default −1 (for ever) for a tiered topic.', { min: -1 }),
  ),
  'segment.bytes': key('log.segment.bytes', int(GiB, 'Size at which a segment is rolled.', { min: MiB })),
  'segment.index.bytes': key(
    'log.index.size.max.bytes',
    int(10 * MiB, 'Size of a segment index at which the segment is rolled.', { min: 4 }),
  ),
  'segment.jitter.ms': key('log.roll.jitter.ms', long(0, 'Random part taken off segment.ms.', { min: 0 })),
  'segment.ms': key('log.roll.ms', long(7 * dayMs, 'Age at which a segment is rolled.', { min: 1 })),
  'unclean.leader.election.enable': key(
    'unclean.leader.election.enable',
    bool(false, 'Kept for compatibility: one broker has no election.'),
  ),
  'follower.replication.throttled.replicas': key(
    undefined,
    listLike(throttledReplicas, 'Kept for compatibility: one broker does not replicate. `*`, or items `PARTITION:BROKER`.'),
  ),
  'leader.replication.throttled.replicas': key(
    undefined,
    listLike(throttledReplicas, 'Kept for compatibility: one broker does not replicate. `*`, or items `PARTITION:BROKER`.'),
  ),
} as const;

export type TopicKey = keyof typeof topicKeys;
type ValueOf<S> = S extends KeySpec<infer V> ? V : never;
export type TopicValues = { readonly [K in TopicKey]: ValueOf<(typeof topicKeys)[K]> };

export const topicKeyNames = Object.keys(topicKeys) as TopicKey[];

export function topicKeySpec(name: TopicKey): TopicKeySpec<unknown> {
  return topicKeys[name];
}
