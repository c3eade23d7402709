import { describe, expect, it } from 'vitest';
import {
  addSchemaFields,
  currentSchema,
  parseTableMetadata,
  serializeTableMetadata,
  withProperties,
  type TableMetadata,
} from '../../../src/iceberg/index.js';
import { emptyMetadata } from './table-world.js';

const foreign = `{
  "format-version": 2, "table-uuid": "u", "location": "file:/lake/t/", "last-sequence-number": 34, "last-updated-ms": 1795401534049,
  "last-column-id": 3, "current-schema-id": 0,
  "schemas": [{"type":"struct","schema-id":0,"identifier-field-ids":[],"fields":[
    {"id":1,"name":"9007199254740993 \\"12345678901234567890\\" ","required":true,"type":"int","doc":"d"},
    {"id":2,"name":"m","required":false,"type":{"type":"map","key-id":3,"key":"string","value-id":4,"value":"long","value-required":false}}]}],
  "default-spec-id": 0, "partition-specs": [{"spec-id":0,"fields":[{"name":"p","transform":"identity","source-id":1,"field-id":1000}]}],
  "last-partition-id": 1000, "default-sort-order-id": 0, "sort-orders": [{"order-id":0,"fields":[]}],
  "properties": {"owner":"1234567890123456789"},
  "current-snapshot-id": 8117628255023295311,
  "refs": {"main":{"snapshot-id":8117628255023295311,"type":"branch","max-ref-age-ms":5},"tag":{"snapshot-id":8308178020103535270,"type":"tag"}},
  "snapshots": [
    {"snapshot-id":8308178020103535270,"sequence-number":33,"timestamp-ms":1,"manifest-list":"file:/lake/t/metadata/a.avro","summary":{"operation":"append"},"schema-id":0},
    {"snapshot-id":8117628255023295311,"parent-snapshot-id":8308178020103535270,"sequence-number":34,"timestamp-ms":2,"manifest-list":"file:/lake/t/metadata/b.avro","summary":{"operation":"append"}}],
  "snapshot-log": [{"snapshot-id":8117628255023295311,"timestamp-ms":2}],
  "metadata-log": [{"metadata-file":"file:/lake/t/metadata/v1.metadata.json","timestamp-ms":1}],
  "statistics": [{"snapshot-id":8117628255023295311,"statistics-path":"s"}], "unknown": [9007199254740993, -1.5e300, true, null]
}`;

describe('table metadata', () => {
  it('keeps the digits of ids beyond 2^53, and digits inside strings as they are', () => {
    const metadata = parseTableMetadata(Buffer.from(foreign));
    expect(metadata.currentSnapshotId).toBe('8117628255023295311');
    expect(metadata.snapshots.map((snapshot) => snapshot.parentSnapshotId)).toEqual([null, '8308178020103535270']);
    expect(metadata.properties['owner']).toBe('1234567890123456789');
    expect(metadata.schemas[0]?.fields[0]?.name).toBe('9007199254740993 "12345678901234567890" ');
    expect(metadata.location).toBe('file:/lake/t');
    const text = serializeTableMetadata(metadata).toString();
    expect(text).toContain('"current-snapshot-id":8117628255023295311');
    expect(text).toContain('"unknown":[9007199254740993,-1.5e+300,true,null]');
    expect(text).toContain('"main":{"snapshot-id":8117628255023295311,"type":"branch","max-ref-age-ms":5}');
    expect(text).toContain('"tag":{"snapshot-id":8308178020103535270,"type":"tag"}');
    expect(parseTableMetadata(Buffer.from(text))).toEqual({ ...metadata, kept: { ...metadata.kept, 'partition-statistics': [] } });
  });

  it('writes every member that the specification has, also for a table without data', () => {
    const members = Object.keys(JSON.parse(serializeTableMetadata(emptyMetadata()).toString()) as object);
    expect(members).toEqual([
      'format-version',
      'table-uuid',
      'location',
      'last-sequence-number',
      'last-updated-ms',
      'last-column-id',
      'current-schema-id',
      'schemas',
      'default-spec-id',
      'partition-specs',
      'last-partition-id',
      'default-sort-order-id',
      'sort-orders',
      'properties',
      'current-snapshot-id',
      'refs',
      'snapshots',
      'statistics',
      'partition-statistics',
      'snapshot-log',
      'metadata-log',
    ]);
  });

  it('adds columns under a new schema id, never under a used field id or a taken name', () => {
    const before = emptyMetadata();
    const after = addSchemaFields(before, [{ id: 3, name: 'price', required: false, type: 'double' }]);
    expect(after).toMatchObject({ currentSchemaId: 1, lastColumnId: 3 });
    expect(after.schemas).toHaveLength(2);
    expect(currentSchema(after).fields.map((field) => field.name)).toEqual(['_partition_id', '_offset', 'price']);
    expect(currentSchema(before).fields).toHaveLength(2);
    expect(addSchemaFields(after, [])).toBe(after);
    expect(() => addSchemaFields(after, [{ id: 3, name: 'again', required: false, type: 'double' }])).toThrow('fresh field id');
    expect(() => addSchemaFields(after, [{ id: 4, name: 'PRICE', required: false, type: 'double' }])).toThrow('free name');
    const nested = addSchemaFields(after, [
      { id: 4, name: 'list', required: false, type: { type: 'list', elementId: 9, elementRequired: false, element: 'int' } },
    ]);
    expect(nested.lastColumnId).toBe(9);
  });

  it('sets properties and leaves the others', () => {
    const metadata = withProperties(withProperties(emptyMetadata(), { a: '1', b: '1' }), { b: '2' });
    expect(metadata.properties).toEqual({ a: '1', b: '2' });
  });

  it.each([
    ['not JSON', 'x', 'table-corrupt'],
    ['not UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'table-corrupt'],
    ['not an object', '[]', 'table-corrupt'],
    ['of version 1', foreign.replace('"format-version": 2', '"format-version": 1'), 'unsupported'],
    ['of version 3', foreign.replace('"format-version": 2', '"format-version": 3'), 'unsupported'],
    ['without its current schema', foreign.replace('"current-schema-id": 0', '"current-schema-id": 7'), 'table-corrupt'],
    ['without its current snapshot', foreign.replace('"current-snapshot-id": 8', '"current-snapshot-id": 7'), 'table-corrupt'],
    ['with a broken type', foreign.replace('"type":"map"', '"type":"bag"'), 'table-corrupt'],
    ['cut short', foreign.slice(0, 900), 'table-corrupt'],
  ])('that is %s is refused', (_what, bytes, code) => {
    expect(() => parseTableMetadata(Buffer.from(bytes as string))).toThrow(expect.objectContaining({ code }) as Error);
  });

  it('takes −1, null and nothing for "no current snapshot"', () => {
    const base = JSON.parse(serializeTableMetadata(emptyMetadata()).toString()) as Record<string, unknown>;
    for (const value of [-1, null, undefined]) {
      const parsed: TableMetadata = parseTableMetadata(Buffer.from(JSON.stringify({ ...base, 'current-snapshot-id': value })));
      expect(parsed.currentSnapshotId).toBeNull();
    }
  });
});
