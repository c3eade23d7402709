/**
 * What a topic's log holds, kept plainly: the model of tests that ask it over and over while it is tiered, compacted, deleted from and
 * started again. Of each record also which columns its value gives, by a reader of JSON that shares nothing with the product.
 */
import * as fc from 'fast-check';
import { expect } from 'vitest';
import { type OracleField, oracleFields } from '../support/json-oracle.js';
import type { Answered } from '../support/query-world.js';

export const t0 = Date.parse('2001-01-01T00:00:00Z');
export const keys = ['a', 'b', 'c', '', null] as const;

export interface ModelEvent {
  readonly timestampMs: number;
  readonly key: (typeof keys)[number];
  readonly value: string | null;
}

export interface ModelRecord extends ModelEvent {
  readonly partition: number;
  readonly offset: number;
  /** When the broker counts it as appended. */
  readonly atMs: number;
  /** Once it is in the table: whether its values were columns by the format of that time. */
  isStoredTyped?: boolean;
}

const values = [
  '{"a":1}',
  '{"a":2,"b":"x"}',
  '{"a":1.5}',
  '{"a":"text","b":true}',
  '{"b":{"deep":[1,2]}}',
  '{"late":9007199254740993}',
  '{"late":-1,"a":3}',
  '{}',
  '[1]',
  'no JSON',
  '',
  null,
];

export const event: fc.Arbitrary<ModelEvent> = fc.record({
  timestampMs: fc.integer({ min: 0, max: 9 }).map((hours) => t0 + hours * 3_600_000),
  key: fc.constantFrom(...keys),
  value: fc.constantFrom(...values),
});

/** A range of offsets of one partition; hot from the boundary on, where that matters. */
export interface Pin {
  readonly partition: number;
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly boundary?: number;
}

export class LogModel {
  /** By offset; there may be offsets without a record. */
  readonly partitions: (ModelRecord | undefined)[][];

  constructor(count: number) {
    this.partitions = Array.from({ length: count }, () => []);
  }

  append(partition: number, base: number, events: readonly ModelEvent[], atMs: number): void {
    const log = this.partitions[partition]!;
    for (const [at, one] of events.entries()) log[base + at] = { ...one, partition, offset: base + at, atMs };
  }

  truncate(partition: number, end: number): void {
    this.partitions[partition]!.length = Math.min(this.partitions[partition]!.length, end);
  }

  /** A cut with columns by the format of now, or without. */
  store(partition: number, from: number, end: number, isTyped: boolean): void {
    for (const record of this.partitions[partition]!.slice(from, end)) if (record !== undefined) record.isStoredTyped = isTyped;
  }

  within(pins: readonly Pin[]): ModelRecord[] {
    const sorted = [...pins].sort((a, b) => a.partition - b.partition);
    return sorted.flatMap(({ partition, start, end }) => this.partitions[partition]!.slice(start, end).filter((one) => one !== undefined));
  }

  appendedUpTo(atMs: number, starts: readonly number[]): ModelRecord[] {
    return this.partitions.flatMap((log, at) =>
      log.filter((one): one is ModelRecord => one !== undefined && one.atMs <= atMs && one.offset >= starts[at]!),
    );
  }
}

const baseNames = ['_key', '_timestamp', '_partition_id', '_offset', '_headers', '_value'];

/**
 * The answer to `SELECT * … ORDER BY _partition_id, _offset`: all records in the pins, and of each the columns, cold ones by how they were
 * stored, hot ones where `isTyped`. A column that no record fills may be there: it is of records below the log start, or above the pin.
 */
export function expectWhole(answer: Pick<Answered, 'columns' | 'rows'>, model: LogModel, pins: readonly Pin[], isTyped: boolean): void {
  const names = answer.columns.map(({ name }) => name);
  const records = model.within(pins);
  const boundaries = new Map(pins.map(({ partition, boundary }) => [partition, boundary ?? 0]));
  const fieldsOf = (record: ModelRecord): Map<string, OracleField> => {
    const isCold = record.offset < boundaries.get(record.partition)!;
    const hasColumns = isCold ? record.isStoredTyped === true : isTyped;
    return hasColumns ? oracleFields(record.value === null ? null : Buffer.from(record.value)) : new Map();
  };
  const found = answer.rows.map((row) => ({
    place: [row[names.indexOf('_partition_id')], row[names.indexOf('_offset')]],
    timestampMs: Date.parse(String(row[names.indexOf('_timestamp')])),
    key: row[names.indexOf('_key')],
    value: row[names.indexOf('_value')],
    fields: Object.fromEntries(
      answer.columns.flatMap(({ name }, at) => (baseNames.includes(name) || row[at] === null ? [] : [[name, row[at]]])),
    ),
  }));
  const types = new Map(answer.columns.map(({ name, type }) => [name, type]));
  const expected = records.map((record) => ({
    place: [record.partition, record.offset],
    timestampMs: record.timestampMs,
    key: record.key,
    value: record.value,
    fields: Object.fromEntries([...fieldsOf(record)].map(([name, field]) => [name, shown(field, types.get(name))])),
  }));
  expect(found).toEqual(expected);
}

