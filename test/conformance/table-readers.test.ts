// Readers that nobody here wrote (pyiceberg, DuckDB's Iceberg extension, hyparquet, DuckDB on the bare files, kafkajs) and the
// service's own SQL all see the records that were produced, after several commits that widened the schema, on a directory and on S3.
import { join } from 'node:path';
import { DuckDBBlobValue, DuckDBInstance, type DuckDBListValue, type DuckDBStructValue } from '@duckdb/node-api';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bucketPlaces } from '../support/bucket-places.js';
import { type ReaderAnswer, type ReaderName, readIceberg } from '../support/iceberg-readers.js';
import { type Lake, objectsIn } from '../support/lake.js';
import {
  changedRound,
  lineOf,
  type MixedRecord,
  mixedPartitions,
  oddRound,
  placed,
  plainRound,
  type PlacedRecord,
} from '../support/mixed-records.js';
import { readersPython } from '../support/outside-tools.js';
import type { S3Server } from '../support/versitygw.js';

const topic = 'events';
const aggregates = [
  ['n', 'sum'],
  ['price', 'sum'],
  ['price', 'count'],
  ['ok', 'count'],
  ['name', 'count'],
  ['late', 'sum'],
  ['x', 'sum'],
  ['x__text', 'count'],
] as const;
/** The same, asked of the service: its view shows one column a name, so `x` is text with longs among it. */
const sqlAggregates = `sum(TRY_CAST(n AS BIGINT)), sum(price), count(price), count(ok), count(name), sum(late),
  sum(TRY_CAST(x AS BIGINT)), count(x) - count(TRY_CAST(x AS BIGINT))`;

const typedNames = ['n', 'price', 'ok', 'name', 'late', 'x', 'x__text', 'nested'] as const;

/** What `JSON.parse` says should be in the typed columns. */
function typedFields(value: Uint8Array | null): Readonly<Record<string, unknown>> {
  const { x, nested, ...fields } = JSON.parse(Buffer.from(value ?? []).toString()) as Record<string, unknown>;
  return {
    ...fields,
    ...(typeof x === 'number' ? { x } : { x__text: x }),
    ...(nested === undefined ? {} : { nested: JSON.stringify(nested) }),
  };
}

function typedLine(row: Readonly<Record<string, unknown>>): string {
  return typedNames.map((name) => `${name}=${plain(row[name])}`).join(' ');
}

