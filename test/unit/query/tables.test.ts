// Which snapshot of a table a query begins on, as time passes and the table goes on.
import { describe, expect, it } from 'vitest';
import type { TopicState } from '../../../src/control/index.js';
import { type Clock, LakeError, systemClock, systemRandom, topicId } from '../../../src/kernel/index.js';
import { openTopicTable } from '../../../src/lake/index.js';
import { faultyStore, type StoreCall } from '../../../src/objects/index.js';
import { Tables } from '../../../src/query/tables.js';
import { silentLogger } from '../../../src/telemetry/index.js';
import { change, cluster, coldFile, id, memoryStore, move, openTable, topic } from '../lake/table-fixture.js';

const usableForMs = 1000;
const partition = { partition: 0, logStartOffset: 0, localStartOffset: 0, boundary: 10 };
const state = { name: topic, id, partitions: [partition] } as unknown as TopicState;

async function world() {
  const store = memoryStore();
  const table = openTable(store);
  const file = coldFile(table, 0, 0, 9);
  await table.commit(change([{ partition: 0, from: 0, to: 10, leaderEpoch: 0, files: [file] }]));
  let nowMs = 0;
  const clock = { nowMs: Date.now, monotonicMs: () => nowMs, sleep: () => new Promise<void>(() => undefined) } as Clock;
  const tables = new Tables(store, { clock, random: systemRandom }, silentLogger, usableForMs);
  const signal = new AbortController().signal;
  return {
    files: async () => (await tables.snapshot(cluster, state, signal)).files.map(({ key }) => key),
    pass: (ms: number) => (nowMs += ms),
    distrust: (key: string) => tables.distrust(key),
    first: file.key,
    /** The file's place is taken by another one. */
    rewrite: async () => {
      const output = coldFile(table, 0, 0, 9);
      await table.commit({ ...change([]), rewrites: [{ partition: 0, inputs: [file.key], outputs: [output] }] });
      return output.key;
    },
  };
}

describe('the snapshot of a query', () => {
  it('is the known one while it is young, refreshed behind the queries after half of its time, and never one that is too old', async () => {
    const { files, pass, first, rewrite } = await world();
    expect(await files()).toEqual([first]);
    const second = await rewrite();
    pass(usableForMs / 2 - 1);
    expect(await files()).toEqual([first]);
    pass(usableForMs / 2 + 1);
    // Too old: this query waits for the newer one.
    expect(await files()).toEqual([second]);
  });

  it('is looked for anew where an object of it is gone', async () => {
    const { files, distrust, first, rewrite } = await world();
    expect(await files()).toEqual([first]);
    const second = await rewrite();
    expect(distrust('elsewhere/data/x.parquet')).toBe(false);
    expect(await files()).toEqual([first]);
    expect(distrust(first)).toBe(true);
    expect(await files()).toEqual([second]);
  });

  it('is refreshed without a query having to wait', async () => {
    const { files, pass, first, rewrite } = await world();
    expect(await files()).toEqual([first]);
    const second = await rewrite();
    pass(usableForMs / 2);
    expect(await files()).toEqual([first]);
    await expect.poll(files).toEqual([second]);
  });

  it('is not needed while the bucket is away, as long as the hot log reaches down to its start', async () => {
    const away = new LakeError('store-unavailable', 'the bucket is away', { retriable: true });
    const refuse = (): never => {
      throw away;
    };
    const store = new Proxy(memoryStore(), { get: () => refuse });
    const clock = { nowMs: Date.now, monotonicMs: () => 0, sleep: () => new Promise<void>(() => undefined) } as Clock;
    const tables = new Tables(store, { clock, random: systemRandom }, silentLogger, usableForMs);
    const ask = (localStartOffset: number) =>
      tables.snapshot(
        cluster,
        { ...state, partitions: [{ ...partition, localStartOffset }] } as unknown as TopicState,
        new AbortController().signal,
      );
    expect(await ask(0)).toMatchObject({ topicId: id, files: [], partitions: [] });
    await expect(ask(5)).rejects.toMatchObject({ code: away.code, retriable: true });
  });
});

describe('the tables of a service', () => {
  it('read manifests by turns that they share, as they share the heap for them', async () => {
    const inner = memoryStore();
    const ids = [id, topicId('CCCCCCCCCCCCCCCCCCCCCQ')];
    for (const one of ids) {
      const ports = { clock: systemClock, random: systemRandom };
      const table = openTopicTable(inner, { topic, topicId: one, clusterId: cluster }, ports);
      for (let from = 0; from < 90; from += 10) await table.commit(change([move(table, 0, from, from + 10)]));
    }
    let underWay = 0;
    let most = 0;
    const isManifest = (call: StoreCall): boolean => call.operation === 'get' && /-m\d+\.avro$/.test(call.key);
    const store = faultyStore(inner, {
      before: async (call) => {
        if (!isManifest(call)) return;
        most = Math.max(most, ++underWay);
        await systemClock.sleep(20);
      },
      after: (call) => {
        if (isManifest(call)) underWay--;
      },
    });
    const tables = new Tables(store, { clock: systemClock, random: systemRandom }, silentLogger, usableForMs);
    // So much is cold that no older table will do.
    const wanting = { ...partition, localStartOffset: 90, boundary: 90 } as unknown as TopicState['partitions'][number];
    const asked = ids.map((one) => tables.snapshot(cluster, { ...state, id: one, partitions: [wanting] }, new AbortController().signal));
    expect((await Promise.all(asked)).map(({ files }) => files.length)).toEqual([9, 9]);
    expect(most).toBe(8);
  });
});
