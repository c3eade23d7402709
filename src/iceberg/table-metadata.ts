/**
 * `v<N>.metadata.json` of an Iceberg v2 table: its types, reading, writing, and the pure steps from one to the next.
 * Everything the specification has is written, because each reader stumbles over something else that is left out.
 */
import { invariant, LakeError } from '../kernel/index.js';
import { parseJson, writeJson } from './json.js';
import {
  asArray,
  asInteger,
  asObject,
  asText,
  highestFieldId,
  schemaFromJson,
  schemaToJson,
  withFields,
  type IcebergField,
  type IcebergSchema,
} from './schema.js';

/** Text of a 63-bit integer. Ours are below 2^53, others' are not. */
export type SnapshotId = string;

export interface PartitionField {
  readonly name: string;
  readonly transform: string;
  readonly sourceId: number;
  readonly fieldId: number;
}

export interface PartitionSpec {
  readonly specId: number;
  readonly fields: readonly PartitionField[];
}

export interface Snapshot {
  readonly snapshotId: SnapshotId;
  readonly parentSnapshotId: SnapshotId | null;
  readonly sequenceNumber: number;
  readonly timestampMs: number;
  /** Location of the manifest list. */
  readonly manifestList: string;
  /** `operation` and counts, all as text. */
  readonly summary: Readonly<Record<string, string>>;
  readonly schemaId: number;
}

export interface SnapshotLogEntry {
  readonly timestampMs: number;
  readonly snapshotId: SnapshotId;
}

export interface MetadataLogEntry {
  readonly timestampMs: number;
  /** Location of an earlier metadata file. */
  readonly metadataFile: string;
}

export interface TableMetadata {
  readonly formatVersion: 2;
  readonly tableUuid: string;
  /** Without a trailing slash. */
  readonly location: string;
  readonly lastSequenceNumber: number;
  readonly lastUpdatedMs: number;
  readonly lastColumnId: number;
  readonly currentSchemaId: number;
  readonly schemas: readonly IcebergSchema[];
  readonly defaultSpecId: number;
  readonly partitionSpecs: readonly PartitionSpec[];
  readonly lastPartitionId: number;
  readonly defaultSortOrderId: number;
  readonly properties: Readonly<Record<string, string>>;
  readonly currentSnapshotId: SnapshotId | null;
  /** Oldest first. */
  readonly snapshots: readonly Snapshot[];
  readonly snapshotLog: readonly SnapshotLogEntry[];
  readonly metadataLog: readonly MetadataLogEntry[];
  /** Sort orders, statistics, branches and tags other than `main`, and members we do not know: kept as they were read. */
  readonly kept: Readonly<Record<string, unknown>>;
}

/** Highest partition field id of an unpartitioned table, as the reference implementation writes it. */
const noPartitionFieldId = 999;

/** A table without data: unpartitioned (bounds on `_partition_id` prune as well), unsorted, schema id 0. */
export function newTableMetadata(table: {
  readonly uuid: string;
  readonly location: string;
  readonly schema: IcebergSchema;
  readonly properties: Readonly<Record<string, string>>;
  readonly nowMs: number;
}): TableMetadata {
  return {
    formatVersion: 2,
    tableUuid: table.uuid,
    location: table.location.replace(/\/+$/, ''),
    lastSequenceNumber: 0,
    lastUpdatedMs: table.nowMs,
    lastColumnId: highestFieldId(table.schema.fields),
    currentSchemaId: table.schema.schemaId,
    schemas: [table.schema],
    defaultSpecId: 0,
    partitionSpecs: [{ specId: 0, fields: [] }],
    lastPartitionId: noPartitionFieldId,
    defaultSortOrderId: 0,
    properties: table.properties,
    currentSnapshotId: null,
    snapshots: [],
    snapshotLog: [],
    metadataLog: [],
    kept: {},
  };
}

export function currentSchema(metadata: TableMetadata): IcebergSchema {
  const schema = metadata.schemas.find((candidate) => candidate.schemaId === metadata.currentSchemaId);
  invariant(schema !== undefined, 'parsed metadata has its current schema', { id: metadata.currentSchemaId });
  return schema;
}

/** `null` before the first data. */
export function currentSnapshot(metadata: TableMetadata): Snapshot | null {
  if (metadata.currentSnapshotId === null) return null;
  return metadata.snapshots.find((candidate) => candidate.snapshotId === metadata.currentSnapshotId) ?? null;
}

/**
 * Adds columns under a new schema id and makes it current. Field ids must be above `lastColumnId`, so that no id is ever
 * used twice. Without fields the metadata comes back as it is.
 */