for (const { name, skip, start } of bucketPlaces) {
  describe.skipIf(skip)(`a table ${name} is seen as it was produced`, () => {
    let lake: Lake;
    let bucket: string;
    let server: S3Server | undefined;
    let expected: readonly PlacedRecord[];
    let wellFormed: readonly PlacedRecord[];

    beforeAll(async () => {
      ({ lake, bucket, server } = await start());
      await lake.createTopic(topic, mixedPartitions, { 'message.timestamp.after.max.ms': '9223372036854775807' });
      const rounds: readonly (readonly [readonly MixedRecord[], 'none' | 'lz4' | 'zstd'])[] = [
        [plainRound(900), 'lz4'],
        [changedRound(300), 'zstd'],
        [oddRound(), 'none'],
      ];
      for (const [records, compression] of rounds) {
        await lake.produce(topic, records, { compression });
        await lake.cool(topic);
      }
      expected = placed(rounds.flatMap(([records]) => records));
      wellFormed = placed(rounds.slice(0, 2).flatMap(([records]) => records));
    }, 120_000);
    afterAll(async () => {
      await lake?.[Symbol.asyncDispose]();
      await server?.stop();
    });

    /** Typed columns of the records whose JSON is well-formed, whatever types a reader has for them. */
    const expectTyped = (rows: readonly Readonly<Record<string, unknown>>[]): void => {
      const byPlace = new Map(rows.map((row) => [`${plain(row['_partition_id'])} ${plain(row['_offset'])}`, row]));
      const found = wellFormed.map(({ partition, offset }) => typedLine(byPlace.get(`${partition} ${offset}`) ?? {}));
      expect(found).toEqual(wellFormed.map(({ value }) => typedLine(typedFields(value))));
    };
    const ends = (): number[] =>
      Array.from({ length: mixedPartitions }, (_, partition) => expected.filter((record) => record.partition === partition).length);
    const dataFiles = (): string[] =>
      [...objectsIn(bucket)].filter(([key]) => key.startsWith(`topics/${topic}/`) && key.endsWith('.parquet')).map(([, { path }]) => path);

    it('lies in the bucket only, in several files', async () => {
      const storage = await lake.storage(topic);
      expect(storage.map((p) => [p.local_start_offset, p.boundary, p.high_watermark])).toEqual(ends().map((end) => [end, end, end]));
      expect(dataFiles().length).toBeGreaterThanOrEqual(2 * mixedPartitions);
    });

    it('by kafkajs, out of the bucket', async () => {
      const consumer = new Kafka({ brokers: [lake.service.kafka], logLevel: logLevel.NOTHING }).consumer({
        groupId: 'readers',
        maxWaitTimeInMs: 200,
      });
      const seen: PlacedRecord[] = [];
      try {
        await consumer.connect();
        await consumer.subscribe({ topic, fromBeginning: true });
        await consumer.run({
          eachMessage: async ({ partition, message }) => {
            const { key, value, offset, timestamp } = message;
            seen.push({
              partition,
              offset: Number(offset),
              timestampMs: Number(timestamp),
              key,
              value,
              headers: kafkajsHeaders(message.headers),
            });
          },
        });
        await expect.poll(() => seen.length, { timeout: 60_000 }).toBe(expected.length);
      } finally {
        await consumer.disconnect();
      }
      seen.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
      expect(seen.map(lineOf)).toEqual(expected.map((record) => lineOf({ ...record, headers: asKafkajsHas(record.headers) })));
    });

    it('by the service itself', async () => {
      const records = (await Promise.all(ends().map((_, partition) => lake.consume(topic, partition)))).map((all, partition) =>
        all.map((record) => lineOf({ ...record, partition })),
      );
      expect(records.flat()).toEqual(expected.map(lineOf));
    });

    it('by hyparquet, file by file, typed columns and all', async () => {
      const rows: Record<string, unknown>[] = [];
      for (const path of dataFiles()) {
        rows.push(...(await parquetReadObjects({ file: await asyncBufferFromFile(path), compressors, utf8: false })));
      }
      const seen = rows.map(fromParquet).sort((a, b) => a.partition - b.partition || a.offset - b.offset);
      expect(seen.map(lineOf)).toEqual(expected.map(lineOf));
      expectTyped(rows);
    });

    it('by DuckDB, file by file, typed columns and all', async () => {
      const connection = await (await DuckDBInstance.create(':memory:')).connect();
      try {
        const from = `read_parquet([${dataFiles()
          .map((path) => `'${path}'`)
          .join(', ')}], union_by_name = true)`;
        const raw = await connection.runAndReadAll(
          `SELECT _partition_id, _offset, coalesce(_timestamp_raw, epoch_ms(_timestamp)) AS ms, _key, _value, _headers
           FROM ${from} ORDER BY _partition_id, _offset`,
        );
        expect(raw.getRowObjects().map((row) => lineOf(fromDuckDb(row)))).toEqual(expected.map(lineOf));
        const typed = await connection.runAndReadAll(`SELECT _partition_id, _offset, ${typedNames.join(', ')} FROM ${from}`);
        expectTyped(typed.getRowObjects());
      } finally {
        connection.closeSync();
      }
    });

    const names: readonly ReaderName[] = ['pyiceberg', 'duckdb'];
    const read = (): Promise<Record<ReaderName, ReaderAnswer>> => {
      const versions = [...objectsIn(bucket).keys()].flatMap((key) => {
        const match = /^(topics\/events\/[^/]+)\/metadata\/v(\d+)\.metadata\.json$/.exec(key);
        return match === null ? [] : [{ table: match[1]!, key, version: Number(match[2]) }];
      });
      const newest = versions.reduce((a, b) => (a.version > b.version ? a : b));
      const at = (key: string): string => (server === undefined ? join(bucket, key) : `s3://lake/some/prefix/${key}`);
      return readIceberg({
        location: at(newest.table),
        metadata: at(newest.key),
        aggregates,
        ...(server === undefined ? {} : { s3: { ...credentialsOf(server), region: 'us-east-1' } }),
      });
    };

    let firstRead: ReturnType<typeof read> | undefined;
    /** What the readers say of the table as the rounds left it. */
    const seenByReaders = (): ReturnType<typeof read> => (firstRead ??= read());
    const itIsRead = it.skipIf(readersPython.path === undefined);

    for (const reader of names) {
      itIsRead(`by ${reader}, every row${readersPython.note}`, async () => {
        const seen = (await seenByReaders())[reader];
        expect(seen.error).toBeUndefined();
        expect(seen.rows.map((row) => lineOf(fromIceberg(row)))).toEqual(expected.map(lineOf));
        expectTyped(seen.rows);
      });

      itIsRead(`by ${reader}, with counts, offsets and sums of typed columns as the service answers them`, async () => {
        const seen = (await seenByReaders())[reader];
        const ours = await lake.sql(
          `SELECT _partition_id, count(*), min(_offset), max(_offset), ${sqlAggregates} FROM ${topic} GROUP BY 1 ORDER BY 1`,
        );
        expect(ours.map(([partition, rows, first, last]) => [partition, rows, first, last])).toEqual(
          ends().map((end, partition) => [partition, end, 0, end - 1]),
        );
        expect(numbers(seen.partitions)).toEqual(numbers(ours));
      });
    }

    itIsRead('by both, with the columns that the rounds brought, each of the kind it came with', async () => {
      const { pyiceberg, duckdb } = await seenByReaders();
      const { columns } = pyiceberg;
      expect(duckdb.columns).toEqual(columns);
      expect(columns).toEqual(expect.arrayContaining(['n', 'price', 'ok', 'name', 'x', 'nested', 'x__text', 'late']));
      // `kinds` came as long, double, bool and text in one commit: the first has the bare name.
      expect(columns.filter((column) => column.startsWith('kinds'))).toHaveLength(4);
      // Names of ours, and names that differ only in case, get a number.
      expect(columns).toEqual(expect.arrayContaining(['_offset__2', 'Side', 'side__2']));
      const first = pyiceberg.rows.find((row) => row['_partition_id'] === 1 && row['_offset'] === 0)!;
      expect(first).toMatchObject({
        n: 1,
        price: 1.25,
        ok: true,
        name: 'nämé 1',
        x: 2,
        x__text: null,
        late: null,
        nested: '{"a":[1,null]}',
      });
      const changed = pyiceberg.rows.find((row) => row['late'] === 5)!;
      expect(changed).toMatchObject({ n: 10_005, x: null, x__text: 't5', price: null });
      expect(pyiceberg.rows.find((row) => row['big'] !== null)).toMatchObject({ n: '9007199254740993', big: '9223372036854775807' });
    });

    itIsRead('by both, as far as it is committed, while more lies hot', async () => {
      await lake.produce(topic, plainRound(30));
      const { pyiceberg, duckdb } = await read();
      expect(pyiceberg.partitions.map(([, rows]) => rows)).toEqual(ends());
      expect(duckdb.partitions).toEqual(pyiceberg.partitions);
      expect(await lake.sql(`SELECT count(*) FROM ${topic}`)).toEqual([[expected.length + 30]]);
    });
  });
}

