/** Leaves out cold files that hold none of the keys a question lists, as far as filters of them are there already. */
import type { ColdFile } from '../../lake/index.js';
import type { ColdSelection } from '../lease.js';
import { type ScanRange, touches } from '../ranges.js';
import type { BuildsBehind } from './builds-behind.js';
import type { FilterBuilds } from './filter-builds.js';
import type { FilterStore } from './filter-store.js';
import { hashOfKey, type KeyFilter, type KeyHash } from './key-filter.js';

/** Of so many keys nearly every file has one. */
const keysAskedMax = 100;
/** Filters read from the disk at once. */
const loadsAtOnce = 16;

export interface NarrowedSelection extends ColdSelection {
  /** Files of which it is not known yet whether they lack the keys. */
  readonly unfiltered: number;
}

export class KeyedFiles {
  readonly #store: FilterStore;
  readonly #filters: FilterBuilds;
  readonly #builds: BuildsBehind;

  constructor(store: FilterStore, filters: FilterBuilds, builds: BuildsBehind) {
    this.#store = store;
    this.#filters = filters;
    this.#builds = builds;
  }

  /** The selection without files that lack the keys. Filters that are missing are built behind the query. */
  async narrow(selected: ColdSelection, ranges: readonly ScanRange[]): Promise<NarrowedSelection> {
    const { lacking, missing } = await this.#look(
      selected.files.map(({ file }) => file),
      ranges,
    );
    this.#builds.want(this.#filters, missing);
    const unfiltered = missing.length;
    if (lacking.size === 0) return { ...selected, unfiltered };
    const files = selected.files.filter(({ file }) => !lacking.has(file.key));
    return { files, prunedFiles: selected.prunedFiles + lacking.size, unfiltered };
  }

  /** Object keys of the files in which no range can find a row, by the filters that are there. Nothing is built. */
  async lacking(files: readonly ColdFile[], ranges: readonly ScanRange[]): Promise<ReadonlySet<string>> {
    return (await this.#look(files, ranges)).lacking;
  }

  async #look(
    files: readonly ColdFile[],
    ranges: readonly ScanRange[],
  ): Promise<{ readonly lacking: ReadonlySet<string>; readonly missing: readonly ColdFile[] }> {
    const keys = new Set(ranges.flatMap(({ keys: wanted }) => wanted?.list ?? []));
    const lacking = new Set<string>();
    const missing: ColdFile[] = [];
    if (keys.size === 0 || keys.size > keysAskedMax) return { lacking, missing };
    const hashes = new Map([...keys].map((key) => [key, hashOfKey(key)]));
    this.#store.beginLook();
    // Where a scan wants a file for other reasons than its keys, a filter is of no use.
    const candidates = files.flatMap((file) => {
      const lists = ranges.filter((range) => touches([range], file)).map(({ keys: wanted }) => wanted?.list);
      return lists.includes(undefined) ? [] : { file, keys: lists.flatMap((list) => list ?? []) };
    });
    for (let at = 0; at < candidates.length; at += loadsAtOnce) {
      const some = candidates.slice(at, at + loadsAtOnce);
      const filters = await Promise.all(some.map(({ file }) => this.#store.load(file)));
      for (const [index, { file, keys: wanted }] of some.entries()) {
        const filter = filters[index];
        if (filter === undefined) missing.push(file);
        else if (!holdsAny(filter, file, wanted, hashes)) lacking.add(file.key);
      }
    }
    return { lacking, missing };
  }
}

function holdsAny(filter: KeyFilter, file: ColdFile, keys: readonly string[], hashes: ReadonlyMap<string, KeyHash>): boolean {
  return keys.some((key) => {
    const hash = hashes.get(key);
    const isWithin = file.keys === undefined || (file.keys !== null && key >= file.keys.min && key <= file.keys.max);
    return isWithin && (hash === undefined || filter.mayHold(hash));
  });
}
