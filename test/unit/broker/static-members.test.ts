// Static members of classic groups (KIP-345), over the state machine and over the wire.
import { describe, expect, it } from 'vitest';
import type { JoinAnswer } from '../../../src/broker/groups/member.js';
import {
  consumerGroupHeartbeatApi,
  describeGroupsApi,
  heartbeatApi,
  joinGroupApi,
  leaveGroupApi,
  offsetCommitApi,
  syncGroupApi,
} from '../../../src/wire/index.js';
import { Output } from '../../../src/broker/groups/record-bytes.js';
import { temporaryFolder, testBroker, WireClient } from './broker-fixture.js';
import { by, join, type Setup, setUp, sync } from './group-fixture.js';
import { settle } from './manual-clock.js';

/** A stable group of static members a, who leads, and b. */
async function pair(setup: Setup): Promise<[JoinAnswer, JoinAnswer]> {
  const alone = await join(setup.group, { instanceId: 'a' }).answer;
  const second = join(setup.group, { instanceId: 'b' });
  const a = await join(setup.group, { instanceId: 'a', memberId: alone.memberId }).answer;
  const b = await second.answer;
  const answers = [sync(setup.group, a, { [a.memberId]: 'part a', [b.memberId]: 'part b' }, 'a'), sync(setup.group, b, {}, 'b')];
  expect((await Promise.all(answers)).map(({ assignment }) => assignment.toString())).toEqual(['part a', 'part b']);
  return [a, b];
}

describe('a static member', () => {
  it('is let in at once, under an id made of its own', async () => {
    const { group } = setUp();
    const joined = await join(group, { instanceId: 'a', isIdRequired: true }).answer;
    expect(joined).toMatchObject({ errorCode: 0, generationId: 1, members: [{ groupInstanceId: 'a' }] });
    expect(joined.memberId).toMatch(/^a-/);
  });

  it('that is back takes its place and its assignment without a rebalance, and the one it was is fenced', async () => {
    const setup = setUp();
    const [a, b] = await pair(setup);
    const back = await join(setup.group, { instanceId: 'b' }).answer;
    expect(back).toMatchObject({ errorCode: 0, generationId: a.generationId, members: [], leader: a.memberId, skipAssignment: false });
    expect(back.memberId).not.toBe(b.memberId);
    expect(setup.group.state).toBe('stable');
    expect((await sync(setup.group, back, {}, 'b')).assignment.toString()).toBe('part b');
    expect(setup.group.heartbeat(by(a, 'a'), a.generationId)).toBe(0);
    expect(setup.group.heartbeat(by(b, 'b'), b.generationId)).toBe(82);
    expect(setup.group.heartbeat(by(b), b.generationId)).toBe(25);
    expect(setup.group.mayCommit(by(b, 'b'), b.generationId)).toBe(82);
    expect((await sync(setup.group, b, {}, 'b')).errorCode).toBe(82);
    expect((await join(setup.group, { instanceId: 'b', memberId: b.memberId }).answer).errorCode).toBe(82);
    expect((await join(setup.group, { instanceId: 'new', memberId: b.memberId }).answer).errorCode).toBe(25);
    expect(setup.group.leave([by(b, 'b')])).toEqual([82]);
    expect(setup.saved.at(-1)!.members.map(({ id, instanceId }) => [id, instanceId])).toEqual([
      [a.memberId, 'a'],
      [back.memberId, 'b'],
    ]);
  });

  it('that led leads again: told so and not to assign where it can be told, told of the one it was where not', async () => {
    const setup = setUp();
    const [a] = await pair(setup);
    const old = await join(setup.group, { instanceId: 'a' }).answer;
    expect(old).toMatchObject({ leader: a.memberId, members: [], skipAssignment: false });
    const back = await join(setup.group, { instanceId: 'a', canSkipAssignment: true }).answer;
    expect(back).toMatchObject({ leader: back.memberId, skipAssignment: true });
    expect(new Set(back.members.map(({ groupInstanceId }) => groupInstanceId))).toEqual(new Set(['a', 'b']));
  });

  it('has the others join again where the protocol changes with it, or they are still syncing', async () => {
    const setup = setUp();
    const metadata = Buffer.from('topics');
    const both = [
      { name: 'range', metadata },
      { name: 'sticky', metadata },
    ];
    const a = await join(setup.group, { instanceId: 'a', protocols: both }).answer;
    await sync(setup.group, a, { [a.memberId]: 'all' }, 'a');
    const back = await join(setup.group, { instanceId: 'a', protocols: [{ name: 'sticky', metadata }] }).answer;
    expect(back).toMatchObject({ generationId: a.generationId + 1, protocolName: 'sticky' });
    const again = await join(setup.group, { instanceId: 'a', protocols: both }).answer;
    expect(again.generationId).toBe(back.generationId + 1);
  });

  it('fences what the one it was has held', async () => {
    const setup = setUp();
    const [a] = await pair(setup);
    const joining = join(setup.group, { instanceId: 'a', memberId: a.memberId });
    const back = join(setup.group, { instanceId: 'a' });
    expect(await joining.answer).toMatchObject({ errorCode: 82 });
    expect(await back.isHeld()).toBe(true);
  });

  it('is as it was where its new id cannot be saved', async () => {
    const setup = setUp();
    const [a, b] = await pair(setup);
    setup.failSaves = true;
    expect((await join(setup.group, { instanceId: 'b' }).answer).errorCode).toBe(15);
    expect(setup.group.heartbeat(by(b, 'b'), b.generationId)).toBe(0);
    expect(setup.group.heartbeat(by(a, 'a'), a.generationId)).toBe(0);
  });

  it('is waited for by a rebalance that it misses, until it does not sync either', async () => {
    const setup = setUp();
    const { group, clock } = setup;
    const [a, b] = await pair(setup);
    const rejoin = join(group, { instanceId: 'a', memberId: a.memberId, sessionTimeoutMs: 60_000 });
    for (let i = 0; i < 5; i++) {
      await clock.advance(4500);
      group.heartbeat(by(b, 'b'), b.generationId);
    }
    const answer = await rejoin.answer;
    expect(new Set(answer.members.map(({ groupInstanceId }) => groupInstanceId))).toEqual(new Set(['a', 'b']));
    await sync(group, answer, { [a.memberId]: 'part a', [b.memberId]: 'part b' }, 'a');
    for (let i = 0; i < 6; i++) {
      await clock.advance(4500);
      group.heartbeat(by(b, 'b'), answer.generationId);
      group.heartbeat(by(a, 'a'), answer.generationId);
    }
    expect(group.heartbeat(by(b, 'b'), answer.generationId)).toBe(25);
    expect(group.heartbeat(by(a, 'a'), answer.generationId)).toBe(27);
  });

  it('is removed when its session runs out, and by an administrator who names its instance', async () => {
    const setup = setUp();
    const { group, clock } = setup;
    const [a, b] = await pair(setup);
    expect(group.leave([{ memberId: '', instanceId: 'nobody' }])).toEqual([25]);
    expect(group.leave([{ memberId: '', instanceId: 'a' }])).toEqual([0]);
    expect(group.heartbeat(by(b, 'b'), b.generationId)).toBe(27);
    expect(group.heartbeat(by(a, 'a'), a.generationId)).toBe(25);
    await clock.advance(10_001);
    await settle();
    expect(group.memberCount).toBe(0);
  });
});

