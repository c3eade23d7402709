/** For `latest(topic)`: which cold files need not be read, since the last row of each of their keys is kept. */
import { sum } from '../../kernel/index.js';
import type { ColdFile } from '../../lake/index.js';
import type { ColdSelection, SelectedFile } from '../lease.js';
import type { PinnedTopic } from '../pin.js';
import { everything, type ScanRange } from '../ranges.js';
import type { LeasedFile } from '../views.js';
import type { BuildsBehind } from './builds-behind.js';
import type { KeptRows, LastRows } from './last-rows.js';
import { isWithin, type MergedFile, type MergedRows } from './merged-rows.js';

/** Notes looked at, and read for the first time, at once. */
const looksAtOnce = 16;

/** Kept rows in the place of cold files. */
export interface RememberedRows extends KeptRows {
  readonly instead: readonly SelectedFile[];
  /** How they count. */
  readonly parts: readonly Pick<LeasedFile, 'partition' | 'bounds'>[];
  /** They could not be used: the files are to be read, and the rows kept anew. */
  readonly forget: () => Promise<void>;
}

interface Looked {
  readonly remembered: readonly RememberedRows[];
  readonly keyless: ReadonlySet<string>;
  readonly missing: readonly ColdFile[];
}

export class RememberedFiles {
  readonly #rows: LastRows;
  readonly #merged: MergedRows;
  readonly #builds: BuildsBehind;

  constructor(rows: LastRows, merged: MergedRows, builds: BuildsBehind) {
    this.#rows = rows;
    this.#merged = merged;
    this.#builds = builds;
  }

  /**
   * What is left to be read, and what is kept instead. What is missing is built behind the query, unless it asks for some keys only:
   * that is no reason to read a file whole.
   */
  async split(
    topic: PinnedTopic,
    selected: ColdSelection,
    ranges: readonly ScanRange[],
  ): Promise<{ readonly cold: ColdSelection; readonly remembered: readonly RememberedRows[] }> {
    const { remembered, keyless, missing } = await this.#look(topic, selected);
    const others = new Set([...remembered.flatMap(({ instead }) => instead.map(({ file }) => file.key)), ...keyless]);
    const files = selected.files.filter(({ file }) => !others.has(file.key));
    const { columns } = topic.snapshot;
    const merging = ranges.every(isOpen) && isAllOf(topic, selected) ? this.#merging(topic, selected, files, remembered) : undefined;
    if (merging !== undefined) this.#builds.want(this.#merged, [merging], columns);
    else if (ranges.some(({ keys }) => keys?.list === undefined)) this.#builds.want(this.#rows, missing, columns);
    return { cold: { files, prunedFiles: selected.prunedFiles + keyless.size }, remembered };
  }

  /** Object keys of what `split` would not read, with the bytes of what is kept instead. Nothing is built. */
  async unread(
    topic: PinnedTopic,
    selected: ColdSelection,
  ): Promise<{ readonly remembered: ReadonlyMap<string, number>; readonly keyless: ReadonlySet<string> }> {
    const { remembered, keyless } = await this.#look(topic, selected);
    const bytesOf = remembered.flatMap(({ bytes, instead }) => instead.map(({ file }, at) => [file.key, at === 0 ? bytes : 0] as const));
    return { remembered: new Map(bytesOf), keyless };
  }

  #merging(
    { state }: PinnedTopic,
    { files }: ColdSelection,
    read: readonly SelectedFile[],
    remembered: readonly RememberedRows[],
  ): ColdFile | undefined {
    // What is merged stands for many files, or for one.
    const single = remembered.filter(({ instead, path }) => instead.length === 1 && path !== this.#merged.pathOf(state.id));
    const bytes = sum(read.map(({ file }) => file.bytes)) + sum(single.map((rows) => rows.bytes));
    return this.#merged.wish(
      state.id,
      files.map(({ file }) => file),
      { files: read.length + single.length, bytes },
    );
  }

  async #look(topic: PinnedTopic, { files }: ColdSelection): Promise<Looked> {
    const remembered: RememberedRows[] = [];
    const keyless = new Set<string>();
    const missing: ColdFile[] = [];
    this.#rows.beginLook();
    for (const { file } of files) if (file.keys === null) keyless.add(file.key);
    const merged = this.#mergedOf(topic, files);
    if (merged !== undefined) remembered.push(merged);
    const covered = new Set(merged?.instead.map(({ file }) => file.key));
    // Of a file of which only some offsets count, the last row of a key may be an earlier one. What is kept are columns as they are stored.
    const whole = files.filter(
      ({ file, bounds, reformedFrom }) => bounds === undefined && reformedFrom === undefined && !covered.has(file.key),
    );
    for (let at = 0; at < whole.length; at += looksAtOnce) {
      const some = whole.slice(at, at + looksAtOnce).filter(({ file }) => file.keys !== null);
      const kept = await Promise.all(some.map(({ file }) => this.#rows.of(file)));
      for (const [index, one] of some.entries()) {
        const { file } = one;
        const rows = kept[index];
        const forget = (): Promise<void> => this.#rows.forget(file);
        if (rows === 'missing') missing.push(file);
        else if (rows !== undefined) remembered.push({ ...rows, instead: [one], parts: [{ partition: file.partition }], forget });
      }
    }
    return { remembered, keyless, missing };
  }

  #mergedOf(topic: PinnedTopic, files: readonly SelectedFile[]): RememberedRows | undefined {
    const merged = this.#merged.of(topic);
    if (merged === undefined) return undefined;
    const instead = files.filter(({ file }) => file.keys !== null && isWithin(merged, file));
    const [first] = instead;
    if (first === undefined || instead.some(({ reformedFrom }) => reformedFrom !== undefined)) return undefined;
    const { path, bytes } = merged;
    const forget = (): Promise<void> => this.#merged.forget(topic.state.id);
    return { path, bytes, instead, parts: partsOf(topic, merged, first), forget };
  }
}

/** Where a log start has moved, of each partition what it counts from. */
function partsOf({ partitions }: PinnedTopic, { spans }: MergedFile, { file }: SelectedFile): RememberedRows['parts'] {
  const isCut = partitions.some(({ partition, startOffset }) => startOffset > (spans.get(partition)?.from ?? startOffset));
  if (!isCut) return [{ partition: file.partition }];
  return partitions.map(({ partition, startOffset, endOffset }) => ({ partition, bounds: { from: startOffset, end: endOffset } }));
}

function isOpen({ partitions, partitionList, offsets, timestampsMs, keys }: ScanRange): boolean {
  const isAny = [partitions, offsets, timestampsMs].every(({ min, max }) => min === everything.min && max === everything.max);
  return (
    isAny && partitionList === undefined && (keys === undefined || (keys.min === null && keys.max === null && keys.list === undefined))
  );
}

/** Whether it is all that the topic has now, as it is stored. */
function isAllOf({ asOf, isPast }: PinnedTopic, { files }: ColdSelection): boolean {
  return asOf === undefined && isPast !== true && files.every(({ reformedFrom }) => reformedFrom === undefined);
}
