/**
 * Ranges below the boundary that no file stands for because their records were lost with a data directory, as a recovery left them.
 * A table property, changed in the same write as the boundary that moves over the hole.
 *
 *     thermocline.holes   [[partition, from, to, leader epoch after it, wall time ms], …]      by partition, then offset
 */
import { type LeaderEpoch, type Offset, type PartitionId, type TimestampMs } from '../kernel/index.js';
import { corruptProperty, parseRows } from './property-rows.js';
import type { RangeMove } from './table-snapshot.js';

export const holesProperty = 'thermocline.holes';

export interface Hole {
  readonly partition: PartitionId;
  /** [from, to) */
  readonly from: Offset;
  readonly to: Offset;
  /** What comes after it was written in this epoch or a later one. */
  readonly leaderEpoch: LeaderEpoch;
  readonly atMs: TimestampMs;
}

/** The newest of each partition stay: at some 60 characters each, 240 a partition. */
const holesKept = 4;

export function parseHoles(text: string | undefined): Hole[] {
  return parseRows(holesProperty, text).map((row) => {
    const numbers = (Array.isArray(row) ? row : []) as unknown[];
    if (numbers.length !== 5 || !numbers.every((value) => Number.isSafeInteger(value))) throw corruptProperty(holesProperty);
    const [partition, from, to, leaderEpoch, atMs] = numbers as [number, number, number, number, number];
    return { partition, from, to, leaderEpoch, atMs };
  });
}

/** The holes after the moves; `undefined` where there are none, and the property is not written. */
export function formatHoles(holes: readonly Hole[], moves: readonly RangeMove[], nowMs: TimestampMs): string | undefined {
  const added = moves
    .filter(({ isHole }) => isHole === true)
    .map(({ partition, from, to, leaderEpoch }): Hole => ({ partition, from, to, leaderEpoch, atMs: Math.floor(nowMs) }));
  const byPartition = new Map<PartitionId, Hole[]>();
  for (const hole of [...holes, ...added]) byPartition.set(hole.partition, [...(byPartition.get(hole.partition) ?? []), hole]);
  const kept = [...byPartition.values()].flatMap((own) => own.sort((a, b) => a.from - b.from).slice(-holesKept));
  if (kept.length === 0) return undefined;
  kept.sort((a, b) => a.partition - b.partition || a.from - b.from);
  return JSON.stringify(kept.map((hole) => [hole.partition, hole.from, hole.to, hole.leaderEpoch, hole.atMs]));
}
