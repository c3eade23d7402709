// A byte of the hot log changes on disk before it is tiered: the daemon meets it, the broker takes the partition offline and says where and
// what to do, and nothing of it becomes cold.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Lake, Refusal } from '../support/lake.js';
import { canSeeProcesses, eventually, processesBelow } from '../support/processes.js';

function damage(path: string, word: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.indexOf(word)]! ^= 0x20;
  writeFileSync(path, bytes, { flag: 'r+' });
}

const recordsOf = (partition: number) =>
  ['one', 'two', 'three'].map((name) => ({ key: null, value: Buffer.from(`{"name":"${name}"}`), partition }));

describe.skipIf(!canSeeProcesses)('a record that is damaged in the hot log', () => {
  it('is not tiered, and its partition goes offline', async () => {
    await using lake = await Lake.start();
    await lake.createTopic('orders', 2, { 'lake.commit.interval.ms': '3600000' });
    const daemon = processesBelow(lake.service.pid).find(({ kind }) => kind === 'tier')!;
    // Else it has fetched the record before it is damaged.
    process.kill(daemon.pid, 'SIGSTOP');
    const path = join(lake.service.dataDir, 'log', 'orders-0', `${'0'.repeat(20)}.log`);
    try {
      for (const partition of [0, 1]) await lake.produce('orders', recordsOf(partition));
      damage(path, 'two');
    } finally {
      process.kill(daemon.pid, 'SIGCONT');
    }
    const damaged = readFileSync(path);
    await expect(lake.flush('orders')).rejects.toBeInstanceOf(Refusal);
    const reasons = await eventually('the partition is offline', async () => {
      const ready = await fetch(new URL('/readyz', lake.service.http));
      const text = await ready.text();
      return text.includes('is damaged at') ? text : undefined;
    });
    expect(reasons).toContain(path);
    await eventually('the other partition is cold', async () => ((await lake.storage('orders'))[1]!.boundary === 3 ? true : undefined));
    expect((await lake.storage('orders'))[0]).toMatchObject({ boundary: 0 });
    const data = [...lake.objects().keys()].filter((key) => key.includes('/data/'));
    expect(data).toHaveLength(1);
    expect(data[0]).toContain('/p=1/');
    const late = [{ key: null, value: Buffer.from('late'), partition: 0 }];
    await expect(lake.produce('orders', late, { deliveryTimeoutMs: 3_000 })).rejects.toThrow();
    expect(readFileSync(path)).toEqual(damaged);
  });

  it('fails the query that meets it, which says which file, where and what to do, also where nothing is tiered', async () => {
    await using lake = await Lake.start();
    await lake.createTopic('orders', 2, { 'remote.storage.enable': 'false' });
    const path = join(lake.service.dataDir, 'log', 'orders-0', `${'0'.repeat(20)}.log`);
    for (const partition of [0, 1]) await lake.produce('orders', recordsOf(partition));
    damage(path, 'two');
    const problemOf = async (sql: string): Promise<Refusal['problem']> => {
      const refusal = await lake.sql(sql).catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(Refusal);
      return (refusal as Refusal).problem;
    };
    const met = await problemOf('SELECT name FROM orders');
    expect(met.code).toBe('batch-corrupt');
    expect(met.detail).toContain(`the hot log of orders-0 is damaged: ${path} is damaged at 0: the CRC does not match`);
    expect(met.hint).toContain('restore the file from a copy and restart the broker');
    const later = await problemOf('SELECT name FROM orders');
    expect(later.code).toBe('log-offline');
    expect(later.detail).toContain(`orders-0 is offline: ${path} is damaged at 0`);
    expect(later.hint).toContain('restore it from a copy');
  });
});