export function addSchemaFields(metadata: TableMetadata, fields: readonly IcebergField[]): TableMetadata {
  if (fields.length === 0) return metadata;
  for (const field of fields) {
    invariant(field.id > metadata.lastColumnId, 'a new column needs a fresh field id', { id: field.id, last: metadata.lastColumnId });
    invariant(!field.required, 'a new column is optional', { name: field.name });
  }
  const schemaId = Math.max(...metadata.schemas.map((schema) => schema.schemaId)) + 1;
  const schema = withFields(currentSchema(metadata), schemaId, fields);
  return {
    ...metadata,
    schemas: [...metadata.schemas, schema],
    currentSchemaId: schemaId,
    lastColumnId: Math.max(metadata.lastColumnId, highestFieldId(fields)),
  };
}

/** The same table with these properties set; the others stay. */
export function withProperties(metadata: TableMetadata, properties: Readonly<Record<string, string>>): TableMetadata {
  return { ...metadata, properties: { ...metadata.properties, ...properties } };
}

const known = new Set([
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
  'properties',
  'current-snapshot-id',
  'snapshots',
  'snapshot-log',
  'metadata-log',
]);

/** Reads a v2 metadata file of any writer. Errors: `table-corrupt`, and `unsupported` for other format versions. */
export function parseTableMetadata(bytes: Uint8Array): TableMetadata {
  let value: unknown;
  try {
    value = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new LakeError('table-corrupt', 'Iceberg metadata is not JSON', {
      hint: 'Restore the file from an earlier version of the object.',
      cause,
    });
  }
  const json = asObject(value, 'metadata');
  if (json['format-version'] !== 2) {
    throw new LakeError('unsupported', `Iceberg format version ${String(json['format-version'])} is not read here, only 2`, {
      hint: 'Keep the tables of topics at format version 2.',
    });
  }
  const metadata: TableMetadata = {
    formatVersion: 2,
    tableUuid: asText(json['table-uuid'], 'table-uuid'),
    location: asText(json['location'], 'location').replace(/\/+$/, ''),
    lastSequenceNumber: asInteger(json['last-sequence-number'], 'last-sequence-number'),
    lastUpdatedMs: asInteger(json['last-updated-ms'], 'last-updated-ms'),
    lastColumnId: asInteger(json['last-column-id'], 'last-column-id'),
    currentSchemaId: asInteger(json['current-schema-id'], 'current-schema-id'),
    schemas: asArray(json['schemas'], 'schemas').map(schemaFromJson),
    defaultSpecId: asInteger(json['default-spec-id'], 'default-spec-id'),
    partitionSpecs: asArray(json['partition-specs'], 'partition-specs').map(specFromJson),
    lastPartitionId: asInteger(json['last-partition-id'], 'last-partition-id'),
    defaultSortOrderId: asInteger(json['default-sort-order-id'], 'default-sort-order-id'),
    properties: textMap(json['properties'] ?? {}, 'properties'),
    currentSnapshotId: currentIdFromJson(json['current-snapshot-id']),
    snapshots: optionalArray(json['snapshots'], 'snapshots').map(snapshotFromJson),
    snapshotLog: optionalArray(json['snapshot-log'], 'snapshot-log').map((entry) => {
      const log = asObject(entry, 'snapshot-log');
      return { timestampMs: asInteger(log['timestamp-ms'], 'timestamp-ms'), snapshotId: idFromJson(log['snapshot-id']) };
    }),
    metadataLog: optionalArray(json['metadata-log'], 'metadata-log').map((entry) => {
      const log = asObject(entry, 'metadata-log');
      return {
        timestampMs: asInteger(log['timestamp-ms'], 'timestamp-ms'),
        metadataFile: asText(log['metadata-file'], 'metadata-file'),
      };
    }),
    kept: Object.fromEntries(Object.entries(json).filter(([key]) => !known.has(key))),
  };
  requireMember(
    metadata.schemas.some((schema) => schema.schemaId === metadata.currentSchemaId),
    'current-schema-id',
  );
  requireMember(
    metadata.partitionSpecs.some((spec) => spec.specId === metadata.defaultSpecId),
    'default-spec-id',
  );
  requireMember(metadata.currentSnapshotId === null || currentSnapshot(metadata) !== null, 'current-snapshot-id');
  return metadata;
}

