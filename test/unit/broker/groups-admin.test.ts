import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { groupPartition } from '../../../src/broker/groups/group-records.js';
import {
  consumerGroupHeartbeatApi,
  deleteGroupsApi,
  describeGroupsApi,
  joinGroupApi,
  leaveGroupApi,
  listGroupsApi,
  offsetCommitApi,
  offsetDeleteApi,
  offsetFetchApi,
  syncGroupApi,
} from '../../../src/wire/index.js';
import { temporaryFolder, testBroker, WireClient } from './broker-fixture.js';

/** A ConsumerProtocolSubscription of version 0. */
function subscription(...topics: string[]): Buffer {
  const head = Buffer.alloc(6);
  head.writeInt32BE(topics.length, 2);
  const texts = topics.map((topic) => Buffer.concat([Buffer.from([0, topic.length]), Buffer.from(topic)]));
  return Buffer.concat([head, ...texts, Buffer.from([0xff, 0xff, 0xff, 0xff])]);
}

/** Joins as the only member, and syncs unless told otherwise. */
async function join1(
  client: WireClient,
  groupId: string,
  over: { protocolType?: string; metadata?: Buffer; isSynced?: boolean } = {},
): Promise<{ memberId: string; generationId: number }> {
  const { protocolType = 'consumer', metadata = subscription('a'), isSynced = true } = over;
  const asked = { groupId, sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, protocolType, protocols: [{ name: 'range', metadata }] };
  const { memberId, generationId } = await client.call(joinGroupApi, 3, { ...asked, memberId: '' });
  const assignments = [{ memberId, assignment: Buffer.from('mine') }];
  if (isSynced) await client.call(syncGroupApi, 3, { groupId, generationId, memberId, assignments });
  return { memberId, generationId };
}

async function commit(client: WireClient, groupId: string, topic: string, offset: number): Promise<number> {
  const partitions = [{ partitionIndex: 0, committedOffset: offset, committedMetadata: '' }];
  const { topics } = await client.call(offsetCommitApi, 7, { groupId, topics: [{ name: topic, partitions }] });
  return topics[0]!.partitions[0]!.errorCode;
}

async function committed(client: WireClient, groupId: string, topic: string): Promise<number> {
  const { topics } = await client.call(offsetFetchApi, 7, { groupId, topics: [{ name: topic, partitionIndexes: [0] }] });
  return topics[0]!.partitions[0]!.committedOffset;
}

async function serve(dataDir?: string): Promise<WireClient> {
  const client = await WireClient.open(await testBroker(dataDir === undefined ? {} : { dataDir }));
  if (dataDir === undefined) for (const topic of ['a', 'b']) await client.createTopic(topic);
  return client;
}

const list = async (client: WireClient, statesFilter: string[] = [], typesFilter: string[] = []) =>
  (await client.call(listGroupsApi, 5, { statesFilter, typesFilter })).groups.map((group) => Object.values(group).join(' ')).sort();

const deleted = async (client: WireClient, ...groupsNames: string[]) =>
  (await client.call(deleteGroupsApi, 3, { groupsNames })).results.map(({ errorCode }) => errorCode);

async function forget(client: WireClient, groupId: string, ...names: string[]) {
  const topics = names.map((name) => ({ name, partitions: [{ partitionIndex: 0 }] }));
  const answer = await client.call(offsetDeleteApi, 0, { groupId, topics });
  return [answer.errorCode, answer.topics.map(({ partitions }) => partitions[0]!.errorCode)];
}

