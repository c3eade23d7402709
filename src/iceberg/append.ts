/**
 * The next snapshot of a table: a manifest for the new files, small manifests merged into larger ones, a manifest list,
 * and the metadata that would make it current. Nothing is visible before that metadata is committed.
 */
import { invariant, LakeError, type Random } from '../kernel/index.js';
import type { ObjectStore } from '../objects/index.js';
import { locationOf, type TableAddress } from './locations.js';
import {
  encodeManifest,
  encodeManifestList,
  entryStatus,
  type DataFile,
  type ManifestEntry,
  type ManifestFile,
  type NewManifestEntry,
} from './manifest.js';
import type { ManifestReader } from './manifest-reader.js';
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

export interface AppendRequest {
  /** May be empty: a snapshot that only says something in its summary. */
  readonly dataFiles: readonly NewDataFile[];
  /** See `freshSnapshotId`. */
  readonly snapshotId: SnapshotId;
  readonly nowMs: number;
  /** Members of the snapshot's summary beside `operation` and the counts. */
  readonly summary: Readonly<Record<string, string>>;
  readonly commitId: string;
}

export interface AppendResult {
  /** The metadata to commit. */
  readonly metadata: TableMetadata;
  readonly snapshot: Snapshot;
  /** Keys this attempt wrote; garbage if it is never committed. */
  readonly written: readonly string[];
}

/** At most so many snapshots stay in the metadata; the oldest go first. */
const snapshotsMax = 100;
/** Manifests of about one size are merged when there are so many: n files cost about log₁₀(n) × 10 manifests to read. */
const manifestsPerTierMax = 10;
/** A manifest of so many entries is left alone. An entry of 30 columns has about 1 KiB: 8 MiB before compression. */
const manifestEntriesMax = 8192;

/** Property of a snapshot's summary that holds the commit's id. */
const commitIdProperty = 'thermocline.commit-id';

/** A positive id below 2^53, so that every reader keeps its digits, and unused in this table. */
export function freshSnapshotId(metadata: TableMetadata, random: Random): SnapshotId {
  for (;;) {
    const id = String(random.bytes(8).readBigUInt64BE() >> 12n);
    if (id !== '0' && metadata.snapshots.every((snapshot) => snapshot.snapshotId !== id)) return id;
  }
}

/** See `TableStore.append`. */
export async function writeAppend(
  table: { readonly store: ObjectStore; readonly prefix: string; readonly reader: ManifestReader; readonly random: Random },
  metadata: TableMetadata,
  request: AppendRequest,
  signal?: AbortSignal,
): Promise<AppendResult> {
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
  const address: TableAddress = { prefix: table.prefix, location: metadata.location };
  const schema = currentSchema(metadata);
  const parent = currentSnapshot(metadata);
  const sequenceNumber = metadata.lastSequenceNumber + 1;
  const unique = table.random.uuid();
  const written: string[] = [];

  const writeManifest = async (entries: readonly NewManifestEntry[]): Promise<ManifestFile> => {
    const bytes = await encodeManifest({ schema, spec }, entries);
    const key = `${table.prefix}/metadata/${unique}-m${written.length}.avro`;
    written.push(key);
    await table.store.put(key, bytes, { ifAbsent: true, signal });
    const path = locationOf(address, key);
    return listManifest(path, bytes.length, spec.specId, request.snapshotId, sequenceNumber, entries);
  };

  const listed = parent === null ? [] : await table.reader.manifests(address, parent, signal);
  const kept = listed.filter((manifest) => manifest.addedFiles + manifest.existingFiles > 0);
  const merged = await mergeManifests(kept, spec.specId, async (group) => {
    const entries: ManifestEntry[] = [];
    for (const manifest of group) {
      for (const entry of await table.reader.entries(address, manifest, signal)) {
        if (entry.status !== entryStatus.deleted) entries.push({ ...entry, status: entryStatus.existing });
      }
    }
    return writeManifest(entries);
  });
  const added = request.dataFiles.map((file): NewManifestEntry => {
    return {
      status: entryStatus.added,
      snapshotId: request.snapshotId,
      sequenceNumber: null,
      fileSequenceNumber: null,
      file: dataFile(locationOf(address, file.key), file),
    };
  });
  const manifests = added.length === 0 ? merged : [await writeManifest(added), ...merged];

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
    summary: { ...summaryOf(parent, request.dataFiles, manifests), ...request.summary, [commitIdProperty]: request.commitId },
    schemaId: schema.schemaId,
  };
  return { metadata: withSnapshot(metadata, snapshot), snapshot, written };
}

