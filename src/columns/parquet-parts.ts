/**
 * A Parquet file in pieces: what its footer says of each row group and column, and a footer for a file that holds only some of
 * them, or all in another order. Such a part is a whole Parquet file of its own, so a reader cannot tell that there was ever more.
 *
 * | in a part  |                                                                   |
 * |------------|-------------------------------------------------------------------|
 * | 0          | `PAR1`                                                            |
 * | 4          | column chunks as they were, row group by row group                |
 * | behind     | the footer, its positions moved, without the groups and columns left out |
 * | −8         | the footer's length (uint32), `PAR1`                              |
 */
import { LakeError, type Offset, sum, type TimestampMs } from '../kernel/index.js';
import { footerLength } from './parquet-footer.js';
import { readThriftStruct } from './thrift-compact.js';
import {
  bytesOf,
  fieldsOf,
  numberOf,
  readThriftTree,
  structsOf,
  type ThriftField,
  type ThriftFields,
  writeThriftTree,
} from './thrift-tree.js';

const magic = Buffer.from('PAR1', 'latin1');

/** Field ids of `parquet.thrift`. */
const file = { schema: 2, rows: 3, groups: 4, keyValues: 5, orders: 7 } as const;
const element = { name: 4, children: 5, fieldId: 9 } as const;
const group = { columns: 1, bytes: 2, rows: 3, sorting: 4, at: 5, compressedBytes: 6, ordinal: 7 } as const;
const chunk = { path: 1, at: 2, meta: 3 } as const;
const meta = {
  values: 5,
  bytes: 6,
  compressedBytes: 7,
  data: 9,
  index: 10,
  dictionary: 11,
  statistics: 12,
  bloom: 14,
  bloomBytes: 15,
} as const;
const statistics = { nulls: 3, max: 5, min: 6 } as const;

const baseField = { offset: 2, timestamp: 3, timestampRaw: 4, key: 5 } as const;

/** A column chunk in the file. */
export interface ChunkPlace {
  readonly at: number;
  readonly bytes: number;
}

export interface KeyBounds {
  /** In hexadecimal digits. */
  readonly min: string;
  readonly max: string;
}

export interface GroupLayout {
  readonly rows: number;
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  /** As far as the footer says; beyond all times where it does not. */
  readonly minTimestampMs: TimestampMs;
  readonly maxTimestampMs: TimestampMs;
  /** `null` where every key is null; undefined where nothing is known. */
  readonly keys?: KeyBounds | null;
  /** Of each leaf, in the file's order. */
  readonly chunks: readonly ChunkPlace[];
}

/** What of a footer stands in every part of the file, and each column chunk's entry as it was written: a part needs few of them. */
interface Skeleton {
  /** All but the row groups. */
  readonly file: ThriftFields;
  readonly groups: readonly { readonly fields: ThriftFields; readonly columns: readonly Uint8Array[] }[];
}

export interface PartLayout {
  /** For messages. */
  readonly name: string;
  readonly skeleton: Skeleton;
  /** Field id of the column at the top that each leaf belongs to. */
  readonly columnOfLeaf: readonly number[];
  readonly groups: readonly GroupLayout[];
  /** Length of the footer that this is. */
  readonly footerBytes: number;
}

/** A part to be made: pieces and where they go. */
export interface PartPlan {
  /** Where the footer goes: behind the last piece. */
  readonly end: number;
  /** The part is no longer than this. */
  readonly bytesMax: number;
  /** Makes it, which takes longer than all else of the plan: whoever fetches the pieces has the time while they are on their way. */
  readonly footer: () => Buffer;
  /** In ascending order of `to`; `group` and `leaf` as in the layout. */
  readonly pieces: readonly { readonly group: number; readonly leaf: number; readonly from: ChunkPlace; readonly to: number }[];
}

