/**
 * A cold file as the table's manifests have it, both ways. Nothing of ours stands beside the manifest: partition and offsets
 * are in the object's name, timestamps in the bounds of their columns, the columns a file has in its null counts.
 */
import { firstTypedFieldId } from '../columns/index.js';
import type { DataFileEntry, NewDataFile } from '../iceberg/index.js';
import { LakeError, type TimestampMs } from '../kernel/index.js';
import { parseDataFilePath } from './bucket-layout.js';
import { byPartitionAndOffset } from './plan-files.js';
import type { ColdFile, NewColdFile, PartitionCold } from './table-snapshot.js';
import { keyFieldId, offsetFieldId, timestampFieldId, timestampRawFieldId } from './table-schema.js';

export function dataFileOf(file: NewColdFile): NewDataFile {
  const bounds = (which: 'lower' | 'upper'): ReadonlyMap<number, Buffer> =>
    new Map(
      file.metrics.flatMap((metric) => {
        const bound = metric[which];
        return bound === undefined ? [] : [[metric.fieldId, Buffer.from(bound, 'base64')] as const];
      }),
    );
  return {
    key: file.key,
    recordCount: file.rows,
    bytes: file.bytes,
    columnSizes: new Map(file.metrics.map((metric) => [metric.fieldId, metric.bytes])),
    valueCounts: new Map(file.metrics.map((metric) => [metric.fieldId, metric.values])),
    nullValueCounts: new Map(file.metrics.map((metric) => [metric.fieldId, metric.nulls])),
    lowerBounds: bounds('lower'),
    upperBounds: bounds('upper'),
    splitOffsets: file.splitOffsets,
  };
}

/** Errors: `table-corrupt` where the name is none of ours. */
export function coldFileOf(entry: Pick<DataFileEntry, 'key' | 'file'>): ColdFile {
  const name = parseDataFilePath(entry.key);
  if (name === null) {
    throw new LakeError('table-corrupt', `${entry.key} is in the table and has not the name of a cold file`, {
      hint: 'Roll the table back to its last snapshot of this service; other engines may only read it.',
      facts: { key: entry.key },
    });
  }
  const { file } = entry;
  const times = timestampBounds(file.lowerBounds, file.upperBounds);
  const rowOffsets = times.isExact ? rowOffsetsOf(file) : undefined;
  const keys = keyBounds(file);
  return {
    key: entry.key,
    partition: name.partition,
    baseOffset: name.baseOffset,
    lastOffset: name.lastOffset,
    rows: file.recordCount,
    bytes: file.fileSizeBytes,
    minTimestampMs: times.min,
    maxTimestampMs: times.max,
    ...(rowOffsets === undefined ? {} : { minRowOffset: rowOffsets.min, maxRowOffset: rowOffsets.max }),
    ...(keys === undefined ? {} : { keys }),
    ...(isTypedThroughout(file) ? { isTypedThroughout: true as const } : {}),
    fieldIds: [...(file.valueCounts ?? [])]
      .filter(([fieldId, values]) => (file.nullValueCounts?.get(fieldId) ?? 0) < values)
      .map(([fieldId]) => fieldId),
  };
}

type Bounds = ReadonlyMap<number, Buffer> | null;

/** Of `_timestamp` (µs, clamped to what fits) and of `_timestamp_raw` (ms, only where it was clamped); unbounded if unknown. */
function timestampBounds(
  lower: Bounds,
  upper: Bounds,
): { readonly min: TimestampMs; readonly max: TimestampMs; readonly isExact: boolean } {
  let isExact = true;
  const read = (bounds: Bounds, fieldId: number, perMs: number): number | undefined => {
    const value = longOf(bounds, fieldId);
    // Beyond 2^53 the number is a rounded one.
    if (value !== undefined && !(Number.isSafeInteger(value) && value % perMs === 0)) isExact = false;
    return value === undefined ? undefined : value / perMs;
  };
  const min = read(lower, timestampFieldId, 1000);
  const max = read(upper, timestampFieldId, 1000);
  if (min === undefined || max === undefined) return { min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER, isExact: false };
  const earliest = Math.min(Math.floor(min), read(lower, timestampRawFieldId, 1) ?? Number.POSITIVE_INFINITY);
  const latest = Math.max(Math.ceil(max), read(upper, timestampRawFieldId, 1) ?? Number.NEGATIVE_INFINITY);
  return { min: earliest, max: latest, isExact };
}

function longOf(bounds: Bounds, fieldId: number): number | undefined {
  const bytes = bounds?.get(fieldId);
  return bytes === undefined || bytes.length !== 8 ? undefined : Number(bytes.readBigInt64LE(0));
}

/** Smallest and largest `_offset` of the rows; `undefined` where a row has no offset or no time, as far as is known. */
function rowOffsetsOf({ recordCount, valueCounts, nullValueCounts, lowerBounds, upperBounds }: DataFileEntry['file']) {
  const isWhole = (fieldId: number): boolean => valueCounts?.get(fieldId) === recordCount && nullValueCounts?.get(fieldId) === 0;
  if (!isWhole(offsetFieldId) || !isWhole(timestampFieldId)) return undefined;
  const [min, max] = [longOf(lowerBounds, offsetFieldId), longOf(upperBounds, offsetFieldId)];
  return min === undefined || max === undefined || recordCount === 0 ? undefined : { min, max };
}

function isTypedThroughout({ recordCount, valueCounts, nullValueCounts }: DataFileEntry['file']): boolean {
  for (const [fieldId, nulls] of nullValueCounts ?? [])
    if (nulls === 0 && fieldId >= firstTypedFieldId && recordCount > 0 && valueCounts?.get(fieldId) === recordCount) return true;
  return false;
}

function keyBounds({ valueCounts, nullValueCounts, lowerBounds, upperBounds }: DataFileEntry['file']): ColdFile['keys'] {
  if (valueCounts === null || valueCounts.size === 0) return undefined;
  // A column of nulls only is not in a file.
  const values = valueCounts.get(keyFieldId) ?? 0;
  if (values === 0 || values === nullValueCounts?.get(keyFieldId)) return null;
  const [min, max] = [lowerBounds?.get(keyFieldId), upperBounds?.get(keyFieldId)];
  return min === undefined || max === undefined ? undefined : { min: min.toString('hex'), max: max.toString('hex') };
}

/**
 * In the order of a snapshot. Errors: `table-corrupt` where two files stand for one offset, or one lies above its
 * partition's boundary: then some record would be served twice.
 */
export function orderedFiles(files: readonly ColdFile[], partitions: readonly PartitionCold[]): readonly ColdFile[] {
  const ordered = [...files].sort(byPartitionAndOffset);
  const boundaries = new Map(partitions.map((p) => [p.partition, p.boundary]));
  let previous: ColdFile | undefined;
  for (const file of ordered) {
    const isAbove = file.lastOffset >= (boundaries.get(file.partition) ?? 0);
    const overlaps = previous?.partition === file.partition && previous.lastOffset >= file.baseOffset;
    if (isAbove || overlaps) {
      throw new LakeError('table-corrupt', `${file.key} ${isAbove ? 'lies above the boundary' : `overlaps ${previous?.key ?? ''}`}`, {
        hint: 'Roll the table back to its last sound snapshot.',
        facts: { key: file.key, boundary: boundaries.get(file.partition) ?? 0 },
      });
    }
    previous = file;
  }
  return ordered;
}
