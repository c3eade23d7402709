/**
 * Manifests and manifest lists of Iceberg v2: what they say, and their Avro form (spec: "Manifests", "Manifest Lists").
 * Maps are arrays of key/value records with `logicalType: map`, each field carries its `field-id`, counts are all written.
 */
import { invariant, LakeError } from '../kernel/index.js';
import { readAvroFile, writeAvroFile, type AvroSchema } from './avro-file.js';
import { schemaToJson, type IcebergSchema } from './schema.js';
import { partitionFieldsToJson, type PartitionSpec, type SnapshotId } from './table-metadata.js';

/** What a manifest says of one file. Maps go by field id; bounds are in Iceberg's single-value serialisation. */
export interface DataFile {
  /** 0 data, 1 position deletes, 2 equality deletes. */
  readonly content: 0 | 1 | 2;
  /** Full location, as it was when the file was written. */
  readonly filePath: string;
  readonly fileFormat: string;
  readonly recordCount: number;
  readonly fileSizeBytes: number;
  readonly columnSizes: ReadonlyMap<number, number> | null;
  readonly valueCounts: ReadonlyMap<number, number> | null;
  readonly nullValueCounts: ReadonlyMap<number, number> | null;
  readonly nanValueCounts: ReadonlyMap<number, number> | null;
  readonly lowerBounds: ReadonlyMap<number, Buffer> | null;
  readonly upperBounds: ReadonlyMap<number, Buffer> | null;
  readonly splitOffsets: readonly number[] | null;
  readonly sortOrderId: number | null;
}

export const entryStatus = { existing: 0, added: 1, deleted: 2 } as const;
export type EntryStatus = (typeof entryStatus)[keyof typeof entryStatus];

/** A manifest's entry, with ids and sequence numbers already inherited from the manifest list. */
export interface ManifestEntry {
  readonly status: EntryStatus;
  readonly snapshotId: SnapshotId;
  readonly sequenceNumber: number;
  readonly fileSequenceNumber: number;
  readonly file: DataFile;
}

/** A manifest list's entry. */
export interface ManifestFile {
  readonly manifestPath: string;
  readonly manifestLength: number;
  readonly partitionSpecId: number;
  /** 0 data, 1 deletes. */
  readonly content: 0 | 1;
  readonly sequenceNumber: number;
  readonly minSequenceNumber: number;
  readonly addedSnapshotId: SnapshotId;
  readonly addedFiles: number;
  readonly existingFiles: number;
  readonly deletedFiles: number;
  readonly addedRows: number;
  readonly existingRows: number;
  readonly deletedRows: number;
  /** Partition summaries, kept as they were read; ours has none, as the table is unpartitioned. */
  readonly partitions: readonly unknown[] | null;
  readonly keyMetadata: Buffer | null;
}

/** Written as null where the commit's own sequence number is to be inherited. */
export type NewManifestEntry =
  | ManifestEntry
  | {
      readonly status: 1;
      readonly snapshotId: SnapshotId;
      readonly sequenceNumber: null;
      readonly fileSequenceNumber: null;
      readonly file: DataFile;
    };

const mapOf = (keyId: number, valueId: number, value: string): AvroSchema => ({
  type: 'array',
  items: {
    type: 'record',
    name: `k${keyId}_v${valueId}`,
    fields: [
      { 'name': 'key', 'type': 'int', 'field-id': keyId },
      { 'name': 'value', 'type': value, 'field-id': valueId },
    ],
  },
  logicalType: 'map',
});
const optional = (name: string, fieldId: number, type: AvroSchema): AvroSchema => ({
  name,
  'type': ['null', type],
  'default': null,
  'field-id': fieldId,
});
const required = (name: string, fieldId: number, type: AvroSchema): AvroSchema => ({ name, type, 'field-id': fieldId });

