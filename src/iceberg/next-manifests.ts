/**
 * Which manifests the next snapshot lists, beside one for its new files: the parent's, without what is removed, small ones merged
 * into larger ones. A manifest never changes: one that loses entries is written anew, and says in it what it lost.
 */
import { LakeError } from '../kernel/index.js';
import { keyOf, type TableAddress } from './locations.js';
import { entryStatus, type ManifestEntry, type ManifestFile, type NewManifestEntry } from './manifest.js';
import type { SnapshotId } from './table-metadata.js';

/** Manifests of about one size are merged when there are so many: n files cost about log₁₀(n) × 10 manifests to read. */
const manifestsPerTierMax = 10;
/**
 * A manifest of so many entries is left alone, and no merge makes a larger one of several: an entry of 30 columns takes about 12 KB
 * of heap, so one takes some 50 MB while it is written, whatever the table holds.
 */
const manifestEntriesMax = 4096;

export interface ManifestSource {
  readonly address: TableAddress;
  /** Of the table's default spec; manifests of others are left as they are. */
  readonly specId: number;
  readonly snapshotId: SnapshotId;
  /** The bucket was moved: no manifest stays as it is, since each names its files where they were. */
  readonly isMoved: boolean;
  readonly entries: (manifest: ManifestFile) => Promise<readonly ManifestEntry[]>;
  readonly write: (entries: readonly NewManifestEntry[]) => Promise<ManifestFile>;
}

/** What left the table with a snapshot. */
export interface Removal {
  readonly files: number;
  readonly records: number;
  readonly bytes: number;
}

/**
 * The parent's manifests as the next snapshot lists them, and the sum of what was removed. `removed` are object keys. One manifest is
 * in memory at a time, or those of one merge.
 * Errors: `table-corrupt` where a removed file is in no manifest, or in two; those of `source`.
 */
export async function carryManifests(
  source: ManifestSource,
  listed: readonly ManifestFile[],
  removed: ReadonlySet<string>,
): Promise<{ readonly manifests: readonly ManifestFile[]; readonly removal: Removal }> {
  const live = listed.filter((manifest) => manifest.addedFiles + manifest.existingFiles > 0);
  const { untouched, rewritten, removal } = await removeFiles(source, live, removed);
  const carried = [...rewritten, ...(await mergeManifests(source, untouched))];
  return { manifests: source.isMoved ? await rewriteOlder(source, carried) : carried, removal };
}

/** Every manifest that this snapshot has not written is written anew; one is in memory at a time. */
async function rewriteOlder(source: ManifestSource, manifests: readonly ManifestFile[]): Promise<readonly ManifestFile[]> {
  const own: ManifestFile[] = [];
  for (const manifest of manifests)
    own.push(manifest.addedSnapshotId === source.snapshotId ? manifest : await mergeGroup(source, [manifest]));
  return own;
}

/** Writes each manifest anew that names a removed file: what stays as existing, what goes as deleted, both with their own numbers. */
async function removeFiles(
  source: ManifestSource,
  manifests: readonly ManifestFile[],
  removed: ReadonlySet<string>,
): Promise<{ readonly untouched: readonly ManifestFile[]; readonly rewritten: readonly ManifestFile[]; readonly removal: Removal }> {
  const untouched: ManifestFile[] = [];
  const rewritten: ManifestFile[] = [];
  const removal = { files: 0, records: 0, bytes: 0 };
  const missing = new Set(removed);
  for (const manifest of manifests) {
    if (missing.size === 0 || manifest.content !== 0) {
      untouched.push(manifest);
      continue;
    }
    const entries = await source.entries(manifest);
    const live = entries.filter((entry) => entry.status !== entryStatus.deleted);
    const isRemoved = live.map((entry) => missing.delete(keyOf(source.address, entry.file.filePath)));
    if (!isRemoved.includes(true)) {
      untouched.push(manifest);
      continue;
    }
    const next = live.map((entry, index): ManifestEntry => {
      if (!isRemoved[index]) return { ...entry, status: entryStatus.existing };
      removal.files++;
      removal.records += entry.file.recordCount;
      removal.bytes += entry.file.fileSizeBytes;
      // The snapshot that removes a file stands in its entry; the file's sequence numbers stay what they were.
      return { ...entry, status: entryStatus.deleted, snapshotId: source.snapshotId };
    });
    rewritten.push(await source.write(next));
  }
  const [lost] = missing;
  if (lost !== undefined) {
    throw new LakeError('table-corrupt', `${lost} is to leave the table and is in none of its manifests`, {
      hint: 'Load the table again; if this comes back, roll the table back to its last sound snapshot.',
      facts: { key: lost, missing: missing.size },
    });
  }
  return { untouched, rewritten, removal };
}

/**
 * Merges each tier (manifests whose number of entries has the same count of digits) that has grown to
 * `manifestsPerTierMax`, smallest first. Manifests of delete files and of other partition specs stay as they are.
 */
async function mergeManifests(source: ManifestSource, manifests: readonly ManifestFile[]): Promise<readonly ManifestFile[]> {
  let current = [...manifests];
  for (let tierMax = 10; tierMax / 10 < manifestEntriesMax; tierMax *= 10) {
    const tier = current.filter((manifest) => {
      const entries = liveEntries(manifest);
      const mergeable = manifest.content === 0 && manifest.partitionSpecId === source.specId && entries < manifestEntriesMax;
      return mergeable && entries < tierMax && entries >= tierMax / 10;
    });
    if (tier.length < manifestsPerTierMax) continue;
    for (const group of groupsWithin(tier, manifestEntriesMax)) {
      if (group.length < 2) continue;
      const members = new Set(group);
      current = [await mergeGroup(source, group), ...current.filter((manifest) => !members.has(manifest))];
    }
  }
  return current;
}

/** Neighbours together, so that no group has more entries than one manifest may. */
function groupsWithin(manifests: readonly ManifestFile[], entriesMax: number): readonly (readonly ManifestFile[])[] {
  const groups: ManifestFile[][] = [];
  let room = 0;
  for (const manifest of manifests) {
    const entries = liveEntries(manifest);
    if (entries > room) {
      groups.push([]);
      room = entriesMax;
    }
    groups.at(-1)?.push(manifest);
    room -= entries;
  }
  return groups;
}

async function mergeGroup(source: ManifestSource, group: readonly ManifestFile[]): Promise<ManifestFile> {
  const entries: ManifestEntry[] = [];
  for (const manifest of group) {
    for (const entry of await source.entries(manifest)) {
      if (entry.status !== entryStatus.deleted) entries.push({ ...entry, status: entryStatus.existing });
    }
  }
  return source.write(entries);
}

function liveEntries(manifest: ManifestFile): number {
  return manifest.addedFiles + manifest.existingFiles;
}
