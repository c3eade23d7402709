import { describe, expect, it } from 'vitest';
import { ConsumerGroup, type MemberAnswer, type MemberHeartbeat } from '../../../src/broker/groups/consumer/consumer-group.js';
import { listPartitionSets, noPartitions, type PartitionSets, partitionSetsOf } from '../../../src/broker/groups/consumer/partitions.js';
import { isRefusal } from '../../../src/broker/groups/consumer/refusal.js';
import { FakeTopics, heartbeat, rebalanceMs, sessionMs } from '../../support/consumer-world.js';

const topics = new FakeTopics();
topics.set('a', 4);
topics.set('b', 2);

function newGroup(maxSize = 10, assignmentIntervalMs = 0): ConsumerGroup {
  const settings = { sessionTimeoutMs: sessionMs, assignmentIntervalMs, maxSize, assignors: ['uniform', 'range'] as const };
  return new ConsumerGroup('g', settings, topics);
}

function answered(group: ConsumerGroup, request: MemberHeartbeat, nowMs = 0): MemberAnswer {
  const answer = group.heartbeat(request, nowMs);
  return isRefusal(answer) ? expect.unreachable(answer.errorMessage) : answer;
}

function refused(group: ConsumerGroup, request: MemberHeartbeat, nowMs = 0): number {
  const answer = group.heartbeat(request, nowMs);
  return isRefusal(answer) ? answer.errorCode : 0;
}

function join(group: ConsumerGroup, id: string, over: Partial<MemberHeartbeat> = {}, nowMs = 0): MemberAnswer {
  return answered(group, heartbeat(id, 0, { topicNames: ['a'], ...over }), nowMs);
}

function owning(partitions: readonly number[], topic = 'a'): PartitionSets {
  return partitionSetsOf([{ topicId: topics.id(topic), partitions }]);
}

function count(sets: PartitionSets | null): number {
  return listPartitionSets(sets ?? noPartitions).reduce((sum, { partitions }) => sum + partitions.length, 0);
}

