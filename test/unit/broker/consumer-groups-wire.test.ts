import { describe, expect, it } from 'vitest';
import type { Broker } from '../../../src/broker/index.js';
import {
  apiVersionsApi,
  consumerGroupDescribeApi,
  consumerGroupHeartbeatApi,
  type ConsumerGroupHeartbeatResponse,
  heartbeatApi,
  joinGroupApi,
  type MessageInput,
  type ConsumerGroupHeartbeatRequest,
  offsetCommitApi,
  offsetFetchApi,
} from '../../../src/wire/index.js';
import { temporaryFolder, testBroker, WireClient } from './broker-fixture.js';

const groupId = 'g';

function beat(
  client: WireClient,
  over: Partial<MessageInput<ConsumerGroupHeartbeatRequest>>,
  version = 1,
): Promise<ConsumerGroupHeartbeatResponse> {
  return client.call(consumerGroupHeartbeatApi, version, { groupId, memberId: 'm', memberEpoch: 0, ...over });
}

function join(
  client: WireClient,
  over: Partial<MessageInput<ConsumerGroupHeartbeatRequest>> = {},
  version = 1,
): Promise<ConsumerGroupHeartbeatResponse> {
  return beat(client, { rebalanceTimeoutMs: 60_000, subscribedTopicNames: ['a'], topicPartitions: [], ...over }, version);
}

async function commit(client: WireClient, memberId: string, epoch: number): Promise<number> {
  const partitions = [{ partitionIndex: 0, committedOffset: 5, committedMetadata: '' }];
  const { topics } = await client.call(offsetCommitApi, 9, {
    groupId,
    generationIdOrMemberEpoch: epoch,
    memberId,
    topics: [{ name: 'a', partitions }],
  });
  return topics[0]!.partitions[0]!.errorCode;
}

async function fetched(client: WireClient, memberId: string | null, memberEpoch: number): Promise<number> {
  const { groups } = await client.call(offsetFetchApi, 9, {
    groups: [{ groupId, memberId, memberEpoch, topics: [{ name: 'a', partitionIndexes: [0] }] }],
  });
  const [group] = groups;
  return group!.errorCode === 0 ? group!.topics[0]!.partitions[0]!.committedOffset : -group!.errorCode;
}

async function started(dataDir?: string): Promise<{ readonly broker: Broker; readonly client: WireClient }> {
  const broker = await testBroker({
    ...(dataDir === undefined ? {} : { dataDir }),
    flags: { 'group.consumer.session.timeout.ms': '60000' },
  });
  return { broker, client: await WireClient.open(broker) };
}