/** What the end of a file (its footer and nothing before it) says. Errors: `cold-corrupt`. */
export function readPartLayout(name: string, footer: Buffer): PartLayout {
  const entries = new Map<ThriftFields, Uint8Array>();
  const tree = treeOf(name, footer, (fields, own) => entries.set(fields, own));
  const columnOfLeaf = leafColumns(name, structsOf(tree, file.schema));
  const leafOf = (fieldId: number): number => columnOfLeaf.indexOf(fieldId);
  const leaves = {
    offset: leafOf(baseField.offset),
    timestamp: leafOf(baseField.timestamp),
    timestampRaw: leafOf(baseField.timestampRaw),
    key: leafOf(baseField.key),
  };
  const groups = structsOf(tree, file.groups).map((entry): GroupLayout => {
    const metas = structsOf(entry, group.columns).map((column) => {
      const found = fieldsOf(column, chunk.meta);
      if (found === undefined || column.has(chunk.path)) throw corrupt(name, 'a column chunk has no metadata of its own');
      return found;
    });
    if (metas.length !== columnOfLeaf.length) throw corrupt(name, `a row group has ${metas.length} columns of ${columnOfLeaf.length}`);
    const offsets = longBounds(metas[leaves.offset]);
    if (offsets === undefined) throw corrupt(name, 'a row group does not say which offsets it holds');
    const times = timeBounds(metas[leaves.timestamp], leaves.timestampRaw < 0 ? null : metas[leaves.timestampRaw]);
    const keys = keyBounds(leaves.key < 0 ? null : metas[leaves.key]);
    return {
      rows: numberOf(entry, group.rows) ?? 0,
      baseOffset: Number(offsets.min),
      lastOffset: Number(offsets.max),
      ...times,
      ...(keys === undefined ? {} : { keys }),
      chunks: metas.map((one) => placeOf(name, one)),
    };
  });
  const skeleton = {
    file: without(tree, [file.groups], []),
    groups: structsOf(tree, file.groups).map((entry) => ({
      fields: without(entry, [group.columns], []),
      columns: structsOf(entry, group.columns).map((column) => entries.get(column) as Uint8Array),
    })),
  };
  return { name, skeleton, columnOfLeaf, groups, footerBytes: footer.length };
}

function treeOf(name: string, footer: Buffer, onStruct: (fields: ThriftFields, own: Uint8Array) => void): ThriftFields {
  if (footerLength(name, footer.subarray(-8), footer.length + magic.length) !== footer.length) {
    throw corrupt(name, 'its footer has another length than it says');
  }
  return readThriftTree(footer.subarray(0, footer.length - 8), onStruct);
}

/** The schema is a list in which each column is followed by what is in it. */
function leafColumns(name: string, schema: readonly ThriftFields[]): number[] {
  const leaves: number[] = [];
  const walk = (at: number, top: number): number => {
    const entry = schema[at];
    if (entry === undefined) throw corrupt(name, 'its schema is cut off');
    const count = numberOf(entry, element.children) ?? 0;
    if (count === 0) leaves.push(top);
    let next = at + 1;
    for (let child = 0; child < count; child++) next = walk(next, top);
    return next;
  };
  let at = 1;
  // A column without an id of ours is nobody's; ids of ours are positive.
  while (at < schema.length) at = walk(at, numberOf(schema[at], element.fieldId) ?? -1);
  return leaves;
}

function placeOf(name: string, columnMeta: ThriftFields): ChunkPlace {
  const data = numberOf(columnMeta, meta.data);
  const bytes = numberOf(columnMeta, meta.compressedBytes);
  if (data === undefined || bytes === undefined || bytes <= 0) throw corrupt(name, 'a column chunk does not say where it lies');
  const dictionary = numberOf(columnMeta, meta.dictionary);
  return { at: dictionary !== undefined && dictionary > 0 && dictionary < data ? dictionary : data, bytes };
}

function longBounds(columnMeta: ThriftFields | undefined): { readonly min: bigint; readonly max: bigint } | undefined {
  const stats = fieldsOf(columnMeta, meta.statistics);
  const [min, max] = [bytesOf(stats, statistics.min), bytesOf(stats, statistics.max)];
  if (min?.length !== 8 || max?.length !== 8) return undefined;
  return { min: Buffer.from(min).readBigInt64LE(0), max: Buffer.from(max).readBigInt64LE(0) };
}

/** Whether the chunk has no value but null. */
function isNull(columnMeta: ThriftFields): boolean {
  const nulls = numberOf(fieldsOf(columnMeta, meta.statistics), statistics.nulls);
  return nulls !== undefined && nulls === numberOf(columnMeta, meta.values);
}

