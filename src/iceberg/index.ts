/**
 * iceberg: the Iceberg v2 table format over an object store. Metadata JSON, Avro manifests, the conditional commit, the documents
 * of a REST catalog.
 *
 * Owns: the formats, the names below `<table>/metadata/`, the commit protocol (`TableStore`). Knows nothing of topics.
 * Invariants: a commit is one conditional write that was checked afterwards; objects are written once, under names of
 * their own; everything the v2 specification has is written; a location is resolved by its part below the table.
 * Test: `npx vitest run --config test/vitest.config.ts test/unit/iceberg test/property/iceberg test/golden/iceberg`.
 */
export type { LiveObjects } from './live-objects.js';
export { hintKey, isSameLocation, keyOf, locationOf, versionKey, type TableAddress, vacatedKey } from './locations.js';
export { entryStatus, type DataFile, type EntryStatus, type ManifestEntry, type ManifestFile } from './manifest.js';
export { ManifestReader } from './manifest-reader.js';
export { expireSnapshots } from './expire-snapshots.js';
export { freshSnapshotId, type NewDataFile, type NextSnapshot, type SnapshotOperation, type SnapshotRequest } from './next-snapshot.js';
export {
  catalogNamespace,
  configDocument,
  errorDocument,
  loadTableParts,
  namespaceDocument,
  namespacesDocument,
  referencedOnly,
  tablesDocument,
  type CatalogError,
  type StorageAccess,
} from './rest-catalog.js';
export type {
  IcebergField,
  IcebergSchema,
  IcebergType,
  ListType,
  MapType,
  StructType,
} from './schema.js';
export {
  addSchemaFields,
  currentSchema,
  currentSnapshot,
  newTableMetadata,
  parseTableMetadata,
  serializeTableMetadata,
  withProperties,
  type PartitionSpec,
  type Snapshot,
  type SnapshotId,
  type TableMetadata,
} from './table-metadata.js';
export {
  TableStore,
  type CommitResult,
  type DataFileEntry,
  type FilesByManifest,
  type ListedVersion,
  type RawHead,
  type TableVersion,
} from './table-store.js';