/** The metadata with this snapshot as the current one, and at most `snapshotsMax` of them; a log entry outlives no snapshot. */
function withSnapshot(metadata: TableMetadata, snapshot: Snapshot): TableMetadata {
  const snapshots = [...metadata.snapshots, snapshot].slice(-snapshotsMax);
  const present = new Set(snapshots.map((kept) => kept.snapshotId));
  const log = [...metadata.snapshotLog, { timestampMs: snapshot.timestampMs, snapshotId: snapshot.snapshotId }];
  return {
    ...metadata,
    lastSequenceNumber: snapshot.sequenceNumber,
    lastUpdatedMs: Math.max(metadata.lastUpdatedMs, snapshot.timestampMs),
    currentSnapshotId: snapshot.snapshotId,
    snapshots,
    snapshotLog: log.filter((entry) => present.has(entry.snapshotId)),
  };
}

/**
 * Merges each tier (manifests whose number of entries has the same count of digits) that has grown to
 * `manifestsPerTierMax`, smallest first. Manifests of delete files and of other partition specs stay as they are.
 */
async function mergeManifests(
  manifests: readonly ManifestFile[],
  specId: number,
  merge: (group: readonly ManifestFile[]) => Promise<ManifestFile>,
): Promise<readonly ManifestFile[]> {
  let current = [...manifests];
  for (let tierMax = 10; tierMax / 10 < manifestEntriesMax; tierMax *= 10) {
    const group = current.filter((manifest) => {
      const entries = manifest.addedFiles + manifest.existingFiles;
      const mergeable = manifest.content === 0 && manifest.partitionSpecId === specId && entries < manifestEntriesMax;
      return mergeable && entries < tierMax && entries >= tierMax / 10;
    });
    if (group.length < manifestsPerTierMax) continue;
    const members = new Set(group);
    current = [await merge(group), ...current.filter((manifest) => !members.has(manifest))];
  }
  return current;
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
    minSequenceNumber: entries.reduce((lowest, entry) => Math.min(lowest, entry.sequenceNumber ?? sequenceNumber), sequenceNumber),
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
  files: readonly NewDataFile[],
  manifests: readonly ManifestFile[],
): Readonly<Record<string, string>> {
  const data = manifests.filter((manifest) => manifest.content === 0);
  const deletes = manifests.filter((manifest) => manifest.content === 1);
  const liveFiles = (of: readonly ManifestFile[]): number => of.reduce((sum, m) => sum + m.addedFiles + m.existingFiles, 0);
  const liveRows = data.reduce((sum, m) => sum + m.addedRows + m.existingRows, 0);
  const addedBytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const parentBytes = parent === null ? 0 : Number(parent.summary['total-files-size'] ?? Number.NaN);
  return {
    'operation': 'append',
    'added-data-files': String(files.length),
    'added-records': String(files.reduce((sum, file) => sum + file.recordCount, 0)),
    'added-files-size': String(addedBytes),
    'changed-partition-count': files.length === 0 ? '0' : '1',
    'total-records': String(liveRows),
    ...(Number.isNaN(parentBytes) ? {} : { 'total-files-size': String(parentBytes + addedBytes) }),
    'total-data-files': String(liveFiles(data)),
    'total-delete-files': String(liveFiles(deletes)),
    'total-position-deletes': '0',
    'total-equality-deletes': '0',
  };
}