function timeBounds(
  clamped: ThriftFields | undefined,
  raw: ThriftFields | null | undefined,
): Pick<GroupLayout, 'minTimestampMs' | 'maxTimestampMs'> {
  const bounds = longBounds(clamped);
  const exact = raw === null || raw === undefined || isNull(raw) ? null : longBounds(raw);
  if (bounds === undefined || exact === undefined) {
    return { minTimestampMs: Number.NEGATIVE_INFINITY, maxTimestampMs: Number.POSITIVE_INFINITY };
  }
  return {
    minTimestampMs: Math.min(Math.floor(Number(bounds.min) / 1000), exact === null ? Number.POSITIVE_INFINITY : Number(exact.min)),
    maxTimestampMs: Math.max(Math.ceil(Number(bounds.max) / 1000), exact === null ? Number.NEGATIVE_INFINITY : Number(exact.max)),
  };
}

function keyBounds(columnMeta: ThriftFields | null | undefined): KeyBounds | null | undefined {
  // A file without the column has only null in it.
  if (columnMeta === null || columnMeta === undefined || isNull(columnMeta)) return null;
  const stats = fieldsOf(columnMeta, meta.statistics);
  const [min, max] = [bytesOf(stats, statistics.min), bytesOf(stats, statistics.max)];
  return min === undefined || max === undefined
    ? undefined
    : { min: Buffer.from(min).toString('hex'), max: Buffer.from(max).toString('hex') };
}

/** Positions are numbers of another length in a part, and a row group's may be new: so much more takes an entry at most. */
const movedBytesMax = 64;

type PartPiece = PartPlan['pieces'][number];

/** The part with these row groups and the leaves of these columns. `groups` are places in the layout, ascending. */
export function planPart(layout: PartLayout, groups: readonly number[], columns: ReadonlySet<number>): PartPlan {
  const leaves = layout.columnOfLeaf.flatMap((column, leaf) => (columns.has(column) ? [leaf] : []));
  const { pieces, end, bytesMax } = placed(
    layout,
    groups.flatMap((group) => leaves.map((leaf) => [group, leaf] as const)),
  );
  return { end, bytesMax, footer: () => partFooter(layout, groups, columns, pieces, end), pieces };
}

/**
 * The whole file with the chunks of these columns before those of all others: of the others, those of consecutive row groups lie side
 * by side. Parquet leaves it open where in a file a row group's chunks are. The footer is the file's own but for the positions.
 */
export function planApart(layout: PartLayout, first: ReadonlySet<number>): PartPlan {
  const groups = layout.groups.map((_, at) => at);
  const leavesWhere = (isFirst: boolean): (readonly [number, number])[] =>
    groups.flatMap((group) =>
      layout.columnOfLeaf.flatMap((column, leaf) => (first.has(column) === isFirst ? [[group, leaf] as const] : [])),
    );
  const { pieces, end, bytesMax } = placed(layout, [...leavesWhere(true), ...leavesWhere(false)]);
  const footer = (): Buffer => {
    const moved = movedGroups(layout, groups, pieces, end).map(({ entry, columns, at }) =>
      without(
        entry,
        [],
        [
          [group.columns, list(columns)],
          [group.at, long(at)],
        ],
      ),
    );
    return closed(without(layout.skeleton.file, [], [[file.groups, list(moved)]]));
  };
  return { end, bytesMax, footer, pieces };
}

/** One chunk behind the other, from the file's beginning on. */
function placed(layout: PartLayout, order: readonly (readonly [group: number, leaf: number])[]): Omit<PartPlan, 'footer'> {
  let end = magic.length;
  const pieces = order.map(([at, leaf]) => {
    const from = (layout.groups[at] as GroupLayout).chunks[leaf] as ChunkPlace;
    const piece = { group: at, leaf, from, to: end };
    end += from.bytes;
    return piece;
  });
  const groups = new Set(order.map(([at]) => at)).size;
  return { pieces, end, bytesMax: end + layout.footerBytes + movedBytesMax * (pieces.length + groups) };
}

interface MovedGroup {
  readonly entry: ThriftFields;
  readonly columns: readonly ThriftFields[];
  /** Of its columns, inflated and as they are. */
  readonly bytes: number;
  readonly compressedBytes: number;
  /** Where the first of its columns begins. */
  readonly at: number;
}

/** The row groups with those columns that are among the pieces, in the order of the schema, at their new places. */
function movedGroups(layout: PartLayout, groups: readonly number[], pieces: readonly PartPiece[], end: number): MovedGroup[] {
  return groups.map((at) => {
    const { fields, columns } = layout.skeleton.groups[at] as Skeleton['groups'][number];
    const own = pieces.filter((piece) => piece.group === at).toSorted((a, b) => a.leaf - b.leaf);
    const read = own.map((piece) => ({ ...piece, column: readThriftTree(columns[piece.leaf] as Uint8Array) }));
    return {
      entry: fields,
      columns: read.map(({ column, from, to }) => movedChunk(column, to - from.at, to)),
      bytes: sum(read.map(({ column }) => numberOf(fieldsOf(column, chunk.meta), meta.bytes) ?? 0)),
      compressedBytes: sum(own.map(({ from }) => from.bytes)),
      at: own[0]?.to ?? end,
    };
  });
}

