// Seeded sequences: what clients do, and what no client should do, in an order that reaches the interesting states.
import { apis, compressionCodecs } from '../../src/wire/index.js';
import { type Seeded, stream } from '../support/seed.js';
import { batchFlaws, type BatchSpec, type RecordSpec, type Step } from './step.js';

export const names = ['a', 'b', 'c'] as const;

interface Shape {
  readonly versions: ReadonlyMap<number, readonly [number, number]>;
  readonly random: Seeded;
  readonly producers: Map<string, number>;
}

const versionsOf = new Map(apis.map(({ key, minVersion, maxVersion }) => [key, [minVersion, maxVersion] as const]));

function step(shape: Shape, api: number, body: unknown, more: Partial<Step> = {}, minVersion = 0): Step {
  const [low, high] = shape.versions.get(api) ?? versionsOf.get(api)!;
  return { api, version: shape.random.whole(Math.max(low, minVersion), high + 1), body, ...more };
}

// Left out is what we refuse by design and say so: compaction, an empty cleanup.policy, keys of
// other releases. Kafka takes `TRUE` and retention.bytes=-2 as well.
const configValues: readonly (readonly [string, readonly string[]])[] = [
  ['cleanup.policy', ['delete', 'neither']],
  ['compression.type', ['producer', 'uncompressed', 'gzip', 'snappy', 'lz4', 'zstd', 'none', 'brotli']],
  ['compression.gzip.level', ['-1', '1', '9', '0', '10', 'fast']],
  ['compression.zstd.level', ['3', '-5', '22', '23', '-131073', '0']],
  ['max.message.bytes', ['1000', '200', '0', '-1', '1048588', 'many']],
  ['message.timestamp.type', ['CreateTime', 'LogAppendTime', 'Never']],
  ['message.timestamp.after.max.ms', ['3600000', '1000', '-1', '9223372036854775807']],
  ['message.timestamp.before.max.ms', ['3600000', '0', 'x']],
  ['segment.bytes', ['1048576', '13', '0', '2147483648', '10485760']],
  ['segment.ms', ['1', '0', '604800000', '-1']],
  ['retention.bytes', ['-1', '1000000', 'x']],
  ['min.insync.replicas', ['1', '0', '2']],
  ['flush.messages', ['1', '0', '1000']],
  ['index.interval.bytes', ['0', '4096', '-1']],
  ['delete.retention.ms', ['0', '-1', '1000']],
  ['file.delete.delay.ms', ['0', '-1']],
  ['unclean.leader.election.enable', ['true', 'false', 'maybe']],
  ['preallocate', ['false', 'yes']],
  ['no.such.key', ['1']],
];

function configs(random: Seeded, count: number): { name: string; value: string | null }[] {
  return random
    .shuffled(configValues)
    .slice(0, count)
    .map(([name, values]) => ({ name, value: random.whole(0, 40) === 0 ? null : random.pick(values) }));
}

function createTopics(shape: Shape, name: string, isPlain: boolean): Step {
  const { random } = shape;
  const numPartitions = isPlain ? random.whole(1, 4) : random.pick([1, 2, -1, 0, -2, 1]);
  const topic = {
    name: isPlain || random.whole(0, 4) > 0 ? `$topic:${name}` : random.pick(['', '.', '..', 'a b', 'ü', 'x'.repeat(250)]),
    numPartitions,
    replicationFactor: isPlain ? 1 : random.pick([1, -1, 0, 2, 1, -2]),
    assignments:
      isPlain || random.whole(0, 8) > 0
        ? []
        : random.pick([
            [{ partitionIndex: 0, brokerIds: [1] }],
            [{ partitionIndex: 1, brokerIds: [1] }],
            [{ partitionIndex: 0, brokerIds: [] }],
            [{ partitionIndex: 0, brokerIds: [1, 1] }],
            [{ partitionIndex: 0, brokerIds: [7] }],
          ]),
    configs: isPlain && random.whole(0, 2) === 0 ? [] : configs(random, random.whole(0, 3)),
  };
  const isTwice = !isPlain && random.whole(0, 12) === 0;
  const body = { topics: isTwice ? [topic, topic] : [topic], timeoutMs: 5_000, validateOnly: !isPlain && random.whole(0, 4) === 0 };
  return step(shape, 19, body, {}, 2);
}

