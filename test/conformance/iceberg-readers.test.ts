// Tables written by the iceberg room alone, as pyiceberg and DuckDB's Iceberg extension see them.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock, systemRandom } from '../../src/kernel/index.js';
import {
  addSchemaFields,
  freshSnapshotId,
  locationOf,
  newTableMetadata,
  TableStore,
  versionKey,
  withProperties,
  type IcebergField,
  type NewDataFile,
  type SnapshotRequest,
  type TableVersion,
} from '../../src/iceberg/index.js';
import { openObjectStore, type ObjectStore } from '../../src/objects/index.js';
import { type ReaderAnswer, type ReaderName, readIceberg } from '../support/iceberg-readers.js';
import { readersPython } from '../support/outside-tools.js';

const column = (id: number, name: string, type: IcebergField['type']): IcebergField => ({ id, name, type, required: false });
const fields: readonly IcebergField[] = [
  column(1, '_partition_id', 'int'),
  column(2, '_offset', 'long'),
  column(3, '_timestamp', 'timestamptz'),
  column(4, '_key', 'binary'),
  column(5, '_headers', {
    type: 'list',
    elementId: 6,
    elementRequired: false,
    element: { type: 'struct', fields: [column(7, 'key', 'string'), column(8, 'value', 'binary')] },
  }),
];
const fieldIds =
  '{_partition_id: 1, _offset: 2, _timestamp: 3, _key: 4, _headers: {__duckdb_field_id: 5, element: {__duckdb_field_id: 6, key: 7, value: 8}}';

