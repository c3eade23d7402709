import { describe, expect, it } from 'vitest';
import { decodeAssignment, decodeSubscription, encodeAssignment } from '../../../src/broker/groups/consumer/consumer-protocol.js';
import { eachPartition, noPartitions, partitionSetsOf } from '../../../src/broker/groups/consumer/partitions.js';
import { Output } from '../../../src/broker/groups/record-bytes.js';
import type { Broker } from '../../../src/broker/index.js';
import {
  consumerGroupDescribeApi,
  consumerGroupHeartbeatApi,
  heartbeatApi,
  joinGroupApi,
  type JoinGroupResponse,
  leaveGroupApi,
  offsetCommitApi,
  syncGroupApi,
} from '../../../src/wire/index.js';
import { FakeTopics } from '../../support/consumer-world.js';
import { temporaryFolder, testBroker, WireClient } from './broker-fixture.js';

const groupId = 'g';

function subscription(topic: string): Buffer {
  return new Output().int16(0).int32(1).string(topic).int32(-1).done();
}

async function joinClassic(client: WireClient, memberId = '', protocol = 'range'): Promise<JoinGroupResponse> {
  const body = {
    groupId,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    memberId,
    protocolType: 'consumer',
    protocols: [{ name: protocol, metadata: subscription('a') }],
  };
  const first = await client.call(joinGroupApi, 5, body);
  return first.errorCode === 79 ? client.call(joinGroupApi, 5, { ...body, memberId: first.memberId }) : first;
}

/** What a classic member is told to have, by topic, or the error. */
async function sync(
  client: WireClient,
  { memberId, generationId, leader }: JoinGroupResponse,
  assigned: Buffer = Buffer.alloc(0),
): Promise<string> {
  const assignments = leader === memberId ? [{ memberId, assignment: assigned }] : [];
  const { errorCode, assignment } = await client.call(syncGroupApi, 3, { groupId, generationId, memberId, assignments });
  if (errorCode !== 0) return `error ${errorCode}`;
  return assignment.subarray(2).toString('hex');
}

/** As the "consumer" protocol writes them, without the version. */
function partitionsOfA(partitions: readonly number[]): string {
  const out = new Output().int32(1).string('a').int32(partitions.length);
  for (const partition of partitions) out.int32(partition);
  return out.int32(-1).done().toString('hex');
}

function assignmentOfA(partitions: readonly number[]): Buffer {
  return Buffer.concat([Buffer.from([0, 0]), Buffer.from(partitionsOfA(partitions), 'hex')]);
}

const beatClassic = async (client: WireClient, memberId: string, generationId: number): Promise<number> =>
  (await client.call(heartbeatApi, 3, { groupId, memberId, generationId })).errorCode;

async function commit(client: WireClient, memberId: string, generation: number, partitionIndex: number): Promise<number> {
  const topics = [{ name: 'a', partitions: [{ partitionIndex, committedOffset: 1, committedMetadata: '' }] }];
  const { topics: told } = await client.call(offsetCommitApi, 7, { groupId, generationIdOrMemberEpoch: generation, memberId, topics });
  return told[0]!.partitions[0]!.errorCode;
}

const beat = (client: WireClient, over: object) =>
  client.call(consumerGroupHeartbeatApi, 1, { groupId, memberId: 'new', memberEpoch: 0, ...over });
const joinNew = (client: WireClient) => beat(client, { rebalanceTimeoutMs: 60_000, subscribedTopicNames: ['a'], topicPartitions: [] });

const stateOf = async (client: WireClient): Promise<string> => {
  const { groups } = await client.call(consumerGroupDescribeApi, 1, { groupIds: [groupId], includeAuthorizedOperations: false });
  return groups[0]!.errorCode === 0 ? groups[0]!.groupState : `error ${groups[0]!.errorCode}`;
};

