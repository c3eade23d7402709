// What the broker tells the bucket's keeper: enough to start again, in messages of bounded size.
import { describe, expect, it } from 'vitest';
import type { Broker } from '../../../src/broker/index.js';
import type { ControlResult, NotedGroup, NotedGroups } from '../../../src/control/index.js';
import { deleteTopicsApi, initProducerIdApi, offsetCommitApi } from '../../../src/wire/index.js';
import { batchOf, temporaryFolder, testBroker, WireClient } from './broker-fixture.js';

type State = ControlResult<'broker.cluster-state'>;

async function ask(broker: Broker, withOffsets: boolean): Promise<{ readonly state: State; readonly parts: NotedGroup[][] }> {
  const parts: NotedGroup[][] = [];
  const state = await broker.controlHandlers['broker.cluster-state']!(
    { withOffsets },
    {
      peer: { role: 'tier', pid: 1, version: '0' },
      signal: AbortSignal.timeout(10_000),
      sendPart: async (facts) => void parts.push([...(facts as NotedGroups).groups]),
    },
  );
  return { state, parts };
}

async function commit(client: WireClient, groupId: string, topic: string, partitions: readonly number[], offset: number): Promise<void> {
  const { topics } = await client.call(offsetCommitApi, 8, {
    groupId,
    generationIdOrMemberEpoch: -1,
    topics: [
      {
        name: topic,
        partitions: partitions.map((partitionIndex) => ({ partitionIndex, committedOffset: offset, committedMetadata: 'm' })),
      },
    ],
  });
  for (const { errorCode } of topics.flatMap(({ partitions: answered }) => answered)) expect(errorCode).toBe(0);
}

describe('what the bucket keeps of the broker', () => {
  it('has topics with ids, keys and ends, and a producer id that nobody got', async () => {
    const broker = await testBroker();
    const client = await WireClient.open(broker);
    const id = await client.createTopic('t', 2, { 'segment.ms': '60000' });
    await client.produce('t', batchOf(['a', 'b', 'c']), { partition: 1 });
    const { producerId } = await client.call(initProducerIdApi, 4, { transactionalId: null, transactionTimeoutMs: 1000 });
    const { state, parts } = await ask(broker, true);
    expect(parts).toEqual([]);
    expect(state.clusterId).toBe(broker.clusterId);
    expect(state.kafka).toBe(`127.0.0.1:${broker.kafkaAddress.port}`);
    expect(BigInt(state.nextProducerId)).toBeGreaterThan(producerId);
    expect(state.topics).toMatchObject([{ name: 't', id, isInternal: false, isTiered: true, overrides: { 'segment.ms': '60000' } }]);
    expect(state.topics[0]!.partitions).toEqual([
      { logStartOffset: 0, boundary: 0, highWatermark: 0, leaderEpoch: 0 },
      { logStartOffset: 0, boundary: 0, highWatermark: 3, leaderEpoch: 0 },
    ]);
  });

  it('has all that groups have committed, at most 1,000 offsets a part', async () => {
    const broker = await testBroker();
    const client = await WireClient.open(broker);
    const all = Array.from({ length: 300 }, (_, partition) => partition);
    await client.createTopic('t', all.length);
    for (let group = 0; group < 9; group++) await commit(client, `g${group}`, 't', all, group);
    const { parts } = await ask(broker, true);
    expect(parts.length).toBeGreaterThan(2);
    const seen = new Map<string, number>();
    for (const part of parts) {
      expect(part.reduce((sum, { offsets }) => sum + offsets.length, 0)).toBeLessThanOrEqual(1000);
      for (const { group, offsets } of part) {
        for (const entry of offsets) {
          expect(entry).toMatchObject({ topic: 't', offset: Number(group.slice(1)), metadata: 'm' });
          seen.set(`${group}/${entry.partition}`, entry.offset);
        }
      }
    }
    expect(seen.size).toBe(9 * 300);
    expect((await ask(broker, false)).parts).toEqual([]);
  });

  it('says by its revision when committed offsets have changed, and in another run', async () => {
    const dataDir = await temporaryFolder();
    const revision = async (broker: Broker): Promise<string> => (await ask(broker, false)).state.offsetsRevision;
    const broker = await testBroker({ dataDir });
    const client = await WireClient.open(broker);
    await client.createTopic('t');
    const seen = [await revision(broker)];
    expect(await revision(broker)).toBe(seen[0]);
    await commit(client, 'g', 't', [0], 1);
    seen.push(await revision(broker));
    await client.call(deleteTopicsApi, 6, { topics: [{ name: 't' }], timeoutMs: 1000 });
    seen.push(await revision(broker));
    const { state } = await ask(broker, true);
    expect(state.dropped.map(({ name }) => name)).toEqual(['t']);
    await broker.close();
    seen.push(await revision(await testBroker({ dataDir })));
    expect(new Set(seen).size).toBe(4);
  });
});
