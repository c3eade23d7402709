/** Server configuration: ours and Kafka's broker keys. Server-wide defaults of topic keys are added from `topic-keys.ts`. */
import { dayMs, GiB, hourMs, KiB, MiB, minuteMs, secondMs } from '../kernel/index.js';
import { bool, int, type KeySpec, long, oneOf, secret, text } from './key.js';
import { type TopicKey, topicKeyNames, topicKeySpec } from './topic-keys.js';

const ownKeys = {
  'data.dir': text('./data', 'Folder of everything local: log, metadata, caches, and by default the bucket.'),
  'kafka.listen': text('127.0.0.1:9092', 'Where the broker speaks Kafka; port 0 picks a free one.'),
  'http.listen': text('127.0.0.1:8080', 'Where the gateway speaks HTTP; port 0 picks a free one.'),
  'http.token': secret(
    'Where set, the gateway answers only whoever sends `Authorization: Bearer` with it (`/livez` and `/readyz` answer all). A secret: better in a file or the environment than in `--set`.',
  ),
  'http.token.file': text('', 'File that holds the token instead, alone or with an end of line; read at start.'),
  'control.listen': text('', 'Control socket: `unix:PATH` or `HOST:PORT`; empty is `unix:<data.dir>/control.sock`.'),
  'bootstrap': text('', 'Kafka address of the broker, for `tier` and `gateway` alone; empty asks the control socket.'),
  'bucket.url': text('', '`file:///path` or `s3://bucket/prefix`; empty is the folder `bucket` in data.dir.'),
  'bucket.endpoint': text('', 'S3 endpoint other than AWS.'),
  'bucket.region': text('', 'S3 region; empty is `AWS_REGION`, else the one of the profile, and with `bucket.endpoint` `us-east-1`.'),
  'bucket.force-path-style': bool(
    false,
    'Put the bucket in the path of S3 requests instead of the host name; not set, it is in the path wherever `bucket.endpoint` is set.',
  ),
  'node.id': int(1, 'Id of this broker.', { min: 0 }),
  'advertised.listeners': text('', '`HOST:PORT` that clients are told; empty is the address listened on.'),
  'auto.create.topics.enable': bool(true, 'Create a topic when a client asks for one that is not there.'),
  'num.partitions': int(1, 'Partitions of a topic created without a number.', { min: 1 }),
  'default.replication.factor': int(1, 'Kept for compatibility: one broker holds one replica.', { min: 1 }),
  'socket.request.max.bytes': int(100 * MiB, 'Largest request frame.', { min: KiB }),
  'max.connections': int(10_000, 'Kafka connections open at once.', { min: 1 }),
  'connections.max.idle.ms': long(10 * minuteMs, 'Silence after which a connection is closed.', { min: secondMs }),
  'queued.max.request.bytes': long(256 * MiB, 'Bytes of requests under way in all connections together; reading pauses above.', {
    min: MiB,
  }),
  'fetch.max.bytes': int(55 * MiB, 'Most bytes one fetch answer carries.', { min: KiB }),
  'max.incremental.fetch.session.cache.slots': int(
    1000,
    'Fetch sessions (KIP-227) at once. A consumer that finds none free names all its partitions with each fetch, and is told of all.',
    { min: 0 },
  ),
  'topic.max.partitions': int(10_000, 'Most partitions a topic may be created with.', { min: 1 }),
  'producer.id.expiration.ms': long(dayMs, 'Silence after which an idempotent producer is forgotten.', { min: 1 }),
  'offsets.topic.num.partitions': int(50, 'Partitions of __consumer_offsets.', { min: 1 }),
  'offset.metadata.max.bytes': int(4096, 'Longest metadata of a committed offset.', { min: 0 }),
  'offsets.retention.minutes': int(
    10_080,
    'How long committed offsets are kept: from when a group with members became empty, else from the commit; not of topics that members of the group subscribe to.',
    { min: 1 },
  ),
  'offsets.retention.check.interval.ms': long(
    10 * minuteMs,
    'How often offsets whose retention has passed, and groups that have neither members nor offsets, are forgotten.',
    { min: 1 },
  ),
  'group.initial.rebalance.delay.ms': int(3000, 'How long the first rebalance of an empty group waits for more members.', { min: 0 }),
  'group.min.session.timeout.ms': int(6000, 'Shortest session timeout of a member.', { min: 1 }),
  'group.max.session.timeout.ms': int(30 * minuteMs, 'Longest session timeout of a member.', { min: 1 }),
  'group.max.size': int(2147483647, 'Most members of a group.', { min: 1 }),
  'group.consumer.session.timeout.ms': int(45 * secondMs, 'Silence after which a member of a consumer group (KIP-848) is fenced.', {
    min: 1,
  }),
  'group.consumer.min.session.timeout.ms': int(45 * secondMs, 'Least that a group may set as `consumer.session.timeout.ms`.', { min: 1 }),
  'group.consumer.max.session.timeout.ms': int(60 * secondMs, 'Most that a group may set as `consumer.session.timeout.ms`.', { min: 1 }),
  'group.consumer.heartbeat.interval.ms': int(5 * secondMs, 'How often members of consumer groups (KIP-848) are told to report.', {
    min: 1,
  }),
  'group.consumer.min.heartbeat.interval.ms': int(5 * secondMs, 'Least that a group may set as `consumer.heartbeat.interval.ms`.', {
    min: 1,
  }),
  'group.consumer.max.heartbeat.interval.ms': int(15 * secondMs, 'Most that a group may set as `consumer.heartbeat.interval.ms`.', {
    min: 1,
  }),
  'group.consumer.assignment.interval.ms': int(
    secondMs,
    'Least time between two assignments of a consumer group (KIP-1263); 0 assigns with every change.',
    { min: 0 },
  ),
  'group.consumer.min.assignment.interval.ms': int(0, 'Least that a group may set as `consumer.assignment.interval.ms`.', { min: 0 }),
  'group.consumer.max.assignment.interval.ms': int(15 * secondMs, 'Most that a group may set as `consumer.assignment.interval.ms`.', {
    min: 0,
  }),
  'group.consumer.max.size': int(2147483647, 'Most members of a consumer group (KIP-848).', { min: 1 }),
  'group.consumer.migration.policy': oneOf(
    ['bidirectional', 'upgrade', 'downgrade', 'disabled'],
    'bidirectional',
    'Whether a group with classic members becomes a consumer group (KIP-848) when such a member joins (`upgrade`), and a classic one again when the last such member is gone (`downgrade`).',
  ),
  'group.consumer.assignors': text(
    'uniform,range',
    'Assignors of consumer groups (KIP-848), of `uniform` and `range`; the first is used where members ask for none.',
  ),
  'flush.policy': oneOf(
    ['group-commit', 'os'],
    'group-commit',
    '`group-commit`: acks=all waits for the disk. `os`: the operating system decides, as by Kafka’s default.',
  ),
  'log.retention.check.interval.ms': long(
    30 * secondMs,
    'How often segments are rolled by age, retained and evicted, and cold files expired.',
    { min: 10 },
  ),
  'log.cleaner.enable': bool(true, 'Whether topics of `cleanup.policy=compact` are compacted.'),
  'log.cleaner.backoff.ms': long(15 * secondMs, 'Pause between two looks for partitions that are to be compacted.', { min: 10 }),
  'log.cleaner.dedupe.buffer.size': long(
    32 * MiB,
    'Memory of the keys that one pass of compaction remembers, 24 bytes and a tenth a key; where a partition has more, it takes several passes.',
    { min: KiB },
  ),
  'log.cleaner.io.max.bytes.per.second': long(64 * MiB, 'What compaction reads and writes in a second at most.', { min: 1 }),
  'log.scrub.bytes.per.second': long(4 * MiB, 'Budget of the slow scrub that reads all segments of the hot log again; 0 for none.', {
    min: 0,
  }),
  'log.scrub.interval.ms': long(hourMs, 'Pause between two of its rounds.', { min: 10 }),
  'hot.disk.bytes': long(10 * GiB, 'Committed segments are evicted, oldest first, while all segments take more.', { min: 0 }),
  'disk.low.bytes': long(2 * GiB, 'Free space below which caches are dropped.', { min: 0 }),
  'disk.reserve.bytes': long(GiB, 'Free space below which produce is refused, kept for uploads, commits and metadata.', { min: 0 }),
  'chunk.cache.bytes': long(GiB, 'Disk that hydrated cold chunks may take in the broker.', { min: 16 * MiB }),
  'cold.read.pace': oneOf(
    ['yield', 'full'],
    'yield',
    '`yield`: while producers wait for the disk (acks=all), cold ranges are fetched as fast as keeps their slowest answers within twice the usual. `full`: as fast as can be.',
  ),
  'remote.fetch.max.wait.ms': long(5000, 'How long a fetch waits for cold data before it answers without it.', { min: 0 }),
  'tier.spool.bytes': long(2 * GiB, 'Disk that fetched and not yet committed log may take in the tier daemon; fetching pauses above.', {
    min: 64 * MiB,
  }),
  'tier.workers': int(1, 'Column workers (child processes) of the tier daemon.', { min: 1, max: 64 }),
  'tier.worker.memory.bytes': long(GiB, 'Memory that one column worker’s DuckDB may take.', { min: 128 * MiB }),
  'tier.upkeep.interval.ms': long(minuteMs, 'Pause between two rounds of upkeep: compaction, heads below the log start, sweeps.', {
    min: secondMs,
  }),
  'tier.upkeep.bytes': long(256 * MiB, 'Bytes of cold files that one round of upkeep reads of one topic to write them anew.', {
    min: MiB,
  }),
  'tier.sweep.interval.ms': long(6 * hourMs, 'Pause between two sweeps of a topic for objects that nobody needs.', { min: secondMs }),
  'tier.sweep.min.age.ms': long(dayMs, 'An object that no snapshot needs is deleted when it is so old; an upload takes less.', {
    min: 10 * secondMs,
  }),
  'tier.sweep.grace.ms': long(
    hourMs,
    'Queries begin on a table as it was so long ago at most; a file that left it stays for query.timeout.ms more.',
    {
      min: secondMs,
    },
  ),
  'tier.scrub.bytes.per.second': long(MiB, 'Budget of the slow scrub that reads all cold files again; 0 for none.', { min: 0 }),
  'query.concurrency': int(2, 'Queries run at once; a short queue waits behind them.', { min: 1, max: 64 }),
  'query.niceness': int(
    12,
    'How far queries give way to producers and consumers where processors are short: 0 (not at all) to 19 (only what nobody else wants).',
    { min: 0, max: 19 },
  ),
  'query.queue.max': int(32, 'Queries that wait for a turn; further ones are refused.', { min: 0, max: 10_000 }),
  'query.queue.wait.ms': long(10 * secondMs, 'A query that has waited so long for its turn is refused.', { min: 1 }),
  'query.memory.bytes': long(GiB, 'Memory of one query; above it spills to disk. All together take query.concurrency times that.', {
    min: 64 * MiB,
  }),
  'query.spill.max.bytes': long(8 * GiB, 'Disk that running queries may spill to, shared evenly; a query above its share fails.', {
    min: MiB,
  }),
  'query.scan.max.bytes': long(-1, 'Bytes of files that one query may put within reach, counted before they are read; −1 for no bound.', {
    min: -1,
  }),
  'query.rows.max': long(-1, 'Rows of one answer; −1 for no bound.', { min: -1 }),
  'query.timeout.ms': long(5 * minuteMs, 'A query that takes longer is ended.', { min: 1 }),
  'query.tail.max.bytes': long(4 * GiB, 'Most hot log one query may stage.', { min: MiB }),
  'query.parquet.bytes': long(4 * GiB, 'Largest answer in the format parquet: a file on the gateway’s disk until it is sent.', {
    min: MiB,
  }),
  'query.cache.bytes': long(8 * GiB, 'Disk that staged tails and downloaded cold files may take in the gateway.', { min: 64 * MiB }),
  'log.level': oneOf(['trace', 'debug', 'info', 'warn', 'error', 'silent'], 'info', 'Least severe log line written to stderr.'),
} as const;

type ValueOf<S> = S extends KeySpec<infer V> ? V : never;
type OwnValues = { readonly [K in keyof typeof ownKeys]: ValueOf<(typeof ownKeys)[K]> };

/** Values of the keys that are not defaults of topic keys. */
export type ServerKey = keyof OwnValues;
export type ServerValues = OwnValues;

/** Server-wide default name → topic key. */
export const topicDefaultNames: ReadonlyMap<string, TopicKey> = new Map(
  topicKeyNames.flatMap((name) => {
    const server = topicKeySpec(name).server;
    return server === undefined ? [] : [[server, name] as const];
  }),
);

/** Every server key by name, the defaults of topic keys among them. */
export const serverKeySpecs: ReadonlyMap<string, KeySpec> = new Map<string, KeySpec>([
  ...Object.entries(ownKeys),
  ...[...topicDefaultNames].map(([server, topic]) => [server, topicKeySpec(topic)] as const),
]);
