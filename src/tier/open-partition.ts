/** Where a partition goes on, from what the table and the broker say; or why it cannot. */
import type { PartitionState } from '../control/index.js';
import { LakeError, type LeaderEpoch, type Offset } from '../kernel/index.js';

export type Opening =
  | { readonly kind: 'open'; readonly boundary: Offset; readonly start: Offset; readonly leaderEpoch: LeaderEpoch }
  /** May be right at a later look. */
  | { readonly kind: 'wait'; readonly error: LakeError }
  /** Needs a person. */
  | { readonly kind: 'alarm'; readonly error: LakeError };

/** `boundary` is the table's, loaded before `state` was asked for: else the log may merely look too short. */
export function openingOf(where: string, boundary: Offset, state: PartitionState): Opening {
  const facts = { partition: state.partition, boundary, brokerBoundary: state.boundary, logEnd: state.highWatermark };
  // Below the log start nothing needs to be in the table: the broker serves it from nowhere.
  if (Math.max(boundary, state.logStartOffset) < state.boundary) {
    const error = new LakeError(
      'table-corrupt',
      `${where}: the table's boundary ${boundary} is below ${state.boundary}, which was committed`,
      {
        hint: 'The bucket has lost commits, or it is another one. Restore its latest metadata; nothing is tiered here until then.',
        facts,
        retriable: true,
      },
    );
    return { kind: 'wait', error };
  }
  // Its end is not known: what a start found damaged it reads no further.
  if (state.offline !== undefined) {
    const error = new LakeError('log-offline', `${where} is offline: ${state.offline}`, {
      hint: state.offlineHint ?? 'See /readyz for the reason.',
      facts,
      retriable: true,
    });
    return { kind: 'wait', error };
  }
  if (boundary > state.highWatermark) {
    const error = new LakeError('log-damaged', `${where}: the table's boundary ${boundary} is above the log end ${state.highWatermark}`, {
      hint: 'The data directory is older than the bucket. Restore the newer one, or recover from the bucket; nothing is tiered or evicted here.',
      facts,
    });
    return { kind: 'alarm', error };
  }
  return { kind: 'open', boundary, start: Math.max(boundary, state.logStartOffset), leaderEpoch: state.leaderEpoch };
}
