/**
 * The next snapshot of a table: a manifest for the new files, the parent's without what is removed (see `next-manifests.ts`), a
 * manifest list, and the metadata that would make it current. Nothing is visible before that metadata is committed.
 */
import { invariant, LakeError, type Random } from '../kernel/index.js';
import type { ObjectStore } from '../objects/index.js';
import { expireSnapshots } from './expire-snapshots.js';
import { isSameLocation, keyOf, locationOf, type TableAddress } from './locations.js';
import { encodeManifest, encodeManifestList, entryStatus, type DataFile, type ManifestFile, type NewManifestEntry } from './manifest.js';
import type { ManifestReader } from './manifest-reader.js';
import { carryManifests, type Removal } from './next-manifests.js';
import { currentSchema, currentSnapshot, type Snapshot, type SnapshotId, type TableMetadata } from './table-metadata.js';

/** A Parquet file that is uploaded below the table and not yet in it. */
export interface NewDataFile {
  /** Its key in the store. */
  readonly key: string;
  readonly recordCount: number;
  readonly bytes: number;
  /** By field id, as `DataFile` has them. */
  readonly columnSizes?: ReadonlyMap<number, number>;
  readonly valueCounts?: ReadonlyMap<number, number>;
  readonly nullValueCounts?: ReadonlyMap<number, number>;
  readonly lowerBounds?: ReadonlyMap<number, Buffer>;
  readonly upperBounds?: ReadonlyMap<number, Buffer>;
  readonly splitOffsets?: readonly number[];
}

/**
 * What a snapshot does, in the specification's words: `append` adds files; `delete` removes some; `replace` puts files of the same
 * rows in the place of others; `overwrite` is everything else.
 */
export type SnapshotOperation = 'append' | 'replace' | 'overwrite' | 'delete';

export interface SnapshotRequest {
  readonly operation: SnapshotOperation;
  /** May be empty: a snapshot that only removes, or only says something in its summary. */
  readonly dataFiles: readonly NewDataFile[];
  /** Keys of files that leave the table. */
  readonly removedFiles: ReadonlySet<string>;
  /** See `freshSnapshotId`. */
  readonly snapshotId: SnapshotId;
  readonly nowMs: number;
  /**
   * Where the table lies now, if that is not where its metadata says: the new metadata and all it names are at home there, and
   * snapshots of before, whose manifests name the old place, leave it.
   */
  readonly location?: string;
  /** Members of the snapshot's summary beside `operation` and the counts. */
  readonly summary: Readonly<Record<string, string>>;
  readonly commitId: string;
}

export interface NextSnapshot {
  /** The metadata to commit. */
  readonly metadata: TableMetadata;
  readonly snapshot: Snapshot;
  /** Keys this attempt wrote; garbage if it is never committed. */
  readonly written: readonly string[];
}

/** Property of a snapshot's summary that holds the commit's id. */
const commitIdProperty = 'thermocline.commit-id';

/** A positive id below 2^53, so that every reader keeps its digits, and unused in this table. */
export function freshSnapshotId(metadata: TableMetadata, random: Random): SnapshotId {
  for (;;) {
    const id = String(random.bytes(8).readBigUInt64BE() >> 12n);
    if (id !== '0' && metadata.snapshots.every((snapshot) => snapshot.snapshotId !== id)) return id;
  }
}