const manifestEntrySchema: AvroSchema = {
  type: 'record',
  name: 'manifest_entry',
  fields: [
    required('status', 0, 'int'),
    optional('snapshot_id', 1, 'long'),
    optional('sequence_number', 3, 'long'),
    optional('file_sequence_number', 4, 'long'),
    required('data_file', 2, {
      type: 'record',
      name: 'r2',
      fields: [
        required('content', 134, 'int'),
        required('file_path', 100, 'string'),
        required('file_format', 101, 'string'),
        required('partition', 102, { type: 'record', name: 'r102', fields: [] }),
        required('record_count', 103, 'long'),
        required('file_size_in_bytes', 104, 'long'),
        optional('column_sizes', 108, mapOf(117, 118, 'long')),
        optional('value_counts', 109, mapOf(119, 120, 'long')),
        optional('null_value_counts', 110, mapOf(121, 122, 'long')),
        optional('nan_value_counts', 137, mapOf(138, 139, 'long')),
        optional('lower_bounds', 125, mapOf(126, 127, 'bytes')),
        optional('upper_bounds', 128, mapOf(129, 130, 'bytes')),
        optional('key_metadata', 131, 'bytes'),
        optional('split_offsets', 132, { 'type': 'array', 'items': 'long', 'element-id': 133 }),
        optional('equality_ids', 135, { 'type': 'array', 'items': 'int', 'element-id': 136 }),
        optional('sort_order_id', 140, 'int'),
      ],
    }),
  ],
};

const manifestListSchema: AvroSchema = {
  type: 'record',
  name: 'manifest_file',
  fields: [
    required('manifest_path', 500, 'string'),
    required('manifest_length', 501, 'long'),
    required('partition_spec_id', 502, 'int'),
    required('content', 517, 'int'),
    required('sequence_number', 515, 'long'),
    required('min_sequence_number', 516, 'long'),
    required('added_snapshot_id', 503, 'long'),
    required('added_files_count', 504, 'int'),
    required('existing_files_count', 505, 'int'),
    required('deleted_files_count', 506, 'int'),
    required('added_rows_count', 512, 'long'),
    required('existing_rows_count', 513, 'long'),
    required('deleted_rows_count', 514, 'long'),
    optional('partitions', 507, {
      'type': 'array',
      'items': {
        type: 'record',
        name: 'r508',
        fields: [
          required('contains_null', 509, 'boolean'),
          optional('contains_nan', 518, 'boolean'),
          optional('lower_bound', 510, 'bytes'),
          optional('upper_bound', 511, 'bytes'),
        ],
      },
      'element-id': 508,
    }),
    optional('key_metadata', 519, 'bytes'),
  ],
};

/** Bytes of a manifest of data files. The spec must be unpartitioned. */
export async function encodeManifest(
  table: { readonly schema: IcebergSchema; readonly spec: PartitionSpec },
  entries: readonly NewManifestEntry[],
): Promise<Buffer> {
  invariant(table.spec.fields.length === 0, 'manifests are written for unpartitioned tables only', { spec: table.spec.specId });
  const header = new Map([
    ['schema', JSON.stringify(schemaToJson(table.schema))],
    ['schema-id', String(table.schema.schemaId)],
    ['partition-spec', JSON.stringify(partitionFieldsToJson(table.spec))],
    ['partition-spec-id', String(table.spec.specId)],
    ['format-version', '2'],
    ['content', 'data'],
  ]);
  return writeAvroFile(manifestEntrySchema, header, entries.map(entryToAvro));
}

/** Reads a manifest of any v2 writer; what entries inherit comes from its manifest list's entry. Errors: `table-corrupt`. */
export async function decodeManifest(bytes: Buffer, listed: ManifestFile): Promise<readonly ManifestEntry[]> {
  const { records } = await readAvroFile(bytes, listed.manifestPath);
  return records.map((record) => entryFromAvro(asRecord(record as AvroEntry, listed.manifestPath), listed));
}

/** Bytes of a manifest list. */
export async function encodeManifestList(
  snapshot: { readonly snapshotId: SnapshotId; readonly parentSnapshotId: SnapshotId | null; readonly sequenceNumber: number },
  manifests: readonly ManifestFile[],
): Promise<Buffer> {
  const header = new Map([
    ['snapshot-id', snapshot.snapshotId],
    ['parent-snapshot-id', snapshot.parentSnapshotId ?? 'null'],
    ['sequence-number', String(snapshot.sequenceNumber)],
    ['format-version', '2'],
  ]);
  const records = manifests.map((manifest) => ({
    manifest_path: manifest.manifestPath,
    manifest_length: BigInt(manifest.manifestLength),
    partition_spec_id: manifest.partitionSpecId,
    content: manifest.content,
    sequence_number: BigInt(manifest.sequenceNumber),
    min_sequence_number: BigInt(manifest.minSequenceNumber),
    added_snapshot_id: BigInt(manifest.addedSnapshotId),
    added_files_count: manifest.addedFiles,
    existing_files_count: manifest.existingFiles,
    deleted_files_count: manifest.deletedFiles,
    added_rows_count: BigInt(manifest.addedRows),
    existing_rows_count: BigInt(manifest.existingRows),
    deleted_rows_count: BigInt(manifest.deletedRows),
    partitions: manifest.partitions,
    key_metadata: manifest.keyMetadata,
  }));
  return writeAvroFile(manifestListSchema, header, records);
}

