// Parts of cold files: what is in them, what they cost, what goes wrong.
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fieldIdsClause, quoteText, readSchemaMap, tableColumns, type TypedColumn } from '../../../src/columns/index.js';
import { writeColdFile } from '../../../src/columns/cold-file.js';
import { systemClock } from '../../../src/kernel/index.js';
import type { ColdFile } from '../../../src/lake/index.js';
import { type FaultPlan, faultyStore, LocalCache, MemoryStore, type ObjectStore } from '../../../src/objects/index.js';
import type { ColdNeed } from '../../../src/query/cold/need.js';
import { ColdReads } from '../../../src/query/cold/cold-reads.js';
import { rangesToRead } from '../../../src/query/cold/ranges-to-read.js';
import { everything, fullScan, type ScanRange } from '../../../src/query/ranges.js';
import { readFile } from 'node:fs/promises';
import { ColumnFiles } from '../../support/column-files.js';

const typed: readonly TypedColumn[] = [
  { fieldId: 100, name: 'n', kind: 'long', columnName: 'n' },
  { fieldId: 101, name: 's', kind: 'text', columnName: 's' },
];
const columns = tableColumns(typed);
const rows = 8 * 2048;
const hours = 16;
const t0 = Date.parse('2001-01-01T00:00:00Z');

