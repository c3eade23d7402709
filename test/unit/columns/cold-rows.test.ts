import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ColumnRooms } from '../../../src/columns/column-chunk.js';
import { PageRooms } from '../../../src/columns/page-rooms.js';
import { ColdFileReader, type ColdRows } from '../../../src/columns/cold-rows.js';
import { isLakeError } from '../../../src/kernel/index.js';
import { encodeBatch } from '../../../src/wire/index.js';
import { type BaseExpressions, baseRows, ColumnFiles, someHeaders } from '../../support/column-files.js';

let files: ColumnFiles;
beforeAll(() => {
  files = new ColumnFiles();
});
afterAll(() => files.close());

const rooms = new ColumnRooms();
/** Read by JavaScript, and by compiled loops in one memory. */
const roomsOf = { 'spread rooms': () => rooms, 'one memory': (): ColumnRooms => (pageRooms ??= new PageRooms()) };
let pageRooms: PageRooms | undefined;

const variants: Readonly<Record<string, BaseExpressions>> = {
  'nothing but offsets': {},
  'numbers that never change': {
    _partition_id: '3',
    _timestamp: 'make_timestamptz(1000000)',
    _timestamp_type: '1',
    _leader_epoch: '7',
    _producer_id: '12345678901',
    _producer_epoch: '2',
    _sequence: '0',
    _key: "'key'::BLOB",
    _value: "'value'::BLOB",
  },
  'numbers that climb, and few different texts': {
    _partition_id: '3',
    _timestamp: 'make_timestamptz(1700000000000000 + i * 1000000 + (hash(i) % 900)::BIGINT * 1000)',
    _sequence: 'i::INTEGER',
    _producer_id: '(i // 100)::BIGINT',
    _key: "('key ' || (hash(i) % 20)::VARCHAR)::BLOB",
    _value: "repeat('v', (i % 700)::INTEGER)::BLOB",
  },
  'numbers of all sizes, and nulls between': {
    _partition_id: 'CASE WHEN hash(i) % 3 = 0 THEN NULL ELSE ((hash(i) % 4294967295)::BIGINT - 2147483648)::INTEGER END',
    _timestamp:
      'CASE WHEN hash(i, 1) % 5 = 0 THEN NULL ELSE make_timestamptz((hash(i, 2) % 315000000000000)::BIGINT * 1000 - 62000000000000000) END',
    _timestamp_raw: 'CASE WHEN hash(i, 3) % 2 = 0 THEN NULL ELSE (hash(i, 4) % 9007199254740991)::BIGINT - 4503599627370496 END',
    _producer_id: 'CASE WHEN hash(i, 5) % 7 = 0 THEN NULL ELSE (hash(i, 6) // 2)::BIGINT END',
    _producer_epoch: '(hash(i, 7) % 32768)::INTEGER',
    _key: "CASE WHEN hash(i, 8) % 3 = 0 THEN NULL WHEN hash(i, 8) % 3 = 1 THEN ''::BLOB ELSE unhex(left(hash(i, 9)::VARCHAR, 12)) END",
    _value: 'CASE WHEN hash(i, 10) % 9 = 0 THEN NULL ELSE repeat(i::VARCHAR, (hash(i, 11) % 40)::INTEGER)::BLOB END',
    _raw_batch: "CASE WHEN i % 500 = 0 THEN 'raw'::BLOB END",
  },
  'the ends of what fits': {
    _timestamp: 'make_timestamptz(CASE i % 3 WHEN 0 THEN -62135596800000000 WHEN 1 THEN 253402300799999000 ELSE -1000 END)',
    _timestamp_raw: 'CASE i % 3 WHEN 0 THEN -9007199254740991 WHEN 1 THEN 9007199254740991 END',
    _producer_id: 'CASE i % 4 WHEN 0 THEN 9223372036854775807 WHEN 1 THEN -9223372036854775808 WHEN 2 THEN -1 ELSE 0 END',
    _sequence: 'CASE i % 2 WHEN 0 THEN 2147483647 ELSE -2147483648 END',
  },
  'lists of headers': {
    _value: 'i::VARCHAR::BLOB',
    _headers: someHeaders,
  },
};

const shapes = [
  'PARQUET_VERSION v2, COMPRESSION zstd',
  'PARQUET_VERSION v1, COMPRESSION zstd',
  'PARQUET_VERSION v2, COMPRESSION uncompressed',
];

const hex = (bytes: Buffer): string => bytes.toString('hex').toUpperCase();