/** See `TableStore.nextSnapshot`. */
export async function writeNextSnapshot(
  table: { readonly store: ObjectStore; readonly prefix: string; readonly reader: ManifestReader; readonly random: Random },
  metadata: TableMetadata,
  request: SnapshotRequest,
  signal?: AbortSignal,
): Promise<NextSnapshot> {
  const spec = metadata.partitionSpecs.find((candidate) => candidate.specId === metadata.defaultSpecId);
  if (spec === undefined || spec.fields.length > 0) {
    throw new LakeError('unsupported', `the table at ${metadata.location} has been partitioned by another writer`, {
      hint: 'Set its default partition spec back to the unpartitioned one.',
      facts: { location: metadata.location },
    });
  }
  invariant(
    metadata.snapshots.every((snapshot) => snapshot.snapshotId !== request.snapshotId),
    'a snapshot id is used once',
    { id: request.snapshotId },
  );
  const before: TableAddress = { prefix: table.prefix, location: metadata.location };
  const address: TableAddress = { prefix: table.prefix, location: request.location ?? metadata.location };
  const isMoved = !isSameLocation(address.location, before.location);
  const schema = currentSchema(metadata);
  const parent = currentSnapshot(metadata);
  const sequenceNumber = metadata.lastSequenceNumber + 1;
  const unique = table.random.uuid();
  const written: string[] = [];

  const writeManifest = async (entries: readonly NewManifestEntry[]): Promise<ManifestFile> => {
    const placed = isMoved ? entries.map((entry) => atHome(before, address, entry)) : entries;
    const bytes = await encodeManifest({ schema, spec }, placed);
    const key = `${table.prefix}/metadata/${unique}-m${written.length}.avro`;
    written.push(key);
    await table.store.put(key, bytes, { ifAbsent: true, signal });
    const path = locationOf(address, key);
    return listManifest(path, bytes.length, spec.specId, request.snapshotId, sequenceNumber, entries);
  };

  const listed = parent === null ? [] : await table.reader.manifests(before, parent, { signal });
  const carried = await carryManifests(
    {
      address: before,
      specId: spec.specId,
      snapshotId: request.snapshotId,
      isMoved,
      entries: (manifest) => table.reader.entries(before, manifest, { signal }),
      write: writeManifest,
    },
    listed,
    request.removedFiles,
  );
  const added = request.dataFiles.map((file): NewManifestEntry => {
    return {
      status: entryStatus.added,
      snapshotId: request.snapshotId,
      sequenceNumber: null,
      fileSequenceNumber: null,
      file: dataFile(locationOf(address, file.key), file),
    };
  });
  const manifests = added.length === 0 ? carried.manifests : [await writeManifest(added), ...carried.manifests];

  const listKey = `${table.prefix}/metadata/snap-${request.snapshotId}-1-${unique}.avro`;
  written.push(listKey);
  const list = await encodeManifestList(
    { snapshotId: request.snapshotId, parentSnapshotId: parent?.snapshotId ?? null, sequenceNumber },
    manifests,
  );
  await table.store.put(listKey, list, { ifAbsent: true, signal });

  const snapshot: Snapshot = {
    snapshotId: request.snapshotId,
    parentSnapshotId: parent?.snapshotId ?? null,
    sequenceNumber,
    // Readers refuse a table whose times go back, and wall clocks do.
    timestampMs: Math.max(Math.floor(request.nowMs), metadata.lastUpdatedMs),
    manifestList: locationOf(address, listKey),
    summary: { ...summaryOf(parent, request, carried.removal, manifests), ...request.summary, [commitIdProperty]: request.commitId },
    schemaId: schema.schemaId,
  };
  return { metadata: withSnapshot(isMoved ? movedMetadata(metadata, address.location) : metadata, snapshot), snapshot, written };
}

function atHome<Entry extends NewManifestEntry>(before: TableAddress, after: TableAddress, entry: Entry): Entry {
  return { ...entry, file: { ...entry.file, filePath: locationOf(after, keyOf(before, entry.file.filePath)) } };
}

/** Without the snapshots and metadata files of before, which name the old place, and without what refers to them. */
function movedMetadata(metadata: TableMetadata, location: string): TableMetadata {
  const { refs: _refs, statistics: _statistics, 'partition-statistics': _partitions, ...kept } = metadata.kept;
  return { ...metadata, location, snapshots: [], snapshotLog: [], metadataLog: [], kept };
}

