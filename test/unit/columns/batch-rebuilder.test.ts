import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BatchRebuilder, openBatchRebuilder, type RebuildJob, type RebuiltPart } from '../../../src/columns/index.js';
import { isLakeError } from '../../../src/kernel/index.js';
import { batchLastOffset, encodeBatch, walkBatches } from '../../../src/wire/index.js';
import { ColumnFiles } from '../../support/column-files.js';

const rows = 4000;
const files = new ColumnFiles();
let rebuilder: BatchRebuilder;
let job: RebuildJob;
let whole: Buffer;

beforeAll(async () => {
  const records = Array.from({ length: rows }, (_, i) => ({ timestampMs: i, key: null, value: Buffer.alloc(i === 2000 ? 9000 : 200, i) }));
  const { path } = await files.encode([await files.stage([encodeBatch({ records })], { endOffset: rows })]);
  job = { path, fromOffset: 0, baseOffset: 0, lastOffset: rows - 1, maxBytes: 2 ** 30, maxBatchBytes: 2000 };
  whole = files.rebuild(path, job).batchBytes;
  rebuilder = openBatchRebuilder({ count: 1 });
}, 30_000);

afterAll(async () => {
  await rebuilder.close();
  files.close();
});

async function rebuilt(take: (part: RebuiltPart) => Promise<void> = async () => undefined, signal?: AbortSignal): Promise<Buffer> {
  const parts: Buffer[] = [];
  let next = 0;
  const result = await rebuilder.rebuild(
    job,
    5000,
    async (part) => {
      let nextOffset = next;
      expect(walkBatches(part.bytes, (at) => void (nextOffset = batchLastOffset(part.bytes, at) + 1))).toBe(part.bytes.length);
      expect(part.nextOffset).toBe(nextOffset);
      next = nextOffset;
      parts.push(Buffer.from(part.bytes));
      await take(part);
    },
    signal,
  );
  expect(result).toMatchObject({ baseOffset: 0, nextOffset: rows, bytes: whole.length });
  return Buffer.concat(parts);
}

describe('the thread that rebuilds batches', () => {
  it('hands over all of them in order, in parts of whole batches, one that is larger than a part alone', async () => {
    const sizes: number[] = [];
    const bytes = await rebuilt(async (part) => void sizes.push(part.bytes.length));
    expect(bytes.equals(whole)).toBe(true);
    expect(sizes.filter((size) => size > 5000)).toHaveLength(1);
    expect(sizes.length).toBeGreaterThan(100);
  });

  it('keeps a part as it is until it is taken, and makes no more than a few meanwhile', async () => {
    let taken = 0;
    const bytes = await rebuilt(async (part) => {
      if (taken++ > 12) return;
      const before = Buffer.from(part.bytes);
      await sleep(20);
      expect(part.bytes.equals(before)).toBe(true);
    });
    expect(bytes.equals(whole)).toBe(true);
  });

  it('ends with whatever taking a part fails with, and does the next job', async () => {
    let taken = 0;
    const failing = rebuilt(async () => {
      if (++taken === 3) throw new Error('enough');
    });
    await expect(failing).rejects.toThrow('enough');
    expect(taken).toBe(3);
    expect((await rebuilt()).equals(whole)).toBe(true);
  });

  it('ends when it is cancelled, also while it waits for parts to be taken', async () => {
    const abort = new AbortController();
    const cancelled = rebuilt(async () => {
      abort.abort(new Error('given up'));
      await new Promise(() => undefined);
    }, abort.signal);
    await expect(cancelled).rejects.toThrow('given up');
    expect((await rebuilt()).equals(whole)).toBe(true);
  });

  it('says of a damaged file that it is one, and does the next job', async () => {
    const bytes = readFileSync(job.path);
    bytes.fill(0xee, 10, 200);
    const path = files.path('damaged.parquet');
    writeFileSync(path, bytes);
    const take = async (): Promise<void> => undefined;
    const error = expect.toSatisfy((thrown: unknown) => isLakeError(thrown, 'cold-corrupt'));
    await expect(rebuilder.rebuild({ ...job, path }, 5000, take)).rejects.toEqual(error);
    const outside = expect.toSatisfy((thrown: unknown) => isLakeError(thrown, 'offset-out-of-range'));
    await expect(rebuilder.rebuild({ ...job, fromOffset: rows }, 5000, take)).rejects.toEqual(outside);
    expect((await rebuilt()).equals(whole)).toBe(true);
  });

  it('does nothing more once it is closed', async () => {
    const other = openBatchRebuilder({ count: 1 });
    const running = other.rebuild(job, 5000, () => new Promise(() => undefined));
    const refused = expect(running).rejects.toSatisfy((thrown) => isLakeError(thrown, 'worker-died'));
    await sleep(200);
    await other.close();
    await refused;
    await expect(other.rebuild(job, 5000, async () => undefined)).rejects.toSatisfy((thrown) => isLakeError(thrown, 'cancelled'));
  });
});
