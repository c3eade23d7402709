import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { entryPath, systemClock } from '../../../src/kernel/index.js';
import { EnginePool } from '../../../src/query/engine.js';
import type { RunQuery } from '../../../src/query/engine-protocol.js';
import { silentLogger } from '../../../src/telemetry/index.js';

const MiB = 2 ** 20;
const ending: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

async function pool(): Promise<{ engines: EnginePool; directory: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'thermocline-engines-'));
  ending.push(() => rm(folder, { recursive: true, force: true }));
  const directory = join(folder, 'leases');
  const engines = await EnginePool.open({
    directory,
    engines: 1,
    niceness: 0,
    memoryBytes: 256 * MiB,
    spillBytes: MiB,
    prelude: [],
    clock: systemClock,
    logger: silentLogger,
  });
  engines.start();
  ending.push(() => engines.close());
  return { engines, directory };
}

const runOf = (sql: string, setup: string[]): RunQuery => ({
  type: 'run',
  isWide: false,
  sql,
  setup,
  prelude: [],
  threads: 1,
  isDescribed: false,
  parameters: [],
  shape: 'rows',
  fileBytesMax: 1,
  credits: 4,
  maxRows: 10,
});

describe('the pool of query engines', () => {
  it('replaces a spare that died while it was started, without a query hearing of it', async () => {
    const { engines } = await pool();
    for (const pid of engines.pids) process.kill(pid, 'SIGKILL');
    const session = await engines.claim(new AbortController().signal);
    expect((await session.ask({ type: 'parse', sql: 'SELECT 1' }, 'parsed')).tables).toEqual([]);
    await session.release();
  });

  it('replaces a spare that died while it waited, and leaves nothing of it', async () => {
    const { engines, directory } = await pool();
    const { signal } = new AbortController();
    await (await engines.claim(signal)).release();
    const [killed] = engines.pids;
    process.kill(killed!, 'SIGKILL');
    const session = await engines.claim(signal);
    expect(session.pid).not.toBe(killed);
    expect(engines.pids).toEqual([session.pid]);
    expect(new Set((await readdir(directory)).map((name) => name.split('-')[1]))).toEqual(new Set([session.lease.split('-')[1]]));
    await session.release();
  });

  it('begins with what it is told at the claim, and answers whatever it is asked after all', async () => {
    const { engines } = await pool();
    const { signal } = new AbortController();
    const parseOf = (table: string) => ({ type: 'parse', sql: `SELECT * FROM ${table}` }) as const;
    const broken = { type: 'parse', sql: 'SELECT FROM WHERE' } as const;
    const cases = [
      { first: parseOf('a'), asked: ['a', 'b', 'a'] },
      { first: parseOf('a'), asked: ['b', 'a'] },
      { first: broken, asked: ['a', 'b'] },
      { first: parseOf('a'), asked: [] },
    ];
    for (const { first, asked } of cases) {
      const session = await engines.claim(signal, first);
      for (const name of asked) expect((await session.ask(parseOf(name), 'parsed')).tables.map((table) => table.name)).toEqual([name]);
      await session.release();
    }
    const session = await engines.claim(signal, broken);
    await expect(session.ask(broken, 'parsed')).rejects.toMatchObject({ code: 'query-invalid' });
    expect((await session.ask(parseOf('c'), 'parsed')).tables).toHaveLength(1);
    await session.release();
    for (const pid of engines.pids) process.kill(pid, 'SIGKILL');
    const other = await engines.claim(signal, parseOf('d'));
    expect((await other.ask(parseOf('d'), 'parsed')).tables).toHaveLength(1);
    await other.release();
  });

  it('leaves nothing of an engine that was started, or on its way back, when the pool was closed', async () => {
    for (let waitMs = 0; waitMs < 12; waitMs++) {
      const { engines, directory } = await pool();
      const session = await engines.claim(new AbortController().signal);
      const released = session.release();
      await systemClock.sleep(waitMs);
      await engines.close();
      await released;
      await systemClock.sleep(20);
      expect(existsSync(directory)).toBe(false);
      expect(engines.pids).toEqual([]);
    }
  });

  it('gives each query an instance of its own and an empty lease, however many follow on one another', async () => {
    const { engines } = await pool();
    const { signal } = new AbortController();
    const pids = new Set<number>();
    for (let n = 0; n < 8; n++) {
      const session = await engines.claim(signal);
      pids.add(session.pid);
      expect(await readdir(session.leasePath)).toEqual([]);
      await writeFile(join(session.leasePath, 'left.parquet'), 'behind');
      // The table would be there already in an instance that was used before.
      await session.ask(runOf('SELECT count(*) FROM mine', ['CREATE TABLE mine AS SELECT 1']), 'columns');
      while ((await session.next()).type !== 'end');
      await session.release();
    }
    expect(pids.size).toBe(1);
  });

  it('ends an engine with its parent, also while it runs a query that has no end', async () => {
    const { fork } = await import('node:child_process');
    const folder = await mkdtemp(join(tmpdir(), 'thermocline-engine-'));
    ending.push(() => rm(folder, { recursive: true, force: true }));
    const child = fork(entryPath('query/engine-main'), [JSON.stringify({ directory: folder })], {
      serialization: 'advanced',
      execArgv: [],
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const ask = async (message: object): Promise<void> => {
      const answered = new Promise((resolve) => child.once('message', resolve));
      child.send(message);
      await answered;
    };
    await ask({ type: 'open', slot: 0, lease: 'lease', spill: 'spill', memoryBytes: 256 * MiB, spillBytes: MiB, prelude: [] });
    await ask({ type: 'claim', slot: 0 });
    child.send({ ...runOf('SELECT count(*) FROM range(40000000000) a(i) WHERE i % 7 = 3', []), threads: 2 });
    await systemClock.sleep(200);
    child.disconnect();
    await ended;
  });
});
