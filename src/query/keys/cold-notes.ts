/** What is remembered of cold files for questions about keys, and what builds it: two folders below the caches. */
import { join } from 'node:path';
import type { ColdReads } from '../cold/cold-reads.js';
import { BuildsBehind, type BuildsPorts } from './builds-behind.js';
import { FilterBuilds } from './filter-builds.js';
import { FilterStore } from './filter-store.js';
import { KeyedFiles } from './keyed-files.js';
import { LastRows } from './last-rows.js';
import { RememberedFiles } from './remembered-files.js';

export interface NoteSizes {
  /** Disk that last rows may take. */
  readonly lastRowsBytesMax: number;
  /** Of smaller cold files none are kept. */
  readonly fileBytesMin: number;
}

export class ColdNotes {
  readonly keyed: KeyedFiles;
  readonly remembered: RememberedFiles;
  readonly #filters: FilterStore;
  readonly #lastRows: LastRows;
  readonly #builds: BuildsBehind;

  private constructor(filters: FilterStore, lastRows: LastRows, cold: ColdReads, ports: BuildsPorts) {
    this.#filters = filters;
    this.#lastRows = lastRows;
    this.#builds = new BuildsBehind(ports);
    this.keyed = new KeyedFiles(filters, new FilterBuilds(filters, cold), this.#builds);
    this.remembered = new RememberedFiles(lastRows, this.#builds);
  }

  /** Goes on with what an earlier service left in the folder. */
  static async open(
    cacheDir: string,
    { lastRowsBytesMax, fileBytesMin }: NoteSizes,
    cold: ColdReads,
    ports: BuildsPorts,
  ): Promise<ColdNotes> {
    const filters = await FilterStore.open(join(cacheDir, 'key-filters'));
    const lastRows = await LastRows.open(join(cacheDir, 'last-rows'), lastRowsBytesMax, cold, fileBytesMin);
    return new ColdNotes(filters, lastRows, cold, ports);
  }

  get sizes() {
    const [filters, rows] = [this.#filters, this.#lastRows];
    return { keyFilterFiles: filters.files, keyFilterBytes: filters.bytes, lastRowsFiles: rows.files, lastRowsBytes: rows.bytes };
  }

  /** Resolves when nothing is being built. */
  settled(): Promise<void> {
    return this.#builds.settled();
  }

  close(): Promise<void> {
    return this.#builds.close();
  }
}
