// Two answers, field by field: first what each broker chose itself becomes a name by first sight, then every field must be equal.
import {
  batchAt,
  batchAttributes,
  batchBaseOffset,
  batchBytes,
  batchHeaderBytes,
  batchRecords,
  inflatedBytesMax,
  kafkaErrors,
  RecordCursor,
} from '../../src/wire/index.js';
import { type Allowed, allowed } from './allowed.js';

export interface Difference {
  readonly path: string;
  readonly kafka: unknown;
  readonly ours: unknown;
}

const errorNames = new Map<number, string>(Object.entries(kafkaErrors).map(([name, code]) => [code, name]));
const javaId = /-?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const base64Id = /^[\w-]{22}$/;
const zeroId = /^A*$/;
/** A time that a broker took from its clock during a run lies this near; those that a run sends do not. */
const nowMs = 90_000;

/** Names for what one broker chose, in the order in which it showed them. */
export class FirstSight {
  readonly idNames: ReadonlyMap<string, string>;
  /** Begin of the names of the run's topics and groups. */
  readonly run: string;
  readonly #names = new Map<unknown, string>();
  readonly #counts = new Map<string, number>();

  constructor(idNames: ReadonlyMap<string, string>, run: string) {
    this.idNames = idNames;
    this.run = run;
  }

  name(kind: string, value: unknown): string {
    const there = this.#names.get(value);
    if (there !== undefined) return there;
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    const name = `${kind} ${count}`;
    this.#names.set(value, name);
    return name;
  }

  /** A broker's own ids of members end with a UUID behind the client's or the instance's name, or are one; others are as they were sent. */
  member(id: string): string {
    if (base64Id.test(id)) return this.name('member', id);
    return javaId.test(id) ? this.name(id.replace(javaId, '') || 'member', id) : id;
  }
}

const timeFields = new Set(['timestamp', 'logAppendTimeMs', 'baseTimestamp', 'maxTimestamp', 'lastTimestamp']);
/** By these the items of an array are told apart, and sorted: no API promises an order of topics or partitions. */
const identities = [
  'name',
  'topic',
  'topicId',
  'resourceName',
  'groupId',
  'key',
  'memberId',
  'producerId',
  'apiKey',
  'topicName',
  'brokerId',
  'replicaId',
  'partitionId',
  'partitionIndex',
  'partition',
  'index',
  'nodeId',
  'groupInstanceId',
];

function timeOf(value: number, runMs: number): number | string {
  if (value < 0) return value;
  return Math.abs(value - runMs) < nowMs ? 'now' : `run ${value - runMs}`;
}

function identityOf(item: unknown): string {
  if (typeof item === 'string') return item;
  if (typeof item === 'number') return String(item).padStart(8, '0');
  if (typeof item !== 'object' || item === null) return '';
  const fields = item as Readonly<Record<string, unknown>>;
  const found = identities.find(
    (field) => fields[field] !== undefined && fields[field] !== '' && fields[field] !== null && fields[field] !== 'no id',
  );
  const value = found === undefined ? '' : fields[found];
  return typeof value === 'number' ? String(value).padStart(8, '0') : String(value);
}

/** Sequences run at the same time, and some answers list all there is. */
function isOfOtherRun(name: string, run: string): boolean {
  return /^d\d+-\d+-\d+-/.test(name) && !name.startsWith(`${run}-`);
}

/** An answer as plain values that print well and compare. */
export function plain(value: unknown, seen: FirstSight, runMs: number, field = ''): unknown {
  if (Buffer.isBuffer(value)) {
    if (field !== 'records') return value.toString('latin1');
    return batchesOf(value, seen, runMs);
  }
  if (field === 'errorCode' && typeof value === 'number') return errorNames.get(value) ?? value;
  if (field === 'topicId' && typeof value === 'string')
    return zeroId.test(value) ? 'no id' : (seen.idNames.get(value) ?? `nobody’s ${value}`);
  if ((field === 'memberId' || field === 'leader') && typeof value === 'string') return seen.member(value);
  if (field === 'producerId') return Number(value) < 0 ? 'no producer' : seen.name('producer', String(value));
  if (field === 'sessionId' && typeof value === 'number') return value === 0 ? 'no session' : seen.name('session', `session ${value}`);
  if (timeFields.has(field) && typeof value === 'number') return timeOf(value, runMs);
  if (Array.isArray(value)) {
    const items: unknown[] = value
      .map((item) => plain(item, seen, runMs))
      .filter((item) => !isOfOtherRun(identityOf(item), seen.run))
      .toSorted((a, b) => (identityOf(a) < identityOf(b) ? -1 : 1));
    if (field === 'responses') return merged(items as Topic[]);
    if (field !== 'configs') return items;
    return Object.fromEntries((items as { name: string }[]).map((item) => [item.name, item])) as unknown;
  }
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item, seen, runMs, key)]));
}

