import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { assignColumns, type ColumnWorkers, openColumnWorkers, type StageJob } from '../../../src/columns/index.js';
import { isLakeError } from '../../../src/kernel/index.js';
import { encodeBatch } from '../../../src/wire/index.js';

let dir: string;
let workers: ColumnWorkers;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'column-workers-'));
  workers = openColumnWorkers({ count: 1, tempDir: join(dir, 'tmp'), memoryBytes: 256 * 1024 * 1024 });
});
afterEach(async () => {
  await workers.close();
  rmSync(dir, { recursive: true, force: true });
});

/** A stage job over `copies` batches of 1,000 records each. */
function stageJob(copies: number, name = 'a'): StageJob {
  const batches = Array.from({ length: copies }, (_, i) =>
    encodeBatch({
      baseOffset: i * 1000,
      records: Array.from({ length: 1000 }, (_r, n) => ({ timestampMs: n, key: null, value: Buffer.from(`{"n":${n}}`) })),
    }),
  );
  const bytes = Buffer.concat(batches);
  const path = join(dir, `${name}.spool`);
  writeFileSync(path, bytes);
  return {
    kind: 'stage',
    spools: [{ path, bytes: bytes.length }],
    partition: 0,
    baseOffset: 0,
    endOffset: copies * 1000,
    abortedTransactions: [],
    valueFormat: 'auto',
    outPath: join(dir, `${name}.staged`),
  };
}

const code = (error: unknown): string => (isLakeError(error) ? error.code : String(error));

describe('column workers', () => {
  it('start with the first job, do every kind of job, and end when closed', async () => {
    expect(workers.pids).toEqual([]);
    const staged = await workers.run(stageJob(3));
    expect(staged.rows).toBe(3000);
    const typedColumns = assignColumns([], staged.pairs);
    const file = { typedColumns, valueFormat: 'auto' as const, isForBucket: true };
    const encoded = await workers.run({ kind: 'encode', staged: [staged], outPath: join(dir, 'cold.parquet'), ...file });
    const range = { path: encoded.path, partition: 0, baseOffset: 0, lastOffset: 2999 };
    await workers.run({ kind: 'verify', ...range, rows: 3000, digest: encoded.digest, typedRowGroups: 1, ...file });
    const [pid] = workers.pids;
    await workers.close();
    expect(workers.pids).toEqual([]);
    expect(() => process.kill(pid as number, 0)).toThrow('ESRCH');
  });

  it('fail only the job of a worker that dies, and replace it', async () => {
    await workers.run(stageJob(1));
    const [pid] = workers.pids;
    const running = workers.run(stageJob(300, 'b')).catch(code);
    process.kill(pid as number, 'SIGKILL');
    const waiting = workers.run(stageJob(1, 'c'));
    expect(await running).toBe('worker-died');
    expect((await waiting).rows).toBe(1000);
    expect(workers.pids).not.toContain(pid);
  });

  it('kill the worker of a job that is cancelled', async () => {
    await workers.run(stageJob(1));
    const [pid] = workers.pids;
    const abort = new AbortController();
    const job = stageJob(1000, 'b');
    const running = workers.run(job, abort.signal).catch((error: unknown) => error);
    await vi.waitUntil(() => existsSync(job.outPath), { interval: 1 });
    abort.abort(new Error('enough'));
    expect(await running).toEqual(new Error('enough'));
    expect(workers.pids).not.toContain(pid);
    expect((await workers.run(stageJob(1, 'c'))).rows).toBe(1000);
  });

  it('leave no temporary file behind when they are killed, nor those of a service that was', async () => {
    const staged = await workers.run(stageJob(1));
    const encode = { kind: 'encode', staged: [staged], typedColumns: [], valueFormat: 'bytes', isForBucket: true } as const;
    await workers.run({ ...encode, outPath: join(dir, 'cold') });
    const [pid] = workers.pids;
    // DuckDB spills into its folder.
    const folder = join(dir, 'tmp', `worker-${pid}`);
    writeFileSync(join(folder, 'spilled'), 'x');
    process.kill(pid as number, 'SIGKILL');
    await vi.waitUntil(() => !existsSync(folder), { timeout: 5000 });

    const dead = join(dir, 'tmp', 'worker-999999999');
    mkdirSync(dead);
    const next = openColumnWorkers({ count: 1, tempDir: join(dir, 'tmp') });
    expect(existsSync(dead)).toBe(false);
    await next.close();
  });

  it('do not begin a job that was cancelled before its turn', async () => {
    const abort = new AbortController();
    const running = workers.run(stageJob(1), abort.signal).catch((error: unknown) => error);
    abort.abort(new Error('enough'));
    expect(await running).toEqual(new Error('enough'));
    expect(workers.pids).toEqual([]);
  });

  it('carry the code of an error across the process border', async () => {
    const job = stageJob(1);
    writeFileSync((job.spools[0] as { path: string }).path, Buffer.alloc(200));
    expect(await workers.run({ ...job, spools: [{ path: (job.spools[0] as { path: string }).path, bytes: 200 }] }).catch(code)).toBe(
      'batch-corrupt',
    );
  });
});
