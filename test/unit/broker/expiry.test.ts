// Committed offsets by age (KIP-211): which rule holds for a group, and what a broker forgets by it.
import { describe, expect, it } from 'vitest';
import { classicRule, expiredOffsets } from '../../../src/broker/groups/expiry.js';
import { Output } from '../../../src/broker/groups/record-bytes.js';
import {
  consumerGroupHeartbeatApi,
  deleteGroupsApi,
  describeGroupsApi,
  heartbeatApi,
  joinGroupApi,
  leaveGroupApi,
  listGroupsApi,
  offsetCommitApi,
  offsetFetchApi,
  syncGroupApi,
} from '../../../src/wire/index.js';
import { temporaryFolder, testBroker, WireClient } from './broker-fixture.js';
import { ManualClock } from './manual-clock.js';

const committed = (committedMs: number, more: object = {}) => ({ offset: 1, leaderEpoch: -1, metadata: '', committedMs, ...more });
/** Asked again and again: what a check forgets goes through a real disk. */
const soon = <T>(ask: () => Promise<T>) => expect.poll(ask, { timeout: 20_000 });
const nothing = (): boolean => false;

describe('the rule for expiry', () => {
  const offsets = new Map([
    [
      'a',
      new Map([
        [0, committed(100)],
        [1, committed(200)],
      ]),
    ],
    ['b', new Map([[0, committed(100)]])],
  ]);
  const expired = (...rule: Parameters<typeof classicRule>) => {
    const found = classicRule(...rule);
    return found === undefined
      ? undefined
      : expiredOffsets(offsets, found, 1100, 1000).map(({ topic, partition }) => `${topic}${partition}`);
  };

  it('counts from the commit for simple consumers, and from when it became empty for a group', () => {
    expect(expired(undefined, nothing)).toEqual(['a0', 'b0']);
    expect(expired({ state: 'empty', protocolType: null, stateSinceMs: 900 }, nothing)).toEqual(['a0', 'b0']);
    expect(expired({ state: 'empty', protocolType: 'consumer', stateSinceMs: 101 }, nothing)).toEqual([]);
    expect(expired({ state: 'empty', protocolType: 'consumer', stateSinceMs: 100 }, nothing)).toEqual(['a0', 'a1', 'b0']);
    expect(expired({ state: 'empty', protocolType: 'consumer', stateSinceMs: null }, nothing)).toEqual(['a0', 'b0']);
  });

  it('keeps what a stable group consumes, and everything while a group rebalances or says not what it consumes', () => {
    expect(expired({ state: 'stable', protocolType: 'consumer', stateSinceMs: 0 }, (topic) => topic === 'a')).toEqual(['b0']);
    expect(expired({ state: 'preparing-rebalance', protocolType: 'consumer', stateSinceMs: 0 }, nothing)).toBeUndefined();
    expect(expired({ state: 'stable', protocolType: 'connect', stateSinceMs: 0 }, nothing)).toBeUndefined();
  });

  it('goes by what the commit asked for before all else', () => {
    const asked = new Map([
      [
        'a',
        new Map([
          [0, committed(1090, { expireMs: 1100 })],
          [1, committed(0, { expireMs: 1101 })],
        ]),
      ],
    ]);
    expect(expiredOffsets(asked, classicRule(undefined, nothing)!, 1100, 1000)).toEqual([{ topic: 'a', partition: 0 }]);
  });
});

const flags = { 'offsets.retention.minutes': '1', 'offsets.retention.check.interval.ms': '10000' };
const subscription = new Output().int16(0).int32(1).string('a').int32(-1).done();

async function serve(clock: ManualClock, dataDir: string) {
  const broker = await testBroker({ flags, dataDir, clock });
  return { broker, client: await WireClient.open(broker) };
}

async function commit(client: WireClient, groupId: string, topic: string, by: object = {}, version = 7): Promise<number> {
  const partitions = [{ partitionIndex: 0, committedOffset: 5, committedMetadata: '' }];
  const { topics } = await client.call(offsetCommitApi, version, { groupId, topics: [{ name: topic, partitions }], ...by });
  return topics[0]!.partitions[0]!.errorCode;
}

async function positions(client: WireClient, groupId: string): Promise<string[]> {
  const { topics } = await client.call(offsetFetchApi, 7, { groupId, topics: null });
  return topics.map(({ name }) => name).toSorted((a, b) => (a < b ? -1 : 1));
}

const groups = async (client: WireClient) =>
  (await client.call(listGroupsApi, 5, {})).groups
    .map(({ groupId, groupState }) => `${groupId} ${groupState}`)
    .toSorted((a, b) => (a < b ? -1 : 1));

