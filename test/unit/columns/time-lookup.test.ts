import { afterAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { statSync } from 'node:fs';
import { type EncodeResult, findTimestamp, type FoundTime } from '../../../src/columns/index.js';
import { readFooterBytes } from '../../../src/columns/parquet-footer.js';
import { readPartLayout } from '../../../src/columns/parquet-parts.js';
import { isLakeError } from '../../../src/kernel/index.js';
import { encodeBatch } from '../../../src/wire/index.js';
import { ColumnFiles, fileAt } from '../../support/column-files.js';

const files = new ColumnFiles();
afterAll(() => files.close());

interface Row {
  readonly offset: number;
  readonly timestampMs: number;
}

/** Bytes that do not compress. */
const noise = Buffer.from(
  Uint32Array.from({ length: 1 << 19 }, (_, i) => Math.imul(i ^ (i >>> 7), 0x9e3779b1) ^ Math.imul(i + 1, i | 0x85ebca6b)).buffer,
);

/** A cold file of such rows, each with a value of so many bytes. */
async function fileOf(rows: readonly Row[], valueBytes = 1): Promise<EncodeResult> {
  const value = ({ offset }: Row): Buffer => {
    const at = (offset * 4099) % (noise.length - valueBytes);
    return noise.subarray(at, at + valueBytes);
  };
  const batches = rows.map((row) =>
    encodeBatch({ baseOffset: row.offset, leaderEpoch: 3, records: [{ timestampMs: row.timestampMs, key: null, value: value(row) }] }),
  );
  return files.encode([await files.stage(batches, { endOffset: (rows.at(-1) as Row).offset + 1, valueFormat: 'bytes' })]);
}

function oracle(rows: readonly Row[], find: 'first' | 'max', timestampMs: number, fromOffset: number): FoundTime | null {
  const left = rows.filter((row) => row.offset >= fromOffset);
  const wanted = find === 'first' ? timestampMs : Math.max(...left.map((row) => row.timestampMs));
  const found = left.find((row) => row.timestampMs >= wanted);
  return found === undefined ? null : { ...found, leaderEpoch: 3 };
}

/** DuckDB writes no row group of fewer rows. */
const groupRows = 2048;

describe('a time lookup in a cold file', () => {
  it('gives what a look at every row would, whatever the order of times', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.integer({ min: 0, max: 30 }), fc.constantFrom(-5e15, -70_000_000_000_000, 260_000_000_000_000, 5e15)), {
          minLength: 1,
          maxLength: 40,
        }),
        fc.array(
          fc.tuple(fc.constantFrom('first' as const, 'max' as const), fc.integer({ min: -1, max: 32 }), fc.integer({ min: 0, max: 130 })),
          {
            minLength: 20,
            maxLength: 20,
          },
        ),
        async (times, questions) => {
          const rows = times.map((timestampMs, i) => ({ offset: i * 3, timestampMs }));
          const { path } = await fileOf(rows);
          for (const [find, timestampMs, fromOffset] of questions) {
            expect(await findTimestamp(fileAt(path), { find, timestampMs, fromOffset })).toEqual(
              oracle(rows, find, timestampMs, fromOffset),
            );
          }
          for (const timestampMs of times) {
            expect(await findTimestamp(fileAt(path), { find: 'first', timestampMs, fromOffset: 0 })).toEqual(
              oracle(rows, 'first', timestampMs, 0),
            );
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  it('reads the footer, and two columns’ worth of the row groups that can have it', async () => {
    const rows = Array.from({ length: 2 * groupRows }, (_, offset) => ({ offset, timestampMs: 1_700_000_000_000 + offset * 10 }));
    const { path, splitOffsets } = await fileOf(rows, 8192);
    expect(splitOffsets.length).toBe(2);
    let read: [from: number, to: number][] = [];
    const ask = async (find: 'first' | 'max', timestampMs: number, fromOffset = 0): Promise<FoundTime | null> => {
      read = [];
      return findTimestamp(
        fileAt(path, (from, to) => read.push([from, to])),
        { find, timestampMs, fromOffset },
      );
    };
    const bytes = (): number => read.reduce((sum, [from, to]) => sum + to - from, 0);
    const { groups } = readPartLayout(path, readFooterBytes(path));
    const groupAt = (from: number): number =>
      groups.findIndex(({ chunks }) => chunks.some(({ at, bytes: of }) => at <= from && from < at + of));
    const inGroups = (): number[] => [...new Set(read.slice(1).map(([from]) => groupAt(from)))];
    const size = statSync(path).size;
    expect(size).toBeGreaterThan(2_000_000);
    expect(await ask('first', rows[500]!.timestampMs)).toMatchObject({ offset: 500 });
    expect(inGroups()).toEqual([0]);
    expect(bytes()).toBeLessThan(100_000);
    expect(await ask('max', 0)).toMatchObject({ offset: rows.length - 1 });
    expect(inGroups()).toEqual([1]);
    expect(await ask('first', rows.at(-1)!.timestampMs + 1)).toBeNull();
    expect(read.length).toBe(1);
    expect(await ask('first', 0, 3000)).toMatchObject({ offset: 3000 });
    expect(inGroups()).toEqual([1]);
  });

  it('refuses a file that is not what it says', async () => {
    const { path } = await fileOf([{ offset: 0, timestampMs: 1 }]);
    const file = fileAt(path);
    const codeOf = async (read: typeof file.read): Promise<string> =>
      findTimestamp({ ...file, read }, { find: 'first', timestampMs: 0, fromOffset: 0 }).then(
        () => 'none',
        (error: unknown) => (isLakeError(error) ? error.code : String(error)),
      );
    expect(await codeOf(async (from, to) => Buffer.alloc(to - from))).toBe('cold-corrupt');
    expect(await codeOf(async (from, to) => (to === file.bytes ? file.read(from, to) : Buffer.alloc(to - from, 255)))).toBe('cold-corrupt');
    expect(await codeOf(async (from, to) => (to === file.bytes ? file.read(from, to) : Buffer.alloc(1)))).toBe('cold-corrupt');
  });
});