function partFooter(
  layout: PartLayout,
  groups: readonly number[],
  columns: ReadonlySet<number>,
  pieces: readonly PartPiece[],
  end: number,
): Buffer {
  const tree = layout.skeleton.file;
  const cutGroups = movedGroups(layout, groups, pieces, end).map((moved) =>
    without(
      moved.entry,
      [group.sorting, group.ordinal],
      [
        [group.columns, list(moved.columns)],
        [group.bytes, long(moved.bytes)],
        [group.at, long(moved.at)],
        [group.compressedBytes, long(moved.compressedBytes)],
      ],
    ),
  );
  const orders = structsOf(tree, file.orders).filter((_, leaf) => columns.has(layout.columnOfLeaf[leaf] ?? -1));
  return closed(
    without(
      tree,
      [file.keyValues, file.orders],
      [
        [file.schema, list(cutSchema(structsOf(tree, file.schema), columns))],
        [file.rows, long(sum(groups.map((at) => layout.groups[at]?.rows ?? 0)))],
        [file.groups, list(cutGroups)],
        ...(orders.length === 0 ? [] : [[file.orders, list(orders)] as const]),
      ],
    ),
  );
}

/** A footer with its end. */
function closed(tree: ThriftFields): Buffer {
  const bytes = writeThriftTree(tree);
  const tail = Buffer.alloc(8);
  tail.writeUInt32LE(bytes.length, 0);
  magic.copy(tail, 4);
  return Buffer.concat([bytes, tail]);
}

function movedChunk(column: ThriftFields, by: number, at: number): ThriftFields {
  const columnMeta = fieldsOf(column, chunk.meta) as ThriftFields;
  const moved = [meta.data, meta.index, meta.dictionary].flatMap((id) => {
    const position = numberOf(columnMeta, id);
    return position === undefined || position <= 0 ? [] : [[id, long(position + by)] as const];
  });
  // Indexes and filters beside the pages are not in the part.
  return new Map([
    [chunk.at, long(at)],
    [chunk.meta, { type: 12, value: without(columnMeta, [meta.bloom, meta.bloomBytes], moved) }],
  ]);
}

function cutSchema(schema: readonly ThriftFields[], columns: ReadonlySet<number>): ThriftFields[] {
  const kept: ThriftFields[] = [];
  const lengthOf = (at: number): number => {
    let length = 1;
    const count = numberOf(schema[at], element.children) ?? 0;
    for (let child = 0; child < count; child++) length += lengthOf(at + length);
    return length;
  };
  let count = 0;
  for (let at = 1; at < schema.length; ) {
    const length = lengthOf(at);
    if (columns.has(numberOf(schema[at], element.fieldId) ?? -1)) {
      kept.push(...schema.slice(at, at + length));
      count++;
    }
    at += length;
  }
  return [without(schema[0] as ThriftFields, [], [[element.children, { type: 5, value: count }]]), ...kept];
}

function without(fields: ThriftFields, left: readonly number[], put: readonly (readonly [number, ThriftField])[]): ThriftFields {
  const changed = new Map(fields);
  for (const id of left) changed.delete(id);
  for (const [id, field] of put) changed.set(id, field);
  return changed;
}

function long(value: number): ThriftField {
  return { type: 6, value };
}

function list(items: readonly ThriftFields[]): ThriftField {
  return { type: 9, value: { itemType: 12, items } };
}

function corrupt(name: string, what: string): LakeError {
  return new LakeError('cold-corrupt', `${name} is damaged: ${what}`, { facts: { path: name } });
}

/** Whether a column chunk can begin so: with the header of a page (dictionary, or data of either version) that is not larger. */
export function beginsWithPage(bytes: Uint8Array, chunkBytes: number): boolean {
  try {
    const { numbers, end } = readThriftStruct(bytes, 0);
    const [pageType, pageBytes] = [numbers.get(1), numbers.get(3)];
    return (pageType === 0 || pageType === 2 || pageType === 3) && pageBytes !== undefined && end + pageBytes <= chunkBytes;
  } catch {
    return false;
  }
}
