/** The statement of the records route, and what it can find rows in: the question is ours, so it need neither be parsed nor planned for it. */
import { quoteName } from '../columns/index.js';
import type { ParsedStatement } from './engine-protocol.js';
import type { RecordsRequest } from './query-limits.js';
import { everything, type Interval } from './ranges.js';
import type { RecordsScan } from './scan-head.js';

export interface RecordsPlan {
  readonly statement: ParsedStatement;
  readonly ranges: readonly RecordsScan[];
  /**
   * Only the last record of this key is wanted, which may be found without an engine. Where every cold file says by a filter whether it may
   * hold the key, an engine is given the newest file of each partition first.
   */
  readonly lastOf?: Buffer;
}

export function recordsPlan(request: RecordsRequest): RecordsPlan {
  const { topic, fromMs, toMs, partition, offset, limit, order, after } = request;
  const isByTime = order === 'time';
  const where = [
    ...(partition === undefined ? [] : [`_partition_id = ${partition}`]),
    ...(offset === undefined ? [] : [`_offset >= ${offset}`]),
    ...(fromMs === undefined ? [] : [`_timestamp_ms >= ${fromMs}`]),
    ...(toMs === undefined ? [] : [`_timestamp_ms < ${toMs}`]),
    ...(after === undefined ? [] : [afterClause(after, isByTime)]),
  ];
  const orderBy = isByTime ? '_timestamp_ms, _partition_id, _offset' : '_partition_id, _offset';
  return { statement: ownStatement(recordsSql(topic, where, orderBy, limit), topic), ranges: rangesOf(request, isByTime) };
}

/** Row values are compared in parts, which DuckDB can look up in a file's bounds. */
function afterClause({ timestampMs, partition, offset }: NonNullable<RecordsRequest['after']>, isByTime: boolean): string {
  const later = `(_partition_id > ${partition} OR (_partition_id = ${partition} AND _offset > ${offset}))`;
  return isByTime ? `_timestamp_ms >= ${timestampMs} AND (_timestamp_ms > ${timestampMs} OR ${later})` : later;
}

function rangesOf({ fromMs, toMs, partition, offset, after, limit }: RecordsRequest, isByTime: boolean): RecordsScan[] {
  const open = Number.POSITIVE_INFINITY;
  const firstMs = Math.max(fromMs ?? -open, isByTime ? (after?.timestampMs ?? -open) : -open);
  const timestampsMs: Interval = { min: firstMs, max: toMs === undefined ? open : toMs - 1 };
  const offsets: Interval = offset === undefined ? everything : { min: offset, max: open };
  const partitions: Interval = partition === undefined ? everything : { min: partition, max: partition };
  const order = isByTime ? { order: { column: '_timestamp', isDescending: false } as const } : {};
  const head = limit === undefined ? {} : { head: { rows: limit, ...order } };
  if (after === undefined) return [{ partitions, offsets, timestampsMs, ...head }];
  // Of the rows at the very time the page before ended with, some came in it.
  if (isByTime) return [{ partitions, offsets, timestampsMs }];
  const rest = {
    partitions: { min: after.partition, max: after.partition },
    offsets: { min: Math.max(offset ?? 0, after.offset + 1), max: open },
    timestampsMs,
  };
  if (partition !== undefined) return [{ ...rest, ...head }];
  return [rest, { partitions: { min: after.partition + 1, max: open }, offsets, timestampsMs }];
}

export function recordsSql(topic: string, where: readonly string[], order: string, limit: number | undefined): string {
  const filter = where.length === 0 ? '' : ` WHERE ${where.join(' AND ')}`;
  const head = limit === undefined ? '' : ` LIMIT ${limit}`;
  return `SELECT _partition_id, _offset, _timestamp_ms, _key, _value, _headers FROM ${quoteName(topic)}${filter} ORDER BY ${order}${head}`;
}

/** What the engine would say of a statement of ours that reads one topic, written with `quoteName`. */
export function ownStatement(sql: string, topic: string): ParsedStatement {
  const position = Buffer.byteLength(sql.slice(0, sql.indexOf(quoteName(topic))));
  return { sql, tables: [{ name: topic, isSystem: false, position }], parameters: [], isRepeatable: true, isCompound: false };
}