/** A stable classic group of one, which has both partitions of topic a. */
async function classicGroup(
  flags: Readonly<Record<string, string>> = {},
  dataDir?: string,
): Promise<{ broker: Broker; client: WireClient; old: JoinGroupResponse }> {
  const broker = await testBroker({ flags, ...(dataDir === undefined ? {} : { dataDir }) });
  const client = await WireClient.open(broker);
  await client.createTopic('a', 2);
  const old = await joinClassic(client);
  expect(await sync(client, old, assignmentOfA([0, 1]))).toBe(partitionsOfA([0, 1]));
  return { broker, client, old };
}

describe('a classic group', () => {
  it('becomes a consumer group when a member of the new protocol joins, and hands partitions over one by one', async () => {
    const { client, old } = await classicGroup();
    expect(await joinNew(client)).toMatchObject({ errorCode: 0, memberEpoch: 2, assignment: { topicPartitions: [] } });
    expect(await stateOf(client)).toBe('Reconciling');
    expect(await beatClassic(client, old.memberId, 1)).toBe(27);
    const again = await joinClassic(client, old.memberId);
    expect(again).toMatchObject({ errorCode: 0, generationId: 2, protocolName: 'range', leader: '' });
    expect(await sync(client, again)).toBe(partitionsOfA([0]));
    expect(await beatClassic(client, old.memberId, 2)).toBe(0);
    // What it has kept it may commit for at the generation of before (KIP-1251).
    expect([await commit(client, old.memberId, 1, 0), await commit(client, old.memberId, 1, 1)]).toEqual([0, 22]);
    expect([await commit(client, old.memberId, 0, 0), await commit(client, old.memberId, 3, 0)]).toEqual([22, 22]);
    const { assignment } = await beat(client, { memberEpoch: 2 });
    expect(assignment?.topicPartitions.map(({ partitions }) => partitions)).toEqual([[1]]);
    expect(await stateOf(client)).toBe('Stable');
  });

  it('and back when the last member of the new protocol leaves, also over a restart', async () => {
    const dataDir = await temporaryFolder();
    const { broker, client: before, old } = await classicGroup({}, dataDir);
    await joinNew(before);
    const mixed = await joinClassic(before, old.memberId);
    expect(await sync(before, mixed)).toBe(partitionsOfA([0]));
    await broker.close();
    const client = await WireClient.open(await testBroker({ dataDir }));
    expect(await beatClassic(client, old.memberId, 2)).toBe(0);
    expect((await beat(client, { memberEpoch: -1 })).errorCode).toBe(0);
    expect(await stateOf(client)).toBe('error 69');
    expect(await beatClassic(client, old.memberId, 2)).toBe(27);
    const alone = await joinClassic(client, old.memberId);
    expect(alone).toMatchObject({ errorCode: 0, generationId: 3, leader: old.memberId });
    expect(await sync(client, alone, assignmentOfA([0, 1]))).toBe(partitionsOfA([0, 1]));
  });

  it.each([['downgrade'], ['disabled']])('stays what it is under the policy %s', async (policy) => {
    const { client, old } = await classicGroup({ 'group.consumer.migration.policy': policy });
    expect(await joinNew(client)).toMatchObject({ errorCode: 69, errorMessage: 'Group g is not a consumer group.' });
    expect(await beatClassic(client, old.memberId, 1)).toBe(0);
  });

  it('does not come back under the policy upgrade', async () => {
    const { client, old } = await classicGroup({ 'group.consumer.migration.policy': 'upgrade' });
    await joinNew(client);
    await joinClassic(client, old.memberId);
    await beat(client, { memberEpoch: -1 });
    expect(await stateOf(client)).toBe('Assigning');
  });

  it('assigns to its classic members what the last one of the new protocol had, also where the group does not come back', async () => {
    const { client, old } = await classicGroup({
      'group.consumer.migration.policy': 'upgrade',
      'group.consumer.assignment.interval.ms': '0',
    });
    await joinNew(client);
    const mixed = await joinClassic(client, old.memberId);
    expect(await sync(client, mixed)).toBe(partitionsOfA([0]));
    expect(await beatClassic(client, old.memberId, mixed.generationId)).toBe(0);
    await beat(client, { memberEpoch: -1 });
    expect(await beatClassic(client, old.memberId, mixed.generationId)).toBe(27);
    const alone = await joinClassic(client, old.memberId);
    expect(await sync(client, alone)).toBe(partitionsOfA([0, 1]));
    expect(await beatClassic(client, old.memberId, alone.generationId)).toBe(0);
    expect(await stateOf(client)).toBe('Stable');
  });

  it('is left alone by a member that is refused', async () => {
    const { client, old } = await classicGroup();
    expect(await beat(client, { rebalanceTimeoutMs: 1, subscribedTopicRegex: '(', topicPartitions: [] })).toMatchObject({ errorCode: 128 });
    expect(await beatClassic(client, old.memberId, 1)).toBe(0);
  });
});

