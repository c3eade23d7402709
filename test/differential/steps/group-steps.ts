// Steps at groups: members of classic groups and of the new protocol's (KIP-848), positions, and what tools ask.
import { type Kind, seldom, type Shape, step, topicNames, topicOf } from '../shape.js';
import type { Step } from '../step.js';

const members = ['m1', 'm2', 'm3'] as const;
const consumers = ['c1', 'c2', 'c3'] as const;
/** Connections of their own for what may be held back. */
const lanes: ReadonlyMap<string, number> = new Map([...members, ...consumers].map((name, i) => [name, 1 + i]));

const classicGroup = ({ random }: Shape): string => random.pick(['g', 'g', 'g', 'g', 'g', 'g', 'g', 'h', 'k']);
const consumerGroup = ({ random }: Shape): string => random.pick(['k', 'k', 'k', 'k', 'k', 'k', 'g']);
const anyGroup = ({ random }: Shape): string => random.pick(['g', 'g', 'g', 'k', 'k', 'h', 'n']);

/** Mostly its own, sometimes somebody else's or nobody's. */
function memberIdOf(shape: Shape, key: string): string {
  const kind = shape.random.whole(0, 24);
  if (kind === 0) return '';
  return kind === 1 ? 'nobody' : `$member:${key}`;
}

/** The third of them is static as a rule (KIP-345), the others seldom, or as somebody else. */
function instanceOf(shape: Shape, member: string): string | null {
  const { random } = shape;
  if (seldom(shape, 16)) return random.pick(['i1', 'i3', '']);
  return (member.endsWith('3') ? !seldom(shape, 4) : seldom(shape, 20)) ? `i${member.slice(1)}` : null;
}

function generationOf(shape: Shape, key: string): unknown {
  return seldom(shape, 12) ? shape.random.pick([-1, 0, 1, 2, 99]) : { $generation: key };
}

const subscription = (shape: Shape): unknown => ({
  $subscription: shape.random.shuffled(topicNames).slice(0, shape.random.whole(1, 3)),
});

/** Always in one order: of equal votes Kafka takes the first of a hash table. */
function protocolsOf(shape: Shape): unknown[] {
  const { random } = shape;
  const named = (name: string): unknown => ({ name, metadata: seldom(shape, 12) ? '$bytes:x' : subscription(shape) });
  const kind = random.whole(0, 24);
  if (kind === 0) return [];
  if (kind === 1) return [named('odd')];
  return random.pick([['range'], ['range', 'roundrobin'], ['range', 'roundrobin'], ['roundrobin']]).map(named);
}

function join(shape: Shape): Step {
  const { random } = shape;
  const group = classicGroup(shape);
  const member = random.pick(members);
  const key = `${group}/${member}`;
  const isOdd = seldom(shape, 8);
  return step(
    shape,
    11,
    {
      groupId: seldom(shape, 40) ? '' : `$group:${group}`,
      sessionTimeoutMs: isOdd ? random.pick([5_000, 1, 0, -1, 1_800_001, 6_000]) : 60_000,
      rebalanceTimeoutMs: 60_000,
      memberId: seldom(shape, 12) ? random.pick(['', 'nobody']) : `$joined:${key}`,
      groupInstanceId: instanceOf(shape, member),
      protocolType: seldom(shape, 16) ? random.pick(['', 'other']) : 'consumer',
      protocols: protocolsOf(shape),
      reason: random.pick([null, 'because']),
    },
    { keep: key, lane: lanes.get(member)!, client: member, mayBeHeld: true },
  );
}

function sync(shape: Shape): Step {
  const { random } = shape;
  const group = classicGroup(shape);
  const member = random.pick(members);
  const key = `${group}/${member}`;
  const assignments = members.map((each, i) => ({ memberId: `$member:${group}/${each}`, assignment: { $assignment: ['a', [i]] } }));
  return step(
    shape,
    14,
    {
      groupId: seldom(shape, 40) ? '' : `$group:${group}`,
      generationId: generationOf(shape, key),
      memberId: memberIdOf(shape, key),
      groupInstanceId: instanceOf(shape, member),
      protocolType: random.pick([null, 'consumer', 'consumer', 'consumer', 'consumer', 'other']),
      protocolName: random.pick([null, 'range', 'range', 'range', 'range', 'roundrobin']),
      assignments: seldom(shape, 6) ? assignments.slice(0, random.whole(0, 3)) : assignments,
    },
    { lane: lanes.get(member)!, client: member, mayBeHeld: true },
  );
}

function heartbeat(shape: Shape): Step {
  const group = classicGroup(shape);
  const member = shape.random.pick(members);
  const key = `${group}/${member}`;
  return step(shape, 12, {
    groupId: seldom(shape, 40) ? '' : `$group:${group}`,
    generationId: generationOf(shape, key),
    memberId: memberIdOf(shape, key),
    groupInstanceId: instanceOf(shape, member),
  });
}

