/** Tables on a store in memory, and changes without real Parquet: what the lake room's tests share. */
import type { ColumnMetrics, TypedColumn } from '../../../src/columns/index.js';
import { clusterId, type Random, systemClock, systemRandom, topicId, topicName } from '../../../src/kernel/index.js';
import {
  type ColdFile,
  dataFileKey,
  type FileRewrite,
  type NewColdFile,
  openTopicTable,
  type RangeMove,
  type TableChange,
  type TopicTable,
} from '../../../src/lake/index.js';
import { MemoryStore, type ObjectStore } from '../../../src/objects/index.js';

export const cluster = clusterId('AAAAAAAAAAAAAAAAAAAAAQ');
export const topic = topicName('orders');
export const id = topicId('BBBBBBBBBBBBBBBBBBBBBQ');

export function memoryStore(): MemoryStore {
  return new MemoryStore({ clock: systemClock });
}

export function openTable(store: ObjectStore, random: Random = systemRandom): TopicTable {
  return openTopicTable(store, { topic, topicId: id, clusterId: cluster }, { clock: systemClock, random });
}

function long(value: number): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(value));
  return bytes.toString('base64');
}

export function coldFile(
  table: TopicTable,
  partition: number,
  baseOffset: number,
  lastOffset: number,
  more: { readonly minMs?: number; readonly maxMs?: number; readonly columns?: readonly TypedColumn[] } = {},
): NewColdFile {
  const rows = lastOffset - baseOffset + 1;
  const minTimestampMs = more.minMs ?? 1000 + baseOffset;
  const maxTimestampMs = more.maxMs ?? 1000 + lastOffset;
  const metrics: ColumnMetrics[] = [
    { fieldId: 2, bytes: 10, values: rows, nulls: 0, lower: long(baseOffset), upper: long(lastOffset) },
    { fieldId: 3, bytes: 10, values: rows, nulls: 0, lower: long(minTimestampMs * 1000), upper: long(maxTimestampMs * 1000) },
    { fieldId: 4, bytes: 1, values: rows, nulls: rows },
    ...(more.columns ?? []).map((column) => ({ fieldId: column.fieldId, bytes: 5, values: rows, nulls: 0 })),
  ];
  return {
    key: dataFileKey(table.prefix, { partition, baseOffset, lastOffset, unique: systemRandom.uuid() }),
    partition,
    baseOffset,
    lastOffset,
    rows,
    bytes: 100 + rows,
    minTimestampMs,
    maxTimestampMs,
    fieldIds: [2, 3, ...(more.columns ?? []).map((column) => column.fieldId)],
    digest: 't2:0:0000000000000000',
    rawBytes: rows * 10,
    metrics,
    splitOffsets: [4],
  };
}

export function move(
  table: TopicTable,
  partition: number,
  from: number,
  to: number,
  more: { readonly isEmpty?: boolean; readonly columns?: readonly TypedColumn[] } = {},
): RangeMove {
  return { partition, from, to, leaderEpoch: 1, files: more.isEmpty === true ? [] : [coldFile(table, partition, from, to - 1, more)] };
}

export function change(moves: readonly RangeMove[], columns: readonly TypedColumn[] = []): TableChange {
  return { commitId: systemRandom.uuid(), moves, columns, nowMs: systemClock.nowMs() };
}

/** One file in the place of some: of all their rows, or from an offset on. */
export function rewrite(table: TopicTable, inputs: readonly ColdFile[], fromOffset = 0): FileRewrite {
  const [first, last] = [inputs[0], inputs.at(-1)];
  if (first === undefined || last === undefined) throw new Error('a rewrite needs inputs');
  const output = coldFile(table, first.partition, Math.max(fromOffset, first.baseOffset), last.lastOffset);
  const rows = fromOffset > first.baseOffset ? output.rows : inputs.reduce((sum, file) => sum + file.rows, 0);
  return { partition: first.partition, inputs: inputs.map((file) => file.key), outputs: [{ ...output, rows }] };
}

export function rewriting(...rewrites: readonly FileRewrite[]): TableChange {
  return { ...change([]), rewrites };
}

/** Raises one log start. */
export function logStart(partition: number, logStartOffset: number): TableChange {
  return { ...change([]), logStarts: [{ partition, logStartOffset }] };
}