describe('parts of cold files', () => {
  const files = new ColumnFiles();
  let folder: string;
  let original: string;
  let bytes: Buffer;
  let file: ColdFile;
  let inner: MemoryStore;
  let plan: FaultPlan;
  let gets: number;
  let store: ObjectStore;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'thermocline-parts-'));
    original = join(folder, 'original.parquet');
    // Row groups of 2,048 rows, two hours each; incompressible values, headers as lists, keys in order.
    const select = `SELECT 3::INTEGER AS _partition_id, i::BIGINT AS _offset, make_timestamptz(${t0 * 1000} + (i * ${(hours * 3_600_000_000) / rows})::BIGINT) AS _timestamp,
      ('k' || lpad(i::VARCHAR, 6, '0'))::BLOB AS _key, (md5(i::VARCHAR) || md5((i + 1)::VARCHAR) || md5((i + 2)::VARCHAR))::BLOB AS _value,
      [{'key': 'h' || (i % 3), 'key_raw': NULL::BLOB, 'value': i::VARCHAR::BLOB}] AS _headers, i * 7 AS n, 'text ' || (i % 11) AS s FROM range(${rows}) t(i)`;
    const present = columns.filter(({ name }) =>
      ['_partition_id', '_offset', '_timestamp', '_key', '_value', '_headers', 'n', 's'].includes(name),
    );
    await files.engine.withConnection((connection) =>
      connection.run(
        `COPY (${select}) TO ${quoteText(original)} (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE 2048, FIELD_IDS ${fieldIdsClause(present)}, KV_METADATA {a: 'b'})`,
      ),
    );
    bytes = await readFile(original);
    const { size } = await stat(original);
    file = {
      key: 't/data/p=3/x.parquet',
      partition: 3,
      baseOffset: 0,
      lastOffset: rows - 1,
      rows,
      bytes: size,
      minTimestampMs: t0,
      maxTimestampMs: t0 + hours * 3_600_000,
      fieldIds: [],
    };
  });
  afterAll(async () => {
    files.close();
    await rm(folder, { recursive: true, force: true });
  });

  let cold: ColdReads;
  let cache: LocalCache;
  const open = async (maxBytes = 1 << 30): Promise<void> => {
    cache = await LocalCache.open({ store, dir: join(folder, 'cache'), maxBytes });
    cold = new ColdReads(cache, store, 0);
  };
  beforeEach(async () => {
    inner = new MemoryStore({ clock: systemClock });
    await inner.put(file.key, bytes);
    plan = {};
    gets = 0;
    store = faultyStore(inner, {
      before: async (call) => {
        if (call.operation === 'get') gets++;
        await plan.before?.(call);
      },
      after: async (call) => plan.after?.(call),
    });
    await open();
  });
  afterEach(() => cache.close());

  const signal = new AbortController().signal;
  const range = (fromHour: number, toHour: number): ScanRange => ({
    ...fullScan,
    timestampsMs: { min: t0 + fromHour * 3_600_000, max: t0 + toHour * 3_600_000 - 1 },
  });
  /** What DuckDB reads of a local file. */
  const read = async (path: string, items: string, where = 'true'): Promise<unknown[][]> =>
    files.engine.withConnection(async (connection) => {
      const reader = await connection.runAndReadAll(
        `SELECT ${items} FROM read_parquet(${quoteText(path)}, schema = ${readSchemaMap(columns)}) WHERE ${where} ORDER BY _offset`,
      );
      return reader.getRowsJson();
    });
  const use = async (ranges: readonly ScanRange[], ids: readonly number[] | undefined) => {
    const count = { requests: 0, bytes: 0 };
    const lease = await cold.lease(file, { ranges, isCut: true, ...(ids === undefined ? {} : { columns: new Set(ids) }) }, count, signal);
    lease?.release();
    return { lease, count };
  };

  it('hold the row groups and columns asked for, as they were', async () => {
    const { lease, count } = await use([range(2, 4)], [3, 7, 100]);
    const items = '_partition_id, _offset, _timestamp, _headers, n';
    const part = await read(lease!.path, items);
    expect(part).toHaveLength(2048);
    expect(part).toEqual(await read(original, items, '_offset >= 2048 AND _offset < 4096'));
    expect(await read(lease!.path, '_offset', '_value IS NOT NULL OR _key IS NOT NULL OR s IS NOT NULL')).toEqual([]);
    // The footer and the columns, not the values.
    expect(count.bytes).toBeLessThan(file.bytes / 3);
    expect(count.requests).toBeLessThanOrEqual(3);
    const { mode, size } = await stat(lease!.path);
    expect(mode & 0o777).toBe(0o444);
    expect(lease).toMatchObject({ bytes: size, rows: 2048 });
  });

  it('hold no more columns than are asked for, but where rows are told apart by their places or only counted', async () => {
    const columnsOf = async (need: Partial<ColdNeed>): Promise<unknown[]> => {
      const lease = await cold.lease(file, { ranges: [range(0, 1)], ...need }, { requests: 0, bytes: 0 }, signal);
      lease!.release();
      return files.engine.withConnection(async (connection) => {
        const sql = `SELECT DISTINCT path_in_schema FROM parquet_metadata(${quoteText(lease!.path)}) ORDER BY 1`;
        return (await connection.runAndReadAll(sql)).getRowsJson().flat();
      });
    };
    expect(await columnsOf({ columns: new Set() })).toHaveLength(1);
    expect(await columnsOf({ columns: new Set([100]) })).toEqual(['n']);
    expect(await columnsOf({ columns: new Set([100]), isCut: true })).toEqual(['_offset', '_partition_id', 'n']);
  });

  it('may be any set of row groups and columns', async () => {
    for (const ids of [[3], [5], [6], [7], [100, 101], [3, 5, 6, 7, 100, 101]]) {
      for (const ranges of [[range(0, 2)], [range(14, 16)], [range(4, 5), range(9, 10)]]) {
        const { lease } = await use(ranges, ids);
        const where = ranges.map(({ timestampsMs: { min, max } }) => `epoch_ms(_timestamp) BETWEEN ${min} AND ${max}`).join(' OR ');
        const items = ['_offset', '_timestamp', ...columns.filter((column) => ids.includes(column.fieldId)).map(({ name }) => name)].join();
        const { lease: reference } = await use(ranges, [...ids, 3]);
        expect(lease).not.toBeNull();
        expect(await read(reference!.path, items, where)).toEqual(await read(original, items, where));
      }
    }
  });

  it('are linked again without a request, also for less', async () => {
    const first = await use([range(2, 6)], [3, 100, 101]);
    const again = await use([range(2, 6)], [3, 100, 101]);
    const less = await use([range(2, 4)], [3, 100]);
    expect([again.count.requests, less.count.requests]).toEqual([0, 0]);
    expect([again.lease!.path, less.lease!.path]).toEqual([first.lease!.path, first.lease!.path]);
  });

  it('lend what they have to one that needs more, and go when it has all of theirs', async () => {
    await use([range(2, 6)], [3, 100]);
    const before = cache.stats.entries;
    const { lease, count } = await use([range(2, 6)], [3, 100, 101]);
    expect(await read(lease!.path, '_offset, _timestamp, n, s')).toEqual(
      await read(original, '_offset, _timestamp, n, s', '_offset >= 2048 AND _offset < 6144'),
    );
    const alone = new ColdReads(await LocalCache.open({ store, dir: join(folder, 'other'), maxBytes: 1 << 30 }), store, 0);
    const fresh = { requests: 0, bytes: 0 };
    const whole = await alone.lease(file, { ranges: [range(2, 6)], columns: new Set([3, 100, 101]), isCut: true }, fresh, signal);
    expect(await readFile(lease!.path)).toEqual(await readFile(whole!.path));
    expect(count.bytes).toBeLessThan(fresh.bytes);
    expect(cache.stats.entries).toBe(before);
  });

  it('come in one piece where most of the file is needed', async () => {
    const { lease, count } = await use([fullScan], undefined);
    expect(await readFile(lease!.path)).toEqual(bytes);
    expect(count.requests).toBe(2);
    const part = await use([range(2, 4)], [3]);
    expect(part.lease!.path).toBe(lease!.path);
  });

  it('say how many rows they may hold as it was known when they were planned', async () => {
    const count = { requests: 0, bytes: 0 };
    await cold.learn(file, count, signal);
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    plan = { before: () => held };
    const whole = cold.lease(file, { ranges: [fullScan] }, count, signal);
    // Its footer is not in memory any more: then all rows count, also where it comes back while the file is on its way.
    const forgetful = new ColdReads(cache, store, 0);
    const lease = forgetful.lease(file, { ranges: [fullScan] }, count, signal);
    await forgetful.learn(file, count, signal);
    letGo();
    expect((await lease)?.rows).toBe(rows);
    for (const one of [await whole, await lease]) one?.release();
  });

  it('are none where no row group can hold a row', async () => {
    expect((await use([{ ...fullScan, offsets: { min: rows, max: Number.POSITIVE_INFINITY } }], [3])).lease).toBeNull();
    expect((await use([{ ...fullScan, partitions: { min: 4, max: 4 } }], [3])).lease).toBeNull();
    expect((await use([{ ...fullScan, offsets: everything }], [3])).lease).not.toBeNull();
  });

  it('share their requests among all who want the same', async () => {
    await Promise.all([1, 2, 3].map(() => use([range(2, 4)], [3, 100])));
    expect(gets).toBeLessThanOrEqual(3);
  });

  it('end their requests only where nobody waits any more', async () => {
    let ended = 0;
    let isHanging = true;
    const hanging: ObjectStore = Object.create(store, {
      get: {
        value: (key: string, options: { readonly signal?: AbortSignal }) =>
          isHanging
            ? new Promise((_, reject) => {
                options.signal?.addEventListener('abort', () => {
                  ended++;
                  reject(options.signal?.reason as Error);
                });
              })
            : inner.get(key, options),
      },
    }) as ObjectStore;
    await cache.close();
    store = hanging;
    await open();
    const [one, two] = [new AbortController(), new AbortController()];
    const count = { requests: 0, bytes: 0 };
    const need = { ranges: [range(6, 8)], columns: new Set([100]) };
    const waiting = [one, two].map((abort) => cold.lease(file, need, count, abort.signal));
    for (const each of waiting) each.catch(() => undefined);
    await systemClock.sleep(5);
    one.abort(new Error('left'));
    await expect(waiting[0]).rejects.toThrow('left');
    expect(ended).toBe(0);
    two.abort(new Error('left too'));
    await expect(waiting[1]).rejects.toThrow('left too');
    await systemClock.sleep(5);
    expect(ended).toBeGreaterThan(0);
    isHanging = false;
    expect((await use([range(6, 8)], [100])).lease).not.toBeNull();
  });

  it('fail with a clear error where the object is gone, short or another, and work again after', async () => {
    await use([range(0, 2)], [3]);
    await inner.delete(file.key);
    await expect(use([range(4, 6)], [100])).rejects.toMatchObject({ code: 'cold-unavailable' });
    await inner.put(file.key, bytes.subarray(0, 1000));
    await expect(use([range(4, 6)], [100])).rejects.toMatchObject({ code: 'cold-corrupt' });
    await inner.delete(file.key);
    await inner.put(file.key, Buffer.alloc(bytes.length, 0xee));
    await expect(use([range(4, 6)], [100])).rejects.toMatchObject({ code: 'cold-corrupt' });
    await inner.delete(file.key);
    await inner.put(file.key, bytes);
    expect((await use([range(4, 6)], [100])).lease).not.toBeNull();
  });

  it('stay under the bound of the cache, and are made again after they went', async () => {
    const { lease } = await use([range(0, 2)], [3, 6]);
    const size = lease!.bytes;
    await cache.close();
    await open(Math.round(size * 2.5) + 20_000);
    for (let hour = 0; hour < hours; hour += 2) {
      await use([range(hour, hour + 2)], [3, 6]);
      expect(cache.stats.bytes).toBeLessThanOrEqual(size * 2.5 + 20_000);
    }
    const { lease: again } = await use([range(0, 2)], [3, 6]);
    expect(await read(again!.path, '_offset, _value')).toEqual(await read(original, '_offset, _value', '_offset < 2048'));
  });
});

