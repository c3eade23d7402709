// Several cold files into one: what must be kept, and what is said where an input is not what it should be.
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import {
  assignColumns,
  type ColumnKind,
  readFileFooter,
  runColumnJob,
  type StageResult,
  type TypedColumn,
} from '../../../src/columns/index.js';
import { InvariantError, isLakeError } from '../../../src/kernel/index.js';
import { encodeBatch } from '../../../src/wire/index.js';
import { ColumnFiles } from '../../support/column-files.js';

const files = new ColumnFiles();
afterAll(() => files.close());

async function codeOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'no error',
    (error: unknown) => (isLakeError(error) ? error.code : error instanceof InvariantError ? 'invariant' : String(error)),
  );
}

const column = (name: string, kind: ColumnKind = 'long'): TypedColumn => assignColumns([], [{ name, kind }])[0] as TypedColumn;

interface ColdFile {
  readonly path: string;
  readonly staged: StageResult;
}

/** A cold file of these values from an offset on. */
async function cold(baseOffset: number, values: readonly (string | null)[], columns: readonly TypedColumn[] = []): Promise<ColdFile> {
  const records = values.map((value, i) => ({
    timestampMs: 1000 + i,
    key: i % 2 === 0 ? null : Buffer.from('k'),
    value: value === null ? null : Buffer.from(value),
  }));
  const staged = await files.stage([encodeBatch({ baseOffset, leaderEpoch: 1, records })], {
    baseOffset,
    endOffset: baseOffset + values.length,
  });
  return { path: (await files.encode([staged], columns)).path, staged };
}

/** A cold file that was not made by us. */
async function altered(select: string, columns: readonly TypedColumn[] = []): Promise<string> {
  const path = files.path('altered.parquet');
  await files.copy(select, path, columns);
  return path;
}

/** Values that a column compresses badly, so that damage hits them and not a page header. */
const noise = (count: number, seed: number): string[] =>
  Array.from({ length: count }, (_, i) => `{"n":${(i * 7919 + seed) % 10_007},"t":"${((i * 2_654_435_761) % 2 ** 32).toString(36)}"}`);

describe('a compaction', () => {
  it('keeps null apart from empty, and verification catches one that does not', async () => {
    const parts = [await cold(0, [null, '', '{"n":1}']), await cold(3, ['', null, null])];
    const compacted = await files.compact(parts.map(({ path }) => path));
    const staged = parts.map((part) => part.staged);
    await files.verify(staged, compacted);
    expect((await files.rows(`SELECT decode(_value) FROM '${compacted.path}'`)).flat()).toEqual([null, '', '{"n":1}', '', null, null]);

    for (const change of [
      `SELECT * REPLACE (coalesce(_value, ''::BLOB) AS _value) FROM ${files.columnsOf(compacted.path)}`,
      `SELECT * REPLACE (coalesce(_key, ''::BLOB) AS _key) FROM ${files.columnsOf(compacted.path)}`,
      `SELECT * FROM ${files.columnsOf(compacted.path)} WHERE _value IS NOT NULL`,
    ]) {
      const path = await altered(change);
      expect(await codeOf(files.verify(staged, { ...compacted, path }))).toBe('verify-failed');
    }
  });

  it('carries typed columns over, and verification catches one that is altered', async () => {
    const n = column('n');
    const parts = [await cold(0, ['{"n":1}', '{"n":null}'], [n]), await cold(2, ['{"m":1}']), await cold(3, ['{"n":4}'], [n])];
    const staged = parts.map((part) => part.staged);
    const compacted = await files.compact(
      parts.map(({ path }) => path),
      [n],
    );
    expect((await files.rows(`SELECT n::INTEGER FROM '${compacted.path}'`)).flat()).toEqual([1, null, null, 4]);
    await files.verify(staged, compacted, [n], compacted.typedDigest);
    const path = await altered(
      `SELECT * REPLACE (CASE WHEN _offset = 1 THEN 0 ELSE n END AS n) FROM ${files.columnsOf(compacted.path, [n])}`,
      [n],
    );
    expect(await codeOf(files.verify(staged, { ...compacted, path }, [n], compacted.typedDigest))).toBe('verify-failed');
  });

  it('puts files together that were encoded under another value format', async () => {
    // The first file's values are JSON and yet it has no column for them.
    const parts = [await cold(0, ['{"n":1}']), await cold(1, ['{"n":2}'], [column('n')])];
    const paths = parts.map(({ path }) => path);
    const staged = parts.map((part) => part.staged);
    const compacted = await files.compact(paths, [column('n')]);
    await files.verify(staged, compacted, [column('n')], compacted.typedDigest);
    expect((await files.rows(`SELECT n::INTEGER FROM '${compacted.path}'`)).flat()).toEqual([null, 2]);
  });

  it('writes no file where all rows lie below the offset it begins at', async () => {
    const { path } = await cold(5, ['a', 'b']);
    const staged = await files.stage([encodeBatch({ baseOffset: 0, records: [{ timestampMs: 0, key: null, value: null }] })], {
      endOffset: 4,
    });
    const sparse = await files.encode([staged]);
    expect(await files.compact([sparse.path], [], 2)).toMatchObject({ rows: 0, bytes: 0, baseOffset: 2, lastOffset: 3 });
    expect(await files.compact([sparse.path, path], [], 6)).toMatchObject({ rows: 1, baseOffset: 6, lastOffset: 6 });
  });

  it('takes hundreds of files in one job', async () => {
    const parts: ColdFile[] = [];
    for (let i = 0; i < 120; i++) parts.push(await cold(i * 2, [`{"n":${i}}`, null], [column('n')]));
    const compacted = await files.compact(
      parts.map(({ path }) => path),
      [column('n')],
    );
    expect(compacted).toMatchObject({ rows: 240, baseOffset: 0, lastOffset: 239, splitOffsets: [4] });
    await files.verify(
      parts.map((part) => part.staged),
      compacted,
      [column('n')],
    );
  }, 30_000);

  it('refuses inputs out of order and a typed column that would be lost', async () => {
    const parts = [await cold(0, ['{"n":1}'], [column('n')]), await cold(1, ['{"n":2}'])];
    const [first, second] = parts.map(({ path }) => path) as [string, string];
    expect(await codeOf(files.compact([second, first], [column('n')]))).toBe('invariant');
    expect(await codeOf(files.compact([first, second]))).toBe('invariant');
  });
});