const groupId = 'g';

async function joinStatic(client: WireClient, over: object = {}) {
  const subscription = new Output().int16(0).int32(1).string('t').int32(-1).done();
  const protocols = [{ name: 'range', metadata: subscription }];
  const asked = { groupId, sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, protocolType: 'consumer', protocols };
  return client.call(joinGroupApi, 9, { ...asked, groupInstanceId: 'i', memberId: '', ...over });
}

async function syncStatic(client: WireClient, { memberId, generationId }: { memberId: string; generationId: number }) {
  const assignment = new Output().int16(0).int32(1).string('t').int32(1).int32(0).int32(-1).done();
  const protocol = { protocolType: 'consumer', protocolName: 'range' };
  const asked = { groupId, generationId, memberId, groupInstanceId: 'i', ...protocol, assignments: [{ memberId, assignment }] };
  return client.call(syncGroupApi, 5, asked);
}

const beat = async (client: WireClient, { memberId, generationId }: { memberId: string; generationId: number }) =>
  (await client.call(heartbeatApi, 4, { groupId, memberId, generationId, groupInstanceId: 'i' })).errorCode;

describe('static members over the wire', () => {
  it('keep their place over a restart of the broker, are shown, and leave by instance', async () => {
    const dataDir = await temporaryFolder();
    const broker = await testBroker({ dataDir });
    const client = await WireClient.open(broker);
    await client.createTopic('t');
    const first = await joinStatic(client);
    await syncStatic(client, first);
    await broker.close();

    const later = await WireClient.open(await testBroker({ dataDir }));
    expect(await beat(later, first)).toBe(0);
    const back = await joinStatic(later);
    expect(back).toMatchObject({ errorCode: 0, generationId: 1, skipAssignment: true, leader: back.memberId });
    expect(await beat(later, first)).toBe(82);
    const partitions = [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }];
    const commit = { groupId, generationIdOrMemberEpoch: 1, groupInstanceId: 'i', topics: [{ name: 't', partitions }] };
    const commits = [back, first].map(({ memberId }) => later.call(offsetCommitApi, 9, { ...commit, memberId }));
    expect((await Promise.all(commits)).map(({ topics }) => topics[0]!.partitions[0]!.errorCode)).toEqual([0, 82]);
    const { groups } = await later.call(describeGroupsApi, 6, { groups: [groupId] });
    expect(groups[0]!.members).toMatchObject([{ memberId: back.memberId, groupInstanceId: 'i' }]);
    const left = await later.call(leaveGroupApi, 5, {
      groupId,
      members: [
        { memberId: '', groupInstanceId: 'i', reason: null },
        { memberId: '', groupInstanceId: 'i', reason: null },
      ],
    });
    expect(left.members.map(({ errorCode }) => errorCode)).toEqual([0, 25]);
  });

  it('take part in a group that is upgraded, under the same rules', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('t');
    const first = await joinStatic(client);
    await syncStatic(client, first);
    const upgraded = await client.call(consumerGroupHeartbeatApi, 1, {
      groupId,
      memberId: 'new',
      memberEpoch: 0,
      rebalanceTimeoutMs: 60_000,
      subscribedTopicNames: ['t'],
      topicPartitions: [],
    });
    expect(upgraded.errorCode).toBe(0);
    expect(await beat(client, first)).toBe(27);
    const back = await joinStatic(client);
    expect(back.errorCode).toBe(0);
    expect(back.memberId).not.toBe(first.memberId);
    expect(await beat(client, first)).toBe(82);
    expect((await syncStatic(client, back)).errorCode).toBe(0);
    expect((await joinStatic(client, { memberId: first.memberId })).errorCode).toBe(82);
    const leave = async (memberId: string) =>
      (await client.call(leaveGroupApi, 5, { groupId, members: [{ memberId, groupInstanceId: 'i', reason: null }] })).members[0]!.errorCode;
    expect(await leave(first.memberId)).toBe(82);
    expect(await leave('')).toBe(0);
    expect(await leave('')).toBe(25);
  });
});
