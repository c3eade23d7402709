// Steps at topics: what there is, what it is called, how it is configured.
import type { Seeded } from '../../support/seed.js';
import { type Kind, seldom, type Shape, step, topicNames, topicOf } from '../shape.js';
import type { Step } from '../step.js';

// Left out is what we refuse by design and say so: an empty cleanup.policy, levels of lz4, keys of other releases.
const configValues: readonly (readonly [string, readonly string[]])[] = [
  ['cleanup.policy', ['delete', 'compact', 'compact,delete', 'compact', 'neither']],
  ['compression.type', ['producer', 'uncompressed', 'gzip', 'snappy', 'lz4', 'zstd', 'none', 'brotli']],
  ['compression.gzip.level', ['-1', '1', '9', '0', '10', 'fast']],
  ['compression.zstd.level', ['3', '-5', '22', '23', '-131073', '0']],
  ['max.message.bytes', ['1000', '200', '0', '-1', '1048588', 'many']],
  ['message.timestamp.type', ['CreateTime', 'LogAppendTime', 'LogAppendTime', 'Never']],
  ['message.timestamp.after.max.ms', ['3600000', '1000', '-1', '9223372036854775807']],
  ['message.timestamp.before.max.ms', ['3600000', '0', 'x']],
  ['segment.bytes', ['1048576', '13', '0', '2147483648', '10485760']],
  ['segment.ms', ['1', '0', '604800000', '-1']],
  ['retention.bytes', ['-1', '-2', '1000000', 'x']],
  ['min.insync.replicas', ['1', '0', '2']],
  ['flush.messages', ['1', '0', '1000']],
  ['index.interval.bytes', ['0', '4096', '-1']],
  ['delete.retention.ms', ['0', '-1', '1000']],
  ['file.delete.delay.ms', ['0', '-1']],
  ['unclean.leader.election.enable', ['true', 'TRUE', 'false', 'maybe']],
  ['preallocate', ['false', ' False', 'yes']],
  ['retention.ms', ['60000', '-2', '3.5']],
  ['flush.ms', ['0', '-1', '9223372036854775807', '9223372036854775808']],
  ['max.compaction.lag.ms', ['1', '0', '86400000']],
  ['min.compaction.lag.ms', ['0', '-1', '100']],
  ['min.cleanable.dirty.ratio', ['0', '1', '0.25', '1.5', 'half']],
  ['segment.index.bytes', ['1000', '3', '1048576']],
  ['segment.jitter.ms', ['0', '-1', '100']],
  ['local.retention.bytes', ['-2', '-3', '1000']],
  ['remote.storage.enable', ['false']],
  ['leader.replication.throttled.replicas', ['*', '', '0:1', 'x']],
  ['no.such.key', ['1']],
];

/** A topic that is tiered stays so, and none that is compacted is: that is chosen where it is created. */
const alterableValues = configValues
  .filter(([name]) => name !== 'remote.storage.enable')
  .map(([name, values]) => [name, values.filter((value) => !value.startsWith('compact'))] as const);

function configs(random: Seeded, count: number, from = configValues): { name: string; value: string | null }[] {
  return random
    .shuffled(from)
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

function metadata(shape: Shape): Step {
  const { random } = shape;
  const chosen = step(shape, 3, {}, {}, 0);
  // Up to v3 a request cannot say that a topic is not to be created; those of all topics and of none create nothing.
  if (chosen.version < 4 || seldom(shape, 8)) {
    const topics = chosen.version > 0 && seldom(shape, 3) ? [] : chosen.version === 0 ? [] : null;
    return { ...chosen, body: { topics, allowAutoTopicCreation: false } };
  }
  const name = random.pick(topicNames);
  const isById = chosen.version >= 12 && random.whole(0, 2) === 0;
  const body = {
    topics: [isById ? { topicId: `$id:${name}`, name: null } : { name: `$topic:${name}` }],
    allowAutoTopicCreation: false,
    includeTopicAuthorizedOperations: random.whole(0, 3) === 0,
    ...(chosen.version >= 8 && chosen.version <= 10 ? { includeClusterAuthorizedOperations: random.whole(0, 3) === 0 } : {}),
  };
  return { ...chosen, body };
}

function deleteTopics(shape: Shape): Step {
  const { random } = shape;
  const name = random.pick(topicNames);
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
        resourceName: topicOf(shape),
        configurationKeys: random.pick([null, null, ['cleanup.policy', 'max.message.bytes'], ['no.such.key'], []]),
      },
    ],
    includeSynonyms: random.whole(0, 2) === 0,
    includeDocumentation: false,
  });
}

