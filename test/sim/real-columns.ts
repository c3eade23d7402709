/**
 * Column jobs as the product does them, with DuckDB, for runs that ask in SQL. A job's files lie on a simulated disk: they are copied to
 * a real one, the job runs there while virtual time stands still, and what it wrote is copied back. Files of one order of records are
 * the same each time, so a run is still a function of its seed.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  type BatchRebuilder,
  ColumnEngine,
  type ColumnJob,
  type ColumnWorkers,
  type RebuildJob,
  type RebuildResult,
  type RebuiltPart,
  runColumnJob,
} from '../../src/columns/index.js';
import { rebuild } from '../../src/columns/rebuild.js';
import { type Disk, MiB } from '../../src/kernel/index.js';
import type { ColdFile } from '../../src/lake/index.js';
import type { SimRow } from '../support/sim-workers.js';
import { rowsOf } from './model.js';
import type { SimProcess } from './process.js';

/** One for all runs of a process: it takes a tenth of a second to start. */
let shared: { readonly engine: ColumnEngine; readonly folder: string } | undefined;
let jobs = 0;

function realDisk(): { readonly engine: ColumnEngine; readonly folder: string } {
  if (shared === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'thermocline-sim-'));
    process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
    shared = { folder, engine: new ColumnEngine({ tempDir: join(folder, 'spill'), memoryBytes: 256 * MiB }) };
  }
  return shared;
}

/** The same with each path that it names moved elsewhere. */
function moved<T>(value: T, move: (path: string) => string): T {
  if (Array.isArray(value)) return value.map((item: unknown) => moved(item, move)) as T;
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).map(([name, field]: [string, unknown]) => {
    const isPath = (name === 'path' || name === 'outPath') && typeof field === 'string';
    return [name, isPath ? move(field) : moved(field, move)];
  });
  return Object.fromEntries(fields) as T;
}

function inputsOf(job: ColumnJob): readonly string[] {
  switch (job.kind) {
    case 'stage':
      return job.spools.map(({ path }) => path);
    case 'encode':
      return job.staged.map(({ path }) => path);
    case 'compact':
      return job.inputs.map(({ path }) => path);
    case 'verify':
      return [job.path];
  }
}

async function runJob(job: ColumnJob, disk: Disk): Promise<unknown> {
  const { engine, folder } = realDisk();
  const root = join(folder, String(++jobs));
  try {
    const place = (path: string): string => {
      mkdirSync(dirname(root + path), { recursive: true });
      return root + path;
    };
    for (const path of inputsOf(job)) writeFileSync(place(path), disk.readFileSync(path));
    const result = await runColumnJob(moved(job, place) as never, engine);
    if ('outPath' in job && existsSync(root + job.outPath)) {
      writeBack(disk, job.outPath, readFileSync(root + job.outPath), job.kind === 'stage' ? 'w' : 'wx');
    }
    // The time it took is not the simulated world's.
    return { ...(moved(result, (path) => path.slice(root.length)) as object), cpuMs: 1 };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function writeBack(disk: Disk, path: string, bytes: Buffer, flags: 'w' | 'wx'): void {
  const file = disk.openSync(path, flags, 0o644);
  for (let done = 0; done < bytes.length; ) done += disk.writeSync(file, bytes, done, bytes.length - done, done);
  disk.closeSync(file);
}

/** `before` may throw or wait in place of a worker that dies or is slow. */
export function realWorkers(before: () => Promise<void>, process: SimProcess, disk: Disk): ColumnWorkers {
  return {
    pids: [],
    close: async () => undefined,
    run: (async (job: ColumnJob, signal?: AbortSignal) => {
      await before();
      return process.call(0, 0.1, () => process.scheduler.real(() => runJob(job, disk)), { signal });
    }) as ColumnWorkers['run'],
  };
}

/** Batches of a file that lies on a real disk, copied, with the offsets that go with each. */
function rebuilt(job: RebuildJob): { readonly result: RebuildResult; readonly parts: readonly RebuiltPart[] } {
  const parts: RebuiltPart[] = [];
  const result = rebuild(job, (batch, nextOffset, endOffset) => parts.push({ bytes: Buffer.from(batch), nextOffset, endOffset }));
  return { result, parts };
}

/** A file under a name of its own on the real disk, for as long as it is read. */
function onRealDisk<T>(bytes: Uint8Array, read: (path: string) => T): T {
  const path = join(realDisk().folder, `read-${++jobs}.parquet`);
  try {
    writeFileSync(path, bytes);
    return read(path);
  } finally {
    rmSync(path, { force: true });
  }
}

/** The same for cold reads; each batch is a part, as if none fitted with another. */
export function realRebuilder(before: () => Promise<void>, disk: Disk): BatchRebuilder {
  return {
    close: async () => undefined,
    rebuild: async (job, _partBytes, take, signal) => {
      await before();
      signal?.throwIfAborted();
      const { result, parts } = onRealDisk(disk.readFileSync(job.path), (path) => rebuilt({ ...job, path }));
      for (const part of parts) {
        signal?.throwIfAborted();
        await take(part);
      }
      return result;
    },
  };
}

/** What a cold file holds, by the way that it is read for Kafka. */
export function realRows(bytes: Buffer, { baseOffset, lastOffset }: ColdFile): readonly SimRow[] {
  const bounds = { baseOffset, lastOffset, fromOffset: baseOffset, maxBytes: 64 * MiB, maxBatchBytes: MiB };
  const { parts } = onRealDisk(bytes, (path) => rebuilt({ ...bounds, path }));
  return rowsOf(Buffer.concat(parts.map((part) => part.bytes)));
}
