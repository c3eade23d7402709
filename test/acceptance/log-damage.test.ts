// A byte of the hot log changes on disk before it is tiered: the daemon meets it, the broker takes the partition offline and says where and
// what to do, and nothing of it becomes cold.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Lake, Refusal } from '../support/lake.js';
import { runCommand, temporaryFolder } from '../support/service.js';
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
    expect(reasons).toContain('Restore the file from a copy');
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
    expect(later.hint).toContain('Restore the file from a copy');
  });

  it('is found while nobody reads it, known after a restart, and gone with a sound copy', async () => {
    const folder = await temporaryFolder();
    await using _removed: AsyncDisposable = { [Symbol.asyncDispose]: () => folder.remove() };
    const dataDir = join(folder.path, 'data');
    const start = (bytesPerSecond: string) =>
      Lake.start({ dataDir, set: { 'log.scrub.bytes.per.second': bytesPerSecond, 'log.scrub.interval.ms': '200' } });
    const pathOf = (partition: number) => join(dataDir, 'log', `orders-${partition}`, `${'0'.repeat(20)}.log`);
    const ready = async (lake: Lake): Promise<string> => (await fetch(new URL('/readyz', lake.service.http))).text();
    const metric = async (lake: Lake, name: string): Promise<number> => {
      const text = await (await fetch(new URL('/metrics', lake.service.http))).text();
      return Number(new RegExp(`^thermocline_${name} (.*)$`, 'm').exec(text)![1]);
    };
    const values = ['one', 'two', 'three'].map((word) => Buffer.from(word.padEnd(500_000, '.')));
    const good: Buffer[] = [];
    {
      await using lake = await start(String(64 << 20));
      await lake.createTopic('orders', 2, { 'remote.storage.enable': 'false', 'segment.bytes': String(1 << 20) });
      for (const partition of [0, 1]) {
        // The first partition has a sealed segment and an active one, the other an active one.
        for (const value of values.slice(0, partition === 0 ? 3 : 1)) await lake.produce('orders', [{ key: null, value, partition }]);
      }
      expect(readdirSync(join(dataDir, 'log', 'orders-0')).filter((name) => name.endsWith('.log'))).toHaveLength(2);
      const sound = await metric(lake, 'log_scrub_last_round_seconds');
      await eventually('a round over it', async () =>
        (await metric(lake, 'log_scrub_last_round_seconds')) > sound + 1 ? true : undefined,
      );
      expect(await metric(lake, 'log_scrub_findings_total')).toBe(0);
      expect(await metric(lake, 'log_scrubbed_bytes_total')).toBeGreaterThan(2_000_000);
      for (const partition of [0, 1]) {
        good.push(readFileSync(pathOf(partition)));
        damage(pathOf(partition), 'one');
      }
      await eventually('both are found', async () => ((await metric(lake, 'log_scrub_findings_total')) === 2 ? true : undefined));
      const reasons = await ready(lake);
      for (const partition of [0, 1]) expect(reasons).toContain(`${pathOf(partition)} is damaged at 0: the CRC does not match`);
      expect(lake.service.log()).toContain('the scrub found damage in the hot log');
      lake.service.kill('SIGKILL');
      await lake.service.ended;
    }
    const damaged = [0, 1].map((partition) => readFileSync(pathOf(partition)));
    {
      await using lake = await start('0');
      const reasons = await ready(lake);
      for (const partition of [0, 1]) expect(reasons).toContain(`${pathOf(partition)} is damaged at 0: the CRC does not match`);
      await lake.stop();
    }
    expect([0, 1].map((partition) => readFileSync(pathOf(partition)))).toEqual(damaged);
    for (const partition of [0, 1]) writeFileSync(pathOf(partition), good[partition]!);
    await using lake = await start('0');
    expect(await ready(lake)).not.toContain('damaged');
    for (const [partition, count] of [3, 1].entries()) {
      const read = (await lake.consume('orders', partition)).map(({ value }) => value!.subarray(0, 5).toString());
      expect(read).toEqual(values.slice(0, count).map((value) => value.subarray(0, 5).toString()));
    }
    await lake.produce('orders', recordsOf(0));

    const scrub = (topic: string) => runCommand(['topic', 'scrub', topic], { environment: { THERMOCLINE_SERVER: lake.service.http } });
    expect(await scrub('orders')).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringMatching(/ read; 0 damaged; 0 partitions/) as string,
    });
    damage(pathOf(1), 'one');
    const found = await scrub('orders');
    expect(found).toMatchObject({ code: 10, stderr: expect.stringMatching(/ read; 1 damaged; 1 partition offline/) as string });
    expect(JSON.parse(found.stdout)).toEqual({ partition: 1, offline: `${pathOf(1)} is damaged at 0: the CRC does not match` });
    expect((await scrub('nobody')).code).toBe(3);
  });
});