function incrementalAlterConfigs(shape: Shape): Step {
  const { random } = shape;
  return step(shape, 44, {
    resources: [
      {
        resourceType: random.pick([2, 2, 2, 2, 2, 2, 3]),
        resourceName: topicOf(shape),
        configs: configs(random, random.whole(0, 3), alterableValues).map((config) => {
          const configOperation = random.pick([0, 0, 0, 0, 1, 2, 3]);
          // What is left of a policy of which something is taken is none, which we refuse.
          return { ...config, configOperation: config.name === 'cleanup.policy' && configOperation === 3 ? 2 : configOperation };
        }),
      },
    ],
    validateOnly: random.whole(0, 4) === 0,
  });
}

function alterConfigs(shape: Shape): Step {
  const { random } = shape;
  const resource = {
    resourceType: random.pick([2, 2, 2, 2, 2, 2, 3]),
    resourceName: topicOf(shape),
    configs: configs(random, random.whole(0, 4), alterableValues),
  };
  return step(shape, 33, { resources: [resource], validateOnly: seldom(shape, 4) });
}

function createPartitions(shape: Shape): Step {
  const { random } = shape;
  const topic = {
    name: topicOf(shape),
    count: random.pick([1, 2, 3, 4, 5, 0, -1]),
    assignments: random.pick([
      null,
      null,
      null,
      [{ brokerIds: [1] }],
      [{ brokerIds: [7] }],
      [{ brokerIds: [] }],
      [{ brokerIds: [1, 1] }],
      [],
    ]),
  };
  return step(shape, 37, { topics: seldom(shape, 12) ? [topic, topic] : [topic], timeoutMs: 5_000, validateOnly: seldom(shape, 4) });
}

function describeTopicPartitions(shape: Shape): Step {
  const { random } = shape;
  const topics = random.shuffled(topicNames).slice(0, random.whole(1, 4));
  return step(shape, 75, {
    topics: [...topics, ...(seldom(shape, 8) ? [topics[0]] : [])].map((name) => ({ name: `$topic:${name}` })),
    responsePartitionLimit: random.pick([2_000, 2_000, 1, 2, 3, 0, -1]),
    cursor: random.pick([null, null, { topicName: topicOf(shape), partitionIndex: random.pick([0, 0, 1, 2, 7, -1]) }]),
  });
}

function listConfigResources(shape: Shape): Step {
  return step(shape, 74, { resourceTypes: shape.random.pick([[], [2], [4], [2, 4], [8], [16], [32], [99], [0], [2, 2]]) });
}

function electLeaders(shape: Shape): Step {
  const { random } = shape;
  const topicPartitions = random.pick([null, [{ topic: topicOf(shape), partitions: random.pick([[0], [0, 1], [7], [-1], []]) }], []]);
  return step(shape, 43, { electionType: random.pick([0, 0, 1]), topicPartitions, timeoutMs: 5_000 });
}

function listPartitionReassignments(shape: Shape): Step {
  const { random } = shape;
  const topics = random.pick([null, [{ name: topicOf(shape), partitionIndexes: random.pick([[0], [7], []]) }], []]);
  return step(shape, 46, { timeoutMs: 5_000, topics });
}

/** The topic that a sequence begins with. */
export function firstTopic(shape: Shape): Step {
  return createTopics(shape, 'a', true);
}

export const topicKinds: readonly (readonly [number, Kind])[] = [
  [6, metadata],
  [3, deleteTopics],
  [6, (shape): Step => createTopics(shape, shape.random.pick(topicNames), false)],
  [6, describeConfigs],
  [6, incrementalAlterConfigs],
  [4, alterConfigs],
  [4, createPartitions],
  [4, describeTopicPartitions],
  [1, listConfigResources],
  [2, electLeaders],
  [1, listPartitionReassignments],
];