interface AvroManifestFile {
  readonly manifest_path: string;
  readonly manifest_length: bigint;
  readonly partition_spec_id: number;
  readonly content: number;
  readonly sequence_number: bigint;
  readonly min_sequence_number: bigint;
  readonly added_snapshot_id: bigint;
  readonly added_files_count: number;
  readonly existing_files_count: number;
  readonly deleted_files_count: number;
  readonly added_rows_count: bigint;
  readonly existing_rows_count: bigint;
  readonly deleted_rows_count: bigint;
  readonly partitions?: readonly unknown[] | null;
  readonly key_metadata?: Buffer | null;
}

/** Reads a manifest list of any v2 writer. Errors: `table-corrupt`. */
export async function decodeManifestList(bytes: Buffer, name: string): Promise<readonly ManifestFile[]> {
  const { records } = await readAvroFile(bytes, name);
  return records.map((value) => {
    const record = asRecord(value as AvroManifestFile, name);
    if (record.content !== 0 && record.content !== 1) throw unreadable(name);
    return {
      manifestPath: text(record.manifest_path, name),
      manifestLength: safe(record.manifest_length, name),
      partitionSpecId: whole(record.partition_spec_id, name),
      content: record.content,
      sequenceNumber: safe(record.sequence_number, name),
      minSequenceNumber: safe(record.min_sequence_number, name),
      addedSnapshotId: id(record.added_snapshot_id, name),
      addedFiles: whole(record.added_files_count, name),
      existingFiles: whole(record.existing_files_count, name),
      deletedFiles: whole(record.deleted_files_count, name),
      addedRows: safe(record.added_rows_count, name),
      existingRows: safe(record.existing_rows_count, name),
      deletedRows: safe(record.deleted_rows_count, name),
      partitions: listOf(record.partitions, name),
      keyMetadata: record.key_metadata === null || record.key_metadata === undefined ? null : bytesOf(record.key_metadata, name),
    };
  });
}

type AvroMap<T> = readonly { readonly key: number; readonly value: T }[] | null | undefined;

interface AvroEntry {
  readonly status: number;
  readonly snapshot_id?: bigint | null;
  readonly sequence_number?: bigint | null;
  readonly file_sequence_number?: bigint | null;
  readonly data_file: {
    readonly content: number;
    readonly file_path: string;
    readonly file_format: string;
    readonly record_count: bigint;
    readonly file_size_in_bytes: bigint;
    readonly column_sizes?: AvroMap<bigint>;
    readonly value_counts?: AvroMap<bigint>;
    readonly null_value_counts?: AvroMap<bigint>;
    readonly nan_value_counts?: AvroMap<bigint>;
    readonly lower_bounds?: AvroMap<Buffer>;
    readonly upper_bounds?: AvroMap<Buffer>;
    readonly split_offsets?: readonly bigint[] | null;
    readonly sort_order_id?: number | null;
  };
}

function entryToAvro(entry: NewManifestEntry): unknown {
  const { file } = entry;
  return {
    status: entry.status,
    snapshot_id: BigInt(entry.snapshotId),
    sequence_number: entry.sequenceNumber === null ? null : BigInt(entry.sequenceNumber),
    file_sequence_number: entry.fileSequenceNumber === null ? null : BigInt(entry.fileSequenceNumber),
    data_file: {
      content: file.content,
      file_path: file.filePath,
      file_format: file.fileFormat,
      partition: {},
      record_count: BigInt(file.recordCount),
      file_size_in_bytes: BigInt(file.fileSizeBytes),
      column_sizes: pairs(file.columnSizes, BigInt),
      value_counts: pairs(file.valueCounts, BigInt),
      null_value_counts: pairs(file.nullValueCounts, BigInt),
      nan_value_counts: pairs(file.nanValueCounts, BigInt),
      lower_bounds: pairs(file.lowerBounds, (bytes) => bytes),
      upper_bounds: pairs(file.upperBounds, (bytes) => bytes),
      key_metadata: null,
      split_offsets: file.splitOffsets?.map(BigInt) ?? null,
      equality_ids: null,
      sort_order_id: file.sortOrderId,
    },
  };
}

