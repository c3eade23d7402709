/** What is remembered of cold files for questions about keys, and what builds it: three folders below the caches. */
import { join } from 'node:path';
import type { ColdReads } from '../cold/cold-reads.js';
import { BuildsBehind, type BuildsPorts } from './builds-behind.js';
import { FilterBuilds } from './filter-builds.js';
import { FilterStore } from './filter-store.js';
import { KeyedFiles } from './keyed-files.js';
import { LastRows } from './last-rows.js';
import { MergedRows } from './merged-rows.js';
import { RememberedFiles } from './remembered-files.js';

export interface NoteSizes {
  /** Disk that last rows may take. */
  readonly lastRowsBytesMax: number;
  /** Of smaller cold files none are kept. */
  readonly fileBytesMin: number;
  /** Disk that those of whole topics may take. */
  readonly mergedRowsBytesMax: number;
  readonly newFilesMin?: number | undefined;
}

export class ColdNotes {
  readonly keyed: KeyedFiles;
  readonly remembered: RememberedFiles;
  readonly #filters: FilterStore;
  readonly #lastRows: LastRows;
  readonly #mergedRows: MergedRows;
  readonly #builds: BuildsBehind;

  private constructor(filters: FilterStore, lastRows: LastRows, mergedRows: MergedRows, cold: ColdReads, ports: BuildsPorts) {
    this.#filters = filters;
    this.#lastRows = lastRows;
    this.#mergedRows = mergedRows;
    this.#builds = new BuildsBehind(ports);
    this.keyed = new KeyedFiles(filters, new FilterBuilds(filters, cold), this.#builds);
    this.remembered = new RememberedFiles(lastRows, mergedRows, this.#builds);
  }

  /** Goes on with what an earlier service left in the folder. */
  static async open(
    cacheDir: string,
    { lastRowsBytesMax, fileBytesMin, mergedRowsBytesMax, newFilesMin }: NoteSizes,
    cold: ColdReads,
    ports: BuildsPorts,
  ): Promise<ColdNotes> {
    const filters = await FilterStore.open(join(cacheDir, 'key-filters'));
    const lastRows = await LastRows.open(join(cacheDir, 'last-rows'), lastRowsBytesMax, cold, fileBytesMin);
    const directory = join(cacheDir, 'merged-rows');
    const mergedRows = await MergedRows.open({ directory, bytesMax: mergedRowsBytesMax, cold, lastRows, newFilesMin });
    return new ColdNotes(filters, lastRows, mergedRows, cold, ports);
  }

  get sizes() {
    const [filters, rows, merged] = [this.#filters, this.#lastRows, this.#mergedRows];
    return {
      keyFilterFiles: filters.files,
      keyFilterBytes: filters.bytes,
      lastRowsFiles: rows.files,
      lastRowsBytes: rows.bytes + merged.bytes,
    };
  }

  /** Resolves when nothing is being built. */
  settled(): Promise<void> {
    return this.#builds.settled();
  }

  close(): Promise<void> {
    return this.#builds.close();
  }
}
