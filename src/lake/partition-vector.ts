/**
 * The vector that makes a table the truth about what is cold: for each partition boundary, log start and leader epoch. It is a
 * table property, packed, so that one conditional write moves files and boundaries together. Beside it are samples of the
 * boundaries over wall time, for questions as of a time.
 *
 *     thermocline.partitions   [[partition, boundary, log start, leader epoch], …]      ascending by partition
 *     thermocline.samples      [[wall time ms, [boundary of partition 0, 1, …]], …]     ascending by time
 */
import { invariant, type Offset, type PartitionId, type TimestampMs } from '../kernel/index.js';
import { corruptProperty, parseRows } from './property-rows.js';
import type { BoundarySample, LogStartMove, PartitionCold, RangeMove } from './table-snapshot.js';

export const partitionsProperty = 'thermocline.partitions';
export const samplesProperty = 'thermocline.samples';

function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

export function parsePartitions(text: string | undefined): PartitionCold[] {
  let previous = -1;
  return parseRows(partitionsProperty, text).map((row) => {
    if (!Array.isArray(row)) throw corruptProperty(partitionsProperty);
    const [partition, boundary, logStartOffset, leaderEpoch] = row as unknown[];
    const isValid = isOffset(partition) && isOffset(boundary) && isOffset(logStartOffset) && Number.isSafeInteger(leaderEpoch);
    if (!isValid || partition <= previous) throw corruptProperty(partitionsProperty);
    previous = partition;
    return { partition, boundary, logStartOffset, leaderEpoch: leaderEpoch as number };
  });
}

export function formatPartitions(partitions: readonly PartitionCold[]): string {
  return JSON.stringify(partitions.map((p) => [p.partition, p.boundary, p.logStartOffset, p.leaderEpoch]));
}

/** Log start of a partition as the table has it; 0 for one that was never committed. */
export function logStartOf(partitions: readonly PartitionCold[], partition: PartitionId): Offset {
  return entryOf(partitions, partition)?.logStartOffset ?? 0;
}

/** Most vectors have every partition from 0 on: then it stands at its own place. */
function entryOf(partitions: readonly PartitionCold[], partition: PartitionId): PartitionCold | undefined {
  const there = partitions[partition];
  return there?.partition === partition ? there : partitions.find((p) => p.partition === partition);
}

/** Boundary of a partition; 0 for one that was never committed. */
export function boundaryOf(partitions: readonly PartitionCold[], partition: PartitionId): Offset {
  return entryOf(partitions, partition)?.boundary ?? 0;
}

/**
 * The vector after a change. A move must begin at the present boundary and go up, and no log start may pass its boundary; the caller
 * has checked the first against the table, and this holds both. A log start that is not above the present one changes nothing.
 */
export function movePartitions(
  partitions: readonly PartitionCold[],
  moves: readonly RangeMove[],
  logStarts: readonly LogStartMove[] = [],
): PartitionCold[] {
  const next = new Map(partitions.map((p) => [p.partition, p]));
  for (const move of moves) {
    const old = next.get(move.partition);
    invariant((old?.boundary ?? 0) === move.from && move.to > move.from, 'a boundary only grows, from where it is', {
      partition: move.partition,
      boundary: old?.boundary ?? 0,
      from: move.from,
      to: move.to,
    });
    next.set(move.partition, {
      partition: move.partition,
      boundary: move.to,
      logStartOffset: Math.max(old?.logStartOffset ?? 0, Math.min(move.logStartOffset ?? 0, move.to)),
      leaderEpoch: Math.max(old?.leaderEpoch ?? move.leaderEpoch, move.leaderEpoch),
    });
  }
  for (const { partition, logStartOffset } of logStarts) {
    const old = next.get(partition);
    if (logStartOffset <= (old?.logStartOffset ?? 0)) continue;
    invariant(old !== undefined && logStartOffset <= old.boundary, 'a log start never passes the boundary', {
      partition,
      logStartOffset,
      boundary: old?.boundary ?? 0,
    });
    next.set(partition, { ...old, logStartOffset });
  }
  return [...next.values()].sort((a, b) => a.partition - b.partition);
}

export function parseSamples(text: string | undefined): BoundarySample[] {
  return parseRows(samplesProperty, text).map((row) => {
    const [atMs, boundaries] = (Array.isArray(row) ? row : []) as unknown[];
    if (!Number.isSafeInteger(atMs) || !Array.isArray(boundaries) || !boundaries.every(isOffset)) throw corruptProperty(samplesProperty);
    return { atMs: atMs as number, boundaries };
  });
}

export function formatSamples(samples: readonly BoundarySample[]): string {
  return JSON.stringify(samples.map((sample) => [sample.atMs, sample.boundaries]));
}

/**
 * Of the samples of about one age, those are kept that begin a slot of time this fraction of that age long. Slots are powers of two
 * long and aligned, so a longer one begins where a shorter one does, and what is kept does not depend on how often samples were
 * thinned. Eight to sixteen for each doubling of age: some 250 for ten years of commits a minute.
 */
const slotsByAge = 8;
/** Numbers in all samples together, at most 17 characters each in the metadata: 1 MiB. */
const sampleNumbersMax = 60_000;

/**
 * Adds the boundaries of now and thins the older samples out, the finer the younger. Where a topic has so many partitions that they
 * would be too many, all become coarser alike: the oldest one stays, as it tells since when what lies below it has been in the table.
 */
export function addSample(samples: readonly BoundarySample[], partitions: readonly PartitionCold[], nowMs: TimestampMs): BoundarySample[] {
  const width = (partitions.at(-1)?.partition ?? -1) + 1;
  const boundaries = Array.from<number>({ length: width }).fill(0);
  for (const p of partitions) boundaries[p.partition] = p.boundary;
  // A clock that was set back must not put samples out of order.
  const atMs = Math.max(nowMs, samples.at(-1)?.atMs ?? 0);
  const earlier = samples.filter((sample) => sample.atMs !== atMs);
  const newest: BoundarySample = { atMs, boundaries };
  for (let slots = slotsByAge; slots >= 1; slots /= 2) {
    const kept = [...thinned(earlier, atMs, slots), newest];
    if (numbersOf(kept) <= sampleNumbersMax) return kept;
  }
  const ends = [...earlier.slice(0, 1), newest];
  return numbersOf(ends) <= sampleNumbersMax ? ends : [newest];
}

/** The first sample of each slot, whose lengths grow with their age. */
function thinned(samples: readonly BoundarySample[], nowMs: TimestampMs, slots: number): readonly BoundarySample[] {
  return samples.filter((sample, index) => {
    const slotMs = 2 ** Math.floor(Math.log2(Math.max(1, (nowMs - sample.atMs) / slots)));
    const older = samples[index - 1];
    return older === undefined || Math.floor(older.atMs / slotMs) < Math.floor(sample.atMs / slotMs);
  });
}

function numbersOf(samples: readonly BoundarySample[]): number {
  return samples.reduce((sum, sample) => sum + sample.boundaries.length, 0);
}