/** The metadata with this snapshot as the current one; the oldest go where there are too many. */
function withSnapshot(metadata: TableMetadata, snapshot: Snapshot): TableMetadata {
  return expireSnapshots({
    ...metadata,
    lastSequenceNumber: snapshot.sequenceNumber,
    lastUpdatedMs: Math.max(metadata.lastUpdatedMs, snapshot.timestampMs),
    currentSnapshotId: snapshot.snapshotId,
    snapshots: [...metadata.snapshots, snapshot],
    snapshotLog: [...metadata.snapshotLog, { timestampMs: snapshot.timestampMs, snapshotId: snapshot.snapshotId }],
  });
}

function dataFile(filePath: string, file: NewDataFile): DataFile {
  return {
    content: 0,
    filePath,
    fileFormat: 'PARQUET',
    recordCount: file.recordCount,
    fileSizeBytes: file.bytes,
    columnSizes: file.columnSizes ?? null,
    valueCounts: file.valueCounts ?? null,
    nullValueCounts: file.nullValueCounts ?? null,
    nanValueCounts: null,
    lowerBounds: file.lowerBounds ?? null,
    upperBounds: file.upperBounds ?? null,
    splitOffsets: file.splitOffsets ?? null,
    sortOrderId: 0,
  };
}

function listManifest(
  manifestPath: string,
  manifestLength: number,
  partitionSpecId: number,
  snapshotId: SnapshotId,
  sequenceNumber: number,
  entries: readonly NewManifestEntry[],
): ManifestFile {
  const count = (status: number): number => entries.filter((entry) => entry.status === status).length;
  const rows = (status: number): number => entries.reduce((sum, entry) => sum + (entry.status === status ? entry.file.recordCount : 0), 0);
  return {
    manifestPath,
    manifestLength,
    partitionSpecId,
    content: 0,
    sequenceNumber,
    // Of the live entries only: what a manifest says was deleted holds nothing back.
    minSequenceNumber: entries.reduce(
      (lowest, entry) => (entry.status === entryStatus.deleted ? lowest : Math.min(lowest, entry.sequenceNumber ?? sequenceNumber)),
      sequenceNumber,
    ),
    addedSnapshotId: snapshotId,
    addedFiles: count(entryStatus.added),
    existingFiles: count(entryStatus.existing),
    deletedFiles: count(entryStatus.deleted),
    addedRows: rows(entryStatus.added),
    existingRows: rows(entryStatus.existing),
    deletedRows: rows(entryStatus.deleted),
    partitions: [],
    keyMetadata: null,
  };
}

/** The counts every writer gives; totals of files and rows from the manifests, of bytes from the parent's summary. */
function summaryOf(
  parent: Snapshot | null,
  { operation, dataFiles: files }: SnapshotRequest,
  removal: Removal,
  manifests: readonly ManifestFile[],
): Readonly<Record<string, string>> {
  const data = manifests.filter((manifest) => manifest.content === 0);
  const deletes = manifests.filter((manifest) => manifest.content === 1);
  const liveFiles = (of: readonly ManifestFile[]): number => of.reduce((sum, m) => sum + m.addedFiles + m.existingFiles, 0);
  const liveRows = data.reduce((sum, m) => sum + m.addedRows + m.existingRows, 0);
  const addedBytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const parentBytes = parent === null ? 0 : Number(parent.summary['total-files-size'] ?? Number.NaN);
  return {
    operation,
    'added-data-files': String(files.length),
    ...(removal.files === 0 ? {} : { 'deleted-data-files': String(removal.files) }),
    'added-records': String(files.reduce((sum, file) => sum + file.recordCount, 0)),
    ...(removal.files === 0 ? {} : { 'deleted-records': String(removal.records) }),
    'added-files-size': String(addedBytes),
    ...(removal.files === 0 ? {} : { 'removed-files-size': String(removal.bytes) }),
    'changed-partition-count': files.length + removal.files === 0 ? '0' : '1',
    'total-records': String(liveRows),
    ...(Number.isNaN(parentBytes) ? {} : { 'total-files-size': String(parentBytes + addedBytes - removal.bytes) }),
    'total-data-files': String(liveFiles(data)),
    'total-delete-files': String(liveFiles(deletes)),
    'total-position-deletes': '0',
    'total-equality-deletes': '0',
  };
}