describe('a consumer group', () => {
  it('takes classic members in, and tells them when to join again', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('a', 2);
    await joinNew(client);
    const old = await joinClassic(client);
    expect(old).toMatchObject({ errorCode: 0, generationId: 3 });
    expect(await sync(client, old)).toBe('00000000ffffffff');
    expect(await beatClassic(client, old.memberId, 3)).toBe(0);
    const { assignment } = await beat(client, { memberEpoch: 2 });
    await beat(client, { memberEpoch: 2, topicPartitions: assignment!.topicPartitions });
    expect(await beatClassic(client, old.memberId, 3)).toBe(27);
    expect(await sync(client, await joinClassic(client, old.memberId))).toMatch(/^00000001/);
    expect(await commit(client, old.memberId, 2, 0)).toBe(22);
    expect(await commit(client, old.memberId, 3, 0)).toBe(0);
    expect((await client.call(leaveGroupApi, 1, { groupId, memberId: 'nobody' })).errorCode).toBe(25);
    expect((await client.call(leaveGroupApi, 1, { groupId, memberId: old.memberId })).errorCode).toBe(0);
    expect(await beatClassic(client, old.memberId, 3)).toBe(25);
  });

  it('lets tools remove members of the new protocol by LeaveGroup, several with one change of the group', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('a', 2);
    const joining = { rebalanceTimeoutMs: 60_000, subscribedTopicNames: ['a'], topicPartitions: [] };
    for (const i of [1, 2, 3]) await beat(client, { memberId: `c${i}`, instanceId: `i${i}`, ...joining });
    const members = [
      { memberId: '', groupInstanceId: 'i1' },
      { memberId: 'c2', groupInstanceId: 'i2' },
      { memberId: 'c2', groupInstanceId: 'i3' },
      { memberId: 'c2', groupInstanceId: null },
      { memberId: '', groupInstanceId: 'i4' },
    ];
    const left = await client.call(leaveGroupApi, 5, { groupId, members });
    expect(left.members.map(({ errorCode }) => errorCode)).toEqual([0, 0, 82, 0, 25]);
    const { groups } = await client.call(consumerGroupDescribeApi, 1, { groupIds: [groupId], includeAuthorizedOperations: false });
    expect(groups[0]).toMatchObject({ groupEpoch: 5, members: [{ memberId: 'c3' }] });
  });

  it('becomes a classic group where its last member comes back as a static classic one, and rebalances where that changes it', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('a', 2);
    const comesBack = async (topic: string): Promise<JoinGroupResponse> => {
      const protocols = [{ name: 'range', metadata: subscription(topic) }];
      const body = { groupId, sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, memberId: '', protocolType: 'consumer', protocols };
      return client.call(joinGroupApi, 5, { ...body, groupInstanceId: 'i' });
    };
    const { memberEpoch } = await beat(client, {
      instanceId: 'i',
      rebalanceTimeoutMs: 60_000,
      subscribedTopicNames: ['a'],
      topicPartitions: [],
    });
    const same = await comesBack('a');
    expect(same).toMatchObject({ errorCode: 0, generationId: memberEpoch, leader: '' });
    expect(await stateOf(client)).toBe('error 69');
    expect(await beatClassic(client, same.memberId, memberEpoch)).toBe(0);
    expect(await sync(client, same)).toBe(partitionsOfA([0, 1]));

    await client.call(leaveGroupApi, 3, { groupId, members: [{ memberId: '', groupInstanceId: 'i' }] });
    const second = await beat(client, { instanceId: 'i', rebalanceTimeoutMs: 60_000, subscribedTopicNames: ['a'], topicPartitions: [] });
    const other = await comesBack('b');
    // Nothing was assigned to it any more.
    expect(other).toMatchObject({ errorCode: 0, generationId: 0 });
    expect(await beatClassic(client, other.memberId, 0)).toBe(22);
    expect(await joinClassic(client, other.memberId)).toMatchObject({
      errorCode: 0,
      generationId: second.memberEpoch + 1,
      leader: other.memberId,
    });
  });

  it('refuses a classic member whose instance is not there, or is another, before it looks what that subscribes to', async () => {
    const client = await WireClient.open(await testBroker());
    await beat(client, { instanceId: 'i', rebalanceTimeoutMs: 60_000, subscribedTopicNames: ['a'], topicPartitions: [] });
    const codeOf = async (memberId: string, groupInstanceId: string): Promise<number> => {
      const protocols = [{ name: 'range', metadata: Buffer.from('x') }];
      const body = {
        groupId,
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 10_000,
        memberId,
        groupInstanceId,
        protocolType: 'consumer',
        protocols,
      };
      return (await client.call(joinGroupApi, 5, body)).errorCode;
    };
    expect([await codeOf('nobody', 'i'), await codeOf('nobody', 'j'), await codeOf('new', 'i')]).toEqual([82, 25, 23]);
  });

  it('refuses classic members that share no protocol, or are no consumers', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('a', 2);
    await joinNew(client);
    const { memberId, generationId } = await joinClassic(client);
    expect((await joinClassic(client, '', 'sticky')).errorCode).toBe(23);
    expect(await beatClassic(client, memberId, generationId + 1)).toBe(22);
    const other = { groupId, memberId, generationId, assignments: [] };
    expect((await client.call(syncGroupApi, 5, { ...other, protocolType: 'connect', protocolName: 'range' })).errorCode).toBe(23);
    expect((await client.call(syncGroupApi, 5, { ...other, protocolType: 'consumer', protocolName: 'sticky' })).errorCode).toBe(23);
  });
});

