// The bytes of a small table, written once and never edited: what was written in the past must be read for ever.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { addSchemaFields, TableStore, type NewDataFile } from '../../src/iceberg/index.js';
import { readAvroFile } from '../../src/iceberg/avro-file.js';
import { emptyMetadata, keysOf, prefix, world, type World } from '../unit/iceberg/table-world.js';

const folder = fileURLToPath(new URL('iceberg/', import.meta.url));
const stored = ['v3.metadata', 'manifest-list.avro', 'manifest-first.avro', 'manifest-second.avro'] as const;
const golden = (name: (typeof stored)[number]): Buffer => readFileSync(folder + name);

const long = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return bytes;
};
const first: NewDataFile = {
  key: `${prefix}/data/p=0/0-99-a.parquet`,
  recordCount: 100,
  bytes: 4096,
  columnSizes: new Map([
    [1, 40],
    [2, 400],
  ]),
  valueCounts: new Map([
    [1, 100],
    [2, 100],
  ]),
  nullValueCounts: new Map([
    [1, 0],
    [2, 0],
  ]),
  lowerBounds: new Map([[2, long(0n)]]),
  upperBounds: new Map([[2, long(99n)]]),
  splitOffsets: [4, 2048],
};
const second: NewDataFile = { key: `${prefix}/data/p=1/0-9-b.parquet`, recordCount: 10, bytes: 512 };

/** The table of which the stored files are parts. */
async function write(w: World): Promise<void> {
  const created = await w.table.commit(null, emptyMetadata(), 'create');
  const one = await w.append(created, [first], 'commit-1');
  const wider = addSchemaFields(one.metadata, [{ id: 3, name: 'price', required: false, type: 'double' }]);
  await w.append({ ...one, metadata: wider }, [second], 'commit-2');
}

async function written(): Promise<ReadonlyMap<string, Buffer>> {
  const w = world();
  await write(w);
  const keys = await keysOf(w.store, `${prefix}/metadata/`);
  const head = await w.table.load();
  const snapshots = head?.metadata.snapshots ?? [];
  const keyFor = (location: string): string => location.replace('memory:/', '');
  const listOf = (index: number): string => keyFor(snapshots[index]?.manifestList ?? '');
  const manifestOf = (index: number): string => {
    const unique = /-1-(.*)\.avro$/.exec(listOf(index))?.[1] ?? '';
    return keys.find((key) => key.includes(`${unique}-m`)) ?? '';
  };
  const names = [`${prefix}/metadata/v3.metadata.json`, listOf(1), manifestOf(0), manifestOf(1)];
  return new Map(await Promise.all(stored.map(async (name, index) => [name, await w.store.get(names[index] ?? '')] as const)));
}

describe('the golden table', () => {
  it('is written in the same words today', async () => {
    const now = await written();
    expect(now.get('v3.metadata')?.toString()).toBe(golden('v3.metadata').toString());
    for (const name of stored.slice(1)) {
      // Compressed bytes may differ between versions of zlib; what they say may not.
      const decoded = await readAvroFile(now.get(name) ?? Buffer.alloc(0), name);
      expect(decoded).toEqual(await readAvroFile(golden(name), name));
    }
  });

  it('is read as it was meant', async () => {
    const w = world();
    await write(w);
    const keys = await keysOf(w.store, `${prefix}/metadata/`);
    const now = await written();
    // The stored bytes take the places of those just written.
    for (const key of keys) {
      const bytes = await w.store.get(key);
      const name = stored.find((candidate) => now.get(candidate)?.equals(bytes) === true);
      if (name !== undefined) await w.store.put(key, golden(name));
    }
    const table = new TableStore(w.store, prefix, w);
    const head = await table.load();
    expect(head?.version).toBe(3);
    expect(head?.metadata).toMatchObject({ lastSequenceNumber: 2, lastColumnId: 3, currentSchemaId: 1 });
    const files = head === null ? [] : await table.readDataFiles(head.metadata);
    expect(files.map((entry) => [entry.key, entry.sequenceNumber, entry.file.recordCount])).toEqual([
      [second.key, 2, 10],
      [first.key, 1, 100],
    ]);
    expect(files[1]?.file.upperBounds?.get(2)?.readBigInt64LE()).toBe(99n);
    expect(files[1]?.file.splitOffsets).toEqual([4, 2048]);
  });

  it('has field ids, maps and headers as other engines need them', async () => {
    const { header, schema } = await readAvroFile(golden('manifest-second.avro'), 'manifest');
    expect([...header.keys()]).toEqual(['schema', 'schema-id', 'partition-spec', 'partition-spec-id', 'format-version', 'content']);
    expect(fieldsWithout(schema, 'field-id')).toEqual([]);
    const list = await readAvroFile(golden('manifest-list.avro'), 'manifest list');
    expect([...list.header.keys()]).toEqual(['snapshot-id', 'parent-snapshot-id', 'sequence-number', 'format-version']);
    expect(fieldsWithout(list.schema, 'field-id')).toEqual([]);
    expect(JSON.stringify(schema).match(/"logicalType":"map"/g)).toHaveLength(6);
    expect(JSON.stringify(schema)).toContain('"element-id":133');
    expect(JSON.stringify(list.schema)).toContain('"element-id":508');
  });
});

/** Names of record fields, at any depth, that lack a member. */
function fieldsWithout(schema: unknown, member: string): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const fields = (schema as { fields?: unknown }).fields;
  const missing = Array.isArray(fields) ? (fields as Record<string, unknown>[]).filter((field) => !(member in field)) : [];
  return [...missing.map((field) => String(field['name'])), ...Object.values(schema).flatMap((inner) => fieldsWithout(inner, member))];
}
