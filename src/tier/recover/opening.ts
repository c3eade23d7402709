/**
 * Where a partition goes on whose log is lost, as a pure rule.
 *
 * ```
 *  log start        table's boundary        end as last known                     opens here
 *      │  cold records      │   hot only: gone   │   may have been written since       │
 *      ├────────────────────┼────────────────────┼─────────────────────────────────────┼──────► new records
 *                           └─────────────────── the hole: no record, never any ───────┘
 * ```
 *
 * The end as last known is the largest of boundary, noted high watermark and committed offsets. What was written after that note
 * is unknown, so the log opens a gap further on: an offset that somebody may have seen is never used for another record.
 */
import type { LeaderEpoch, Offset } from '../../kernel/index.js';

/**
 * Offsets between the end as last known and the first new one. The state in the bucket is 30 s old, or as much older as the bucket
 * was away; 30 s of a million small records a second into one partition, which no broker of this kind takes, and twice that.
 */
export const offsetGapDefault = 2 ** 26;

export interface PartitionFacts {
  /** As the table has it; absent where it has none of this partition. */
  readonly table: { readonly boundary: Offset; readonly logStartOffset: Offset; readonly leaderEpoch: LeaderEpoch } | undefined;
  /** As the newest state in the bucket has it; absent where the state does not know the partition. */
  readonly noted:
    | { readonly logStartOffset: Offset; readonly boundary: Offset; readonly highWatermark: Offset; readonly leaderEpoch: LeaderEpoch }
    | undefined;
  /** Positions that groups have committed in it. */
  readonly committed: readonly { readonly offset: Offset; readonly leaderEpoch: LeaderEpoch }[];
  /** Whether what lies below the boundary is served from the table: the topic is tiered, or has a table all the same. */
  readonly isCold: boolean;
  readonly offsetGap: number;
}

export interface PartitionOpening {
  /** The table's now; the hole begins here. 0 where nothing is cold. */
  readonly boundary: Offset;
  readonly logStartOffset: Offset;
  /** First offset of the new log. */
  readonly openOffset: Offset;
  /** Newer than all that were seen. */
  readonly leaderEpoch: LeaderEpoch;
  /** What was hot only and is gone, [from, to), as far as it is known; more may have been written after it. `null`: nothing is known. */
  readonly lost: { readonly from: Offset; readonly to: Offset } | null;
}

export function openingOf(facts: PartitionFacts): PartitionOpening {
  const { table, noted, committed, isCold, offsetGap } = facts;
  const boundary = isCold ? (table?.boundary ?? 0) : 0;
  const writtenEnd = Math.max(boundary, noted?.boundary ?? 0, noted?.highWatermark ?? 0, noted?.logStartOffset ?? 0);
  // A client may commit any number. One beyond what the log can have reached says nothing about the log.
  const plausible = committed.filter(({ offset }) => offset <= writtenEnd + offsetGap);
  const knownEnd = plausible.reduce((end, { offset }) => Math.max(end, offset), writtenEnd);
  const openOffset = knownEnd + offsetGap;
  const epochs = [table?.leaderEpoch ?? -1, noted?.leaderEpoch ?? -1, ...plausible.map(({ leaderEpoch }) => leaderEpoch)];
  const begunAt = Math.max(table?.logStartOffset ?? 0, noted?.logStartOffset ?? 0);
  const lostFrom = Math.max(boundary, begunAt);
  return {
    boundary,
    // Of what was never cold nothing is left to begin before.
    logStartOffset: isCold ? begunAt : openOffset,
    openOffset,
    leaderEpoch: Math.max(...epochs) + 1,
    lost: knownEnd > lostFrom ? { from: lostFrom, to: knownEnd } : null,
  };
}
