/** A partition's side of compaction: which of its segments it may read, and how what came out takes their place in the log that is open. */
import type { Offset } from '../kernel/index.js';
import type { ReadPlaces } from './batch-reads.js';
import type { CompactedGroup } from './compact-segments.js';
import type { CompactionView } from './compaction.js';
import type { LogConfig } from './hot-log.js';
import type { ProducerStates } from './producer-states.js';
import type { SegmentList } from './segment-list.js';
import { Segment, type SegmentPorts } from './segment.js';

/** `undefined` where the topic is not compacted. */
export function compactionViewOf(
  { compaction: rules, segmentBytes, indexIntervalBytes }: LogConfig,
  of: {
    readonly segments: SegmentList;
    readonly logStartOffset: Offset;
    readonly flushedOffset: Offset;
    readonly directory: string;
    readonly producers: ProducerStates;
  },
): CompactionView | undefined {
  if (rules === undefined) return undefined;
  const { all, active } = of.segments;
  const end = all.findIndex((segment) => segment === active || segment.isDirty);
  return { ...of, rules, segmentBytes, indexIntervalBytes, segments: all.slice(0, end), producers: of.producers.lastOffsets() };
}

/**
 * Answers the segment that stands in the place of `old` now; `undefined` where these are not all there any more. Whoever reads one of them
 * goes on with its file. Errors: what `swapFiles` throws, after which nothing of the partition may be used.
 */
export async function replaceSegments(
  place: { readonly directory: string; readonly segments: SegmentList; readonly places: ReadPlaces; readonly ports: SegmentPorts },
  old: readonly Segment[],
  group: CompactedGroup,
  indexIntervalBytes: number,
  swapFiles: () => Promise<void>,
): Promise<Segment | undefined> {
  const { directory, segments, places, ports } = place;
  if (!segments.hasSealed(old)) return undefined;
  for (const segment of old) segment.file.retain();
  try {
    for (const segment of old) await segment.beginReplacement();
    await swapFiles();
    const fresh = Segment.compacted(directory, group, ports, { nowMs: (old.at(-1) as Segment).lastAppendMs, indexIntervalBytes });
    fresh.firstAppendMs = (old[0] as Segment).firstAppendMs;
    segments.replace(old, fresh);
    places.clear();
    for (const segment of old) segment.file.giveUp();
    return fresh;
  } finally {
    for (const segment of old) segment.file.release();
  }
}
