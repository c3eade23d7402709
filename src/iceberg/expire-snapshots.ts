/**
 * Which snapshots leave the metadata, and what must leave with them (Iceberg spec: "Snapshot Retention Policy"): nothing in the metadata
 * may name a snapshot that is not there. What only they referred to becomes garbage, and is swept later.
 */
import type { SnapshotId, SnapshotLogEntry, TableMetadata } from './table-metadata.js';

/** At most so many snapshots stay, the current one and those that branches and tags name not counted. */
const snapshotsMax = 100;

/**
 * The metadata without snapshots from before `beforeMs`, and with at most a hundred; the current one always stays, and so do those
 * that a branch or tag names. The very same object where nothing leaves.
 */
export function expireSnapshots(metadata: TableMetadata, beforeMs: number = Number.NEGATIVE_INFINITY): TableMetadata {
  const held = heldSnapshots(metadata);
  const free = metadata.snapshots.filter((snapshot) => !held.has(snapshot.snapshotId));
  const staying = free.filter((snapshot) => snapshot.timestampMs >= beforeMs).slice(-(snapshotsMax - 1));
  if (staying.length === free.length) return metadata;
  const present = new Set([...held, ...staying.map((snapshot) => snapshot.snapshotId)]);
  return {
    ...metadata,
    snapshots: metadata.snapshots.filter((snapshot) => present.has(snapshot.snapshotId)),
    snapshotLog: logOf(metadata.snapshotLog, present),
    kept: {
      ...metadata.kept,
      ...statisticsOf(metadata.kept, 'statistics', present),
      ...statisticsOf(metadata.kept, 'partition-statistics', present),
    },
  };
}

/** Ids that must stay: of the current snapshot, and of what other engines have named. */
export function heldSnapshots(metadata: TableMetadata): ReadonlySet<SnapshotId> {
  const held = new Set(Object.entries(metadata.kept['refs'] ?? {}).flatMap(([name, ref]) => (name === 'main' ? [] : [idOf(ref)])));
  if (metadata.currentSnapshotId !== null) held.add(metadata.currentSnapshotId);
  return held;
}

function idOf(of: unknown): SnapshotId {
  return String((of as { readonly 'snapshot-id'?: unknown } | null)?.['snapshot-id']);
}

/** A log with a gap would tell a wrong history: it begins after the last snapshot that is gone, as Java's does. */
function logOf(log: readonly SnapshotLogEntry[], present: ReadonlySet<SnapshotId>): readonly SnapshotLogEntry[] {
  const lastGone = log.findLastIndex((entry) => !present.has(entry.snapshotId));
  return log.slice(lastGone + 1);
}

/** Statistics files are of one snapshot each. */
function statisticsOf(kept: TableMetadata['kept'], member: string, present: ReadonlySet<SnapshotId>): Record<string, unknown> {
  const files = kept[member];
  return Array.isArray(files) ? { [member]: files.filter((file) => present.has(idOf(file))) } : {};
}