async function joined(client: WireClient, groupId: string) {
  const asked = { groupId, sessionTimeoutMs: 1_800_000, rebalanceTimeoutMs: 1_800_000, memberId: '', protocolType: 'consumer' };
  const { memberId, generationId } = await client.call(joinGroupApi, 3, {
    ...asked,
    protocols: [{ name: 'range', metadata: subscription }],
  });
  await client.call(syncGroupApi, 3, { groupId, generationId, memberId, assignments: [{ memberId, assignment: Buffer.alloc(0) }] });
  return { memberId, generationId };
}

describe('a broker', () => {
  it('forgets offsets and empty groups in time, and what members consume never, also over a restart', async () => {
    const clock = new ManualClock();
    const dataDir = await temporaryFolder();
    const { broker, client } = await serve(clock, dataDir);
    for (const topic of ['a', 'b']) await client.createTopic(topic);
    const stays = await joined(client, 'stays');
    const leaves = await joined(client, 'leaves');
    const asStays = { memberId: stays.memberId, generationIdOrMemberEpoch: stays.generationId };
    for (const topic of ['a', 'b']) expect(await commit(client, 'stays', topic, asStays)).toBe(0);
    expect(await commit(client, 'leaves', 'a', { memberId: leaves.memberId, generationIdOrMemberEpoch: leaves.generationId })).toBe(0);
    expect(await commit(client, 'simple', 'a')).toBe(0);
    expect(await commit(client, 'asked', 'a', { retentionTimeMs: 15_000 }, 4)).toBe(0);
    await clock.advance(30_000);
    await soon(() => groups(client)).toEqual(['leaves Stable', 'simple Empty', 'stays Stable']);
    await client.call(leaveGroupApi, 2, { groupId: 'leaves', memberId: leaves.memberId });
    await clock.advance(35_000);
    // A check begins some time after the end of the one before, which waits for a real disk.
    const aMomentLater = async <T>(ask: () => Promise<T>): Promise<T> => {
      await clock.advance(500);
      return ask();
    };
    await soon(() => aMomentLater(() => positions(client, 'stays'))).toEqual(['a']);
    await soon(() => positions(client, 'simple')).toEqual([]);
    await soon(() => groups(client)).toEqual(['leaves Empty', 'stays Stable']);
    await broker.close();

    const later = await serve(clock, dataDir);
    await soon(() => positions(later.client, 'leaves')).toEqual(['a']);
    await clock.advance(30_000);
    await soon(() => groups(later.client)).toEqual(['stays Stable']);
    await later.broker.close();
    const last = await serve(clock, dataDir);
    await soon(() => groups(last.client)).toEqual(['stays Stable']);
    await soon(() => positions(last.client, 'leaves')).toEqual([]);
    expect((await last.client.call(heartbeatApi, 3, { groupId: 'stays', ...stays })).errorCode).toBe(0);
  });

  it('keeps an empty group without offsets until the next check, with its protocol', async () => {
    const clock = new ManualClock();
    const { client } = await serve(clock, await temporaryFolder());
    const { memberId } = await joined(client, 'g');
    await client.call(leaveGroupApi, 2, { groupId: 'g', memberId });
    const described = await client.call(describeGroupsApi, 6, { groups: ['g'] });
    expect(described.groups[0]).toMatchObject({ errorCode: 0, groupState: 'Empty', protocolType: 'consumer' });
    expect(await commit(client, 'g', 'a', { memberId, generationIdOrMemberEpoch: 1 })).toBe(3);
    await clock.advance(10_000);
    await soon(() => groups(client)).toEqual([]);
    expect((await client.call(deleteGroupsApi, 2, { groupsNames: ['g'] })).results[0]!.errorCode).toBe(69);
  });

  it('forgets groups of the new protocol alike', async () => {
    const clock = new ManualClock();
    const { client } = await serve(clock, await temporaryFolder());
    for (const topic of ['a', 'b']) await client.createTopic(topic);
    const beat = (over: object) => client.call(consumerGroupHeartbeatApi, 1, { groupId: 'g', memberId: 'm', memberEpoch: 0, ...over });
    const { memberEpoch } = await beat({ rebalanceTimeoutMs: 60_000, subscribedTopicNames: ['a'], topicPartitions: [] });
    for (const topic of ['a', 'b'])
      expect(await commit(client, 'g', topic, { memberId: 'm', generationIdOrMemberEpoch: memberEpoch }, 9)).toBe(0);
    expect(await commit(client, 'g', 'a', { memberId: 'm', generationIdOrMemberEpoch: memberEpoch }, 8)).toBe(35);
    for (let i = 0; i < 4; i++) {
      await clock.advance(20_000);
      await beat({ memberEpoch });
    }
    await soon(() => positions(client, 'g')).toEqual(['a']);
    await beat({ memberEpoch: -1 });
    await clock.advance(70_000);
    await soon(() => groups(client)).toEqual([]);
  });
});
