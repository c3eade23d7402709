import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { groupPartition } from '../../../src/broker/groups/group-records.js';
import type { Broker } from '../../../src/broker/index.js';
import { topicId, zeroTopicId } from '../../../src/kernel/index.js';
import {
  deleteTopicsApi,
  deleteGroupsApi,
  findCoordinatorApi,
  heartbeatApi,
  joinGroupApi,
  type JoinGroupResponse,
  leaveGroupApi,
  metadataApi,
  offsetCommitApi,
  offsetFetchApi,
  syncGroupApi,
} from '../../../src/wire/index.js';
import { temporaryFolder, testBroker, WireClient } from './broker-fixture.js';

const groupId = 'g';

async function joinGroup(client: WireClient, over: object = {}, version = 5): Promise<JoinGroupResponse> {
  const body = {
    groupId,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    memberId: '',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: Buffer.from('s') }],
    ...over,
  };
  const first = await client.call(joinGroupApi, version, body);
  return first.errorCode === 79 ? client.call(joinGroupApi, version, { ...body, memberId: first.memberId }) : first;
}

/** A group of one, stable. */
async function member(client: WireClient): Promise<JoinGroupResponse> {
  const joined = await joinGroup(client);
  const { memberId, generationId } = joined;
  await client.call(syncGroupApi, 3, { groupId, generationId, memberId, assignments: [{ memberId, assignment: Buffer.from('all') }] });
  return joined;
}

interface Commit {
  readonly topic?: string;
  readonly offset: number;
  readonly epoch?: number;
  readonly metadata?: string | null;
  readonly member?: JoinGroupResponse;
  readonly group?: string;
}

async function commit(
  client: WireClient,
  { topic = 'a', offset, epoch = -1, metadata = '', member: by, group = groupId }: Commit,
): Promise<number> {
  const partitions = [{ partitionIndex: 0, committedOffset: offset, committedLeaderEpoch: epoch, committedMetadata: metadata }];
  const { topics } = await client.call(offsetCommitApi, 7, {
    groupId: group,
    generationIdOrMemberEpoch: by?.generationId ?? -1,
    memberId: by?.memberId ?? '',
    topics: [{ name: topic, partitions }],
  });
  return topics[0]!.partitions[0]!.errorCode;
}

async function committed(client: WireClient, topic = 'a', group = groupId): Promise<object> {
  const { topics } = await client.call(offsetFetchApi, 7, { groupId: group, topics: [{ name: topic, partitionIndexes: [0] }] });
  const { committedOffset, committedLeaderEpoch, metadata, errorCode } = topics[0]!.partitions[0]!;
  return { committedOffset, committedLeaderEpoch, metadata, errorCode };
}

const none = { committedOffset: -1, committedLeaderEpoch: -1, metadata: '', errorCode: 0 };

async function serve(dataDir?: string): Promise<{ broker: Broker; client: WireClient }> {
  const broker = await testBroker(dataDir === undefined ? {} : { dataDir });
  return { broker, client: await WireClient.open(broker) };
}

describe('FindCoordinator', () => {
  it('is this broker for every group, and creates __consumer_offsets', async () => {
    const { broker, client } = await serve();
    const { coordinators } = await client.call(findCoordinatorApi, 4, { keyType: 0, coordinatorKeys: ['a', 'b'] });
    expect(coordinators).toMatchObject(['a', 'b'].map((key) => ({ key, nodeId: 1, port: broker.kafkaAddress.port, errorCode: 0 })));
    expect(await client.call(findCoordinatorApi, 0, { key: 'a' })).toMatchObject({ nodeId: 1, host: '127.0.0.1', errorCode: 0 });
    const { topics } = await client.call(metadataApi, 9, { topics: [{ name: '__consumer_offsets' }] });
    expect(topics[0]).toMatchObject({ errorCode: 0, isInternal: true });
    expect(topics[0]!.partitions).toHaveLength(3);
  });

  it('refuses transactional ids', async () => {
    const { client } = await serve();
    const { coordinators } = await client.call(findCoordinatorApi, 4, { keyType: 1, coordinatorKeys: ['t'] });
    expect(coordinators[0]).toMatchObject({ errorCode: 53, nodeId: -1 });
  });
});