function entryFromAvro(record: AvroEntry, listed: ManifestFile): ManifestEntry {
  const name = listed.manifestPath;
  const file = asRecord(record.data_file, name);
  const { status } = record;
  const content = file.content;
  if ((status !== 0 && status !== 1 && status !== 2) || (content !== 0 && content !== 1 && content !== 2)) throw unreadable(name);
  // Only an added entry may inherit its sequence numbers (spec: "Sequence Number Inheritance").
  const inherited = (value: bigint | null | undefined): number => {
    if (value !== null && value !== undefined) return safe(value, name);
    if (status !== entryStatus.added) throw unreadable(name);
    return listed.sequenceNumber;
  };
  return {
    status,
    snapshotId: record.snapshot_id === null || record.snapshot_id === undefined ? listed.addedSnapshotId : id(record.snapshot_id, name),
    sequenceNumber: inherited(record.sequence_number),
    fileSequenceNumber: inherited(record.file_sequence_number),
    file: {
      content,
      filePath: text(file.file_path, name),
      fileFormat: text(file.file_format, name),
      recordCount: safe(file.record_count, name),
      fileSizeBytes: safe(file.file_size_in_bytes, name),
      columnSizes: numbers(file.column_sizes, name),
      valueCounts: numbers(file.value_counts, name),
      nullValueCounts: numbers(file.null_value_counts, name),
      nanValueCounts: numbers(file.nan_value_counts, name),
      lowerBounds: byKey(file.lower_bounds, bytesOf, name),
      upperBounds: byKey(file.upper_bounds, bytesOf, name),
      splitOffsets: listOf(file.split_offsets, name)?.map((offset) => safe(offset, name)) ?? null,
      sortOrderId: file.sort_order_id === null || file.sort_order_id === undefined ? null : whole(file.sort_order_id, name),
    },
  };
}

function pairs<T, U>(map: ReadonlyMap<number, T> | null, convert: (value: T) => U): { key: number; value: U }[] | null {
  return map === null ? null : [...map].map(([key, value]) => ({ key, value: convert(value) }));
}

/** The schema is the file's own: a damaged one may call a field otherwise, or give it another type. */
function asRecord<T>(value: T, name: string): T {
  if (typeof value !== 'object' || value === null) throw unreadable(name);
  return value;
}

function listOf<T>(value: readonly T[] | null | undefined, name: string): readonly T[] | null {
  if (value === null || value === undefined) return null;
  if (!Array.isArray(value)) throw unreadable(name);
  return value;
}

function byKey<T, U>(map: AvroMap<T>, convert: (value: T, name: string) => U, name: string): ReadonlyMap<number, U> | null {
  const entries = listOf(map, name);
  if (entries === null) return null;
  return new Map(
    entries.map((entry) => {
      const { key, value } = asRecord(entry, name);
      return [whole(key, name), convert(value, name)];
    }),
  );
}

function numbers(map: AvroMap<bigint>, name: string): ReadonlyMap<number, number> | null {
  return byKey(map, safe, name);
}

function safe(value: bigint, name: string): number {
  if (typeof value !== 'bigint') throw unreadable(name);
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw unreadable(name);
  return number;
}

function id(value: bigint, name: string): SnapshotId {
  if (typeof value !== 'bigint') throw unreadable(name);
  return String(value);
}

function whole(value: number, name: string): number {
  if (!Number.isSafeInteger(value)) throw unreadable(name);
  return value;
}

function text(value: string, name: string): string {
  if (typeof value !== 'string') throw unreadable(name);
  return value;
}

function bytesOf(value: Buffer, name: string): Buffer {
  if (!Buffer.isBuffer(value)) throw unreadable(name);
  return value;
}

function unreadable(name: string): LakeError {
  return new LakeError('table-corrupt', `${name} does not say what the Iceberg specification asks for`, {
    hint: 'Restore the object from an earlier version of it.',
    facts: { name },
  });
}
