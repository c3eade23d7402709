/** For `latest(topic)`: which cold files need not be read, since the last row of each of their keys is kept. */
import type { TypedColumn } from '../../columns/index.js';
import type { ColdFile } from '../../lake/index.js';
import type { ColdSelection, SelectedFile } from '../lease.js';
import type { ScanRange } from '../ranges.js';
import type { BuildsBehind } from './builds-behind.js';
import type { KeptRows, LastRows } from './last-rows.js';

/** Notes looked at, and read for the first time, at once. */
const looksAtOnce = 16;

export interface RememberedFile extends KeptRows, Pick<SelectedFile, 'file' | 'pinned'> {}

export class RememberedFiles {
  readonly #rows: LastRows;
  readonly #builds: BuildsBehind;

  constructor(rows: LastRows, builds: BuildsBehind) {
    this.#rows = rows;
    this.#builds = builds;
  }

  /**
   * What is left to be read, and what is kept instead. What is missing is built behind the query, unless it asks for some keys only:
   * that is no reason to read a file whole. `columns` are those of the table.
   */
  async split(
    selected: ColdSelection,
    ranges: readonly ScanRange[],
    columns: readonly TypedColumn[],
  ): Promise<{ readonly cold: ColdSelection; readonly remembered: readonly RememberedFile[] }> {
    const { remembered, keyless, missing } = await this.#look(selected);
    if (ranges.some(({ keys }) => keys?.list === undefined)) this.#builds.want(this.#rows, missing, columns);
    const others = new Set([...remembered.map(({ file }) => file.key), ...keyless]);
    const files = selected.files.filter(({ file }) => !others.has(file.key));
    return { cold: { files, prunedFiles: selected.prunedFiles + keyless.size }, remembered };
  }

  /** Object keys of what `split` would not read, with the bytes of what is kept instead. Nothing is built. */
  async unread(
    selected: ColdSelection,
  ): Promise<{ readonly remembered: ReadonlyMap<string, number>; readonly keyless: ReadonlySet<string> }> {
    const { remembered, keyless } = await this.#look(selected);
    return { remembered: new Map(remembered.map(({ file, bytes }) => [file.key, bytes])), keyless };
  }

  /** It could not be used: the file is to be read, and the note made anew. */
  async forget(file: ColdFile): Promise<void> {
    await this.#rows.forget(file);
  }

  async #look({ files }: ColdSelection) {
    const remembered: RememberedFile[] = [];
    const keyless = new Set<string>();
    const missing: ColdFile[] = [];
    this.#rows.beginLook();
    // Of a file of which only some offsets count, the last row of a key may be an earlier one. What is kept are columns as they are stored.
    const whole = files.filter(({ bounds, reformedFrom }) => bounds === undefined && reformedFrom === undefined);
    for (const { file } of files) if (file.keys === null) keyless.add(file.key);
    for (let at = 0; at < whole.length; at += looksAtOnce) {
      const some = whole.slice(at, at + looksAtOnce).filter(({ file }) => file.keys !== null);
      const kept = await Promise.all(some.map(({ file }) => this.#rows.of(file)));
      for (const [index, { file, pinned }] of some.entries()) {
        const rows = kept[index];
        if (rows === 'missing') missing.push(file);
        else if (rows !== undefined) remembered.push({ ...rows, file, pinned });
      }
    }
    return { remembered, keyless, missing };
  }
}