describe('groups over the wire', () => {
  it('refuses empty groups and bad sessions clearly', async () => {
    const { client } = await serve();
    expect((await joinGroup(client, { groupId: '' })).errorCode).toBe(24);
    expect((await joinGroup(client, { sessionTimeoutMs: 1 })).errorCode).toBe(26);
    expect((await joinGroup(client, { memberId: 'nobody' })).errorCode).toBe(25);
    expect((await joinGroup(client, { protocols: [] })).errorCode).toBe(23);
  });

  it.each([0, 3, 9])('joins at JoinGroup v%i', async (version) => {
    const { client } = await serve();
    const joined = await joinGroup(client, {}, version);
    expect(joined).toMatchObject({ errorCode: 0, generationId: 1, protocolName: 'range' });
    expect(joined.members).toHaveLength(1);
    expect(joined.leader).toBe(joined.memberId);
  });

  it('heartbeats and leaves', async () => {
    const { client } = await serve();
    const { memberId, generationId } = await member(client);
    expect(await client.call(heartbeatApi, 3, { groupId, generationId, memberId })).toMatchObject({ errorCode: 0 });
    expect(await client.call(heartbeatApi, 3, { groupId: 'other', generationId, memberId })).toMatchObject({ errorCode: 25 });
    const left = await client.call(leaveGroupApi, 3, { groupId, members: [{ memberId }, { memberId: 'nobody' }] });
    expect(left.members.map(({ errorCode }) => errorCode)).toEqual([0, 25]);
    expect(await client.call(heartbeatApi, 3, { groupId, generationId, memberId })).toMatchObject({ errorCode: 25 });
  });
});