function recordsOf(random: Seeded): RecordSpec[] {
  const at = (): RecordSpec['at'] => {
    const kind = random.whole(0, 30);
    if (kind === 0) return 'none';
    if (kind === 1) return 2 * 3_600_000;
    if (kind === 2) return 10 * 60_000;
    return -random.whole(100_000, 9_000_000);
  };
  return Array.from({ length: random.whole(1, 5) }, () => ({
    at: at(),
    key: random.whole(0, 4) === 0 ? null : `k${random.whole(0, 4)}`,
    value: random.whole(0, 8) === 0 ? null : 'v'.repeat(random.whole(0, 20) === 0 ? 1_500 : random.whole(0, 9)),
  }));
}

function batchOf(shape: Shape): BatchSpec {
  const { random, producers } = shape;
  const records = recordsOf(random);
  const plainBatch = { records, compression: random.pick([...compressionCodecs, 'none', 'none'] as const) };
  const flawed = random.whole(0, 5) === 0 ? { flaw: random.pick(batchFlaws) } : {};
  if (producers.size === 0 || random.whole(0, 2) === 0) return { ...plainBatch, ...flawed };
  const producer = random.pick([...producers.keys()]);
  const next = producers.get(producer) ?? 0;
  const sequence = random.pick([next, next, next, next, 0, next + 1, next - 1, next - records.length, -1, 2_147_483_647]);
  if (sequence === next && flawed.flaw === undefined) producers.set(producer, next + records.length);
  return { ...plainBatch, ...flawed, producer, epoch: random.pick([0, 0, 0, 0, 0, 1, -1]), sequence };
}

const partition = (random: Seeded): number => random.pick([0, 0, 0, 0, 1, 2, 7, -1]);

function produce(shape: Shape): Step {
  const { random } = shape;
  const records = random.pick([true, true, true, true, true, true, true, true, true, false])
    ? { $batch: batchOf(shape) }
    : { $empty: true };
  return step(shape, 0, {
    transactionalId: null,
    acks: random.pick([-1, -1, 1, 1, 1, 0, 2, -2]),
    timeoutMs: 5_000,
    topicData: [{ name: `$topic:${random.pick(names)}`, partitionData: [{ index: partition(random), records }] }],
  });
}

function fetch(shape: Shape): Step {
  const { random } = shape;
  const topics = Array.from({ length: random.whole(1, 3) }, () => {
    const name = random.pick(names);
    return {
      topic: `$topic:${name}`,
      topicId: `$id:${name}`,
      partitions: random
        .shuffled([0, 1, 2, 7])
        .slice(0, random.whole(1, 3))
        .map((index) => ({
          partition: index,
          currentLeaderEpoch: random.pick([-1, -1, -1, 0, 1]),
          fetchOffset: random.pick([0, 0, 0, 1, 2, 3, 5, 8, 13, -1, 1000]),
          partitionMaxBytes: random.pick([1_000_000, 1_000_000, 1, 0, 100, 250]),
          logStartOffset: -1,
        })),
    };
  }).filter(({ topic }, i, all) => all.findIndex((other) => other.topic === topic) === i);
  return step(shape, 1, {
    maxWaitMs: 0,
    minBytes: random.pick([0, 1]),
    maxBytes: random.pick([10_000_000, 10_000_000, 1, 0, 150, 400]),
    isolationLevel: random.whole(0, 2),
    sessionId: random.pick([0, 0, 0, 77]),
    sessionEpoch: random.pick([-1, -1, -1, 0, 5]),
    topics,
    forgottenTopicsData: [],
  });
}

function listOffsets(shape: Shape): Step {
  const { random } = shape;
  const timestamp = random.pick([
    -1,
    -2,
    -3,
    -4,
    -5,
    -6,
    -7,
    0,
    '$time:-9000001',
    `$time:-${random.whole(100_000, 9_000_000)}`,
    '$time:7200001',
  ]);
  return step(shape, 2, {
    replicaId: -1,
    isolationLevel: random.whole(0, 2),
    topics: [
      {
        name: `$topic:${random.pick(names)}`,
        partitions: [{ partitionIndex: partition(random), currentLeaderEpoch: random.pick([-1, -1, -1, 0, 1]), timestamp }],
      },
    ],
  });
}

