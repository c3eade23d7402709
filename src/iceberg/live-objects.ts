/**
 * Which objects of a table somebody may still read. Everything is reached from metadata files: those snapshots that the current one
 * names, and those that were the current one not long ago, as a query or a hydration that began then is still at work on their files.
 */
import { createHash } from 'node:crypto';
import { keyOf, type TableAddress } from './locations.js';
import type { ManifestReader } from './manifest-reader.js';
import { entryStatus } from './manifest.js';
import type { Snapshot, SnapshotId, TableMetadata } from './table-metadata.js';

/**
 * Keys, as 48 bits of a digest each: some 40 bytes of heap, so 4 MB for a table of 100,000 files. Where two keys have the same digest
 * (one in 10⁹ for such a table) an object that nobody needs is taken for a live one, and stays.
 */
export class LiveObjects {
  readonly #digests = new Set<number>();
  readonly #snapshots = new Set<SnapshotId>();

  has(key: string): boolean {
    return this.#digests.has(digestOf(key));
  }

  /** Objects known to be live. */
  get size(): number {
    return this.#digests.size;
  }

  /** True where the key was not there yet. */
  #add(key: string): boolean {
    const before = this.#digests.size;
    this.#digests.add(digestOf(key));
    return this.#digests.size > before;
  }

  /**
   * Adds a snapshot's manifest list, its manifests and the files they name; what was seen is not read again, as none of these ever
   * changes. Errors: those of the reader.
   */
  async addSnapshot(
    reader: ManifestReader,
    prefix: string,
    metadata: TableMetadata,
    snapshot: Snapshot,
    signal?: AbortSignal,
  ): Promise<void> {
    if (this.#snapshots.has(snapshot.snapshotId)) return;
    const address: TableAddress = { prefix, location: metadata.location };
    this.#add(keyOf(address, snapshot.manifestList));
    for (const manifest of await reader.manifests(address, snapshot, signal)) {
      if (!this.#add(keyOf(address, manifest.manifestPath))) continue;
      for (const entry of await reader.entries(address, manifest, signal)) {
        if (entry.status !== entryStatus.deleted) this.#add(keyOf(address, entry.file.filePath));
      }
    }
    this.#snapshots.add(snapshot.snapshotId);
  }
}

function digestOf(key: string): number {
  return createHash('sha256').update(key).digest().readUIntBE(0, 6);
}