function leave(shape: Shape): Step {
  const { random } = shape;
  const group = classicGroup(shape);
  const leaving = random.shuffled([...members, ...consumers]).slice(0, random.pick([1, 1, 1, 1, 2, 0]));
  return step(shape, 13, {
    groupId: seldom(shape, 40) ? '' : `$group:${group}`,
    memberId: memberIdOf(shape, `${group}/${random.pick([...members, ...consumers])}`),
    members: leaving.map((name) => ({
      // Tools remove static members by their instance alone.
      memberId: seldom(shape, 6) ? '' : memberIdOf(shape, `${group}/${name}`),
      groupInstanceId: instanceOf(shape, name),
      reason: random.pick([null, 'because']),
    })),
  });
}

function offsetCommit(shape: Shape): Step {
  const { random } = shape;
  const isConsumer = seldom(shape, 3);
  const group = isConsumer ? consumerGroup(shape) : classicGroup(shape);
  const member = random.pick(isConsumer ? consumers : members);
  const key = `${group}/${member}`;
  const topic = random.pick(topicNames);
  const isSimple = seldom(shape, 3);
  const partitions = random.shuffled([0, 1, 7]).slice(0, random.pick([1, 1, 2, 0]));
  return step(shape, 8, {
    // A simple consumer's group may be called nothing: it would be that of all sequences.
    groupId: `$group:${group}`,
    generationIdOrMemberEpoch: isSimple ? -1 : isConsumer ? epochOf(shape, key) : generationOf(shape, key),
    memberId: isSimple ? '' : memberIdOf(shape, key),
    groupInstanceId: isSimple ? null : instanceOf(shape, member),
    retentionTimeMs: random.pick([-1, -1, -1, 1_000_000]),
    topics: [
      {
        name: `$topic:${topic}`,
        topicId: `$id:${topic}`,
        partitions: partitions.map((partitionIndex, i) => ({
          partitionIndex,
          committedOffset: random.pick([0, 1, 5, 1_000, -1]),
          committedLeaderEpoch: random.pick([-1, 0, 5]),
          // Where all are refused, Kafka has a group that it does not show until something of it is written.
          committedMetadata: random.pick(['', null, 'note', 'note', 'ü', 'x'.repeat(4_096), ...(i > 0 ? ['x'.repeat(4_097)] : [])]),
        })),
      },
    ],
  });
}

function offsetFetch(shape: Shape): Step {
  const { random } = shape;
  const chosen = step(shape, 9, {});
  const name = random.pick(topicNames);
  const topic = { name: `$topic:${name}`, topicId: `$id:${name}` };
  const asked = random.pick([...[[0, 1], [0, 7], []].map((partitionIndexes) => [{ ...topic, partitionIndexes }]), []]);
  const topics = chosen.version >= 2 && seldom(shape, 2) ? null : asked;
  const group = anyGroup(shape);
  const key = `k/${random.pick(consumers)}`;
  const isMember = chosen.version >= 9 && seldom(shape, 3);
  const one = {
    groupId: seldom(shape, 40) ? '' : `$group:${isMember ? 'k' : group}`,
    memberId: isMember ? memberIdOf(shape, key) : null,
    memberEpoch: isMember ? epochOf(shape, key) : -1,
    topics,
  };
  const other = { ...one, groupId: `$group:${anyGroup(shape)}`, memberId: null, memberEpoch: -1 };
  const groups = seldom(shape, 5) && other.groupId !== one.groupId ? [one, other] : [one];
  return { ...chosen, body: { groupId: one.groupId, topics, groups, requireStable: seldom(shape, 3) } };
}

function offsetDelete(shape: Shape): Step {
  const { random } = shape;
  const partitions = random.pick([[0], [0, 1], [7], []]).map((partitionIndex) => ({ partitionIndex }));
  return step(shape, 47, {
    groupId: seldom(shape, 40) ? '' : `$group:${anyGroup(shape)}`,
    topics: seldom(shape, 10) ? [] : [{ name: topicOf(shape), partitions }],
  });
}

function describeGroups(shape: Shape): Step {
  const { random } = shape;
  const groups = random.pick([[anyGroup(shape)], [anyGroup(shape)], ['g', 'k', 'h', 'n'], []]).map((name) => `$group:${name}`);
  return step(shape, 15, { groups: seldom(shape, 30) ? [''] : groups, includeAuthorizedOperations: seldom(shape, 3) });
}

function listGroups(shape: Shape): Step {
  const { random } = shape;
  return step(shape, 16, {
    statesFilter: random.pick([[], [], ['Stable'], ['empty', 'STABLE'], ['PreparingRebalance', 'CompletingRebalance'], ['nothing'], ['']]),
    typesFilter: random.pick([[], [], ['classic'], ['Consumer'], ['share'], ['nothing']]),
  });
}

function deleteGroups(shape: Shape): Step {
  const { random } = shape;
  const groups = random.pick([[anyGroup(shape)], [anyGroup(shape)], ['g', 'k'], ['g', 'g'], []]).map((name) => `$group:${name}`);
  return step(shape, 42, { groupsNames: seldom(shape, 30) ? [''] : groups });
}

function findCoordinator(shape: Shape): Step {
  const { random } = shape;
  const keys = random.pick([['$group:g'], ['$group:g', '$group:h'], [''], []]);
  return step(shape, 10, { key: keys[0] ?? '', keyType: random.pick([0, 0, 0, 0, 7]), coordinatorKeys: keys });
}

