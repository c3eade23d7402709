import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { entryPath } from '../../../src/kernel/index.js';
import { FlushPool } from '../../../src/log/flush-pool.js';
import { GroupFlush } from '../../../src/log/group-flush.js';
import type { PartitionLog } from '../../../src/log/index.js';
import { batch, looseConfig, openIn, readAll, temporaryFolder, topic, world } from './hot-world.js';

describe('a flush', () => {
  it('covers what was there when it was asked for', async () => {
    const { partition } = await world();
    partition.append(batch({ count: 3 }), 1);
    const first = partition.flush();
    expect(partition.flushedOffset).toBe(0);
    expect(await first).toEqual({ flushedOffset: 3, leaderEpoch: 0 });
    partition.append(batch(), 1);
    expect(await partition.flush(3)).toEqual({ flushedOffset: 3, leaderEpoch: 0 });
    expect(await partition.flush(4)).toEqual({ flushedOffset: 4, leaderEpoch: 0 });
  });

  it('goes across rolled segments', async () => {
    const { partition } = await world({ segmentBytes: 300 });
    for (let i = 0; i < 20; i++) partition.append(batch({ value: 'some value' }), 1);
    expect((await partition.flush()).flushedOffset).toBe(20);
  });

  it('covers all that was taken when the log is closed: what comes later is refused', async () => {
    const { log, partition } = await world();
    const state = { isClosed: false };
    const closing = log.close().then(() => {
      state.isClosed = true;
    });
    let taken = 0;
    while (!state.isClosed) {
      try {
        partition.append(batch(), 1);
        taken++;
      } catch (error) {
        expect(String(error)).toContain('is closed');
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await closing;
    expect(taken).toBeGreaterThan(0);
    expect([partition.flushedOffset, partition.logEndOffset]).toEqual([taken, taken]);
  });

  it('is shared by all who wait, and covers only what was there before it began', async () => {
    let endOffset = 0;
    const runs: { endOffset: number; end: () => void }[] = [];
    const prepare = () => {
      const mine = endOffset;
      return { endOffset: mine, run: () => new Promise<void>((resolve) => runs.push({ endOffset: mine, end: resolve })) };
    };
    const flusher = new GroupFlush(prepare, (work) => void setImmediate(work));
    const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(() => setImmediate(resolve)));
    const done: string[] = [];
    const ask = (name: string): void => {
      endOffset++;
      void flusher.ask(endOffset).then(() => done.push(name));
    };
    ask('a');
    ask('b');
    await turn();
    expect(runs.map((run) => run.endOffset)).toEqual([2]);
    ask('c');
    ask('d');
    await turn();
    expect(runs).toHaveLength(1);
    runs[0]?.end();
    await turn();
    expect(done).toEqual(['a', 'b']);
    expect(runs.map((run) => run.endOffset)).toEqual([2, 4]);
    runs[1]?.end();
    await turn();
    expect(done).toEqual(['a', 'b', 'c', 'd']);
  });

  it('that failed takes the partition offline, and no later one says otherwise', async () => {
    const { dir, log, partition } = await world();
    partition.append(batch(), 1);
    await partition.flush();
    partition.append(batch(), 1);
    await partition.flush();
    // A new segment's folder is flushed with it, and fails for real where it is not there.
    partition.updateConfig({ ...looseConfig, segmentBytes: 200 });
    for (let i = 0; i < 3; i++) partition.append(batch({ value: 'a value of some length' }), 1);
    fs.renameSync(join(dir, 'flights-0'), join(dir, 'moved'));
    await expect(partition.flush()).rejects.toMatchObject({ code: 'log-offline' });
    fs.renameSync(join(dir, 'moved'), join(dir, 'flights-0'));
    expect(partition.offline).toMatchObject({ code: 'log-offline' });
    await expect(partition.flush()).rejects.toMatchObject({ code: 'log-offline' });
    expect(() => partition.append(batch(), 1)).toThrow(expect.objectContaining({ kafkaCode: 56 }));
    expect(partition.flushedOffset).toBe(2);
    await log.close();
    expect(fs.existsSync(join(dir, '.kafka_cleanshutdown'))).toBe(false);
  });
});

describe('the flush workers', () => {
  it('name the file system error', async () => {
    const pool = new FlushPool(2);
    await expect(pool.replaceFile('/nowhere/at/all', Buffer.from('x'))).rejects.toMatchObject({ code: 'log-offline' });
    await expect(pool.flush([], ['/nowhere/at/all'])).rejects.toMatchObject({ code: 'log-offline' });
    await pool.close();
  });
});

/** Appends for ever and says what is flushed, one line an answer. */
const writer = `
const [{ openHotLog }, kernel, { encodeBatch }] = await Promise.all([import(process.argv[1]), import(process.argv[2]), import(process.argv[3])]);
const log = await openHotLog(
  { dir: process.argv[4], flushPolicy: 'group-commit', flushWorkers: 1, producerIdExpirationMs: 86400000 },
  { clock: kernel.systemClock },
);
const config = { segmentBytes: 20000, segmentMs: 1e9, indexIntervalBytes: 500, maxMessageBytes: 1e6, retentionMs: -1, retentionBytes: -1,
  localRetentionMs: -1, localRetentionBytes: -1, isTiered: true, timestampBeforeMaxMs: 1e15, timestampAfterMaxMs: 1e15 };
const [partition] = await log.createPartitions('flights', '7Qm0V4nQTMmTsA3nU8qR2w', [0], config);
for (let i = partition.logEndOffset; ; i++) {
  const records = [{ timestampMs: 1000 + i, key: null, value: Buffer.from('value ' + i) }];
  partition.append(encodeBatch({ records, producerId: 7n, producerEpoch: 0, baseSequence: i }), Date.now());
  if (i % 7 === 0) process.stdout.write((await partition.flush()).flushedOffset + '\\n');
}
`;

describe('a writer that is killed', () => {
  it('leaves every record it saw flushed, in order and once', { timeout: 60_000 }, async () => {
    const dir = join(await temporaryFolder(), 'log');
    for (let round = 0; round < 4; round++) {
      const modules = ['log/index', 'kernel/index', 'wire/index'].map(entryPath);
      const child = spawn(process.execPath, ['--input-type=module', '-e', writer, ...modules, dir], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let flushed = 0;
      let answers = 0;
      for await (const line of createInterface({ input: child.stdout })) {
        flushed = Number(line);
        if (++answers === 20 + round * 17) child.kill('SIGKILL');
      }
      expect(answers).toBeGreaterThanOrEqual(20);
      const log = await openIn(dir);
      const partition = log.partition(topic, 0) as PartitionLog;
      expect(partition.offline).toBeUndefined();
      expect(partition.logEndOffset).toBeGreaterThanOrEqual(flushed);
      expect(partition.leaderEpoch).toBe(round + 1);
      const records = await readAll(partition);
      expect(records.map((record) => record.value)).toEqual(records.map((_record, i) => `value ${i}`));
      expect(records).toHaveLength(partition.logEndOffset);
      await log.close();
    }
  });
});
