/**
 * What had been appended to the topic at times past, by the broker's clock: a table property, so that the log can be asked as of a time
 * where the broker has no memory of it. Unlike `thermocline.samples`, which says what was in the table at a time, it says what was in the log;
 * it holds only what is in the table by now.
 *
 *     thermocline.appended   [[ms since the row before, [end offset less that of the row before, of partition 0, 1, …]], …]
 */
import type { AppendCut } from '../control/index.js';
import type { Offset, TimestampMs } from '../kernel/index.js';
import { boundaryOf } from './partition-vector.js';
import { corruptProperty, parseRows } from './property-rows.js';
import type { PartitionCold } from './table-snapshot.js';

export const appendedProperty = 'thermocline.appended';

/**
 * Of the cuts of about one age, those are kept that end a slot of time this fraction of that age long: of a day ago one in eight
 * minutes, of a year ago one in two days.
 */
const slotsByAge = 128;
/** Numbers in all cuts together, some six characters each in the metadata: 120 KB. */
const numbersMax = 20_000;

/** Ascending by time. Errors: `table-corrupt`. */
export function parseAppended(text: string | undefined): AppendCut[] {
  let atMs: TimestampMs = 0;
  let ends: readonly Offset[] = [];
  return parseRows(appendedProperty, text).map((row, index) => {
    const [step, more] = (Array.isArray(row) ? row : []) as unknown[];
    if (!Number.isSafeInteger(step) || (index > 0 && (step as number) <= 0) || !Array.isArray(more))
      throw corruptProperty(appendedProperty);
    atMs += step as number;
    ends = more.map((records: unknown, partition) => {
      const end = (ends[partition] ?? 0) + (records as number);
      if (!Number.isSafeInteger(records) || !Number.isSafeInteger(end) || (records as number) < 0) throw corruptProperty(appendedProperty);
      return end;
    });
    return { atMs, endOffsets: ends };
  });
}

/** The other way round. */
export function formatAppended(cuts: readonly AppendCut[]): string {
  return JSON.stringify(
    cuts.map(({ atMs, endOffsets }, index) => {
      const before = cuts[index - 1];
      return [atMs - (before?.atMs ?? 0), endOffsets.map((end, partition) => end - (before?.endOffsets[partition] ?? 0))];
    }),
  );
}

/**
 * Adds later cuts, as far as all they hold is in the table, and thins the older ones out, the finer the younger. The oldest one stays: it
 * tells since when there are any.
 */
export function addAppended(
  cuts: readonly AppendCut[],
  later: readonly AppendCut[],
  partitions: readonly PartitionCold[],
  nowMs: TimestampMs,
): readonly AppendCut[] {
  const all = [...cuts];
  for (const cut of later) {
    const last = all.at(-1);
    const isInTable = cut.endOffsets.every((end, partition) => end <= boundaryOf(partitions, partition));
    const isLater =
      last === undefined || (cut.atMs > last.atMs && last.endOffsets.every((end, index) => end <= (cut.endOffsets[index] ?? 0)));
    if (isInTable && isLater) all.push(cut);
  }
  if (all.length === cuts.length) return cuts;
  for (let slots = slotsByAge; slots >= 1; slots /= 2) {
    const kept = thinned(all, nowMs, slots);
    if (numbersOf(kept) <= numbersMax) return kept;
  }
  return all.slice(-1);
}

/** The oldest cut, the newest, and the last of each slot between them, whose lengths grow with their age. */
function thinned(cuts: readonly AppendCut[], nowMs: TimestampMs, slots: number): readonly AppendCut[] {
  return cuts.filter((cut, index) => {
    const next = cuts[index + 1];
    if (index === 0 || next === undefined) return true;
    const slotMs = 2 ** Math.floor(Math.log2(Math.max(1, (nowMs - cut.atMs) / slots)));
    return Math.floor(cut.atMs / slotMs) < Math.floor(next.atMs / slotMs);
  });
}

function numbersOf(cuts: readonly AppendCut[]): number {
  return cuts.reduce((sum, { endOffsets }) => sum + 1 + endOffsets.length, 0);
}