function epochOf(shape: Shape, key: string): unknown {
  return seldom(shape, 12) ? shape.random.pick([-1, 0, 1, 2, 99, -2, -3]) : { $epoch: key };
}

/** A member that joins, reports, owns what it was given, leaves; or says what no client says. */
function consumerHeartbeat(shape: Shape): Step {
  const { random } = shape;
  const group = consumerGroup(shape);
  const member = random.pick(consumers);
  const key = `${group}/${member}`;
  const kind = random.pick(['join', 'join', 'report', 'report', 'report', 'own', 'own', 'leave', 'odd'] as const);
  const instanceId = instanceOf(shape, member);
  const all = {
    subscribedTopicNames: random
      .shuffled(topicNames)
      .slice(0, random.pick([1, 1, 1, 2, 0]))
      .map((name) => `$topic:${name}`),
    serverAssignor: random.pick([null, null, null, 'uniform', 'range', 'odd']),
    rebalanceTimeoutMs: 60_000,
  };
  const bodies: Readonly<Record<typeof kind, () => object>> = {
    join: () => ({ ...all, memberEpoch: 0, topicPartitions: [] }),
    report: () => ({ memberEpoch: epochOf(shape, key) }),
    own: () => ({ ...(seldom(shape, 3) ? all : {}), memberEpoch: epochOf(shape, key), topicPartitions: { $owned: key } }),
    leave: () => ({ memberEpoch: instanceId === null ? -1 : random.pick([-1, -2]) }),
    odd: () => ({
      ...random.pick([all, { ...all, rebalanceTimeoutMs: -1 }, {}]),
      memberEpoch: random.pick([0, 0, -2, -3, 1]),
      rackId: random.pick([null, '', 'r']),
      subscribedTopicRegex: random.pick([null, null, '[', '']),
      topicPartitions: random.pick([null, [], [{ topicId: '$id:a', partitions: [0] }]]),
    }),
  };
  const chosen = step(shape, 68, {}, { keep: key, client: member });
  // What a member without an id is called is known to its first answer only; from v1 on it says so itself (KIP-1082).
  const memberId = seldom(shape, 30) ? '' : `id-of-${member}`;
  return { ...chosen, body: { groupId: seldom(shape, 40) ? ' ' : `$group:${group}`, memberId, instanceId, ...bodies[kind]() } };
}

function consumerDescribe(shape: Shape): Step {
  const { random } = shape;
  const groups = random.pick([['k'], ['k'], ['g', 'k', 'n'], ['g'], []]).map((name) => `$group:${name}`);
  return step(shape, 69, { groupIds: seldom(shape, 30) ? [''] : groups, includeAuthorizedOperations: seldom(shape, 3) });
}

// Left out are keys of share and streams groups, which we refuse, and intervals between assignments that are a matter of the clock. So are
// numbers behind a blank: Kafka takes them, then fails to read them anew (GroupConfig.clampToRange) and keeps the group's old configs.
const configValues: readonly (readonly [string, readonly string[]])[] = [
  ['consumer.session.timeout.ms', ['45000', '60000', '1', '45', 'x', '3000000000']],
  ['consumer.heartbeat.interval.ms', ['5000', '6000', '15000', '1', '0', '-1']],
  ['consumer.assignment.interval.ms', ['0', '-1', '15001', 'x']],
  ['no.such.key', ['1']],
];

/** Keys of a group, which need not be there. */
function groupConfigs(shape: Shape): Step {
  const { random } = shape;
  const resource = { resourceType: 32, resourceName: seldom(shape, 20) ? '' : `$group:${random.pick(['k', 'k', 'k', 'g'])}` };
  const configs = random
    .shuffled(configValues)
    .slice(0, random.whole(0, 3))
    .map(([name, values]) => ({
      name,
      value: seldom(shape, 20) ? null : random.pick(values),
      configOperation: random.pick([0, 0, 0, 1, 2]),
    }));
  const validateOnly = seldom(shape, 6);
  const kind = random.pick(['describe', 'describe', 'alter', 'replace'] as const);
  if (kind === 'alter') return step(shape, 44, { resources: [{ ...resource, configs }], validateOnly });
  if (kind === 'replace') return step(shape, 33, { resources: [{ ...resource, configs }], validateOnly });
  const configurationKeys = random.pick([null, null, ['consumer.session.timeout.ms', 'no.such.key'], []]);
  return step(shape, 32, {
    resources: [{ ...resource, configurationKeys }],
    includeSynonyms: seldom(shape, 2),
    includeDocumentation: false,
  });
}

export const groupKinds: readonly (readonly [number, Kind])[] = [
  [10, join],
  [8, sync],
  [3, heartbeat],
  [2, leave],
  [4, offsetCommit],
  [3, offsetFetch],
  [1, offsetDelete],
  [3, describeGroups],
  [1, listGroups],
  [1, deleteGroups],
  [1, findCoordinator],
  [8, consumerHeartbeat],
  [3, consumerDescribe],
  [2, groupConfigs],
];
