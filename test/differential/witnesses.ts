// Short sequences by hand: what random ones meet too seldom for each allowed difference to be seen in every run.
import type { Step } from './step.js';

const topic = (name: string): unknown => ({ name: `$topic:${name}`, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] });
const metadataQuorum = [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }];
const twoHoursAhead = { at: 7_200_000, key: 'k', value: 'v' };

function produce(version: number, batch: object): Step {
  const partitionData = [{ index: 0, records: { $batch: { compression: 'none', ...batch } } }];
  return {
    api: 0,
    version,
    body: { transactionalId: null, acks: -1, timeoutMs: 5_000, topicData: [{ name: '$topic:a', partitionData }] },
  };
}

function heartbeat(member: string, memberEpoch: unknown, over: object = {}): Step {
  const body = { groupId: '$group:k', memberId: `id-of-${member}`, memberEpoch, ...over };
  return { api: 68, version: 1, keep: `k/${member}`, client: member, body };
}

const owned = (member: string): object => ({ topicPartitions: { $owned: `k/${member}` } });

function join(member: string, over: object = {}): Step {
  return heartbeat(member, 0, { rebalanceTimeoutMs: 60_000, subscribedTopicNames: ['$topic:a'], topicPartitions: [], ...over });
}

/** Topics of two partitions each. */
function twoOfEach(names: readonly string[]): Step {
  const topics = names.map((name) => ({ ...(topic(name) as object), numPartitions: 2 }));
  return { api: 19, version: 7, body: { topics, timeoutMs: 5_000, validateOnly: false } };
}

/** Puts assignments of the group off, or no longer (KIP-1263). */
function assignmentInterval(ms: number): Step {
  const configs = [{ name: 'consumer.assignment.interval.ms', configOperation: 0, value: `${ms}` }];
  return { api: 44, version: 1, body: { resources: [{ resourceType: 32, resourceName: '$group:k', configs }], validateOnly: false } };
}

/** Longer than a sequence takes. */
const longIntervalMs = 15_000;
const subscribed = (...names: readonly string[]): object => ({ subscribedTopicNames: names.map((name) => `$topic:${name}`) });
// The other assignor's choice depends on what the topics' ids are.
const byRange = { serverAssignor: 'range' };
const described: Step = { api: 69, version: 1, body: { groupIds: ['$group:k'], includeAuthorizedOperations: false } };

// So many that two, three and four members have equally many: who gets one more is left to chance.
const twelve = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

/** Of several partitions one has a note that is too long. */
function commit(memberId: string, generationIdOrMemberEpoch: number, version: number, partitionIndexes: readonly number[]): Step {
  const isLong = (partition: number): boolean => partition === 1 && partitionIndexes.length > 1;
  const partitions = partitionIndexes.map((partitionIndex) => {
    const committedMetadata = isLong(partitionIndex) ? 'x'.repeat(4_097) : '';
    return { partitionIndex, committedOffset: 1, committedLeaderEpoch: -1, committedMetadata };
  });
  const at = version < 10 ? { name: '$topic:a' } : { topicId: '$id:a' };
  return { api: 8, version, body: { groupId: '$group:k', memberId, generationIdOrMemberEpoch, topics: [{ ...at, partitions }] } };
}

/** At epochs that there were, are and are not: all partitions together, and each alone. */
const commits = (memberId: string, epochs: readonly number[]): Step[] =>
  epochs.flatMap((epoch) => [twelve, ...twelve.map((one) => [one])].map((each) => commit(memberId, epoch, 9 + (epoch & 1), each)));

