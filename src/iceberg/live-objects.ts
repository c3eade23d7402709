/**
 * Which objects of a table somebody may still read. Everything is reached from metadata files: those snapshots that the current one
 * names, and those that were the current one not long ago, as a query or a hydration that began then is still at work on their files.
 */
import { keyOf, type TableAddress } from './locations.js';
import type { ManifestReader } from './manifest-reader.js';
import { entryStatus, type ManifestFile } from './manifest.js';
import { type KeyDigest, keyDigest } from './named-keys.js';
import type { Snapshot, SnapshotId, TableMetadata } from './table-metadata.js';

/**
 * Digests of keys, some 40 bytes of heap each: 4 MB for a table of 100,000 files. Where two keys have the same digest an object that
 * nobody needs is taken for a live one, and stays.
 */
export class LiveObjects {
  readonly #digests = new Set<KeyDigest>();
  readonly #snapshots = new Set<SnapshotId>();
  /** Keys of the manifests whose files are in. By a digest, one might be taken for another, and its files for garbage. */
  readonly #manifests = new Set<string>();

  has(key: string): boolean {
    return this.#digests.has(keyDigest(key));
  }

  /** Objects known to be live. */
  get size(): number {
    return this.#digests.size;
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
    const options = { signal, isPassing: true };
    let read: readonly ManifestFile[] | undefined;
    const listed = async (): Promise<readonly ManifestFile[]> => (read ??= await reader.manifests(address, snapshot, options));

    const list = keyOf(address, snapshot.manifestList);
    const keysOf = async (): Promise<string[]> => (await listed()).map(({ manifestPath }) => keyOf(address, manifestPath));
    const manifests = await reader.named.manifestsOf(list, keysOf);
    for (const [at, manifest] of manifests.entries()) {
      if (this.#manifests.has(manifest)) continue;
      const files = await reader.named.filesOf(manifest, async () => {
        const entries = await reader.entries(address, (await listed())[at]!, options);
        return entries.filter(({ status }) => status !== entryStatus.deleted).map(({ file }) => keyOf(address, file.filePath));
      });
      for (const file of files) this.#digests.add(file);
      this.#digests.add(keyDigest(manifest));
      this.#manifests.add(manifest);
    }
    this.#digests.add(keyDigest(list));
    this.#snapshots.add(snapshot.snapshotId);
  }
}