interface Topic {
  readonly topic?: string;
  readonly topicId?: string;
  readonly partitions?: readonly unknown[];
}

/** Kafka lists partitions that fail first, and so the topic of a Fetch more than once. */
function merged(items: readonly Topic[]): unknown[] {
  const byTopic = new Map<string, Topic>();
  for (const item of items) {
    if (item.partitions === undefined) return [...items];
    const key = `${item.topic} ${item.topicId}`;
    const partitions = [...(byTopic.get(key)?.partitions ?? []), ...item.partitions];
    byTopic.set(key, { ...item, partitions: partitions.toSorted((a, b) => (identityOf(a) < identityOf(b) ? -1 : 1)) });
  }
  return [...byTopic.values()];
}

function batchesOf(bytes: Buffer, seen: FirstSight, runMs: number): unknown[] {
  const batches: unknown[] = [];
  for (let at = 0; at + batchHeaderBytes <= bytes.length; ) {
    const length = batchBytes(bytes, at);
    // What is cut off at the end is no batch: clients drop it.
    if (at + length > bytes.length) break;
    const producerId = bytes.readBigInt64BE(at + batchAt.producerId);
    const records: unknown[] = [];
    const cursor = new RecordCursor();
    cursor.reset(bytes, at, batchRecords(bytes, at, inflatedBytesMax));
    while (cursor.next()) {
      const key = cursor.keyLength < 0 ? null : cursor.buffer.toString('latin1', cursor.keyAt, cursor.keyAt + cursor.keyLength);
      const value = cursor.valueLength < 0 ? null : cursor.buffer.toString('latin1', cursor.valueAt, cursor.valueAt + cursor.valueLength);
      records.push([
        cursor.offsetDelta,
        timeOf(cursor.timestampMs, runMs),
        key,
        value !== null && value.length > 40 ? value.length : value,
      ]);
    }
    batches.push({
      baseOffset: batchBaseOffset(bytes, at),
      leaderEpoch: bytes.readInt32BE(at + batchAt.leaderEpoch),
      attributes: batchAttributes(bytes, at),
      lastOffsetDelta: bytes.readInt32BE(at + batchAt.lastOffsetDelta),
      baseTimestamp: timeOf(Number(bytes.readBigInt64BE(at + batchAt.baseTimestamp)), runMs),
      maxTimestamp: timeOf(Number(bytes.readBigInt64BE(at + batchAt.maxTimestamp)), runMs),
      producerId: producerId < 0n ? 'no producer' : seen.name('producer', String(producerId)),
      producerEpoch: bytes.readInt16BE(at + batchAt.producerEpoch),
      baseSequence: bytes.readInt32BE(at + batchAt.baseSequence),
      records,
    });
    at += length;
  }
  return batches;
}

/** The structs that a field is in, from the outermost in. */
export type Around = readonly { readonly kafka: Readonly<Record<string, unknown>>; readonly ours: Readonly<Record<string, unknown>> }[];

/** How often each entry was needed. */
export const uses = new Map<Allowed, number>(allowed.map((entry) => [entry, 0]));

function matches(pattern: Allowed['path'], path: string): boolean {
  if (pattern instanceof RegExp) return pattern.test(path);
  return pattern.startsWith('*') ? path.endsWith(pattern.slice(1)) : pattern === path;
}

function isAllowed(api: string, path: string, kafka: unknown, ours: unknown, around: Around): boolean {
  const found = allowed.find((entry) => {
    if (entry.api !== '*' && entry.api !== api) return false;
    const isHere = matches(entry.path, path);
    return isHere && (entry.when === undefined || entry.when(kafka, ours, around));
  });
  if (found !== undefined) uses.set(found, (uses.get(found) ?? 0) + 1);
  return found !== undefined;
}

/** All fields in which two plain answers of an API differ, without those that may. */
export function differences(api: string, kafka: unknown, ours: unknown, path = '', around: Around = []): Difference[] {
  if (Array.isArray(kafka) && Array.isArray(ours) && kafka.length === ours.length) {
    return kafka.flatMap((item, i) => differences(api, item, ours[i], path, around));
  }
  if (isStruct(kafka) && isStruct(ours)) {
    const inside = [...around, { kafka, ours }];
    return Object.keys({ ...kafka, ...ours }).flatMap((key) =>
      differences(api, kafka[key], ours[key], path === '' ? key : `${path}.${key}`, inside),
    );
  }
  return Object.is(kafka, ours) || isAllowed(api, path, kafka, ours, around) ? [] : [{ path, kafka, ours }];
}

function isStruct(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
