/**
 * When what was appended: spans of a partition's log with the time of the first and the last append in each, by the broker's clock, and what can
 * be said from them of the log at a time. Pure; `append-times.ts` keeps them.
 */
import { dayMs, firstIndex, hourMs, minuteMs, type Offset, secondMs, type TimestampMs } from '../kernel/index.js';

/**
 * All records from the end of the span before up to `endOffset` were appended from `firstMs` to `lastMs`, both inclusive. Spans follow on one
 * another in both: each begins later than the one before has ended. The first one is where the knowledge begins: at its `lastMs` the log
 * ended at its `endOffset`, and of earlier times nothing is known.
 */
export interface AppendSpan {
  readonly firstMs: TimestampMs;
  readonly lastMs: TimestampMs;
  /** Exclusive. */
  readonly endOffset: Offset;
}

/** Spans in their order: an array, or a file that is read where it is looked at. */
export interface Spans {
  readonly length: number;
  at(index: number): AppendSpan | undefined;
}

/** How long a span may be, by its age. Each length is a multiple of the one before and spans do not cross its multiples. */
const lengths: readonly { readonly fromAgeMs: number; readonly lengthMs: number }[] = [
  { fromAgeMs: 0, lengthMs: secondMs },
  { fromAgeMs: hourMs, lengthMs: minuteMs },
  { fromAgeMs: 7 * dayMs, lengthMs: hourMs },
  { fromAgeMs: 90 * dayMs, lengthMs: dayMs },
];

/** What times are rounded to; each is a multiple of the one before. */
const slotLengths: readonly number[] = [secondMs, 10 * secondMs, minuteMs, 10 * minuteMs, hourMs, 6 * hourMs, dayMs];

/** While records come without a pause: 3,600 of a second, 10,020 of a minute, 1,992 of an hour, and thirteen years of days. */
export const spansMax = 20_000;

function slot(ms: TimestampMs, lengthMs: number): number {
  return Math.floor(ms / lengthMs);
}

/** Whether an append at `atMs` still belongs to the span that is being written. */
export function isWithin(span: AppendSpan, atMs: TimestampMs): boolean {
  return slot(span.firstMs, secondMs) === slot(atMs, secondMs);
}

/** What the log was at a time, or shortly before it. */
export interface PartitionAt {
  readonly endOffset: Offset;
  /**
   * At most the time asked for: exactly what had been appended up to then is what lies below the end. Earlier than asked where the time
   * falls into a span, of which nothing is known but its ends.
   */
  readonly atMs: TimestampMs;
}

/** Index of the first span, but for the one where the knowledge begins, that has a property which all later ones have too. */
function firstSpan(spans: Spans, has: (span: AppendSpan) => boolean): number {
  return firstIndex(spans.length, (index) => has(spans.at(index) as AppendSpan), 1);
}

/** `undefined` where the time is before the knowledge begins. */
export function partitionAt(spans: Spans, atMs: TimestampMs): PartitionAt | undefined {
  const since = spans.at(0);
  if (since === undefined || atMs < since.lastMs) return undefined;
  const index = firstSpan(spans, (span) => span.lastMs > atMs);
  const before = spans.at(index - 1) as AppendSpan;
  const next = index < spans.length ? spans.at(index) : undefined;
  if (next === undefined || atMs < next.firstMs) return { endOffset: before.endOffset, atMs };
  return { endOffset: before.endOffset, atMs: Math.max(before.lastMs, beforeSlot(next)) };
}

/**
 * The last time before the smallest slot that holds the span, so that all partitions that were written at the time come to the same one; of a
 * span that lies in no slot, the last time before it.
 */
function beforeSlot({ firstMs, lastMs }: AppendSpan): TimestampMs {
  const lengthMs = slotLengths.find((length) => slot(firstMs, length) === slot(lastMs, length));
  return (lengthMs === undefined ? firstMs : slot(firstMs, lengthMs) * lengthMs) - 1;
}

/** What several partitions were at one time. */
export interface LogCut {
  readonly atMs: TimestampMs;
  /** In the order of the partitions. */
  readonly endOffsets: readonly Offset[];
}

/**
 * One time for all partitions, at most the one asked for, of which every one of them knows exactly what had been appended. `undefined` where
 * one of them knows nothing of it. Spans are read one partition after the other.
 */
export async function cutAt(partitions: readonly (() => Promise<Spans>)[], askedMs: TimestampMs): Promise<LogCut | undefined> {
  let atMs = askedMs;
  // Each round is of an earlier time than the one before; as slots hold each other, a few are enough.
  for (;;) {
    const endOffsets: Offset[] = [];
    let earliestMs = atMs;
    for (const spansOf of partitions) {
      const found = partitionAt(await spansOf(), atMs);
      if (found === undefined) return undefined;
      endOffsets.push(found.endOffset);
      earliestMs = Math.min(earliestMs, found.atMs);
    }
    if (earliestMs === atMs) return { atMs, endOffsets };
    atMs = earliestMs;
  }
}

