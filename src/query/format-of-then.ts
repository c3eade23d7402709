/**
 * Rows that were hot in an earlier answer had the columns that `lake.value.format` gave at that time. Where the format has changed since, the
 * answer's token gives them the same columns again, wherever they lie now: of hot ones these are computed by the format of then, of cold
 * ones they are left out, or computed from the values where they were stored without.
 */
import { firstTypedFieldId, type ValueFormat } from '../columns/index.js';
import type { TopicState } from '../control/index.js';
import type { Offset } from '../kernel/index.js';
import type { ColdFile } from '../lake/index.js';
import type { PinnedPartition, PinnedTopic } from './pin.js';
import type { LeasedFile } from './views.js';

/** Whether values of a topic's hot rows give columns, by the format of now. */
export function givesColumns(topic: TopicState): boolean {
  return isTypedFormat(formatOf(topic));
}

/** By which the tail of a pinned topic is staged: of now, unless its token says that it was another one. */
export function valueFormatOf({ state, isTyped }: PinnedTopic): ValueFormat {
  const format = formatOf(state);
  if (isTypedFormat(format) === isTyped) return format;
  return isTyped ? 'auto' : 'bytes';
}

function formatOf(topic: TopicState): ValueFormat {
  const format = topic.config['lake.value.format'];
  return format === 'json' || format === 'string' || format === 'bytes' ? format : 'auto';
}

function isTypedFormat(format: ValueFormat): boolean {
  return format === 'auto' || format === 'json';
}

/** The first offset whose row may be stored with other columns than the token's answer had; `undefined` where the file has no such row. */
export function reformedFrom({ isTyped }: PinnedTopic, { hotFrom }: PinnedPartition, file: ColdFile): Offset | undefined {
  if (hotFrom === undefined || file.lastOffset < hotFrom) return undefined;
  const isAsThen = isTyped ? file.isTypedThroughout === true : file.fieldIds.every((fieldId) => fieldId < firstTypedFieldId);
  return isAsThen ? undefined : hotFrom;
}

/** A cold file in two parts: what was cold then, as it is stored, and what was hot. */
export function splitAt(hotFrom: Offset, file: ColdFile, pinned: PinnedPartition, path: string): LeasedFile[] {
  const { partition, startOffset, endOffset } = pinned;
  const stored: LeasedFile = { path, partition, part: 'stored', bounds: { from: startOffset, end: Math.min(endOffset, hotFrom) } };
  const reformed: LeasedFile = { path, partition, part: 'reformed', bounds: { from: Math.max(startOffset, hotFrom), end: endOffset } };
  return file.baseOffset < hotFrom ? [stored, reformed] : [reformed];
}