/** A field in a column of a type; as it is where the type cannot be right, so that a comparison says so. */
function shown(field: OracleField, type: string | undefined): unknown {
  const { kind, value } = field;
  if (type === 'DOUBLE' && (kind === 'long' || kind === 'double')) return Number(value);
  if (type === 'BIGINT' && kind === 'long') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (type === 'VARCHAR') return String(value);
  return type === 'BOOLEAN' && kind === 'bool' ? value : { kind, type };
}

/** A question with the answer that follows from the records it is asked of. */
export interface Derived {
  readonly sql: string;
  readonly rows: readonly (readonly unknown[])[];
}

/** Questions of as many ways to read as there are: from metadata, the head, key filters, pruned by time, the last row of each key. */
export function derived(topic: string, records: readonly ModelRecord[], choice: number): Derived {
  const key = keys[choice % 4]!;
  const partition = choice % 2;
  const [from, to] = [t0 + (choice % 5) * 3_600_000, t0 + (choice % 5) * 3_600_000 + 4 * 3_600_000];
  const place = ({ partition: of, offset }: ModelRecord): number[] => [of, offset];
  const time = (ms: number): string => `TIMESTAMPTZ '${new Date(ms).toISOString()}'`;
  const questions: readonly (() => Derived)[] = [
    () => ({
      sql: `SELECT _partition_id, count(*), min(_offset), max(_offset), epoch_ms(min(_timestamp)), epoch_ms(max(_timestamp)) FROM ${topic} GROUP BY 1 ORDER BY 1`,
      rows: [...new Set(records.map((record) => record.partition))].map((of) => {
        const own = records.filter((record) => record.partition === of);
        const [offsets, times] = [own.map(({ offset }) => offset), own.map(({ timestampMs }) => timestampMs)];
        return [of, own.length, Math.min(...offsets), Math.max(...offsets), Math.min(...times), Math.max(...times)];
      }),
    }),
    () => ({
      sql: `SELECT _partition_id, _offset FROM ${topic} WHERE _partition_id = ${partition} ORDER BY _offset DESC LIMIT 3`,
      rows: records
        .filter((record) => record.partition === partition)
        .slice(-3)
        .reverse()
        .map(place),
    }),
    () => ({
      sql: `SELECT _partition_id, _offset FROM ${topic} WHERE _key = '${key}' ORDER BY ALL`,
      rows: records.filter((record) => record.key === key).map(place),
    }),
    () => ({
      sql: `SELECT _partition_id, _offset FROM ${topic} WHERE _timestamp >= ${time(from)} AND _timestamp < ${time(to)} ORDER BY ALL`,
      rows: records.filter(({ timestampMs }) => timestampMs >= from && timestampMs < to).map(place),
    }),
    () => ({ sql: `SELECT text(_key), _partition_id, _offset FROM latest(${topic}) ORDER BY 1`, rows: latest(records) }),
  ];
  return questions[choice % questions.length]!();
}

function latest(records: readonly ModelRecord[]): unknown[][] {
  const last = new Map<string, ModelRecord>();
  for (const record of records) if (record.key !== null) last.set(`${record.partition}/${record.key}`, record);
  const ofKey = new Map<string, ModelRecord>();
  // In order of partitions: of equal times the later one counts.
  for (const record of [...last.values()].sort((a, b) => a.partition - b.partition)) {
    const other = ofKey.get(record.key!);
    if (other === undefined || record.timestampMs >= other.timestampMs) ofKey.set(record.key!, record);
  }
  return [...ofKey.values()]
    .filter(({ value }) => value !== null)
    .sort((a, b) => (a.key! < b.key! ? -1 : 1))
    .map(({ key, partition, offset }) => [key, partition, offset]);
}
