/**
 * What the footer of a Parquet file says, as the jobs need it: row groups with their offsets and sizes, and per field id the
 * figures for Iceberg's manifests. Read with hyparquet, which shares nothing with the writer.
 */
import { type ColumnChunk, type FileMetaData, parquetMetadata, type SchemaElement } from 'hyparquet';
import { type Disk, LakeError, type Offset, systemDisk } from '../kernel/index.js';
import type { ColumnMetrics } from './jobs.js';
import { type Column, type LeafType, timestampMaxMs, timestampMinMs } from './schema.js';

/** Iceberg's default metrics mode is truncate(16): characters of a text, bytes of a binary. */
const boundLength = 16;
/** Length of the footer and magic at the end of a file. */
const tailBytes = 8;

/** Reads and parses the footer. Errors: `cold-corrupt`. */
export function readFooter(path: string, disk: Disk = systemDisk): FileMetaData {
  return parseFooter(path, readFooterBytes(path, disk));
}

/** The footer with its tail. Errors: `cold-corrupt`. */
export function readFooterBytes(path: string, disk: Disk = systemDisk): Buffer {
  const { size } = disk.statSync(path);
  const file = disk.openSync(path, 'r');
  try {
    const read = (bytes: number): Buffer => {
      const end = Buffer.from(new ArrayBuffer(bytes));
      disk.readSync(file, end, 0, bytes, size - bytes);
      return end;
    };
    return read(footerLength(path, read(Math.min(size, tailBytes)), size));
  } finally {
    disk.closeSync(file);
  }
}

/** Bytes of the footer with its tail, from the end of a file of `size` bytes. Errors: `cold-corrupt`. */
export function footerLength(path: string, end: Buffer, size: number): number {
  if (size < tailBytes + 4 || end.length < tailBytes || end.toString('latin1', end.length - 4) !== 'PAR1') {
    throw corrupt(path, 'it does not end as Parquet does');
  }
  const footerBytes = end.readUInt32LE(end.length - tailBytes) + tailBytes;
  if (footerBytes > size) throw corrupt(path, `its footer of ${footerBytes} bytes is larger than the file`);
  return footerBytes;
}

/** Parses the end of a file that begins with, or before, its footer. Errors: `cold-corrupt`. */
export function parseFooter(path: string, end: Buffer): FileMetaData {
  // Bounds of binaries are wanted as bytes, whatever is in them.
  const parsers = { stringFromBytes: (bytes: Uint8Array) => bytes };
  try {
    const bytes = new Uint8Array(end).buffer;
    return parquetMetadata(bytes, { parsers: parsers as never, geoparquet: false });
  } catch (error) {
    throw corrupt(path, 'its footer cannot be read', error);
  }
}

function corrupt(path: string, what: string, cause?: unknown): LakeError {
  return new LakeError('cold-corrupt', `${path} is damaged: ${what}`, { facts: { path }, ...(cause === undefined ? {} : { cause }) });
}

export interface RowGroupSpan {
  /** Its place among the row groups. */
  readonly group: number;
  readonly rows: number;
  /** Of all its columns, inflated. */
  readonly bytes: number;
  readonly minOffset: Offset;
  readonly maxOffset: Offset;
  /** Position of its first byte in the file. */
  readonly at: number;
}

/** The row groups with rows, in order. Errors: `cold-corrupt` where offsets have no statistics. */
export function rowGroupSpans(path: string, footer: FileMetaData): RowGroupSpan[] {
  const groups = footer.row_groups.map((group, index) => ({ ...group, index })).filter((group) => group.num_rows > 0n);
  return groups.map((group) => {
    const column = group.columns.find((chunk) => chunk.meta_data?.path_in_schema.join('.') === '_offset');
    const min = column?.meta_data?.statistics?.min_value;
    const max = column?.meta_data?.statistics?.max_value;
    if (typeof min !== 'bigint' || typeof max !== 'bigint') throw corrupt(path, 'a row group does not say which offsets it holds');
    return {
      group: group.index,
      rows: Number(group.num_rows),
      bytes: Number(group.total_byte_size),
      minOffset: Number(min),
      maxOffset: Number(max),
      at: rowGroupAt(group.columns[0] as ColumnChunk),
    };
  });
}

function rowGroupAt(first: ColumnChunk): number {
  return Number(first.meta_data?.dictionary_page_offset ?? first.meta_data?.data_page_offset ?? first.file_offset);
}

interface Leaf {
  readonly type: LeafType;
  readonly fieldId: number;
  readonly isNested: boolean;
}

function leavesOf(columns: readonly Column[]): Map<number, Leaf> {
  const leaves = new Map<number, Leaf>();
  for (const column of columns) {
    if (column.type !== 'list') leaves.set(column.fieldId, { type: column.type, fieldId: column.fieldId, isNested: false });
    else for (const field of column.fields) leaves.set(field.fieldId, { type: field.type, fieldId: field.fieldId, isNested: true });
  }
  return leaves;
}

/** Field id of each leaf in the order of the column chunks. */
export function leafFieldIds(schema: readonly SchemaElement[]): (number | undefined)[] {
  return schema.filter((element) => element.num_children === undefined || element.num_children === 0).map((element) => element.field_id);
}

/** At which level a leaf's value is there: how many of the elements down to it may be missing or repeated. 0 where there is no such leaf. */
export function definitionLevel(schema: readonly SchemaElement[], fieldId: number): number {
  let at = 0;
  const within = (above: number): number => {
    const element = schema[at++];
    if (element === undefined) return 0;
    const level = above + (element.repetition_type === undefined || element.repetition_type === 'REQUIRED' ? 0 : 1);
    if (element.field_id === fieldId) return level;
    let found = 0;
    for (let child = 0; child < (element.num_children ?? 0); child++) found = Math.max(found, within(level));
    return found;
  };
  return within(0);
}

