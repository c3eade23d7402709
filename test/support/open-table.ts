// States of a table, what readers that are not ours should find in each, and how they are asked. What is expected comes from the
// records a Kafka consumer gets and from a JSON reader of our own, so neither the encoder nor the table's metadata can vouch for itself.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { DecodedRecord } from '../../src/wire/index.js';
import { oracleFields } from './json-oracle.js';
import type { Lake } from './lake.js';
import type { S3Server } from './versitygw.js';

const script = fileURLToPath(new URL('open-table-readers.py', import.meta.url));

type Kind = 'long' | 'double' | 'text' | 'bool' | 'bytes' | 'time';
type Scalar = string | number | boolean | null;
type Condition = readonly [column: string, kind: Kind, operator: '=' | '<' | '<=' | '>' | '>=' | 'is null' | 'is not null', value: Scalar];

export interface Profile {
  readonly rows: number;
  readonly headers: number;
  /** Values that are not null, the smallest, the largest, and of numbers that add up exactly the sum. */
  readonly columns: Readonly<Record<string, readonly Scalar[]>>;
  /** Rows that each filter leaves. */
  readonly filters: readonly number[];
}

export interface TableState {
  readonly name: string;
  readonly topic: string;
  readonly location: string;
  readonly metadata: string;
  readonly snapshot: string | null;
  readonly columns: readonly (readonly [name: string, kind: Kind, isSummed: boolean])[];
  readonly filters: readonly Condition[];
  readonly expected: Profile;
}

interface Row {
  readonly headers: number;
  readonly values: ReadonlyMap<string, Value>;
}
type Value = bigint | number | string | boolean | Buffer;

const timestampMinMs = -62_135_596_800_000n;
const timestampMaxMs = 253_402_300_799_999n;

/** A column of doubles whose sum depends on the order of addition is named so. */
const unsummed = /^wide/;

interface LoadedTable {
  readonly 'metadata-location': string;
  readonly 'metadata': {
    readonly 'location': string;
    readonly 'current-snapshot-id': number;
    readonly 'properties': Readonly<Record<string, string>>;
  };
}

type ColumnPlace = readonly [fieldId: number, kind: 'long' | 'double' | 'bool' | 'text', field: string, column: string];

/**
 * The table as it is now, all of it cold. `isThorough` asks for many filters on every column; else one on each.
 */
export async function tableState(lake: Lake, topic: string, name: string, isThorough = false): Promise<TableState> {
  const loaded = await lake.json<LoadedTable>(`/iceberg/v1/namespaces/thermocline/tables/${topic}`);
  const { location, properties } = loaded.metadata;
  const typed = JSON.parse(properties['thermocline.columns'] ?? '[]') as ColumnPlace[];
  const columns: (readonly [string, Kind, boolean])[] = [
    ['_partition_id', 'long', true],
    ['_offset', 'long', true],
    ['_timestamp', 'time', false],
    ['_key', 'bytes', false],
    ['_value', 'bytes', false],
    ...typed.map(([, kind, , column]) => [column, kind, kind === 'long' || (kind === 'double' && !unsummed.test(column))] as const),
  ];
  const { partitions } = await lake.topic(topic);
  const rows: Row[] = [];
  for (const partition of partitions.keys()) {
    const [start] = (await lake.ends(topic))[partition] ?? [0];
    for (const record of await lake.consume(topic, partition, start)) rows.push(rowOf(partition, record, typed));
  }
  const filters = columns.flatMap(([column, kind]) => conditionsOn(column, kind, rows, isThorough));
  return {
    name,
    topic,
    location,
    metadata: loaded['metadata-location'].slice(`${location}/metadata/`.length),
    snapshot: loaded.metadata['current-snapshot-id'] === -1 ? null : String(loaded.metadata['current-snapshot-id']),
    columns,
    filters,
    expected: {
      rows: rows.length,
      headers: rows.reduce((sum, row) => sum + row.headers, 0),
      columns: Object.fromEntries(columns.map(([column, , isSummed]) => [column, profileOf(column, isSummed, rows)])),
      filters: filters.map((condition) => rows.filter((row) => holds(condition, row)).length),
    },
  };
}

function rowOf(partition: number, record: DecodedRecord, typed: readonly ColumnPlace[]): Row {
  const values = new Map<string, Value>([
    ['_partition_id', BigInt(partition)],
    ['_offset', BigInt(record.offset)],
    ['_timestamp', clamped(BigInt(record.timestampMs))],
  ]);
  if (record.key !== null) values.set('_key', Buffer.from(record.key));
  if (record.value !== null) values.set('_value', Buffer.from(record.value));
  const fields = oracleFields(record.value);
  for (const [, kind, field, column] of typed) {
    const found = fields.get(field);
    if (found?.kind === kind) values.set(column, found.value);
  }
  return { headers: record.headers.length, values };
}