describe('a damaged input of a compaction', () => {
  it('is named where it is cut off or another file', async () => {
    const { path } = await cold(0, noise(3000, 1), [column('n')]);
    const good = readFileSync(path);
    const run = async (bytes: Buffer): Promise<string> => {
      writeFileSync(path, bytes);
      return await codeOf(files.compact([path], [column('n')]));
    };
    expect(await run(good.subarray(0, good.length - 50))).toBe('cold-corrupt');
    expect(await run(Buffer.alloc(0))).toBe('cold-corrupt');
    expect(await run(good)).toBe('no error');
    const input = { path, ...readFileFooter(path) };
    for (const wrong of [{ digest: 't2:3000:0000000000000000' }, { baseOffset: 1 }, { lastOffset: 3000 }]) {
      const job = { kind: 'compact', inputs: [{ ...input, ...wrong }], partition: 3, typedColumns: [column('n')] } as const;
      expect(await codeOf(runColumnJob({ ...job, outPath: files.path('compacted.parquet') }, files.engine))).toBe('cold-corrupt');
    }
  });

  it('is found before anything is taken from it, or when the output is verified', async () => {
    const { path, staged } = await cold(0, noise(3000, 1));
    const good = readFileSync(path);
    const codes = new Map<string, number>();
    for (let at = 60; at < good.length * 0.9; at += Math.floor(good.length / 40)) {
      const bytes = Buffer.from(good);
      bytes[at] = (bytes[at] as number) ^ 0x10;
      writeFileSync(path, bytes);
      for (const fromOffset of [0, 1500]) {
        const code = await codeOf(
          files.compact([path], [], fromOffset).then(async (compacted) => {
            const kept = await files.stage([], { baseOffset: fromOffset, endOffset: 3000 });
            await files.verify([{ ...kept, digest: staged.digest }], compacted);
          }),
        );
        codes.set(`${fromOffset}: ${code}`, (codes.get(`${fromOffset}: ${code}`) ?? 0) + 1);
      }
    }
    writeFileSync(path, good);
    // With a head to cut off the input is read first, so it is the input that is named, always.
    expect([...codes.keys()].filter((code) => code.startsWith('1500'))).toEqual(['1500: cold-corrupt']);
    expect([...codes.keys()].filter((code) => !/: (cold-corrupt|verify-failed)$/.test(code))).toEqual([]);
    expect(codes.get('0: cold-corrupt')).toBeGreaterThan(0);
  }, 30_000);
});