export const witnesses: readonly (readonly Step[])[] = [
  [
    { api: 18, version: 3, body: { clientSoftwareName: 'differ', clientSoftwareVersion: '1.0' } },
    { api: 55, version: 2, body: { topics: metadataQuorum } },
  ],
  [
    { api: 19, version: 7, body: { topics: [topic('a')], timeoutMs: 5_000, validateOnly: false } },
    { api: 19, version: 7, body: { topics: [topic('b')], timeoutMs: 5_000, validateOnly: true } },
    { api: 22, version: 4, body: { transactionalId: null, transactionTimeoutMs: 60_000 }, keep: 'p' },
    produce(9, { records: [{ at: -1_000_000, key: 'k', value: 'v' }], producer: 'p', epoch: 0, sequence: 0 }),
    { api: 61, version: 0, body: { topics: [{ name: '$topic:a', partitionIndexes: [0] }] } },
    produce(9, { records: [twoHoursAhead, twoHoursAhead] }),
    produce(9, { records: [{ at: -1_000_000, key: 'k', value: 'v' }], compression: 'gzip', flaw: 'garbage' }),
  ],
  // What a member has had since an epoch it may commit for at that epoch (KIP-1251), also while it is to give it up, and once it is back.
  [
    {
      api: 19,
      version: 7,
      body: { topics: [{ ...(topic('a') as object), numPartitions: 12 }], timeoutMs: 5_000, validateOnly: false },
    },
    join('c1'),
    ...commits('id-of-c1', [-1, 0, 1, 2, 3]),
    join('c2'),
    heartbeat('c1', 2, owned('c1')),
    ...commits('id-of-c1', [1, 2, 3]),
    heartbeat('c1', 2, owned('c1')),
    heartbeat('c2', 3, owned('c2')),
    join('c3', { instanceId: 'i' }),
    heartbeat('c1', 3, owned('c1')),
    ...commits('id-of-c1', [1, 2, 3, 4]),
    // Has to give up more before it has given up all: its epoch stays.
    join('c4'),
    heartbeat('c1', 3, owned('c1')),
    ...commits('id-of-c1', [2, 3, 4]),
    heartbeat('c1', 3, owned('c1')),
    heartbeat('c2', 3, owned('c2')),
    heartbeat('c2', 3, owned('c2')),
    heartbeat('c3', 4, { ...owned('c3'), instanceId: 'i' }),
    ...['id-of-c1', 'id-of-c2', 'id-of-c3', 'nobody', ''].flatMap((member) => commits(member, [-1, 2, 3, 4, 5])),
    heartbeat('c3', -2, { instanceId: 'i' }),
    ...commits('id-of-c3', [-3, -2, 0, 5]),
    join('c5', { instanceId: 'i' }),
    ...['id-of-c3', 'id-of-c5'].flatMap((member) => commits(member, [-1, 0, 5, 6])),
    // What was taken from it and comes back it has since then.
    heartbeat('c5', -1, { instanceId: 'i' }),
    ...['c2', 'c4'].map((member) => heartbeat(member, -1)),
    heartbeat('c1', 5, owned('c1')),
    ...commits('id-of-c1', [2, 5, 7, 8, 9]),
  ],
  // A time that is wrong is told before a key that is missing, in whichever order they come.
  [
    {
      api: 19,
      version: 7,
      body: {
        topics: [{ ...(topic('a') as object), configs: [{ name: 'cleanup.policy', value: 'compact' }] }],
        timeoutMs: 5_000,
        validateOnly: false,
      },
    },
    ...[
      [{ at: 0, key: null, value: 'v' }, twoHoursAhead],
      [twoHoursAhead, { at: 0, key: null, value: 'v' }],
      [{ at: 7_200_000, key: null, value: 'v' }],
      [
        { at: 0, key: 'k', value: 'v' },
        { at: 0, key: null, value: 'v' },
        { at: 0, key: null, value: 'v' },
      ],
    ].flatMap((records) => [produce(9, { records }), produce(9, { records, compression: 'gzip' })]),
  ],
  // What a member no longer subscribes to is taken from it at once, though the group is assigned anew later only.
  [
    twoOfEach(['a', 'b']),
    assignmentInterval(longIntervalMs),
    join('c1', subscribed('a', 'b')),
    heartbeat('c1', 2, subscribed('a')),
    described,
    heartbeat('c1', 2, owned('c1')),
    described,
    heartbeat('c1', 2, { ...owned('c1'), ...subscribed('a', 'b') }),
    // It has given up already what it is to give up.
    heartbeat('c1', 2, { topicPartitions: [], ...subscribed('b') }),
    described,
    heartbeat('c1', 2, subscribed()),
    heartbeat('c1', 2, { topicPartitions: [] }),
    described,
    join('c2', subscribed('a')),
    described,
  ],
  // Also while it is to give up something else.
  [
    twoOfEach(['a', 'b']),
    join('c1', { ...subscribed('a', 'b'), ...byRange }),
    join('c2', { ...subscribed('a', 'b'), ...byRange }),
    heartbeat('c1', 2),
    heartbeat('c1', 2, subscribed('a')),
    described,
    heartbeat('c1', 2, subscribed('b')),
    described,
    heartbeat('c1', 2, owned('c1')),
    heartbeat('c2', 3, owned('c2')),
    described,
  ],
  // And a member that waits for others waits, and is given, no more of it.
  [
    twoOfEach(['a', 'b']),
    join('c1', { ...subscribed('a', 'b'), ...byRange }),
    join('c2', { ...subscribed('a', 'b'), ...byRange }),
    assignmentInterval(longIntervalMs),
    heartbeat('c2', 3, subscribed('b')),
    heartbeat('c1', 2),
    heartbeat('c1', 2, owned('c1')),
    heartbeat('c2', 3, owned('c2')),
    described,
    heartbeat('c2', 3, { ...owned('c2'), ...subscribed('a') }),
    described,
    heartbeat('c2', 3, owned('c2')),
    described,
    heartbeat('c2', 3, { ...owned('c2'), ...subscribed('a', 'b') }),
    described,
  ],
  // A number behind a blank is one.
  [
    {
      api: 44,
      version: 1,
      body: {
        resources: [
          {
            resourceType: 32,
            resourceName: '$group:k',
            configs: [{ name: 'consumer.session.timeout.ms', configOperation: 0, value: ' 60000' }],
          },
        ],
        validateOnly: true,
      },
    },
  ],
  // What RE2/J, which Kafka uses, does not read as an expression.
  [
    '(',
    ')',
    '[',
    'a**',
    '*a',
    '{2}',
    '{*',
    '(?i)*',
    'a{1001}',
    'a{3,2}',
    '(?=a)',
    '(?<=a)',
    '(a)\\1',
    '\\p{Nope}',
    '\\x{110000}',
    '[b-a]',
    '[[:nope:]]',
    '(?P<n>a)(?P<n>b)',
    '\\Z',
    '\\',
  ].map((subscribedTopicRegex) => join('c1', { subscribedTopicRegex })),
];
