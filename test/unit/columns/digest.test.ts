import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { composeDigests, emptyDigest, RecordDigest } from '../../../src/columns/index.js';
import { isLakeError } from '../../../src/kernel/index.js';
import { type DigestedBatch, type DigestedRecord, referenceDigest } from '../../support/reference-digest.js';

const plainRecord: DigestedRecord = {
  offset: 0,
  timestampMs: 1_600_000_000_000,
  timestampType: 0,
  leaderEpoch: 0,
  producerId: -1n,
  producerEpoch: -1,
  sequence: -1,
  key: null,
  value: null,
  headers: [],
};

function addTo(digest: RecordDigest, record: DigestedRecord | DigestedBatch): void {
  const add = (field: Buffer | null): void => (field === null ? digest.absent() : digest.bytes(field, 0, field.length));
  if ('rawBatch' in record) {
    digest.beginRawBatch(record.offset);
    add(record.rawBatch);
  } else {
    const { offset, timestampMs, timestampType, leaderEpoch, producerId, producerEpoch, sequence } = record;
    const [high, low] = [Number(producerId >> 32n), Number(BigInt.asIntN(32, producerId))];
    digest.begin(offset, timestampMs, timestampType, leaderEpoch, high, low, producerEpoch, sequence);
    add(record.key);
    add(record.value);
    digest.number(record.headers.length);
    for (const field of record.headers.flat()) add(field);
  }
  digest.end();
}

function digestOf(records: readonly (DigestedRecord | DigestedBatch)[]): string {
  const digest = new RecordDigest();
  for (const record of records) addTo(digest, record);
  return digest.toString();
}

const ofValues = (values: readonly Uint8Array[], firstOffset = 0): string =>
  digestOf(values.map((value, index) => ({ ...plainRecord, offset: firstOffset + index, value: Buffer.from(value) })));

const bytes = fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ maxLength: 200 })).map((array) => Buffer.from(array));
const anyRecord = fc.record({
  offset: fc.maxSafeNat(),
  timestampMs: fc.maxSafeInteger(),
  timestampType: fc.nat(1),
  leaderEpoch: fc.integer({ min: -1 }),
  producerId: fc.bigInt({ min: -1n, max: 2n ** 63n - 1n }),
  producerEpoch: fc.integer({ min: -1, max: 32_767 }),
  sequence: fc.integer({ min: -1 }),
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.array(fc.tuple(bytes, fc.option(bytes)), { maxLength: 3 }),
});
const anyBatch = fc.record({ offset: fc.maxSafeNat(), rawBatch: bytes });

describe('the digest', () => {
  it('is what its description says, for records of every field and batches that are kept whole', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(anyRecord, anyBatch), { maxLength: 6 }), (records) => {
        expect(digestOf(records)).toBe(referenceDigest(records));
      }),
    );
    for (const length of [2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1, 3 * 2 ** 20 + 40]) {
      const long = [{ ...plainRecord, value: Buffer.alloc(length, 'some bytes that go on') }];
      expect(digestOf(long)).toBe(referenceDigest(long));
    }
  });

  it('of a concatenation follows from the parts, however they are grouped', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 40 }), fc.nat(40), fc.nat(40), (values, one, other) => {
        const [a, b] = [Math.min(one, other, values.length), Math.min(Math.max(one, other), values.length)];
        const parts = [ofValues(values.slice(0, a)), ofValues(values.slice(a, b), a), ofValues(values.slice(b), b)] as const;
        expect(composeDigests(...parts)).toBe(ofValues(values));
        expect(composeDigests(parts[0], composeDigests(parts[1], parts[2]))).toBe(ofValues(values));
        expect(composeDigests(emptyDigest, ofValues(values), emptyDigest)).toBe(ofValues(values));
      }),
    );
  });

  it('changes with any bit, with order, with null for empty and with where a byte belongs', () => {
    const value = Buffer.from('some value of forty-nine bytes, more than a stripe');
    const seen = new Set([ofValues([value])]);
    for (let bit = 0; bit < value.length * 8; bit++) {
      const changed = Buffer.from(value);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      seen.add(ofValues([changed]));
    }
    seen.add(ofValues([Buffer.concat([value, Buffer.from([0])])]));
    expect(seen.size).toBe(value.length * 8 + 2);
    expect(ofValues([Buffer.from('a'), Buffer.from('b')])).not.toBe(ofValues([Buffer.from('b'), Buffer.from('a')]));
  });

  it('changes with each field of a record', () => {
    const [empty, ab] = [Buffer.alloc(0), Buffer.from('ab')];
    const record = { ...plainRecord, key: empty, value: ab, headers: [[ab, ab]] as const };
    const others: readonly Partial<DigestedRecord>[] = [
      {},
      { offset: 1 },
      { timestampMs: 1 },
      { timestampType: 1 },
      { leaderEpoch: 1 },
      { producerId: 0n },
      { producerId: 2n ** 32n - 1n },
      { producerEpoch: 0 },
      { sequence: 0 },
      { key: null },
      { key: ab, value: empty },
      { value: null },
      { headers: [] },
      { headers: [[ab, null]] },
      { headers: [[ab, empty]] },
      { headers: [[empty, ab]] },
      {
        headers: [
          [ab, ab],
          [ab, ab],
        ],
      },
    ];
    expect(new Set(others.map((other) => digestOf([{ ...record, ...other }]))).size).toBe(others.length);
  });

  it('has a text form that never changes', () => {
    expect(ofValues([Buffer.from('a'), Buffer.from('bc')])).toBe('t2:2:16601c3c429f06e6');
    const fields = { timestampMs: -1, timestampType: 1, leaderEpoch: 3, producerId: 2n ** 40n + 5n, producerEpoch: 7, sequence: 9 };
    const [long, empty] = [Buffer.from('a key of more than thirty-two bytes'), Buffer.alloc(0)];
    const record: DigestedRecord = { offset: 2 ** 40, ...fields, key: long, value: empty, headers: [[Buffer.from('h'), null]] };
    expect(digestOf([record, { offset: 2 ** 40 + 1, rawBatch: Buffer.from('no batch') }])).toBe('t2:2:02d0d30ceba01180');
  });

  it('of an older kind, or no digest at all, is refused', () => {
    const corrupt = (said: RegExp) => expect.toSatisfy((error: unknown) => isLakeError(error, 'cold-corrupt') && said.test(error.message));
    expect(() => composeDigests('t1:2:74f8e4cd24455996')).toThrow(corrupt(/older kind/));
    expect(() => composeDigests('t2:1:00')).toThrow(corrupt(/no digest/));
    expect(() => composeDigests('t2:1:1fffffffffffffff')).toThrow(corrupt(/no digest/));
  });
});
