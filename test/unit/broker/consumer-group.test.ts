import { describe, expect, it } from 'vitest';
import { epochsAt } from '../../../src/broker/groups/consumer/assignment-epochs.js';
import { heartbeatAsClassic } from '../../../src/broker/groups/consumer/classic-members.js';
import { ConsumerGroup, type MemberAnswer, type MemberHeartbeat } from '../../../src/broker/groups/consumer/consumer-group.js';
import { freshMember } from '../../../src/broker/groups/consumer/consumer-member.js';
import { listPartitionSets, noPartitions, type PartitionSets, partitionSetsOf } from '../../../src/broker/groups/consumer/partitions.js';
import { reconcile } from '../../../src/broker/groups/consumer/reconciliation.js';
import { isRefusal } from '../../../src/broker/groups/consumer/refusal.js';
import { ConsumerWorld, FakeClient, FakeTopics, heartbeat, rebalanceMs, sessionMs } from '../../support/consumer-world.js';

const topics = new FakeTopics();
topics.set('a', 4);
topics.set('b', 2);

/** Each of these names takes longer than a heartbeat may. */
const costlyRegex = '(.*a){600}|(a.*){100}';
const longNames = [0, 1, 2, 3, 4].map((i) => `${'a'.repeat(248)}${i}`);

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

  it('has classic members join again once partitions may be assigned, where only they are left to bring that about', () => {
    const group = newGroup(10, 1_000);
    const classic = { sessionTimeoutMs: sessionMs, protocols: [] };
    join(group, 'new', { topicNames: ['b'] });
    for (const id of ['old', 'other'])
      group.joinClassic({ ...heartbeat(id, 0, { topicNames: ['a'] }), classic }, { isNew: true, isLast: false }, 1_000);
    const beat = (nowMs: number) => {
      const generation = group.member('old')!.epoch;
      return heartbeatAsClassic(group, { memberId: 'old', instanceId: null }, generation, nowMs);
    };
    group.fence('other');
    expect(group.isAssignmentDue).toBe(true);
    expect(beat(2_000)).toBe(0);
    group.fence('new');
    expect([beat(1_999), beat(2_000)]).toEqual([0, 27]);
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

  it('fences members that are late together with one change of the group', () => {
    const group = newGroup();
    for (const id of ['m1', 'm2', 'm3']) join(group, id);
    const before = group.epoch;
    answered(group, heartbeat('m3', 4), 1_000);
    expect(group.expire(sessionMs)).toEqual(['m1', 'm2']);
    expect(group.epoch).toBe(before + 1);
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

  it('answers at once whatever an expression takes, and assigns its topics when they are found', () => {
    const own = new FakeTopics();
    for (const name of longNames) own.set(name, 1);
    own.set('b', 1);
    const settings = { sessionTimeoutMs: sessionMs, assignmentIntervalMs: 0, maxSize: 10, assignors: ['uniform'] as const };
    const group = new ConsumerGroup('g', settings, own);
    let answer = join(group, 'm', { topicNames: ['b'], topicRegex: costlyRegex });
    expect(count(answer.assignment)).toBe(1);
    // It may be subscribed to what is not found yet.
    expect(group.subscribedTo()(own.id('c'))).toBe(true);
    let turns = 1;
    for (; answer.assignment === null || count(answer.assignment) < 6; turns++) {
      expect(turns).toBeLessThan(100);
      answer = answered(group, heartbeat('m', answer.memberEpoch));
    }
    expect(turns).toBeGreaterThan(3);
    expect(answer.memberEpoch).toBe(3);
    expect(group.subscribedTo()(own.id('c'))).toBe(false);
    expect(answered(group, heartbeat('m', 3))).toMatchObject({ memberEpoch: 3, assignment: null });
  });

  it('goes on after a restart with the epoch and the topics it had, also while those of an expression are not found again', () => {
    const world = new ConsumerWorld();
    for (const name of longNames) world.topics.set(name, 1);
    const beat = (epoch: number, over: Partial<MemberHeartbeat> = {}) => answered(world.group, heartbeat('m', epoch, over));
    const turnsMax = 20;
    let { memberEpoch } = beat(0, { topicRegex: costlyRegex });
    for (let turn = 0; turn < turnsMax; turn++) ({ memberEpoch } = beat(memberEpoch));
    expect(count(world.group.member('m')!.assigned)).toBe(longNames.length);
    world.save();
    world.restart();
    for (let turn = 0; turn < turnsMax; turn++) expect(beat(memberEpoch)).toMatchObject({ memberEpoch, assignment: null });
    expect(world.group.subscribedTo()(world.topics.id('other'))).toBe(false);
    expect(world.group.subscribedTo()(world.topics.id(longNames[0]!))).toBe(true);
  });

  describe('with an expression that takes several heartbeats to be found', () => {
    const turnsMax = 20;

    function worldWith(...clients: readonly FakeClient[]): ConsumerWorld {
      const world = new ConsumerWorld(['uniform']);
      for (const name of longNames) world.topics.set(name, 1);
      for (const client of clients) world.clients.set(client.id, client);
      return world;
    }

    function beatAll(world: ConsumerWorld, turns = turnsMax): void {
      for (let turn = 0; turn < turns; turn++) {
        for (const client of world.clients.values()) {
          world.beat(client);
          client.takeUp();
        }
      }
    }

    const owned = (...clients: readonly FakeClient[]) => clients.map((client) => count(client.owned));
    const shares = (...clients: readonly FakeClient[]) => owned(...clients).toSorted((a, b) => a - b);

    it('leaves a member what it has where an assignment is due after a restart, and gives it the rest', () => {
      const [stays, leaves] = [new FakeClient('m1', [], costlyRegex), new FakeClient('m2', [], costlyRegex)];
      const world = worldWith(stays, leaves);
      beatAll(world);
      expect(shares(stays, leaves)).toEqual([2, 3]);
      const [before] = owned(stays);
      world.leave(leaves);
      world.restart();
      for (let turn = 0; turn < turnsMax; turn++) {
        beatAll(world, 1);
        expect(count(stays.owned)).toBeGreaterThanOrEqual(before!);
      }
      expect(owned(stays)).toEqual([5]);
      expect(world.group.state).toBe('Stable');
    });

    it('assigns a topic for which that was due before a restart', () => {
      const intervalMs = 1_000;
      const one = new FakeClient('m', [], costlyRegex);
      const world = new ConsumerWorld(['uniform'], intervalMs);
      for (const name of longNames) world.topics.set(name, 1);
      world.clients.set(one.id, one);
      const beatBeforeAndAfterInterval = () => {
        beatAll(world);
        world.nowMs += intervalMs;
        beatAll(world);
      };
      beatBeforeAndAfterInterval();
      expect(owned(one)).toEqual([5]);
      world.topics.set(`${longNames[0]}0`, 1);
      beatAll(world);
      expect(world.group.isAssignmentDue).toBe(true);
      world.restart();
      beatAll(world, 1);
      expect([world.group.isAssignmentDue, ...owned(one)]).toEqual([false, 5]);
      beatBeforeAndAfterInterval();
      expect(owned(one)).toEqual([6]);
    });

    it('lets members go on after a restart towards what they are to have', () => {
      const [first, second] = [new FakeClient('m1', [], costlyRegex), new FakeClient('m2', [], costlyRegex)];
      const world = worldWith(first);
      beatAll(world);
      world.beat(second);
      world.clients.set(second.id, second);
      while (world.group.isAssignmentDue || count(world.group.target('m2')) === 0) world.beat(second);
      world.beat(first);
      expect(world.group.state).toBe('Reconciling');
      world.restart();
      beatAll(world, 2);
      expect(shares(first, second)).toEqual([2, 3]);
      beatAll(world);
      expect(shares(first, second)).toEqual([2, 3]);
      expect(world.group.state).toBe('Stable');
    });

    it('gives a member its part of topics that another one subscribed to before', () => {
      const [byName, byExpression] = [new FakeClient('m1', longNames), new FakeClient('m2', [], costlyRegex)];
      const world = worldWith(byName, byExpression);
      beatAll(world);
      expect(shares(byName, byExpression)).toEqual([2, 3]);
    });

    it('gives each its part of a topic that their expressions find one after the other', () => {
      const [cheap, costly] = [new FakeClient('m1', [], 'a.*'), new FakeClient('m2', [], costlyRegex)];
      const world = worldWith(cheap, costly);
      beatAll(world);
      world.topics.set(`${longNames[0]}0`, 21);
      beatAll(world);
      expect(owned(cheap, costly)).toEqual([13, 13]);
    });
  });

  it('refuses an expression that it cannot run, and changes nothing', () => {
    const group = newGroup();
    expect(refused(group, heartbeat('m', 0, { topicRegex: '(?=a)' }))).toBe(128);
    expect(group.memberCount).toBe(0);
    expect(group.epoch).toBe(1);
  });

  describe('whose next assignment is put off', () => {
    const both = { topicNames: ['a', 'b'], serverAssignor: 'range' };
    const shown = (group: ConsumerGroup, id: string) => {
      const { epoch, state, assigned, pendingRevocation } = group.member(id)!;
      return { epoch, state, assigned, pendingRevocation };
    };

    it('takes from a member at once what it no longer subscribes to, and gives it nothing else', () => {
      const group = newGroup(10, 1_000);
      join(group, 'm', both);
      expect(answered(group, heartbeat('m', 2, { topicNames: ['a'] }))).toMatchObject({ memberEpoch: 2, assignment: owning([0, 1, 2, 3]) });
      expect(shown(group, 'm')).toEqual({
        epoch: 2,
        state: 'unrevoked',
        assigned: owning([0, 1, 2, 3]),
        pendingRevocation: owning([0, 1], 'b'),
      });
      expect(answered(group, heartbeat('m', 2, { owned: owning([0, 1, 2, 3]) }))).toMatchObject({ memberEpoch: 2, assignment: null });
      const done = { epoch: 2, state: 'stable', assigned: owning([0, 1, 2, 3]), pendingRevocation: noPartitions };
      expect(shown(group, 'm')).toEqual(done);
      answered(group, heartbeat('m', 2, { topicNames: ['a', 'b'] }));
      expect(shown(group, 'm')).toEqual(done);
      expect(group.assignmentEpoch).toBe(2);
    });

    it('does not wait for a member to give up what it says it has not', () => {
      const group = newGroup(10, 1_000);
      join(group, 'm', both);
      expect(answered(group, heartbeat('m', 2, { topicNames: ['a'], owned: noPartitions })).assignment).toEqual(owning([0, 1, 2, 3]));
      expect(shown(group, 'm')).toMatchObject({ state: 'stable', assigned: owning([0, 1, 2, 3]), pendingRevocation: noPartitions });
    });

    it('leaves a member as it was that subscribes to more, or by an expression to what it has', () => {
      const group = newGroup(10, 1_000);
      join(group, 'm', { topicNames: ['a'] });
      answered(group, heartbeat('m', 2, { topicNames: ['a', 'b'] }));
      expect(answered(group, heartbeat('m', 2, { topicNames: [], topicRegex: '[ab]' })).assignment).toBeNull();
      expect(shown(group, 'm')).toMatchObject({ epoch: 2, state: 'stable', assigned: owning([0, 1, 2, 3]) });
    });

    it('lets a member wait only for what it still subscribes to', () => {
      const group = newGroup(10, 1_000);
      join(group, 'm1', both);
      join(group, 'm2', both, 1_000);
      answered(group, heartbeat('m2', 3, { topicNames: ['b'] }), 1_001);
      answered(group, heartbeat('m1', 2, { owned: noPartitions }), 1_002);
      expect(answered(group, heartbeat('m2', 3), 1_003).assignment).toEqual(owning([1], 'b'));
      expect(shown(group, 'm2')).toMatchObject({ epoch: 3, state: 'stable' });
      // Of the same target it has the other half in the end.
      answered(group, heartbeat('m2', 3, { topicNames: ['a'] }), 1_004);
      expect(answered(group, heartbeat('m2', 3, { owned: noPartitions }), 1_005).assignment).toEqual(owning([2, 3]));
    });
  });

  it('sees a step that gives as many partitions of one topic as it takes of another', () => {
    const assigned = owning([0]);
    const member = { ...freshMember('m'), epoch: 3, state: 'unreleased' as const, assigned, assignedAt: epochsAt(assigned, 2) };
    const partitions = partitionSetsOf(['a', 'b'].map((name) => ({ topicId: topics.id(name), partitions: [0, 1] })));
    const stepped = reconcile({
      member,
      target: { epoch: 3, partitions },
      owned: noPartitions,
      isSubscriptionChanged: true,
      subscribed: () => new Set([topics.id('b')]),
      isHeldByOther: (_topic, partition) => partition === 1,
    });
    expect(stepped).toMatchObject({ state: 'unreleased', assigned: owning([0], 'b') });
  });

  it('takes what a member no longer subscribes to from one that is to give up something else already', () => {
    const group = newGroup();
    join(group, 'm1', { topicNames: ['a', 'b'], serverAssignor: 'range' });
    join(group, 'm2', { topicNames: ['a', 'b'], serverAssignor: 'range' });
    answered(group, heartbeat('m1', 2));
    expect(answered(group, heartbeat('m1', 2, { topicNames: ['a'] })).assignment).toEqual(owning([0, 1]));
    const pending = partitionSetsOf(['a', 'b'].map((name) => ({ topicId: topics.id(name), partitions: name === 'a' ? [2, 3] : [0, 1] })));
    expect(group.member('m1')).toMatchObject({ epoch: 2, state: 'unrevoked', pendingRevocation: pending });
    expect(answered(group, heartbeat('m1', 2, { owned: owning([0, 1]) }))).toMatchObject({ memberEpoch: 4, assignment: null });
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

  it('begins at epoch 1 also where it takes the place of a classic group without a generation', () => {
    const group = newGroup();
    const classic = { sessionTimeoutMs: sessionMs, protocols: [{ name: 'range', metadata: Buffer.alloc(0) }] };
    group.adoptClassic(0, [{ ...freshMember('c'), topicNames: ['a'], rebalanceTimeoutMs: rebalanceMs, classic }], 0);
    expect(join(group, 'm', { topicNames: [] }).memberEpoch).toBe(1);
    expect(group).toMatchObject({ epoch: 1, assignmentEpoch: 1 });
    expect(count(group.target('c'))).toBe(4);
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