function metadata(shape: Shape): Step {
  const { random } = shape;
  const chosen = step(shape, 3, {}, {}, 4);
  const name = random.pick(names);
  const isById = chosen.version >= 12 && random.whole(0, 2) === 0;
  const body = {
    topics: [isById ? { topicId: `$id:${name}`, name: null } : { name: `$topic:${name}` }],
    allowAutoTopicCreation: false,
    includeTopicAuthorizedOperations: random.whole(0, 3) === 0,
    ...(chosen.version >= 8 && chosen.version <= 10 ? { includeClusterAuthorizedOperations: random.whole(0, 3) === 0 } : {}),
  };
  return { ...chosen, body };
}

function deleteRecords(shape: Shape): Step {
  const { random } = shape;
  return step(shape, 21, {
    topics: [
      {
        name: `$topic:${random.pick(names)}`,
        partitions: [{ partitionIndex: partition(random), offset: random.pick([-1, 0, 1, 2, 3, 5, 100, -2]) }],
      },
    ],
    timeoutMs: 5_000,
  });
}

function deleteTopics(shape: Shape): Step {
  const { random } = shape;
  const name = random.pick(names);
  const chosen = step(shape, 20, {});
  const topic = random.whole(0, 2) === 0 ? { name: `$topic:${name}` } : { name: null, topicId: `$id:${name}` };
  return { ...chosen, body: { topics: [topic], topicNames: [`$topic:${name}`], timeoutMs: 5_000 } };
}

function describeConfigs(shape: Shape): Step {
  const { random } = shape;
  return step(shape, 32, {
    resources: [
      {
        resourceType: random.pick([2, 2, 2, 2, 2, 3]),
        resourceName: `$topic:${random.pick(names)}`,
        configurationKeys: random.pick([null, null, ['cleanup.policy', 'max.message.bytes'], ['no.such.key'], []]),
      },
    ],
    includeSynonyms: random.whole(0, 2) === 0,
    includeDocumentation: false,
  });
}

function alterConfigs(shape: Shape): Step {
  const { random } = shape;
  return step(shape, 44, {
    resources: [
      {
        resourceType: random.pick([2, 2, 2, 2, 2, 2, 3]),
        resourceName: `$topic:${random.pick(names)}`,
        configs: configs(random, random.whole(0, 3)).map((config) => ({ ...config, configOperation: random.pick([0, 0, 0, 0, 1, 2, 3]) })),
      },
    ],
    validateOnly: random.whole(0, 4) === 0,
  });
}

function initProducerId(shape: Shape): Step {
  const { random, producers } = shape;
  const keep = random.pick(['p', 'q']);
  const isPlain = random.whole(0, 4) > 0;
  if (isPlain) producers.set(keep, 0);
  const more = isPlain ? {} : { producerId: random.pick([{ $pid: keep }, -1n, 5n]), producerEpoch: random.pick([-1, 0, 3]) };
  return step(
    shape,
    22,
    { transactionalId: null, transactionTimeoutMs: random.pick([60_000, 2_147_483_647, 0, -1]), ...more },
    { keep },
    isPlain ? 0 : 3,
  );
}

function findCoordinator(shape: Shape): Step {
  const { random } = shape;
  const keyType = random.pick([0, 0, 0, 0, 7]);
  const chosen = step(shape, 10, {}, {}, 1);
  const keys = random.pick([['$group:g'], ['$group:g', '$group:h'], [''], []]);
  return { ...chosen, body: { key: keys[0] ?? '', keyType, coordinatorKeys: keys } };
}

const kinds: readonly (readonly [number, (shape: Shape) => Step])[] = [
  [10, produce],
  [7, fetch],
  [4, listOffsets],
  [2, metadata],
  [2, deleteRecords],
  [1, deleteTopics],
  [2, (shape) => createTopics(shape, shape.random.pick(names), false)],
  [2, describeConfigs],
  [2, alterConfigs],
  [2, initProducerId],
  [1, findCoordinator],
];

/** The steps of a seed. `versions` are those that both brokers serve, by API key. */
export function sequence(seed: number, versions: ReadonlyMap<number, readonly [number, number]>): readonly Step[] {
  const random = stream(seed);
  const shape: Shape = { versions, random, producers: new Map() };
  const steps: Step[] = [createTopics(shape, 'a', true)];
  if (random.whole(0, 2) === 0) steps.push(initProducerId(shape));
  const weighted = kinds.flatMap(([weight, kind]) => Array.from({ length: weight }, () => kind));
  const length = random.whole(6, 22);
  while (steps.length < length) steps.push(random.pick(weighted)(shape));
  return steps;
}