function credentialsOf({ endpoint, accessKey, secretKey }: S3Server): Pick<S3Server, 'endpoint' | 'accessKey' | 'secretKey'> {
  return { endpoint, accessKey, secretKey };
}

/** A scalar as text, whichever type an engine or JSON carries it as. */
function plain(value: unknown): string {
  return typeof value === 'bigint' ? value.toString() : typeof value === 'string' ? value : JSON.stringify(value ?? null);
}

function numbers(rows: readonly (readonly unknown[])[]): string[][] {
  return rows.map((row) => row.map(plain));
}

type KafkajsHeaders = Readonly<Record<string, Buffer | string | (Buffer | string)[] | undefined>>;

/** kafkajs gathers headers by the text of their key. */
function kafkajsHeaders(headers: KafkajsHeaders = {}): PlacedRecord['headers'] {
  return Object.entries(headers).flatMap(([key, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => ({
      key: Buffer.from(key),
      value: one === undefined || one === null ? null : Buffer.from(one),
    })),
  );
}

function asKafkajsHas(headers: PlacedRecord['headers']): PlacedRecord['headers'] {
  const byKey = new Map<string, (Buffer | null)[]>();
  for (const { key, value } of headers) {
    const text = Buffer.from(key).toString();
    byKey.set(text, [...(byKey.get(text) ?? []), value === null ? null : Buffer.from(value)]);
  }
  return [...byKey].flatMap(([key, values]) => values.map((value) => ({ key: Buffer.from(key), value })));
}

interface RawHeader {
  readonly key?: string | Uint8Array | null;
  readonly key_raw?: Uint8Array | null;
  readonly value?: Uint8Array | null;
}

function headerOf({ key, key_raw: raw, value }: RawHeader): PlacedRecord['headers'][number] {
  return { key: raw ?? Buffer.from(key ?? ''), value: value ?? null };
}

function fromParquet(row: Readonly<Record<string, unknown>>): PlacedRecord {
  const raw = row['_timestamp_raw'] as bigint | null | undefined;
  return {
    partition: Number(row['_partition_id']),
    offset: Number(row['_offset']),
    timestampMs: raw === null || raw === undefined ? (row['_timestamp'] as Date).getTime() : Number(raw),
    key: (row['_key'] as Uint8Array | undefined) ?? null,
    value: (row['_value'] as Uint8Array | undefined) ?? null,
    headers: ((row['_headers'] as RawHeader[] | undefined) ?? []).map(headerOf),
  };
}

function fromDuckDb(row: Readonly<Record<string, unknown>>): PlacedRecord {
  const bytes = (value: unknown): Uint8Array | null => (value instanceof DuckDBBlobValue ? value.bytes : null);
  const headers = (row['_headers'] as DuckDBListValue | null)?.items ?? [];
  return {
    partition: Number(row['_partition_id']),
    offset: Number(row['_offset']),
    timestampMs: Number(row['ms']),
    key: bytes(row['_key']),
    value: bytes(row['_value']),
    headers: headers.map((item) => {
      const { key, key_raw: raw, value } = (item as DuckDBStructValue).entries;
      return headerOf({ key: key as string | null, key_raw: bytes(raw), value: bytes(value) });
    }),
  };
}

function fromIceberg(row: Readonly<Record<string, unknown>>): PlacedRecord {
  const bytes = (value: unknown): Buffer | null => (typeof value === 'string' ? Buffer.from(value.slice(2), 'hex') : null);
  const headers = (row['_headers'] as { key: string | null; key_raw: string | null; value: string | null }[] | null) ?? [];
  return {
    partition: Number(row['_partition_id']),
    offset: Number(row['_offset']),
    timestampMs: Number(row['_timestamp_raw'] ?? row['_timestamp']),
    key: bytes(row['_key']),
    value: bytes(row['_value']),
    headers: headers.map(({ key, key_raw: raw, value }) => headerOf({ key, key_raw: bytes(raw), value: bytes(value) })),
  };
}