describe('DescribeGroups', () => {
  it('shows a stable group with what its members subscribed to and were assigned', async () => {
    const client = await serve();
    const { memberId } = await join1(client, 'g');
    const { groups } = await client.call(describeGroupsApi, 6, { groups: ['g'], includeAuthorizedOperations: true });
    expect(groups).toEqual([
      {
        errorCode: 0,
        errorMessage: null,
        groupId: 'g',
        groupState: 'Stable',
        protocolType: 'consumer',
        protocolData: 'range',
        members: [
          {
            memberId,
            groupInstanceId: null,
            clientId: 'test',
            clientHost: '/127.0.0.1',
            memberMetadata: subscription('a'),
            memberAssignment: Buffer.from('mine'),
          },
        ],
        authorizedOperations: 3400,
      },
    ]);
  });

  it('shows no subscriptions while a group rebalances, and a group of offsets alone as empty', async () => {
    const client = await serve();
    await join1(client, 'g', { isSynced: false });
    await commit(client, 'offsets', 'a', 1);
    const { groups } = await client.call(describeGroupsApi, 0, { groups: ['g', 'offsets'] });
    expect(groups).toMatchObject([
      { groupState: 'CompletingRebalance', protocolType: 'consumer', protocolData: '', members: [{ clientId: 'test' }] },
      { groupState: 'Empty', protocolType: '', protocolData: '', members: [] },
    ]);
    expect(groups[0]!.members[0]!.memberMetadata).toEqual(Buffer.alloc(0));
  });

  it.each([
    [5, 0, null],
    [6, 69, 'Group none not found.'],
  ])('answers at v%i that a group is not there with code %i', async (version, errorCode, errorMessage) => {
    const { groups } = await (await serve()).call(describeGroupsApi, version, { groups: ['none'] });
    expect(groups[0]).toMatchObject({ errorCode, errorMessage, groupState: 'Dead', authorizedOperations: -2147483648 });
  });
});

describe('ListGroups', () => {
  it('lists groups with members or offsets, filtered by state and type in any case', async () => {
    const client = await serve();
    await join1(client, 'stable');
    await join1(client, 'other', { protocolType: 'connect' });
    await commit(client, 'offsets', 'a', 1);
    const all = ['offsets  Empty classic', 'other connect Stable classic', 'stable consumer Stable classic'];
    expect(await list(client)).toEqual(all);
    expect(await list(client, ['sTaBle'])).toEqual(all.slice(1));
    expect(await list(client, ['Empty', 'Dead'])).toEqual(all.slice(0, 1));
    expect(await list(client, [], ['CLASSIC'])).toEqual(all);
    expect(await list(client, [], ['consumer'])).toEqual([]);
    expect(await list(client, [], ['no such type'])).toEqual([]);
  });

  it('remembers over a restart what kind of group an empty one was', async () => {
    const dataDir = await temporaryFolder();
    const broker = await testBroker({ dataDir });
    const client = await WireClient.open(broker);
    await client.createTopic('a');
    await commit(client, 'g', 'a', 1);
    const { memberId } = await join1(client, 'g');
    await client.call(leaveGroupApi, 0, { groupId: 'g', memberId });
    expect(await list(client)).toEqual(['g consumer Empty classic']);
    await broker.close();
    const again = await serve(dataDir);
    expect(await list(again)).toEqual(['g consumer Empty classic']);
    expect((await join1(again, 'g')).generationId).toBe(3);
  });
});

describe('DeleteGroups', () => {
  it('forgets a group with its offsets, for good', async () => {
    const dataDir = await temporaryFolder();
    const broker = await testBroker({ dataDir });
    const client = await WireClient.open(broker);
    await client.createTopic('a');
    await commit(client, 'g', 'a', 7);
    await commit(client, 'kept', 'a', 8);
    expect(await deleted(client, 'g', 'none')).toEqual([0, 69]);
    expect([await list(client), await committed(client, 'g', 'a')]).toEqual([['kept  Empty classic'], -1]);
    await broker.close();
    const again = await serve(dataDir);
    expect(await list(again)).toEqual(['kept  Empty classic']);
    expect([await committed(again, 'g', 'a'), await committed(again, 'kept', 'a')]).toEqual([-1, 8]);
    expect(await commit(again, 'g', 'a', 1)).toBe(0);
  });

  it('refuses a group with members, and takes it once they are gone', async () => {
    const client = await serve();
    const { memberId } = await join1(client, 'g');
    await client.call(offsetCommitApi, 7, {
      groupId: 'g',
      memberId,
      generationIdOrMemberEpoch: 1,
      topics: [{ name: 'a', partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }] }],
    });
    expect(await deleted(client, 'g')).toEqual([68]);
    expect(await committed(client, 'g', 'a')).toBe(1);
    await client.call(leaveGroupApi, 0, { groupId: 'g', memberId });
    expect(await deleted(client, 'g')).toEqual([0]);
    expect(await list(client)).toEqual([]);
  });

  it('is refused where the group’s log is damaged', async () => {
    const dataDir = await temporaryFolder();
    const broker = await testBroker({ dataDir });
    const client = await WireClient.open(broker);
    await client.createTopic('a');
    await commit(client, 'g', 'a', 5);
    await broker.close();
    const file = join(dataDir, 'log', `__consumer_offsets-${groupPartition('g', 3)}`, '00000000000000000000.log');
    const bytes = await readFile(file);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(file, bytes);
    const again = await serve(dataDir);
    expect(await deleted(again, 'g')).toEqual([15]);
    expect(await forget(again, 'g', 'a')).toEqual([15, []]);
    const { groups } = await again.call(describeGroupsApi, 6, { groups: ['g'] });
    expect(groups[0]).toMatchObject({ errorCode: 15, groupState: '' });
  });
});