/** Figures per leaf's field id over all row groups. Bounds only where every row group with values has them. */
export function columnMetrics(footer: FileMetaData, columns: readonly Column[]): ColumnMetrics[] {
  const leaves = leavesOf(columns);
  const metrics: ColumnMetrics[] = [];
  for (const [index, fieldId] of leafFieldIds(footer.schema).entries()) {
    const leaf = fieldId === undefined ? undefined : leaves.get(fieldId);
    if (leaf === undefined) continue;
    let [bytes, values, nulls] = [0, 0, 0];
    let hasBounds = !leaf.isNested;
    let lower: Buffer | undefined;
    let upper: Buffer | undefined;
    for (const group of footer.row_groups) {
      const chunk = (group.columns[index] as ColumnChunk).meta_data;
      if (chunk === undefined) continue;
      const chunkNulls = Number(chunk.statistics?.null_count ?? 0n);
      bytes += Number(chunk.total_compressed_size);
      values += Number(chunk.num_values);
      nulls += chunkNulls;
      if (chunkNulls === Number(chunk.num_values)) continue;
      const groupLower = boundBytes(leaf.type, chunk.statistics?.min_value, 'lower');
      const groupUpper = boundBytes(leaf.type, chunk.statistics?.max_value, 'upper');
      if (groupLower === undefined || groupUpper === undefined) hasBounds = false;
      else {
        if (lower === undefined || compareBounds(leaf.type, groupLower, lower) < 0) lower = groupLower;
        if (upper === undefined || compareBounds(leaf.type, groupUpper, upper) > 0) upper = groupUpper;
      }
    }
    const shortLower = hasBounds && lower !== undefined ? truncateLower(leaf.type, lower) : undefined;
    const shortUpper = hasBounds && upper !== undefined ? truncateUpper(leaf.type, upper) : undefined;
    metrics.push({
      fieldId: leaf.fieldId,
      bytes,
      values,
      nulls,
      ...(shortLower === undefined ? {} : { lower: shortLower.toString('base64') }),
      ...(shortUpper === undefined ? {} : { upper: shortUpper.toString('base64') }),
    });
  }
  return metrics;
}

/** A statistic as Iceberg's single-value serialisation (spec, Appendix D); undefined where it cannot be a bound. */
function boundBytes(type: LeafType, value: unknown, end: 'lower' | 'upper'): Buffer | undefined {
  const bytes = Buffer.alloc(8);
  switch (type) {
    case 'int':
      if (typeof value !== 'number') return undefined;
      bytes.writeInt32LE(value);
      return bytes.subarray(0, 4);
    case 'long':
      if (typeof value !== 'bigint') return undefined;
      bytes.writeBigInt64LE(value);
      return bytes;
    case 'double':
      if (typeof value !== 'number' || Number.isNaN(value)) return undefined;
      // Writers differ on the sign of a zero, so a bound at zero takes in both.
      bytes.writeDoubleLE(value === 0 ? (end === 'lower' ? -0 : 0) : value);
      return bytes;
    case 'boolean':
      return typeof value === 'boolean' ? Buffer.from([value ? 1 : 0]) : undefined;
    case 'timestamptz': {
      if (!(value instanceof Date)) return undefined;
      const ms = value.getTime();
      if (!(ms >= timestampMinMs && ms <= timestampMaxMs)) return undefined;
      bytes.writeBigInt64LE(BigInt(ms) * 1000n);
      return bytes;
    }
    case 'string':
    case 'binary':
      return value instanceof Uint8Array ? Buffer.from(value) : undefined;
  }
}

function compareBounds(type: LeafType, a: Buffer, b: Buffer): number {
  switch (type) {
    case 'int':
      return a.readInt32LE() - b.readInt32LE();
    case 'double':
      return a.readDoubleLE() - b.readDoubleLE();
    case 'long':
    case 'timestamptz': {
      const difference = a.readBigInt64LE() - b.readBigInt64LE();
      return difference < 0n ? -1 : difference > 0n ? 1 : 0;
    }
    case 'boolean':
    case 'string':
    case 'binary':
      return Buffer.compare(a, b);
  }
}

function truncateLower(type: LeafType, bound: Buffer): Buffer {
  if (type === 'binary') return bound.subarray(0, boundLength);
  if (type === 'string') return Buffer.from(Array.from(bound.toString('utf8')).slice(0, boundLength).join(''), 'utf8');
  return bound;
}

/** A cut upper bound is rounded up at its last place that can be; undefined where none can. */
function truncateUpper(type: LeafType, bound: Buffer): Buffer | undefined {
  if (type === 'binary') {
    if (bound.length <= boundLength) return bound;
    for (let length = boundLength; length > 0; length--) {
      const last = bound[length - 1] as number;
      if (last < 0xff) return Buffer.concat([bound.subarray(0, length - 1), Buffer.from([last + 1])]);
    }
    return undefined;
  }
  if (type === 'string') {
    const points = Array.from(bound.toString('utf8'), (character) => character.codePointAt(0) as number);
    if (points.length <= boundLength) return bound;
    for (let length = boundLength; length > 0; length--) {
      const next = (points[length - 1] as number) + 1;
      // U+D800…U+DFFF are no characters.
      const last = next >= 0xd800 && next <= 0xdfff ? 0xe000 : next;
      if (last <= 0x10ffff) return Buffer.from(String.fromCodePoint(...points.slice(0, length - 1), last), 'utf8');
    }
    return undefined;
  }
  return bound;
}