/** What `ColdRows` says of each row, as texts and numbers. */
function readRows(rows: ColdRows): unknown[][] {
  const bytesOf = (column: ColdRows['key'], entry: number): string | null =>
    (column.lengths[entry] as number) < 0 ? null : hex(column.slice(entry));
  let entry = 0;
  return Array.from({ length: rows.rows }, (_, row) => {
    const end = rows.headersEnd(entry);
    const headers = rows.isHeader(entry)
      ? Array.from(
          { length: end - entry },
          (_, i) => `${hex(rows.headerKeyRows(entry + i).slice(entry + i))}=${bytesOf(rows.headerValue, entry + i) ?? 'null'}`,
        )
      : [];
    entry = end;
    const producer = (BigInt(rows.producerIdHigh(row)) << 32n) + BigInt(rows.producerIdLow(row) >>> 0);
    return [
      rows.offsets[row],
      rows.partition(row),
      rows.timestampsMs[row],
      rows.timestampType(row),
      rows.leaderEpoch(row),
      String(producer),
      rows.producerEpoch(row),
      rows.sequence(row),
      bytesOf(rows.key, row),
      bytesOf(rows.value, row),
      bytesOf(rows.rawBatch, row),
      headers.join(),
    ];
  });
}

/** The same as DuckDB reads it. */
async function oracle(path: string): Promise<unknown[][]> {
  const rows = await files.rows(`SELECT _offset, coalesce(_partition_id, -1), coalesce(_timestamp_raw, epoch_ms(_timestamp), -1),
    coalesce(_timestamp_type, -1), coalesce(_leader_epoch, -1), coalesce(_producer_id, -1)::VARCHAR, coalesce(_producer_epoch, -1),
    coalesce(_sequence, -1), hex(_key), hex(_value), hex(_raw_batch),
    coalesce(array_to_string(list_transform(_headers, lambda h: coalesce(hex(h.key_raw), hex(encode(h.key))) || '=' || coalesce(hex(h.value), 'null')), ','), '')
    FROM '${path}' ORDER BY _offset`);
  return rows.map((row) => row.map((value) => (typeof value === 'bigint' ? Number(value) : value)));
}

describe('rows of a cold file', () => {
  it.each(shapes.flatMap((shape) => Object.keys(variants).map((name) => [name, shape] as const)))(
    'are as DuckDB reads them: %s (%s)',
    async (name, shape) => {
      const path = await files.writeBase(variants[name] as BaseExpressions, shape);
      const expected = await oracle(path);
      for (const [where, roomsThere] of Object.entries(roomsOf)) {
        const file = new ColdFileReader(path, roomsThere());
        try {
          expect(file.spans.length).toBeGreaterThan(1);
          const read = file.spans.flatMap((span) => readRows(file.rows(span)));
          expect(read.length).toBe(baseRows);
          expect(read, where).toEqual(expected);
        } finally {
          file.close();
        }
      }
    },
  );

  it('are found by offset, between holes too', async () => {
    const file = new ColdFileReader(await files.writeBase({}, shapes[0] as string), rooms);
    const rows = file.rows(file.spans[0] as never);
    expect([-1, 0, 1, 2, 3, 1998, 2006, 2007, 9_999_999].map((offset) => rows.rowAtOrBelow(offset))).toEqual([
      -1, 0, 0, 1, 1, 999, 999, 1000, 2047,
    ]);
    file.close();
  });

  it('are uniform only where nothing but offset, time, key and value differs', async () => {
    const isUniform = async (columns: BaseExpressions): Promise<boolean> => {
      const file = new ColdFileReader(await files.writeBase(columns, shapes[0] as string), rooms);
      const answer = file.rows(file.spans[0] as never).isUniform();
      file.close();
      return answer;
    };
    const plain = { _timestamp: 'make_timestamptz(i * 1000)', _value: 'i::VARCHAR::BLOB', _leader_epoch: '1', _timestamp_type: '0' };
    expect(await isUniform(plain)).toBe(true);
    const others = {
      _leader_epoch: 'i // 9',
      _timestamp_type: 'i % 2',
      _producer_id: '1',
      _sequence: 'i',
      _raw_batch: "CASE WHEN i = 9 THEN 'x'::BLOB END",
    };
    for (const [name, expression] of Object.entries(others)) expect(await isUniform({ ...plain, [name]: expression })).toBe(false);
    expect(await isUniform({ ...plain, _headers: someHeaders })).toBe(false);
  });

  it('of a damaged file are refused or other rows, never a crash', async () => {
    const records = Array.from({ length: 300 }, (_, i) => ({
      timestampMs: i * 7,
      key: Buffer.from(`k${i % 5}`),
      value: Buffer.from(`value ${i}`),
    }));
    const { path } = await files.encode([await files.stage([encodeBatch({ records })], { endOffset: 300 })]);
    const bytes = readFileSync(path);
    const damaged = files.path('damaged.parquet');
    let refused = 0;
    for (let at = 4; at < bytes.length; at += 31) {
      const copy = Buffer.from(bytes);
      copy[at] = (copy[at] as number) ^ (1 + (at % 255));
      writeFileSync(damaged, copy);
      try {
        files.rebuild(damaged, { baseOffset: 0, lastOffset: 299 });
      } catch (error) {
        if (!isLakeError(error, 'cold-corrupt')) throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(20);
  });
});