describe('committed offsets', () => {
  it('come back with leader epoch and metadata, also after a restart', async () => {
    const dataDir = await temporaryFolder();
    const { broker, client } = await serve(dataDir);
    await client.createTopic('a');
    const by = await member(client);
    expect(await commit(client, { offset: 7, epoch: 3, metadata: 'žluť', member: by })).toBe(0);
    expect(await commit(client, { offset: 9, epoch: 4, metadata: 'm', member: by })).toBe(0);
    const expected = { committedOffset: 9, committedLeaderEpoch: 4, metadata: 'm', errorCode: 0 };
    expect(await committed(client)).toEqual(expected);
    await broker.close();
    const later = await serve(dataDir);
    expect(await committed(later.client)).toEqual(expected);
    const { memberId, generationId } = by;
    expect(await later.client.call(heartbeatApi, 3, { groupId, generationId, memberId })).toMatchObject({ errorCode: 0 });
  });

  it('are −1 without error where there are none', async () => {
    const { client } = await serve();
    expect(await committed(client, 'a', 'unknown')).toEqual(none);
  });

  it('are listed for a group as a whole, for several groups from v8', async () => {
    const { client } = await serve();
    await client.createTopic('a');
    await commit(client, { offset: 1 });
    await commit(client, { offset: 2, group: 'h' });
    const all = await client.call(offsetFetchApi, 2, { groupId, topics: null });
    expect(all.topics).toMatchObject([{ name: 'a', partitions: [{ committedOffset: 1 }] }]);
    const { groups } = await client.call(offsetFetchApi, 9, {
      groups: [
        { groupId, topics: null },
        { groupId: 'h', topics: null },
      ],
    });
    expect(groups.map((group) => group.topics[0]!.partitions[0]!.committedOffset)).toEqual([1, 2]);
  });

  it('are refused from strangers, for unknown topics and with long metadata', async () => {
    const { client } = await serve();
    await client.createTopic('a');
    const by = await member(client);
    expect(await commit(client, { offset: 1, member: { ...by, generationId: 99 } })).toBe(22);
    expect(await commit(client, { offset: 1, member: { ...by, memberId: 'nobody' } })).toBe(25);
    expect(await commit(client, { offset: 1 })).toBe(25);
    expect(await commit(client, { offset: 1, member: { ...by, generationId: 3 }, group: 'unknown' })).toBe(22);
    expect(await commit(client, { offset: 1, member: by, topic: 'none' })).toBe(3);
    expect(await commit(client, { offset: 1, member: by, metadata: 'x'.repeat(4097) })).toBe(12);
    expect(await committed(client)).toEqual(none);
  });

  it('make a group, as in Kafka, also where their metadata is too long, but not where there is no such partition', async () => {
    const { client } = await serve();
    await client.createTopic('a');
    expect(await commit(client, { offset: 1, group: 'g1', topic: 'none' })).toBe(3);
    expect(await commit(client, { offset: 1, group: 'g2', metadata: 'x'.repeat(4097) })).toBe(12);
    const deleted = await client.call(deleteGroupsApi, 2, { groupsNames: ['g1', 'g2'] });
    expect(deleted.results.map(({ errorCode }) => errorCode)).toEqual([69, 0]);
  });

  it('go by the id of their topic from v10', async () => {
    const { client } = await serve();
    const id = await client.createTopic('a');
    const stranger = topicId('3e7Qm1W0RbSZ8u1f8D6X9A');
    const partitions = [{ partitionIndex: 0, committedOffset: 7, committedLeaderEpoch: 2, committedMetadata: 'm' }];
    const asked = [stranger, id, zeroTopicId].map((each) => ({ topicId: each, partitions }));
    const answer = await client.call(offsetCommitApi, 10, { groupId, topics: asked });
    expect(answer.topics.map((topic) => [topic.topicId, topic.partitions[0]!.errorCode])).toEqual([
      [stranger, 100],
      [id, 0],
      [zeroTopicId, 100],
    ]);
    const wanted = [stranger, id].map((each) => ({ topicId: each, partitionIndexes: [0] }));
    const { groups } = await client.call(offsetFetchApi, 10, {
      groups: [
        { groupId, topics: wanted },
        { groupId, topics: null },
      ],
    });
    const known = { topicId: id, partitions: [{ committedOffset: 7, committedLeaderEpoch: 2, metadata: 'm', errorCode: 0 }] };
    expect(groups[0]!.topics).toMatchObject([known, { topicId: stranger, partitions: [{ committedOffset: -1, errorCode: 100 }] }]);
    expect(groups[1]!.topics).toMatchObject([known]);
  });

  it('tell a group that is not there from a generation that is not its, from v9', async () => {
    const { client } = await serve();
    await client.createTopic('a');
    const partitions = [{ partitionIndex: 0, committedOffset: 7, committedMetadata: '' }];
    const body = { groupId: 'none', generationIdOrMemberEpoch: 1, memberId: 'm', topics: [{ name: 'a', partitions }] };
    const at = async (version: number) => (await client.call(offsetCommitApi, version, body)).topics[0]!.partitions[0]!.errorCode;
    expect([await at(8), await at(9)]).toEqual([22, 69]);
  });

  it('are not said to be none where the log of the group is damaged', async () => {
    const dataDir = await temporaryFolder();
    const { broker, client } = await serve(dataDir);
    await client.createTopic('a');
    await commit(client, { offset: 5 });
    await broker.close();
    const file = join(dataDir, 'log', `__consumer_offsets-${groupPartition(groupId, 3)}`, '00000000000000000000.log');
    const bytes = await readFile(file);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(file, bytes);
    const later = await serve(dataDir);
    expect(await committed(later.client)).toMatchObject({ errorCode: 15, committedOffset: -1 });
    expect(await commit(later.client, { offset: 6 })).toBe(15);
    expect((await joinGroup(later.client)).errorCode).toBe(15);
    const elsewhere = ['h', 'i', 'j', 'k'].find((group) => groupPartition(group, 3) !== groupPartition(groupId, 3))!;
    expect(await committed(later.client, 'a', elsewhere)).toEqual(none);
  });

  it('go with their topic, and do not come back with another of its name, after a restart either', async () => {
    const dataDir = await temporaryFolder();
    const { broker, client } = await serve(dataDir);
    await client.createTopic('a');
    await commit(client, { offset: 5 });
    await client.call(deleteTopicsApi, 1, { topicNames: ['a'], timeoutMs: 1 });
    await client.createTopic('a');
    expect(await committed(client)).toEqual(none);
    await broker.close();
    const later = await serve(dataDir);
    expect(await committed(later.client)).toEqual(none);
  });
});
