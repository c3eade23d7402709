// Records of every shape a topic may hold, in rounds that widen the table's schema, and one text that says all of a record.
import type { ProducerRecord } from '../../src/client/index.js';

export interface MixedRecord extends ProducerRecord {
  readonly partition: number;
  readonly timestampMs: number;
  readonly headers: readonly { readonly key: Buffer; readonly value: Buffer | null }[];
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

export const mixedPartitions = 3;
const firstMs = Date.UTC(2024, 1, 29, 12);
/** Beyond what the table's `_timestamp` holds. */
const beyondTimestampMs = Date.UTC(10_000, 0, 1);

const json = (fields: Readonly<Record<string, unknown>>): Buffer => Buffer.from(JSON.stringify(fields));
const header = (key: string | Buffer, value: string | Buffer | null): MixedRecord['headers'][number] => ({
  key: Buffer.from(key),
  value: value === null ? null : Buffer.from(value),
});

/** Typed JSON: a long, a double (some missing), a bool, a text (some null), nesting, and `x` as a long. */
export function plainRound(count: number): MixedRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    partition: i % mixedPartitions,
    timestampMs: firstMs + i * 1000,
    key: i % 5 === 0 ? null : Buffer.from(`k${i % 17}`),
    value: json({
      n: i,
      ...(i % 7 === 0 ? {} : { price: i + 0.25 }),
      ok: i % 3 === 1,
      name: i % 11 === 0 ? null : `nämé ${i}`,
      x: i * 2,
      nested: { a: [i, null] },
    }),
    headers: i % 4 === 0 ? [header('h', 'x'), header('trace', String(i))] : [],
  }));
}

/** `x` has become a text, `late` is new, and `kinds` is a different kind each time. */
export function changedRound(count: number): MixedRecord[] {
  const kinds = [1, 1.5, true, 'text', null, { deep: true }];
  return Array.from({ length: count }, (_, i) => ({
    partition: (i * 2) % mixedPartitions,
    // Out of order.
    timestampMs: firstMs - ((i * 7919) % 5000),
    key: Buffer.from(`late${i}`),
    value: json({ n: 10_000 + i, x: `t${i}`, late: i, kinds: kinds[i % kinds.length] }),
    headers: [],
  }));
}

/** What is no JSON, no text, no value at all; numbers at the edges; header keys that repeat or are not UTF-8. */
export function oddRound(): MixedRecord[] {
  const shapes: Partial<MixedRecord>[] = [
    { value: null },
    { value: Buffer.alloc(0), key: Buffer.alloc(0) },
    { value: Buffer.from([0xff, 0xfe, 0x00, 0x80]), key: Buffer.from([0xc3, 0x28]) },
    { value: Buffer.from('{"n": 1, ') },
    { value: Buffer.from('[{"n": 1}]') },
    { value: Buffer.from('"n"') },
    { value: Buffer.from('{"n":9007199254740993,"big":9223372036854775807,"tiny":5e-324}') },
    { value: Buffer.from('{"n":18446744073709551616,"name":"\\u0000 and \\ud83d\\ude00"}') },
    { value: Buffer.from('{"n":7,"n":8}') },
    { value: json({ _offset: 'mine', Side: 'left', side: 'right' }) },
    { timestampMs: 0 },
    { timestampMs: beyondTimestampMs },
    { headers: [header('h', '1'), header('h', null), header('h', ''), header('', 'empty')] },
    { headers: [header(Buffer.from([0xff, 0x01]), Buffer.from([0xfe]))] },
    { value: Buffer.alloc(200_000, 'large ') },
  ];
  return shapes.map((shape, i) => ({
    partition: i % mixedPartitions,
    timestampMs: firstMs + 3_600_000 + i,
    key: null,
    value: Buffer.from(`odd ${i}`),
    headers: [],
    ...shape,
  }));
}

export interface PlacedRecord {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly { readonly key: Uint8Array; readonly value: Uint8Array | null }[];
}

/** Where records stand that were sent in this order to a topic that was empty. */
export function placed(records: readonly MixedRecord[]): PlacedRecord[] {
  const next = new Map<number, number>();
  const all = records.map((record) => {
    const offset = next.get(record.partition) ?? 0;
    next.set(record.partition, offset + 1);
    return { ...record, offset };
  });
  return all.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}

const hex = (bytes: Uint8Array | null): string => (bytes === null ? 'null' : `0x${Buffer.from(bytes).toString('hex')}`);

/** All a consumer can see of a record, as one line. */
export function lineOf(record: PlacedRecord): string {
  const headers = record.headers.map(({ key, value }) => `${hex(key)}=${hex(value)}`).join(',');
  return `${record.partition} ${record.offset} ${record.timestampMs} ${hex(record.key)} ${hex(record.value)} [${headers}]`;
}
