import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addSchemaFields,
  keyOf,
  locationOf,
  parseTableMetadata,
  serializeTableMetadata,
  TableStore,
  withProperties,
  type IcebergType,
  type NewDataFile,
  type TableVersion,
} from '../../src/iceberg/index.js';
import { emptyMetadata, prefix, world } from '../unit/iceberg/table-world.js';

const count = fc.nat({ max: 2 ** 40 });
const byField = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<ReadonlyMap<number, T>> =>
  fc
    .uniqueArray(fc.tuple(fc.integer({ min: 1, max: 2 ** 31 - 1 }), value), { selector: ([id]) => id, maxLength: 5 })
    .map((pairs) => new Map(pairs));
const bytes = fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array));

const dataFile = (name: string): fc.Arbitrary<NewDataFile> =>
  fc.record(
    {
      key: fc.constant(`${prefix}/data/${name}.parquet`),
      recordCount: count,
      bytes: count,
      columnSizes: byField(count),
      valueCounts: byField(count),
      nullValueCounts: byField(count),
      lowerBounds: byField(bytes),
      upperBounds: byField(bytes),
      splitOffsets: fc.array(count, { maxLength: 4 }),
    },
    { requiredKeys: ['key', 'recordCount', 'bytes'] },
  );

const { type } = fc.letrec<{ type: IcebergType }>((tie) => ({
  type: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<IcebergType>('int', 'long', 'double', 'string', 'binary', 'timestamptz', 'decimal(9,2)', 'boolean'),
    fc.record({ type: fc.constant('list' as const), elementId: fc.constant(50), elementRequired: fc.boolean(), element: tie('type') }),
    fc.record({
      type: fc.constant('struct' as const),
      fields: fc.array(fc.record({ id: fc.constant(60), name: fc.string(), required: fc.boolean(), type: tie('type') }), { maxLength: 3 }),
    }),
    fc.record({
      type: fc.constant('map' as const),
      keyId: fc.constant(70),
      key: tie('type'),
      valueId: fc.constant(71),
      valueRequired: fc.boolean(),
      value: tie('type'),
    }),
  ),
}));

describe('a table', () => {
  it('gives back every file of every append as it was added, through merges and with a cold cache', async () => {
    const appends = fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 25 });
    await fc.assert(
      fc.asyncProperty(appends, fc.gen(), async (sizes, gen) => {
        const w = world();
        let head: TableVersion = await w.table.commit(null, emptyMetadata(), 'create');
        const added = new Map<string, { file: NewDataFile; sequence: number; snapshotId: string | null }>();
        for (const [index, size] of sizes.entries()) {
          const files = Array.from({ length: size }, (_, i) => gen(dataFile, `${index}-${i}`));
          head = await w.append(head, files);
          for (const file of files) added.set(file.key, { file, sequence: index + 1, snapshotId: head.metadata.currentSnapshotId });
        }
        const cold = new TableStore(w.store, prefix, w);
        const loaded = await cold.load();
        expect(loaded?.metadata).toEqual(head.metadata);
        const entries = await cold.readDataFiles(head.metadata);
        expect(entries).toHaveLength(added.size);
        for (const entry of entries) {
          const expected = added.get(entry.key);
          const { key: _key, bytes: fileBytes, recordCount, ...metrics } = expected?.file ?? dataFileOf(entry.key);
          expect(entry).toMatchObject({
            sequenceNumber: expected?.sequence,
            fileSequenceNumber: expected?.sequence,
            snapshotId: expected?.snapshotId,
          });
          expect(entry.file).toMatchObject({ recordCount, fileSizeBytes: fileBytes, content: 0, ...metrics });
        }
        expect(await w.table.readDataFiles(head.metadata)).toEqual(entries);
      }),
      { numRuns: 40 },
    );
  });

  it('reads back its metadata whatever names, types and properties are in it', () => {
    const field = fc.record({ id: fc.constant(100), name: fc.string({ unit: 'binary' }), required: fc.constant(false), type });
    fc.assert(
      fc.property(
        field,
        fc.dictionary(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' })),
        fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }),
        (added, properties, id) => {
          fc.pre(!['_partition_id', '_offset'].includes(added.name.toLowerCase()));
          const snapshotId = String(id);
          const withField = withProperties(addSchemaFields(emptyMetadata(), [added]), properties);
          const metadata = {
            ...withField,
            currentSnapshotId: snapshotId,
            snapshots: [
              {
                snapshotId,
                parentSnapshotId: null,
                sequenceNumber: 1,
                timestampMs: 1,
                manifestList: 'x',
                summary: { ...properties },
                schemaId: 1,
              },
            ],
          };
          const text = serializeTableMetadata(metadata);
          const { kept, ...read } = parseTableMetadata(text);
          const { kept: _none, ...written } = metadata;
          expect(read).toEqual(written);
          expect(serializeTableMetadata({ ...read, kept })).toEqual(text);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('a location', () => {
  it('leads back to its key, also in a bucket of another name', () => {
    const segment = fc.stringMatching(/^[A-Za-z0-9._-]{1,12}$/).filter((text) => text !== '.' && text !== '..');
    const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join('/'));
    const root = fc.constantFrom('file:///data/bucket', 's3://bucket/prefix', 'file:/data', 's3a://bucket', 'memory:');
    fc.assert(
      fc.property(path, segment, path, root, root, (folder, id, below, from, to) => {
        fc.pre(!below.split('/').includes(id));
        const table = `${folder}/${id}`;
        const location = locationOf({ prefix: table, location: `${from}/${table}` }, `${table}/${below}`);
        expect(keyOf({ prefix: table, location: `${from}/${table}` }, location)).toBe(`${table}/${below}`);
        expect(keyOf({ prefix: `moved/${id}`, location: `${to}/moved/${id}` }, location)).toBe(`moved/${id}/${below}`);
      }),
    );
  });
});

function dataFileOf(key: string): NewDataFile {
  throw new Error(`${key} was never added`);
}
