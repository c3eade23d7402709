import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { tableFromIPC } from 'apache-arrow';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnswerFormat } from '../../../src/query/index.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

describe('formats of an answer', () => {
  let world: QueryWorld;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers, limits: { concurrency: 1, parquetBytesMax: 1024 * 1024 } });
    world.createTopic('t', 1);
    world.append('t', 0, [{ timestampMs: 1000, key: 'a', value: '{"n":1}' }]);
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  async function bytesOf(format: AnswerFormat, sql: string, more: object = {}): Promise<Buffer> {
    const answer = await world.service.answer({ sql, format, ...more }, new AbortController().signal);
    const pieces: Uint8Array[] = [];
    for await (const piece of answer.pieces) pieces.push(piece);
    return Buffer.concat(pieces);
  }
  const values = `SELECT * FROM (VALUES (1::BIGINT, 'a"b,c', 1.5::DECIMAL(10,2)), (9007199254740993, '', NULL), (NULL, NULL, -2.25)) AS v(n, s, d)`;

  it('json and ndjson are rows as they go out', async () => {
    expect((await bytesOf('json', values)).toString()).toBe('[1,"a\\"b,c",1.5],\n["9007199254740993","",null],\n[null,null,-2.25]');
    const lines = (await bytesOf('ndjson', values)).toString().trimEnd().split('\n');
    expect(lines[1]).toBe('{"n":"9007199254740993","s":"","d":null}');
  });

  it('ndjson-arrays keeps columns of one name, and those that are whole numbers, in their order', async () => {
    expect((await bytesOf('ndjson-arrays', `SELECT 1 AS x, 2 AS "10", 3 AS "2", 4 AS x UNION ALL SELECT 5, 6, 7, NULL`)).toString()).toBe(
      '[1,2,3,4]\n[5,6,7,null]\n',
    );
    expect((await bytesOf('ndjson-arrays', 'SELECT 1 WHERE false')).length).toBe(0);
  });

  it('csv tells null from empty text and quotes what must be', async () => {
    expect((await bytesOf('csv', values)).toString()).toBe('n,s,d\r\n1,"a""b,c",1.50\r\n9007199254740993,"",\r\n,,-2.25\r\n');
    expect((await bytesOf('csv', `SELECT 'a\nb' AS s, '\\xff'::BLOB AS b, [1,2] AS l`)).toString()).toBe(
      's,b,l\r\n"a\nb",base64:/w==,"[1,2]"\r\n',
    );
  });

  it('table is bounded and says how many more there are', async () => {
    const lines = (await bytesOf('table', 'SELECT range AS n FROM range(2500)')).toString().trimEnd().split('\n');
    expect([lines.length, lines.at(-1), lines[2]]).toEqual([1003, '… and 1500 more rows', '  0']);
  });

  it('arrow keeps types, nulls and nesting, over many batches', async () => {
    const table = tableFromIPC(
      await bytesOf(
        'arrow',
        `SELECT CASE WHEN range % 3 = 0 THEN NULL ELSE range END AS n, range % 2 = 0 AS b, 'x' || range AS s, [range, NULL] AS l,
          {'a': range, 'b': 'y'} AS o, MAP {'k': range} AS m, (range / 4)::DECIMAL(12, 2) AS d, sum(range) OVER () AS h,
          TIMESTAMPTZ '2001-01-01 00:00:00Z' + to_seconds(range) AS t, DATE '2001-01-01' AS day, '\\xff'::BLOB AS raw,
          INTERVAL 1 DAY AS i FROM range(100000) ORDER BY range`,
      ),
    );
    expect(table.numRows).toBe(100_000);
    expect(table.batches.length).toBeGreaterThan(1);
    expect(table.schema.fields.map((field) => String(field.type))).toEqual([
      'Int64',
      'Bool',
      'Utf8',
      'List<Int64>',
      'Struct<{a:Int64, b:Utf8}>',
      'Map<{key:Utf8, value:Int64}>',
      'Decimal[12e+2]',
      'Decimal[38e0]',
      'Timestamp<MICROSECOND, UTC>',
      'Date32<DAY>',
      'Binary',
      'Utf8',
    ]);
    for (const at of [0, 1, 70_001, 99_999]) {
      const row = table.get(at)!.toJSON() as Record<string, never>;
      expect([row['n'], row['b'], row['s']]).toEqual([at % 3 === 0 ? null : BigInt(at), at % 2 === 0, `x${at}`]);
      expect(
        JSON.parse(JSON.stringify([row['l'], row['o'], row['raw']], (_, v: unknown) => (typeof v === 'bigint' ? Number(v) : v))),
      ).toEqual([[at, null], { a: at, b: 'y' }, { '0': 255 }]);
      expect(Number(row['t'])).toBe(Date.UTC(2001, 0, 1) + at * 1000);
    }
    expect(tableFromIPC(await bytesOf('arrow', 'SELECT 1 AS n WHERE false')).numRows).toBe(0);
  });

  it('parquet has no Bloom filters: DuckDB finds no equal bytes by them', async () => {
    const bytes = await bytesOf('parquet', String.raw`SELECT '\xFF'::BLOB AS b FROM range(1000)`);
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
    const column = parquetMetadata(file).row_groups[0]?.columns[0]?.meta_data;
    expect(column?.encodings).toContain('PLAIN_DICTIONARY');
    expect(column?.bloom_filter_offset).toBeUndefined();
  });

  it('parquet is a whole file, bounded, and leaves nothing behind', async () => {
    const bytes = await bytesOf('parquet', 'SELECT n, text(_key) AS k FROM t WHERE n >= $1; -- the end', { params: [1] });
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
    expect(await parquetReadObjects({ file, compressors })).toEqual([{ n: 1n, k: 'a' }]);
    await expect(bytesOf('parquet', 'SELECT md5(range::VARCHAR) AS h FROM range(2000000)')).rejects.toMatchObject({
      code: 'query-too-large',
      message: expect.stringContaining('Parquet') as string,
    });
    await expect(bytesOf('parquet', 'SELECT 1; SELECT 2')).rejects.toMatchObject({ code: 'query-forbidden' });
  });

  it('a late error is thrown in every streamed format', async () => {
    const late = `SELECT CAST(CASE WHEN range = 500000 THEN 'x' ELSE range::VARCHAR END AS BIGINT) AS n FROM range(1000000)`;
    for (const format of ['json', 'ndjson', 'ndjson-arrays', 'csv', 'arrow', 'table', 'parquet'] as const) {
      await expect(bytesOf(format, late)).rejects.toMatchObject({ code: 'query-invalid' });
    }
  });
});