/** Cuts that `cutsBetween` answers at most, beside the first and the last. */
const cutsMax = 64;

/**
 * Cuts through all partitions from a time on, in even steps, up to the latest that holds nothing at or above the given ends. The first is
 * that of `afterMs`, or where the knowledge of all begins if that is later.
 */
export async function cutsBetween(
  partitions: readonly { readonly spans: () => Promise<Spans>; readonly endOffset: Offset }[],
  afterMs: TimestampMs,
  settledMs: TimestampMs,
): Promise<readonly LogCut[]> {
  let [fromMs, untilMs] = [afterMs, settledMs];
  for (const { spans: spansOf, endOffset } of partitions) {
    const spans = await spansOf();
    const since = spans.at(0);
    if (since === undefined || since.endOffset > endOffset) return [];
    fromMs = Math.max(fromMs, since.lastMs);
    const beyond = spans.at(firstSpan(spans, (span) => span.endOffset > endOffset));
    if (beyond !== undefined) untilMs = Math.min(untilMs, beyond.firstMs - 1);
  }
  if (untilMs < fromMs) return [];
  const stepMs = slotLengths.find((length) => untilMs - fromMs <= cutsMax * length) ?? Math.ceil((untilMs - fromMs) / cutsMax);
  const parts: AppendSpan[][] = [];
  for (const { spans } of partitions) parts.push(spansWithin(await spans(), fromMs, untilMs, stepMs));
  const cuts: LogCut[] = [];
  const looks = [fromMs];
  for (let ms = (slot(fromMs, stepMs) + 1) * stepMs - 1; ms < untilMs; ms += stepMs) if (ms > fromMs) looks.push(ms);
  looks.push(untilMs);
  const spansOf = parts.map((part) => async () => part);
  for (const lookMs of looks) {
    const cut = await cutAt(spansOf, lookMs);
    const last = cuts.at(-1);
    if (cut === undefined || (last !== undefined && cut.atMs <= last.atMs)) continue;
    if (last === undefined || cut.endOffsets.some((end, index) => end !== last.endOffsets[index])) cuts.push(cut);
  }
  return cuts;
}

/** The spans that say what was in a time, joined where they lie in one step. */
function spansWithin(spans: Spans, fromMs: TimestampMs, untilMs: TimestampMs, stepMs: number): AppendSpan[] {
  const first = firstSpan(spans, (span) => span.lastMs > fromMs);
  const found = [spans.at(first - 1) as AppendSpan];
  for (let index = first; index < spans.length; index++) {
    const span = spans.at(index) as AppendSpan;
    const last = found.at(-1) as AppendSpan;
    if (found.length > 1 && slot(last.firstMs, stepMs) === slot(span.lastMs, stepMs)) {
      found[found.length - 1] = { firstMs: last.firstMs, lastMs: span.lastMs, endOffset: span.endOffset };
    } else {
      if (span.firstMs > untilMs) return [...found, span];
      found.push(span);
    }
  }
  return found;
}

/** Fewer spans that say the same less finely, the less so the older: none is longer than its age allows. */
export function thinSpans(spans: readonly AppendSpan[], nowMs: TimestampMs, logStartOffset: Offset): AppendSpan[] {
  const firstKept = Math.max(
    0,
    spans.findLastIndex((span) => span.endOffset <= logStartOffset),
  );
  const kept = spans.slice(firstKept);
  for (let factor = 1; ; factor *= 2) {
    const thinned = joined(kept, nowMs, factor);
    if (thinned.length <= spansMax || thinned.length <= 2) return thinned;
  }
}

function joined([since, ...spans]: readonly AppendSpan[], nowMs: TimestampMs, factor: number): AppendSpan[] {
  const thinned: AppendSpan[] = since === undefined ? [] : [since];
  for (const span of spans) {
    const last = thinned.at(-1);
    const lengthMs = factor * lengthFor(nowMs - span.lastMs);
    if (last !== undefined && thinned.length > 1 && slot(last.firstMs, lengthMs) === slot(span.lastMs, lengthMs)) {
      thinned[thinned.length - 1] = { firstMs: last.firstMs, lastMs: span.lastMs, endOffset: span.endOffset };
    } else {
      thinned.push(span);
    }
  }
  return thinned;
}

function lengthFor(ageMs: number): number {
  return lengths.findLast(({ fromAgeMs }) => ageMs >= fromAgeMs)?.lengthMs ?? secondMs;
}
