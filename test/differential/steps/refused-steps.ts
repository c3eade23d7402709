// Steps at what one broker without security does not have: access control lists, tokens, passwords, quotas, other brokers and directories.
import { type Kind, partitionOf, seldom, type Shape, step, topicOf } from '../shape.js';
import type { Step } from '../step.js';

// Left out is what Kafka would do all the same: setting passwords and features, and taking its only broker or voter away.

function aclFilter({ random }: Shape): object {
  return {
    resourceTypeFilter: random.pick([1, 2]),
    resourceNameFilter: random.pick([null, 'a']),
    patternTypeFilter: random.pick([1, 3]),
    principalFilter: null,
    hostFilter: null,
    operation: 1,
    permissionType: 1,
  };
}

const describeAcls = (shape: Shape): Step => step(shape, 29, aclFilter(shape));

function createAcls(shape: Shape): Step {
  const acl = {
    resourceType: 2,
    resourceName: 'a',
    resourcePatternType: 3,
    principal: 'User:u',
    host: '*',
    operation: 3,
    permissionType: 3,
  };
  return step(shape, 30, { creations: shape.random.pick([[acl], [acl, acl], []]) });
}

const deleteAcls = (shape: Shape): Step => step(shape, 31, { filters: seldom(shape, 3) ? [] : [aclFilter(shape)] });

function alterReplicaLogDirs(shape: Shape): Step {
  const { random } = shape;
  const topics = [{ name: topicOf(shape), partitions: random.pick([[0], [0, 7], []]) }];
  return step(shape, 34, {
    dirs: random.pick([[{ path: '/nowhere', topics }], [{ path: 'nowhere', topics: [] }], []]),
  });
}

function createDelegationToken(shape: Shape): Step {
  return step(shape, 38, {
    ownerPrincipalType: null,
    ownerPrincipalName: null,
    renewers: [],
    maxLifetimeMs: shape.random.pick([-1, 1_000]),
  });
}

const renewDelegationToken = (shape: Shape): Step => step(shape, 39, { hmac: '$bytes:x', renewPeriodMs: 1_000 });
const expireDelegationToken = (shape: Shape): Step => step(shape, 40, { hmac: '$bytes:x', expiryTimePeriodMs: -1 });

function describeDelegationToken(shape: Shape): Step {
  return step(shape, 41, { owners: shape.random.pick([null, [], [{ principalType: 'User', principalName: 'u' }]]) });
}

function alterPartitionReassignments(shape: Shape): Step {
  const { random } = shape;
  const partitions =
    random.pick([1, 1, 0]) === 0
      ? []
      : [{ partitionIndex: partitionOf(shape), replicas: random.pick([[1], [7], [], [1, 1], [1, 7], [-1], null]) }];
  return step(shape, 45, {
    timeoutMs: 5_000,
    allowReplicationFactorChange: random.whole(0, 2) === 0,
    topics: seldom(shape, 6) ? [] : [{ name: topicOf(shape), partitions }],
  });
}

function describeClientQuotas(shape: Shape): Step {
  const { random } = shape;
  const component = (): object => ({
    entityType: random.pick(['user', 'client-id', 'ip', 'user', 'other', '']),
    matchType: random.pick([0, 1, 2, 3]),
    match: random.pick([null, null, 'u']),
  });
  return step(shape, 48, { components: Array.from({ length: random.whole(0, 3) }, component), strict: random.whole(0, 2) === 0 });
}

function describeUserScramCredentials(shape: Shape): Step {
  const user = { name: 'u' };
  return step(shape, 50, { users: shape.random.pick([null, [], [user], [user, user], [{ name: '' }]]) });
}

function alterUserScramCredentials(shape: Shape): Step {
  const { random } = shape;
  const deletion = (): object => ({ name: random.pick(['u', 'v', '']), mechanism: random.pick([1, 2, 0, 3]) });
  return step(shape, 51, { deletions: Array.from({ length: random.whole(0, 3) }, deletion), upsertions: [] });
}

function updateFeatures(shape: Shape): Step {
  const { random } = shape;
  const update = (): object => ({
    ...random.pick([
      { feature: 'group.version', maxVersionLevel: 1 },
      { feature: 'group.version', maxVersionLevel: 99 },
      { feature: 'group.version', maxVersionLevel: -1 },
      { feature: 'no.such.feature', maxVersionLevel: 1 },
    ]),
    upgradeType: random.pick([1, 1, 1, 2, 3, 0]),
  });
  return step(
    shape,
    57,
    { timeoutMs: 5_000, featureUpdates: Array.from({ length: random.whole(0, 3) }, update), validateOnly: true },
    {},
    1,
  );
}

const unregisterBroker = (shape: Shape): Step => step(shape, 64, { brokerId: shape.random.pick([7, -1]) });
const unregisterController = (shape: Shape): Step => step(shape, 94, { controllerId: shape.random.pick([7, -1]) });
const saslHandshake = (shape: Shape): Step => step(shape, 17, { mechanism: shape.random.pick(['PLAIN', 'OTHER', '']) });
const saslAuthenticate = (shape: Shape): Step => step(shape, 36, { authBytes: '$bytes:x' });

export const refusedKinds: readonly (readonly [number, Kind])[] = [
  describeAcls,
  createAcls,
  deleteAcls,
  alterReplicaLogDirs,
  createDelegationToken,
  renewDelegationToken,
  expireDelegationToken,
  describeDelegationToken,
  alterPartitionReassignments,
  describeClientQuotas,
  describeUserScramCredentials,
  alterUserScramCredentials,
  updateFeatures,
  unregisterBroker,
  unregisterController,
  saslHandshake,
  saslAuthenticate,
].map((kind) => [1, kind] as const);