/** The bytes of a metadata file: compact JSON in a fixed order of members. */
export function serializeTableMetadata(metadata: TableMetadata): Buffer {
  const { refs, 'sort-orders': sortOrders, statistics, 'partition-statistics': partitionStatistics, ...others } = metadata.kept;
  const branches = (refs ?? {}) as Record<string, object | undefined>;
  const main =
    metadata.currentSnapshotId === null
      ? {}
      : { main: { ...branches['main'], 'snapshot-id': BigInt(metadata.currentSnapshotId), 'type': 'branch' } };
  return Buffer.from(
    writeJson({
      'format-version': 2,
      'table-uuid': metadata.tableUuid,
      'location': metadata.location,
      'last-sequence-number': metadata.lastSequenceNumber,
      'last-updated-ms': metadata.lastUpdatedMs,
      'last-column-id': metadata.lastColumnId,
      'current-schema-id': metadata.currentSchemaId,
      'schemas': metadata.schemas.map(schemaToJson),
      'default-spec-id': metadata.defaultSpecId,
      'partition-specs': metadata.partitionSpecs.map((spec) => ({
        'spec-id': spec.specId,
        'fields': partitionFieldsToJson(spec),
      })),
      'last-partition-id': metadata.lastPartitionId,
      'default-sort-order-id': metadata.defaultSortOrderId,
      'sort-orders': sortOrders ?? [{ 'order-id': 0, 'fields': [] }],
      'properties': metadata.properties,
      // Version 2 writers say −1 where there is none; some readers insist on the member.
      'current-snapshot-id': metadata.currentSnapshotId === null ? -1 : BigInt(metadata.currentSnapshotId),
      'refs': { ...branches, ...main },
      'snapshots': metadata.snapshots.map(snapshotToJson),
      'statistics': statistics ?? [],
      'partition-statistics': partitionStatistics ?? [],
      'snapshot-log': metadata.snapshotLog.map((entry) => ({
        'timestamp-ms': entry.timestampMs,
        'snapshot-id': BigInt(entry.snapshotId),
      })),
      'metadata-log': metadata.metadataLog.map((entry) => ({
        'timestamp-ms': entry.timestampMs,
        'metadata-file': entry.metadataFile,
      })),
      ...others,
    }),
  );
}

/** The fields of a partition spec as metadata and manifest headers have them. */
export function partitionFieldsToJson(spec: PartitionSpec): readonly Record<string, unknown>[] {
  return spec.fields.map((field) => ({
    'name': field.name,
    'transform': field.transform,
    'source-id': field.sourceId,
    'field-id': field.fieldId,
  }));
}

function snapshotToJson(snapshot: Snapshot): Record<string, unknown> {
  return {
    'sequence-number': snapshot.sequenceNumber,
    'snapshot-id': BigInt(snapshot.snapshotId),
    ...(snapshot.parentSnapshotId === null ? {} : { 'parent-snapshot-id': BigInt(snapshot.parentSnapshotId) }),
    'timestamp-ms': snapshot.timestampMs,
    'summary': snapshot.summary,
    'manifest-list': snapshot.manifestList,
    'schema-id': snapshot.schemaId,
  };
}

function snapshotFromJson(value: unknown): Snapshot {
  const json = asObject(value, 'snapshot');
  const parent = json['parent-snapshot-id'];
  return {
    snapshotId: idFromJson(json['snapshot-id']),
    parentSnapshotId: parent === undefined || parent === null ? null : idFromJson(parent),
    sequenceNumber: asInteger(json['sequence-number'], 'sequence-number'),
    timestampMs: asInteger(json['timestamp-ms'], 'timestamp-ms'),
    manifestList: asText(json['manifest-list'], 'manifest-list'),
    summary: textMap(json['summary'] ?? {}, 'summary'),
    schemaId: json['schema-id'] === undefined ? 0 : asInteger(json['schema-id'], 'schema-id'),
  };
}

function specFromJson(value: unknown): PartitionSpec {
  const json = asObject(value, 'partition-spec');
  return {
    specId: asInteger(json['spec-id'], 'spec-id'),
    fields: asArray(json['fields'], 'fields').map((inner) => {
      const field = asObject(inner, 'partition field');
      return {
        name: asText(field['name'], 'name'),
        transform: asText(field['transform'], 'transform'),
        sourceId: asInteger(field['source-id'], 'source-id'),
        fieldId: asInteger(field['field-id'], 'field-id'),
      };
    }),
  };
}

function currentIdFromJson(value: unknown): SnapshotId | null {
  return value === undefined || value === null || value === -1 ? null : idFromJson(value);
}

function idFromJson(value: unknown): SnapshotId {
  requireMember((typeof value === 'number' && Number.isSafeInteger(value)) || typeof value === 'bigint', 'snapshot-id');
  return String(value);
}

function textMap(value: unknown, what: string): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(asObject(value, what)).map(([key, text]) => [key, asText(text, what)]));
}

function optionalArray(value: unknown, what: string): readonly unknown[] {
  return value === undefined || value === null ? [] : asArray(value, what);
}

function requireMember(holds: boolean, what: string): void {
  if (!holds) throw new LakeError('table-corrupt', `Iceberg metadata: "${what}" names what is not there`, { facts: { what } });
}