describe('a file as it is written', () => {
  const files = new ColumnFiles();
  const groups = 5;
  const key = 't/data/p=3/written.parquet';
  const written: readonly TypedColumn[] = [
    { fieldId: 100, name: 'm', kind: 'text', columnName: 'm' },
    { fieldId: 101, name: 'n', kind: 'long', columnName: 'n' },
    { fieldId: 102, name: 'of', kind: 'text', columnName: 'of' },
    { fieldId: 103, name: 'r', kind: 'text', columnName: 'r' },
    { fieldId: 104, name: 's', kind: 'text', columnName: 's' },
  ];
  let folder: string;
  let file: ColdFile;
  let inner: MemoryStore;
  let caches: LocalCache[];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'thermocline-written-'));
    inner = new MemoryStore({ clock: systemClock });
    const count = groups * 2048;
    const present = ['_partition_id', '_offset', '_timestamp', '_key', '_value'] as const;
    // Values so large that reading a group's along would cost more than a request.
    const value = Array.from({ length: 32 }, (_, at) => `md5((i * 32 + ${at})::VARCHAR)`).join(' || ');
    const outPath = join(folder, 'written.parquet');
    const { bytes: size } = await writeColdFile(
      {
        select: `SELECT 3::INTEGER AS _partition_id, i::BIGINT AS _offset, make_timestamptz((${t0} + i) * 1000) AS _timestamp,
          ('k' || i)::BLOB AS _key, (${value})::BLOB AS _value, i * 7 AS n, 'text ' || (i % 11) AS s, NULL::VARCHAR AS "of",
          ${value} AS m, reverse(${value}) AS r FROM range(${count}) t(i)`,
        values: `(SELECT ('{"m":"' || ${value.replaceAll('i *', '1 *')} || '","n":1,"of":null,"r":[' || repeat('1,', 99) || '1],"s":"text"}')::BLOB AS _value)`,
        baseColumns: present,
        typedColumns: written,
        rows: count,
        rawBytes: count * 16_384,
        digest: '',
        baseOffset: 0,
        lastOffset: count - 1,
        footer: undefined,
        compressionLevel: 1,
        isForBucket: true,
        outPath,
      },
      files.engine,
    );
    await inner.put(key, { path: outPath });
    file = {
      key,
      partition: 3,
      baseOffset: 0,
      lastOffset: count - 1,
      rows: count,
      bytes: size,
      minTimestampMs: t0,
      maxTimestampMs: t0 + count,
      fieldIds: [],
    };
  });
  afterAll(async () => {
    files.close();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    caches = [];
  });
  afterEach(() => Promise.all(caches.map((cache) => cache.close())));

  const signal = new AbortController().signal;
  /** Requests for so many of the file's row groups, with nothing kept. */
  const requests = async (isLearned: boolean, ids: readonly number[], groupsWanted: number): Promise<number> => {
    const cache = await LocalCache.open({ store: inner, dir: join(folder, `cache-${caches.length}`), maxBytes: 1 << 30 });
    caches.push(cache);
    const cold = new ColdReads(cache, inner);
    if (isLearned) await cold.learn(file, { requests: 0, bytes: 0 }, signal);
    const count = { requests: 0, bytes: 0 };
    const ranges = [{ ...fullScan, offsets: { min: 0, max: groupsWanted * 2048 - 1 } }];
    (await cold.lease(file, { ranges, columns: new Set(ids) }, count, signal))!.release();
    return count.requests;
  };

  it('costs one request whose times and typed columns, or keys, are asked for, however many row groups', async () => {
    for (const ids of [[3], [3, 101], [3, 101, 104], [2, 3, 104], [5, 3, 101, 102, 104]]) {
      expect([ids, await requests(true, ids, groups), await requests(true, ids, 2)]).toEqual([ids, 1, 1]);
    }
  });

  it('costs one for each row group more whose values are asked for as well, but for the last, which lies beside the times', async () => {
    expect([await requests(true, [3, 6], groups), await requests(true, [3, 6], 2)]).toEqual([groups, 3]);
  });

  it('costs one more where its footer is not there yet', async () => {
    expect(await requests(false, [3, 101, 104], groups)).toBe(2);
  });
});

describe('ranges to read', () => {
  it('join pieces with little between them, and split large ones', () => {
    const MiB = 1024 * 1024;
    const pieces = [
      { start: 300_000, end: 400_000, to: 0 },
      { start: 0, end: 100_000, to: 100_000 },
      { start: 10 * MiB, end: 19 * MiB, to: 200_000 },
    ];
    const ranges = rangesToRead(pieces);
    expect(ranges.map(({ start, end }) => [start, end])).toEqual([
      [0, 400_000],
      [10 * MiB, 14 * MiB],
      [14 * MiB, 18 * MiB],
      [18 * MiB, 19 * MiB],
    ]);
    expect(ranges.flatMap((range) => range.pieces.map(({ to }) => to))).toEqual([
      100_000,
      0,
      200_000,
      200_000 + 4 * MiB,
      200_000 + 8 * MiB,
    ]);
  });
});