function clamped(ms: bigint): bigint {
  return ms < timestampMinMs ? timestampMinMs : ms > timestampMaxMs ? timestampMaxMs : ms;
}

/** Numbers by value, texts by code point, bytes as unsigned, false before true. */
function compare(a: Value, b: Value): number {
  if (Buffer.isBuffer(a) && Buffer.isBuffer(b)) return Buffer.compare(a, b);
  if (typeof a === 'string' && typeof b === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

/** As the readers' answers have it. */
function scalarOf(value: Value | undefined): Scalar {
  if (value === undefined) return null;
  if (typeof value === 'bigint') return String(value);
  if (Buffer.isBuffer(value)) return value.toString('hex');
  return value === 0 ? 0 : value;
}

function valuesOf(column: string, rows: readonly Row[]): Value[] {
  return rows.flatMap((row) => row.values.get(column) ?? []).sort(compare);
}

function profileOf(column: string, isSummed: boolean, rows: readonly Row[]): Scalar[] {
  const values = valuesOf(column, rows);
  const ends = [values.length, scalarOf(values[0]), scalarOf(values.at(-1))];
  if (!isSummed) return ends;
  if (values.length === 0) return [...ends, null];
  const isLong = typeof values[0] === 'bigint';
  return [...ends, isLong ? String((values as bigint[]).reduce((a, b) => a + b, 0n)) : (values as number[]).reduce((a, b) => a + b, 0)];
}

function conditionsOn(column: string, kind: Kind, rows: readonly Row[], isThorough: boolean): Condition[] {
  const values = valuesOf(column, rows);
  const distinct = values.filter((value, i) => i === 0 || compare(values[i - 1]!, value) !== 0);
  const on = (operator: '=' | '<' | '<=' | '>' | '>=', value: Value): Condition => [column, kind, operator, scalarOf(value)];
  if (distinct.length === 0) return [[column, kind, 'is not null', null]];
  const [low, middle, high] = [distinct[0]!, distinct[distinct.length >> 1]!, distinct.at(-1)!];
  if (!isThorough) return kind === 'bool' ? [] : [on('>=', middle)].filter(isSayable);
  if (kind === 'bool') return [on('=', low), [column, kind, 'is null', null]];
  return [
    ...distinct.slice(0, 12).flatMap((value) => [on('=', value)]),
    on('<', low),
    on('<=', low),
    on('<', middle),
    on('>=', middle),
    on('>=', high),
    on('>', high),
    [column, kind, 'is null', null] as const,
  ].filter(isSayable);
}

/** What every engine's SQL can say: no text with a character that ends it, no zero (engines differ on the sign of it). */
function isSayable([, kind, , value]: Condition): boolean {
  return !(kind === 'text' && String(value).includes('\0')) && !(kind === 'double' && value === 0);
}

function holds([column, kind, operator, scalar]: Condition, row: Row): boolean {
  const value = row.values.get(column);
  if (operator === 'is null') return value === undefined;
  if (operator === 'is not null') return value !== undefined;
  if (value === undefined) return false;
  const wanted: Value =
    kind === 'long' || kind === 'time'
      ? BigInt(String(scalar))
      : kind === 'bytes'
        ? Buffer.from(String(scalar), 'hex')
        : (scalar as string | number | boolean);
  const order = compare(value, wanted);
  return { '=': order === 0, '<': order < 0, '<=': order <= 0, '>': order > 0, '>=': order >= 0 }[operator];
}

export interface ReaderPlace {
  readonly python: string;
  /** Base URL of the REST catalog. */
  readonly catalog: string;
  readonly s3: S3Server | undefined;
}

export type ReaderAnswers = Readonly<Record<string, Profile | { readonly error: string }>>;

/** A reader that hangs is ended. */
const readerDeadlineMs = 540_000;

/** What a reader finds in each state. Rejects where it cannot be started at all. */
export async function askReader(reader: string, states: readonly TableState[], place: ReaderPlace): Promise<ReaderAnswers> {
  const { s3 } = place;
  const request = {
    catalog: place.catalog,
    s3: s3 === undefined ? null : { endpoint: s3.endpoint, accessKey: s3.accessKey, secretKey: s3.secretKey, region: 'us-east-1' },
    states: states.map(({ expected: _expected, ...state }) => state),
  };
  const child = spawn(place.python, ['-B', script, reader], {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: readerDeadlineMs,
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-4000)));
  child.stdin.end(JSON.stringify(request));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const last = stdout.trimEnd().split('\n').at(-1) ?? '';
  if (code !== 0 || !last.startsWith('{')) throw new Error(`${reader} ended with ${code}: ${stderr}`);
  return JSON.parse(last) as ReaderAnswers;
}