describe('the "consumer" protocol', () => {
  const topics = new FakeTopics();
  topics.set('a', 3);
  const owned = partitionSetsOf([{ topicId: topics.id('a'), partitions: [0, 2] }]);

  it('reads back the assignment that it writes, without topics that are gone', () => {
    const bytes = encodeAssignment(owned, (id) => topics.nameOf(id));
    expect([...eachPartition(decodeAssignment(bytes, topics)!)]).toEqual([...eachPartition(owned)]);
    expect(
      decodeAssignment(
        encodeAssignment(owned, () => undefined),
        topics,
      ),
    ).toEqual(noPartitions);
    expect(decodeAssignment(Buffer.alloc(0), topics)).toEqual(noPartitions);
    expect(decodeAssignment(bytes.subarray(0, 9), topics)).toBeUndefined();
  });

  it('reads what members own from version 1 on, and refuses what ends too early', () => {
    const v1 = new Output().int16(1).int32(2).string('a').string('b').int32(-1).int32(1).string('a').int32(2).int32(0).int32(2).done();
    expect(decodeSubscription(v1, topics)).toEqual({ topics: ['a', 'b'], owned });
    expect(decodeSubscription(subscription('a'), topics)).toEqual({ topics: ['a'], owned: noPartitions });
    expect(decodeSubscription(v1.subarray(0, 7), topics)).toBeUndefined();
  });
});