describe('OffsetDelete', () => {
  it('forgets positions of topics that nobody of the group is subscribed to', async () => {
    const dataDir = await temporaryFolder();
    const broker = await testBroker({ dataDir });
    const client = await WireClient.open(broker);
    for (const topic of ['a', 'b']) {
      await client.createTopic(topic);
      await commit(client, 'g', topic, 3);
    }
    await join1(client, 'g');
    expect(await forget(client, 'g', 'a', 'b', 'none')).toEqual([0, [86, 0, 3]]);
    expect([await committed(client, 'g', 'a'), await committed(client, 'g', 'b')]).toEqual([3, -1]);
    await broker.close();
    const again = await serve(dataDir);
    expect([await committed(again, 'g', 'a'), await committed(again, 'g', 'b')]).toEqual([3, -1]);
  });

  it('refuses by Kafka’s codes', async () => {
    const client = await serve();
    await join1(client, 'connect', { protocolType: 'connect' });
    await join1(client, 'odd', { metadata: Buffer.from('no subscription') });
    await commit(client, 'offsets', 'a', 3);
    expect(await forget(client, '', 'a')).toEqual([24, []]);
    expect(await forget(client, 'none', 'a')).toEqual([69, []]);
    expect(await forget(client, 'connect', 'a')).toEqual([68, []]);
    expect(await forget(client, 'odd', 'a')).toEqual([0, [86]]);
    expect(await forget(client, 'offsets', 'a', 'b')).toEqual([0, [0, 0]]);
  });
});

describe('consumer groups of the new protocol', () => {
  it('are listed by their type, and deleted like others once they are empty', async () => {
    const dataDir = await temporaryFolder();
    const broker = await testBroker({ dataDir });
    const client = await WireClient.open(broker);
    for (const topic of ['a', 'b']) await client.createTopic(topic);
    const member = { groupId: 'n', memberId: 'm', rebalanceTimeoutMs: 60_000, subscribedTopicNames: ['a'], topicPartitions: [] };
    const { memberEpoch } = await client.call(consumerGroupHeartbeatApi, 1, { ...member, memberEpoch: 0 });
    await client.call(offsetCommitApi, 9, {
      groupId: 'n',
      memberId: 'm',
      generationIdOrMemberEpoch: memberEpoch,
      topics: [{ name: 'b', partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }] }],
    });
    await commit(client, 'offsets', 'a', 1);
    expect(await list(client, [], ['consumer'])).toEqual(['n consumer Stable consumer']);
    expect(await list(client, [], ['classic'])).toEqual(['offsets  Empty classic']);
    const { groups } = await client.call(describeGroupsApi, 6, { groups: ['n'] });
    expect(groups[0]).toMatchObject({ errorCode: 69, errorMessage: 'Group n is not a classic group.', groupState: 'Dead' });
    expect(await forget(client, 'n', 'a', 'b')).toEqual([0, [86, 0]]);
    expect(await deleted(client, 'n')).toEqual([68]);
    await client.call(consumerGroupHeartbeatApi, 1, { groupId: 'n', memberId: 'm', memberEpoch: -1 });
    expect(await list(client, ['empty'])).toEqual(['n consumer Empty consumer', 'offsets  Empty classic']);
    expect(await deleted(client, 'n', 'n')).toEqual([0]);
    expect(await deleted(client, 'n')).toEqual([69]);
    await broker.close();
    expect(await list(await serve(dataDir))).toEqual(['offsets  Empty classic']);
  });
});