describe('a consumer group', () => {
  it('assigns once in its interval: who joins within it has nothing until a heartbeat after it', () => {
    const group = newGroup(10, 1_000);
    expect(count(join(group, 'm1').assignment)).toBe(4);
    expect(join(group, 'm2', {}, 999)).toMatchObject({ memberEpoch: 2, assignment: noPartitions });
    expect(group).toMatchObject({ epoch: 3, assignmentEpoch: 2, state: 'Assigning' });
    expect(count(answered(group, heartbeat('m1', 2, { owned: owning([0, 1, 2, 3]) }), 1_000).assignment)).toBe(2);
    expect(group).toMatchObject({ epoch: 3, assignmentEpoch: 3 });
    // A group that emptied assigns at once again.
    for (const id of ['m1', 'm2']) group.fence(id);
    expect(count(join(group, 'm3', {}, 1_001).assignment)).toBe(4);
  });

  it('gives the first member everything at epoch 2, and then tells it nothing new', () => {
    const group = newGroup();
    expect(group.state).toBe('Empty');
    expect(join(group, 'm')).toEqual({ memberId: 'm', memberEpoch: 2, assignment: owning([0, 1, 2, 3]) });
    expect(answered(group, heartbeat('m', 2))).toEqual({ memberId: 'm', memberEpoch: 2, assignment: null });
    expect(group.state).toBe('Stable');
  });

  it('hands a partition on only once its owner reports not to have it any more', () => {
    const group = newGroup();
    join(group, 'm1');
    expect(join(group, 'm2')).toEqual({ memberId: 'm2', memberEpoch: 3, assignment: noPartitions });
    expect(group.state).toBe('Reconciling');
    const told = answered(group, heartbeat('m1', 2));
    expect(told).toMatchObject({ memberEpoch: 2 });
    expect(count(told.assignment)).toBe(2);
    expect(answered(group, heartbeat('m2', 3)).assignment).toBeNull();
    expect(answered(group, heartbeat('m1', 2, { owned: told.assignment! }))).toMatchObject({ memberEpoch: 3, assignment: null });
    const given = answered(group, heartbeat('m2', 3));
    expect(count(given.assignment)).toBe(2);
    expect(group.state).toBe('Stable');
  });

  it('leaves its epoch to a member that is to give up more before it has given up all', () => {
    const group = newGroup();
    join(group, 'm1');
    join(group, 'm2');
    const half = answered(group, heartbeat('m1', 2, { owned: owning([0, 1, 2, 3]) })).assignment!;
    join(group, 'm3');
    join(group, 'm4');
    const told = answered(group, heartbeat('m1', 2, { owned: half }));
    expect([count(half), count(told.assignment), told.memberEpoch]).toEqual([2, 1, 2]);
    expect(answered(group, heartbeat('m1', 2, { owned: told.assignment! })).memberEpoch).toBe(5);
  });

  it('fences an epoch that is not its, but for the previous one with what was given: its answer was lost', () => {
    const group = newGroup();
    join(group, 'm1');
    expect(refused(group, heartbeat('m1', 3))).toBe(110);
    const told = answered(group, heartbeat('m1', 2));
    join(group, 'm2');
    const kept = answered(group, heartbeat('m1', 2)).assignment!;
    expect(answered(group, heartbeat('m1', 2, { owned: kept })).memberEpoch).toBe(3);
    expect(told.assignment).toBeNull();
    expect(refused(group, heartbeat('m1', 2, { owned: owning([0, 1, 2, 3]) }))).toBe(110);
    expect(refused(group, heartbeat('m1', 2))).toBe(110);
    expect(answered(group, heartbeat('m1', 2, { owned: kept })).memberEpoch).toBe(3);
    // Who has lost everything joins again.
    expect(answered(group, heartbeat('m1', 0)).memberEpoch).toBe(3);
  });

  it('knows no member that has not joined, and takes no more than it may', () => {
    const group = newGroup(1);
    expect(refused(group, heartbeat('m', 2))).toBe(25);
    join(group, 'm');
    expect(refused(group, heartbeat('n', 0, { topicNames: ['a'] }))).toBe(81);
    expect(refused(group, heartbeat('n', -1))).toBe(25);
  });

  it('fences a member that is silent for a session, and gives what it had to the others', () => {
    const group = newGroup();
    join(group, 'm1');
    join(group, 'm2', {}, 1000);
    expect(group.nextDueMs).toBe(sessionMs);
    expect(group.expire(sessionMs - 1)).toEqual([]);
    expect(group.expire(sessionMs)).toEqual(['m1']);
    expect(group.state).toBe('Assigning');
    expect(answered(group, heartbeat('m2', 3), sessionMs)).toMatchObject({ memberEpoch: 4, assignment: owning([0, 1, 2, 3]) });
  });

  it('fences a member that does not give up in time what it is told to', () => {
    const group = newGroup();
    join(group, 'm1');
    join(group, 'm2');
    answered(group, heartbeat('m1', 2), 40_000);
    for (const nowMs of [60_000, 80_000]) for (const id of ['m1', 'm2']) answered(group, heartbeat(id, id === 'm1' ? 2 : 3), nowMs);
    expect(group.expire(40_000 + rebalanceMs - 1)).toEqual([]);
    expect(group.expire(40_000 + rebalanceMs)).toEqual(['m1']);
  });

  it('keeps the place of a static member that will be back, whatever its id then', () => {
    const group = newGroup();
    const { assignment } = join(group, 'm1', { instanceId: 'i' });
    expect(refused(group, heartbeat('m2', 0, { instanceId: 'i', topicNames: ['a'] }))).toBe(111);
    expect(refused(group, heartbeat('m2', 2, { instanceId: 'i' }))).toBe(82);
    expect(refused(group, heartbeat('m1', 2, { instanceId: 'other' }))).toBe(25);
    expect(answered(group, heartbeat('m1', -2, { instanceId: 'i' }))).toMatchObject({ memberEpoch: -2 });
    expect(refused(group, heartbeat('m1', 2, { instanceId: 'i' }))).toBe(110);
    expect(join(group, 'm2', { instanceId: 'i' }, 1000)).toEqual({ memberId: 'm2', memberEpoch: 2, assignment });
    expect(group.memberCount).toBe(1);
    expect(group.expire(sessionMs)).toEqual([]);
    expect(group.expire(1000 + sessionMs)).toEqual(['m2']);
  });

  it('knows since which epoch a member has what: anew what it had given up, from the first on what a static one comes back to', () => {
    const group = newGroup();
    const since = (id: string) => Object.fromEntries(group.member(id)?.assignedAt.get(topics.id('a')) ?? []);
    join(group, 'm1', { instanceId: 'i' });
    expect(since('m1')).toEqual({ 0: 2, 1: 2, 2: 2, 3: 2 });
    join(group, 'm2');
    const kept = answered(group, heartbeat('m1', 2, { owned: owning([0, 1, 2, 3]), instanceId: 'i' })).assignment!;
    const [first, second] = listPartitionSets(kept)[0]!.partitions as [number, number];
    const [third, fourth] = [0, 1, 2, 3].filter((partition) => partition !== first && partition !== second) as [number, number];
    expect(since('m1')).toEqual({ 0: 2, 1: 2, 2: 2, 3: 2 });
    answered(group, heartbeat('m1', 2, { owned: kept, instanceId: 'i' }));
    answered(group, heartbeat('m2', 3));
    expect([since('m1'), since('m2')]).toEqual([
      { [first]: 2, [second]: 2 },
      { [third]: 3, [fourth]: 3 },
    ]);
    group.fence('m2');
    answered(group, heartbeat('m1', 3, { owned: kept, instanceId: 'i' }));
    expect(since('m1')).toEqual({ [first]: 2, [second]: 2, [third]: 4, [fourth]: 4 });
    answered(group, heartbeat('m1', -2, { instanceId: 'i' }));
    join(group, 'm3', { instanceId: 'i' });
    expect([since('m1'), since('m3')]).toEqual([{}, { 0: 0, 1: 0, 2: 0, 3: 0 }]);
  });

  it('gives up the place of a static member that is not back within its session', () => {
    const group = newGroup();
    join(group, 'm1', { instanceId: 'i' });
    answered(group, heartbeat('m1', -2, { instanceId: 'i' }), 1000);
    expect(group.expire(sessionMs)).toEqual(['m1']);
    expect(group.epoch).toBe(3);
  });

  it('follows topics that come and grow at the next heartbeat, and only those it subscribes to', () => {
    const own = new FakeTopics();
    own.set('x1', 1);
    const group = new ConsumerGroup(
      'g',
      { sessionTimeoutMs: sessionMs, assignmentIntervalMs: 0, maxSize: 10, assignors: ['uniform'] },
      own,
    );
    join(group, 'm', { topicNames: null, topicRegex: 'x[0-9]+' });
    own.set('y', 1);
    expect(answered(group, heartbeat('m', 2)).memberEpoch).toBe(2);
    own.set('x2', 2);
    const answer = answered(group, heartbeat('m', 2));
    expect(answer.memberEpoch).toBe(3);
    expect(count(answer.assignment)).toBe(3);
    own.drop('x1');
    expect(count(answered(group, heartbeat('m', 3)).assignment)).toBe(2);
  });

  it('refuses an expression that it cannot run, and changes nothing', () => {
    const group = newGroup();
    expect(refused(group, heartbeat('m', 0, { topicRegex: '(?=a)' }))).toBe(128);
    expect(group.memberCount).toBe(0);
    expect(group.epoch).toBe(1);
  });

  it('uses the assignor that most members ask for, and begins an epoch with another one', () => {
    const group = newGroup();
    expect(group.assignor).toBe('uniform');
    join(group, 'm1', { serverAssignor: 'range', topicNames: [] });
    expect(group.assignor).toBe('range');
    expect(group.epoch).toBe(2);
    // Of equal votes it is this one, as in Kafka.
    join(group, 'm2', { serverAssignor: 'uniform' });
    expect(group.assignor).toBe('range');
    join(group, 'm3', { serverAssignor: 'uniform' });
    expect(group.assignor).toBe('uniform');
  });

  it('stays at epoch 1 where the first member has no topics', () => {
    const group = newGroup();
    expect(join(group, 'm', { topicNames: [] })).toEqual({ memberId: 'm', memberEpoch: 1, assignment: noPartitions });
  });

  it('bumps its epoch when a member leaves, and says what has changed since it was saved', () => {
    const group = newGroup();
    join(group, 'm');
    expect(group.changesOf(group.takeDirt()).map(({ kind }) => kind)).toEqual(['member', 'epoch', 'target', 'assignment-epoch', 'current']);
    expect(group.takeDirt().isNone).toBe(true);
    answered(group, heartbeat('m', -1));
    expect(group.epoch).toBe(3);
    const dirt = group.takeDirt();
    expect(group.changesOf(dirt)).toContainEqual({ kind: 'member', id: 'm', member: null });
    group.returnDirt(dirt);
    expect(group.takeDirt().isNone).toBe(false);
  });
});