describe.skipIf(readersPython.path === undefined)(`readers that are not ours${readersPython.note}`, () => {
  let folder: string;
  let store: ObjectStore;
  let table: TableStore;
  let instance: DuckDBInstance;
  let connection: DuckDBConnection;
  let head: TableVersion;
  const prefix = 'topics/events/AAAAAAAAAAAAAAAAAAAAAQ';

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'thermocline-readers-'));
    store = await openObjectStore(pathToFileURL(join(folder, 'bucket')).href);
    table = new TableStore(store, prefix, { clock: systemClock, random: systemRandom });
    instance = await DuckDBInstance.create(':memory:');
    connection = await instance.connect();
    head = await table.commit(
      null,
      newTableMetadata({
        uuid: systemRandom.uuid(),
        location: store.location(prefix),
        schema: { schemaId: 0, fields },
        properties: { 'thermocline.topic-id': 'AAAAAAAAAAAAAAAAAAAAAQ' },
        nowMs: systemClock.nowMs(),
      }),
      systemRandom.uuid(),
    );
  });
  afterAll(async () => {
    connection?.closeSync();
    await rm(folder, { recursive: true, force: true });
  });

  const long = (value: number): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value));
    return bytes;
  };

  /** A file of ten rows from `base` on, with a typed column where asked for. */
  const dataFile = async (partition: number, base: number, typed: boolean): Promise<NewDataFile> => {
    const path = join(folder, `p${partition}-${base}.parquet`);
    const price = typed ? ', CASE WHEN range % 2 = 0 THEN range / 2 END::DOUBLE AS price' : '';
    await connection.run(
      `COPY (SELECT ${partition}::INTEGER AS _partition_id, ${base} + range AS _offset,
         make_timestamptz((1700000000000 + range) * 1000) AS _timestamp,
         CASE WHEN range = 3 THEN NULL ELSE 'k\\xFF'::BLOB END AS _key,
         CASE WHEN range = 5 THEN [{key: 'h', value: 'v'::BLOB}, {key: 'h', value: NULL}] ELSE [] END AS _headers ${price}
       FROM range(10)) TO '${path}' (FORMAT parquet, COMPRESSION zstd, FIELD_IDS ${fieldIds}${typed ? ', price: 9' : ''}})`,
    );
    const key = `${prefix}/data/p=${partition}/${base}-${base + 9}.parquet`;
    await store.put(key, { path }, { ifAbsent: true });
    const bytes = (await store.head(key))?.bytes ?? 0;
    return {
      key,
      recordCount: 10,
      bytes,
      valueCounts: new Map([[2, 10]]),
      nullValueCounts: new Map([[2, 0]]),
      lowerBounds: new Map([[2, long(base)]]),
      upperBounds: new Map([[2, long(base + 9)]]),
      splitOffsets: [4],
    };
  };

  const commit = async (what: Partial<SnapshotRequest>, more: readonly IcebergField[] = []): Promise<void> => {
    const commitId = systemRandom.uuid();
    const metadata = addSchemaFields(head.metadata, more);
    const request: SnapshotRequest = {
      operation: 'append',
      dataFiles: [],
      removedFiles: new Set(),
      snapshotId: freshSnapshotId(metadata, systemRandom),
      nowMs: systemClock.nowMs(),
      summary: {},
      commitId,
      ...what,
    };
    head = await table.commit(head, (await table.nextSnapshot(metadata, request)).metadata, commitId);
  };
  const append = (files: readonly NewDataFile[], more: readonly IcebergField[] = []): Promise<void> => commit({ dataFiles: files }, more);

  const read = (): Promise<Record<ReaderName, ReaderAnswer>> =>
    readIceberg({
      location: store.location(prefix),
      metadata: locationOf({ prefix, location: head.metadata.location }, versionKey(prefix, head.version)),
      aggregates: [['_key', 'count']],
    });

  it('open a table without data', async () => {
    const { pyiceberg, duckdb } = await read();
    expect(pyiceberg.error).toBeUndefined();
    expect(pyiceberg.rows).toEqual([]);
    expect(duckdb.error).toBeUndefined();
    expect(duckdb.rows).toEqual([]);
  });

  it('see the same rows and columns after appends, a new column, a commit without files and merged manifests', async () => {
    await append([await dataFile(0, 0, false), await dataFile(1, 0, false)]);
    await append([await dataFile(0, 10, true)], [column(9, 'price', 'double')]);
    await append([]);
    head = await table.commit(head, withProperties(head.metadata, { 'thermocline.partitions': 'x' }), systemRandom.uuid());
    for (let i = 2; i < 14; i++) await append([await dataFile(0, i * 10, true)]);
    await append([await dataFile(2, 2_000_000, true)]);

    const { pyiceberg, duckdb } = await read();
    expect(pyiceberg.error).toBeUndefined();
    expect(duckdb.error).toBeUndefined();
    expect(pyiceberg.columns).toEqual([...fields.map((field) => field.name), 'price']);
    expect(duckdb.columns).toEqual(pyiceberg.columns);
    expect(pyiceberg.partitions.map(([partition, rows]) => [partition, rows])).toEqual([
      [0, 140],
      [1, 10],
      [2, 10],
    ]);
    expect(duckdb.partitions).toEqual(pyiceberg.partitions);
    expect(pyiceberg.rows).toHaveLength(160);
    expect(duckdb.rows).toEqual(pyiceberg.rows);
    expect(pyiceberg.rows[3]).toEqual({ _partition_id: 0, _offset: 3, _timestamp: 1700000000003, _key: null, _headers: [], price: null });
    expect(pyiceberg.rows[15]).toEqual({
      _partition_id: 0,
      _offset: 15,
      _timestamp: 1700000000005,
      _key: '0x6bff',
      _headers: [
        { key: 'h', value: '0x76' },
        { key: 'h', value: null },
      ],
      price: null,
    });
    expect(pyiceberg.rows[14]?.['price']).toBe(2);
    expect(pyiceberg.snapshots).toBe(16);
    // Bounds prune: one file has offsets from a million on.
    expect(pyiceberg.pruned_to).toBe(1);
  });

  it('see what is left after files were replaced, deleted and overwritten, and keep what earlier snapshots saw', async () => {
    const keys = async (): Promise<string[]> => (await table.readDataFiles(head.metadata)).map((entry) => entry.key);
    const of = async (partition: number): Promise<string[]> => (await keys()).filter((key) => key.includes(`/p=${partition}/`));
    const before = (await read()).pyiceberg;
    // The same twenty rows in one file.
    const merged = join(folder, 'merged.parquet');
    const inputs = (await of(0)).filter((key) => key.endsWith('/20-29.parquet') || key.endsWith('/30-39.parquet')).sort();
    const paths = inputs.map((key) => store.localPath(key));
    await connection.run(
      `COPY (SELECT * FROM read_parquet(['${paths.join("','")}'], hive_partitioning = false)) TO '${merged}' (FORMAT parquet, FIELD_IDS ${fieldIds}, price: 9})`,
    );
    const key = `${prefix}/data/p=0/20-39-merged.parquet`;
    await store.put(key, { path: merged }, { ifAbsent: true });
    const replacing = { key, recordCount: 20, bytes: (await store.head(key))?.bytes ?? 0 };
    await commit({ operation: 'replace', dataFiles: [replacing], removedFiles: new Set(inputs) });
    const replaced = await read();
    expect(replaced.pyiceberg.error).toBeUndefined();
    expect(replaced.duckdb.error).toBeUndefined();
    expect(replaced.pyiceberg.rows).toEqual(before.rows);
    expect(replaced.duckdb.rows).toEqual(before.rows);

    await commit({ operation: 'delete', removedFiles: new Set(await of(1)) });
    await commit({ operation: 'overwrite', dataFiles: [await dataFile(1, 10, true)], removedFiles: new Set(await of(2)) });
    await append([await dataFile(1, 20, true)]);
    const { pyiceberg, duckdb } = await read();
    expect(pyiceberg.error).toBeUndefined();
    expect(duckdb.error).toBeUndefined();
    expect(pyiceberg.partitions.map(([partition, rows, from, to]) => [partition, rows, from, to])).toEqual([
      [0, 140, 0, 139],
      [1, 20, 10, 29],
    ]);
    expect(duckdb.partitions).toEqual(pyiceberg.partitions);
    expect(duckdb.rows).toEqual(pyiceberg.rows);
    const summaries = pyiceberg.summaries?.slice(-4).map((summary) => summary['operation']);
    expect(summaries).toEqual(['replace', 'delete', 'overwrite', 'append']);
    // Each reader's own count of what a snapshot holds is what its summary says.
    expect(pyiceberg.counts?.slice(-5)).toEqual([160, 160, 150, 150, 160]);
    expect(pyiceberg.counts?.slice(-5)).toEqual(pyiceberg.summaries?.slice(-5).map((summary) => Number(summary['total-records'])));
  });
});