describe('consumer groups of the new protocol over the wire', () => {
  it('let a member join by name or by expression, and tell it topics by id', async () => {
    const { client } = await started();
    const topicId = await client.createTopic('a', 2);
    const assignment = { topicPartitions: [{ topicId, partitions: [0, 1] }] };
    expect(await join(client)).toMatchObject({ errorCode: 0, memberId: 'm', memberEpoch: 2, heartbeatIntervalMs: 5000, assignment });
    expect(await beat(client, { memberEpoch: 2 })).toMatchObject({ errorCode: 0, memberEpoch: 2, assignment: null });
    expect(await beat(client, { memberEpoch: -1 })).toMatchObject({ errorCode: 0, memberEpoch: -1 });
    expect(await join(client, { subscribedTopicNames: null, subscribedTopicRegex: '[ab]' })).toMatchObject({ memberEpoch: 4, assignment });
  });

  it('let a member commit at an epoch that has passed, for what it has had since then, over a restart too', async () => {
    const dataDir = await temporaryFolder();
    const { broker, client } = await started(dataDir);
    const topicId = await client.createTopic('a', 6);
    const own = (partitions: readonly number[]) => ({ topicPartitions: [{ topicId, partitions: [...partitions] }] });
    const told = ({ assignment }: ConsumerGroupHeartbeatResponse) => assignment!.topicPartitions[0]!.partitions;
    await join(client);
    await join(client, { memberId: 'n' });
    const half = told(await beat(client, { memberEpoch: 2, ...own([0, 1, 2, 3, 4, 5]) }));
    expect(await beat(client, { memberEpoch: 2, ...own(half) })).toMatchObject({ memberEpoch: 3 });
    await join(client, { memberId: 'o' });
    const third = told(await beat(client, { memberEpoch: 3, ...own(half) }));
    expect([half.length, third.length]).toEqual([3, 2]);
    const revoking = half.find((partition) => !third.includes(partition))!;
    const lost = [0, 1, 2, 3, 4, 5].find((partition) => !half.includes(partition))!;
    const commits = async (from: WireClient, memberId: string, epoch: number, partitions: readonly number[], note = '') => {
      const asked = partitions.map((partitionIndex, i) => ({ partitionIndex, committedOffset: 5, committedMetadata: i === 0 ? note : '' }));
      const topics = [{ name: 'a', partitions: asked }];
      const answer = await from.call(offsetCommitApi, 9, { groupId, memberId, generationIdOrMemberEpoch: epoch, topics });
      return answer.topics[0]!.partitions.map(({ errorCode }) => errorCode);
    };
    const all = async (from: WireClient) => ({
      kept: await commits(from, 'm', 2, third),
      revoking: await commits(from, 'm', 2, [revoking]),
      // One that it has not had since then refuses all, and says so before the note that is too long.
      lost: await commits(from, 'm', 2, [third[0]!, lost], 'x'.repeat(4_097)),
      long: await commits(from, 'm', 2, third, 'x'.repeat(4_097)),
      own: await commits(from, 'm', 3, [lost]),
      early: await commits(from, 'm', 1, third),
      ahead: await commits(from, 'm', 4, third),
      other: await commits(from, 'n', 2, third),
      unknown: await commits(from, 'x', 3, third),
    });
    const expected = {
      kept: [0, 0],
      revoking: [0],
      lost: [113, 113],
      long: [12, 0],
      own: [0],
      early: [113, 113],
      ahead: [113, 113],
      other: [113, 113],
      unknown: [25, 25],
    };
    expect(await all(client)).toEqual(expected);
    await broker.close();
    const { client: later } = await started(dataDir);
    expect(await all(later)).toEqual(expected);
    // What it has given up is not its any more.
    expect(await beat(later, { memberEpoch: 3, ...own(third) })).toMatchObject({ memberEpoch: 4 });
    expect(await commits(later, 'm', 3, [revoking])).toEqual([113]);
    expect(await commits(later, 'm', 2, third)).toEqual([0, 0]);
  });

  it('free the instance of a member that comes back as another', async () => {
    const { client } = await started();
    for (const instanceId of ['i', 'j']) expect(await join(client, { memberId: 'm', instanceId })).toMatchObject({ errorCode: 0 });
    expect(await join(client, { memberId: 'n', instanceId: 'i' })).toMatchObject({ errorCode: 0 });
    expect(await join(client, { memberId: 'o', instanceId: 'j' })).toMatchObject({ errorCode: 111 });
  });

  it('give a member an id where it may come without one', async () => {
    const { client } = await started();
    const { memberId, errorCode } = await join(client, { memberId: '' }, 0);
    expect(errorCode).toBe(0);
    expect(memberId).toMatch(/^[0-9a-f-]{36}$/);
    expect(await join(client, { memberId: '' })).toMatchObject({ errorCode: 42, errorMessage: "MemberId can't be empty." });
    // As in Kafka, below v1 who leaves for a while is looked for first.
    const leaving = { groupId: 'none', memberId: '', instanceId: 'i', memberEpoch: -2 };
    expect((await client.call(consumerGroupHeartbeatApi, 0, leaving)).errorCode).toBe(69);
    expect((await client.call(consumerGroupHeartbeatApi, 0, { ...leaving, memberEpoch: -1 })).errorCode).toBe(42);
  });

  it.each([
    [{ groupId: ' ' }, 42, "GroupId can't be empty."],
    [{ instanceId: '' }, 42, "InstanceId can't be empty."],
    [{ rackId: '' }, 42, "RackId can't be empty."],
    [{ rebalanceTimeoutMs: -1 }, 42, 'RebalanceTimeoutMs must be provided in first request.'],
    [{ topicPartitions: null }, 42, 'TopicPartitions must be empty when (re-)joining.'],
    [{ subscribedTopicNames: null }, 42, 'Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.'],
    [{ memberEpoch: -3 }, 42, 'MemberEpoch is invalid.'],
    [{ memberEpoch: -2 }, 42, "InstanceId can't be null."],
    [{ serverAssignor: 'sticky' }, 112, 'ServerAssignor sticky is not supported. Supported assignors: uniform, range.'],
    [
      { subscribedTopicRegex: '(' },
      128,
      'SubscribedTopicRegex `(` is not a valid regular expression: the expression cannot be used: a ( has no )',
    ],
    [{ memberEpoch: 1 }, 69, 'Group g not found.'],
  ])('refuse %j', async (over, errorCode, errorMessage) => {
    const { client } = await started();
    expect(await join(client, over)).toMatchObject({ errorCode, errorMessage, assignment: null });
  });

  it('take and give positions at the epoch of the member only, and to administrators when empty', async () => {
    const { client } = await started();
    await client.createTopic('a');
    await join(client);
    expect(await commit(client, 'm', 2)).toBe(0);
    expect(await commit(client, 'm', 0)).toBe(113);
    expect(await commit(client, 'other', 1)).toBe(25);
    expect(await commit(client, '', -1)).toBe(25);
    expect(await fetched(client, 'm', 2)).toBe(5);
    expect(await fetched(client, 'm', 3)).toBe(-113);
    expect(await fetched(client, 'other', 1)).toBe(-25);
    expect(await fetched(client, null, -1)).toBe(5);
    await beat(client, { memberEpoch: -1 });
    expect(await commit(client, '', -1)).toBe(0);
  });

  it('go on after a restart with the epochs they had', async () => {
    const dataDir = await temporaryFolder();
    const first = await started(dataDir);
    await first.client.createTopic('a', 2);
    await join(first.client, { instanceId: 'i', serverAssignor: 'range' });
    await first.broker.close();
    const { client } = await started(dataDir);
    expect(await beat(client, { memberEpoch: 2, instanceId: 'i' })).toMatchObject({ errorCode: 0, memberEpoch: 2, assignment: null });
    const { groups } = await client.call(consumerGroupDescribeApi, 1, { groupIds: [groupId], includeAuthorizedOperations: false });
    expect(groups[0]).toMatchObject({ groupState: 'Stable', groupEpoch: 2, assignmentEpoch: 2, assignorName: 'range' });
    const topicPartitions = [{ topicName: 'a', partitions: [0, 1] }];
    expect(groups[0]!.members).toMatchObject([
      {
        memberId: 'm',
        instanceId: 'i',
        memberEpoch: 2,
        clientId: 'test',
        subscribedTopicNames: ['a'],
        memberType: 1,
        assignment: { topicPartitions },
        targetAssignment: { topicPartitions },
      },
    ]);
  });

  it('are described with what a member has, also while it is to give it up', async () => {
    const { client } = await started();
    const topicId = await client.createTopic('a', 2);
    const bId = await client.createTopic('b', 1);
    await join(client, { subscribedTopicNames: ['a', 'b'] });
    const told = await beat(client, { memberEpoch: 2, subscribedTopicNames: ['b'] });
    expect(told).toMatchObject({ memberEpoch: 2, assignment: { topicPartitions: [{ topicId: bId, partitions: [0] }] } });
    const described = async () => {
      const { groups } = await client.call(consumerGroupDescribeApi, 1, { groupIds: [groupId], includeAuthorizedOperations: false });
      return groups[0]!.members[0]!.assignment.topicPartitions.toSorted((one, other) => (one.topicName < other.topicName ? -1 : 1));
    };
    const ofB = { topicId: bId, topicName: 'b', partitions: [0] };
    expect(await described()).toEqual([{ topicId, topicName: 'a', partitions: [0, 1] }, ofB]);
    await beat(client, { memberEpoch: 2, ...told.assignment! });
    expect(await described()).toEqual([ofB]);
  });

  it('are described, or said not to be there', async () => {
    const { client } = await started();
    await client.call(joinGroupApi, 3, {
      groupId: 'classic',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 10_000,
      memberId: '',
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: Buffer.from('s') }],
    });
    const { groups } = await client.call(consumerGroupDescribeApi, 1, {
      groupIds: ['', 'none', 'classic'],
      includeAuthorizedOperations: true,
    });
    expect(groups).toMatchObject([
      { errorCode: 24 },
      { errorCode: 69, errorMessage: 'Group none not found.', authorizedOperations: -2147483648 },
      { errorCode: 69, errorMessage: 'Group classic is not a consumer group.' },
    ]);
  });

  it('and classic groups keep out of each other’s ids while they have members', async () => {
    const { client } = await started();
    await client.createTopic('a');
    const joinClassic = (id: string) =>
      client.call(joinGroupApi, 3, {
        groupId: id,
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 10_000,
        memberId: '',
        protocolType: 'consumer',
        protocols: [{ name: 'range', metadata: Buffer.from('s') }],
      });
    await joinClassic('classic');
    expect(await join(client, { groupId: 'classic' })).toMatchObject({
      errorCode: 69,
      errorMessage: 'Group classic is not a consumer group.',
    });
    await join(client);
    expect((await joinClassic(groupId)).errorCode).not.toBe(0);
    expect((await client.call(heartbeatApi, 3, { groupId, generationId: 1, memberId: 'm' })).errorCode).toBe(25);
    await beat(client, { memberEpoch: -1 });
    expect((await joinClassic(groupId)).errorCode).toBe(0);
    expect(await beat(client, { memberEpoch: 1 })).toMatchObject({ errorCode: 69 });
  });

  it('are announced as a feature that is on', async () => {
    const { client } = await started();
    const versions = (version: number) => client.call(apiVersionsApi, version, { clientSoftwareName: 'test', clientSoftwareVersion: '1' });
    const on = [{ name: 'group.version', minVersionLevel: 1, maxVersionLevel: 1 }];
    expect(await versions(4)).toMatchObject({
      finalizedFeatures: on,
      supportedFeatures: [{ name: 'group.version', minVersion: 0, maxVersion: 1 }],
    });
    expect(await versions(3)).toMatchObject({ finalizedFeatures: on, supportedFeatures: [] });
  });
});
