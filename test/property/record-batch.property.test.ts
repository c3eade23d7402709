import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  compressionCodecs,
  decodeBatch,
  encodeBatch,
  isBatchCrcValid,
  VarintReader,
  varintBytes,
  writeVarint,
} from '../../src/wire/index.js';

const bytes = fc.option(
  fc.uint8Array({ maxLength: 200 }).map((b) => Buffer.from(b)),
  { nil: null },
);

describe('record batches', () => {
  it('decode to what was encoded, for any records, codec and holes', () => {
    const record = fc.record({
      timestampMs: fc.oneof(fc.integer({ min: 0, max: 2 ** 42 }), fc.integer({ min: -(2 ** 52), max: 2 ** 52 })),
      key: bytes,
      value: bytes,
      headers: fc.array(fc.record({ key: fc.uint8Array({ maxLength: 20 }).map((b) => Buffer.from(b)), value: bytes }), { maxLength: 3 }),
      hole: fc.nat({ max: 300 }),
    });
    fc.assert(
      fc.property(
        fc.array(record, { minLength: 1, maxLength: 20 }),
        fc.constantFrom(...compressionCodecs),
        fc.maxSafeNat().map((n) => Math.floor(n / 2)),
        (list, compression, baseOffset) => {
          let offsetDelta = -1;
          const records = list.map(({ hole, ...rest }) => ({ ...rest, offsetDelta: (offsetDelta += 1 + hole) }));
          const batch = encodeBatch({ records, compression, baseOffset });
          expect(isBatchCrcValid(batch, 0)).toBe(true);
          expect(decodeBatch(batch)).toEqual(
            records.map((r) => ({
              offset: baseOffset + r.offsetDelta,
              timestampMs: r.timestampMs,
              key: r.key,
              value: r.value,
              headers: r.headers,
            })),
          );
        },
      ),
    );
  });
});

describe('varints', () => {
  it('come back, in as many bytes as announced and as Kafka writes', () => {
    const buf = Buffer.alloc(16);
    fc.assert(
      fc.property(fc.oneof(fc.maxSafeInteger(), fc.integer(), fc.integer({ min: -9000, max: 9000 })), (value) => {
        const end = writeVarint(buf, value, 0);
        let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
        const expected: number[] = [];
        for (; rest >= 128n; rest >>= 7n) expected.push(Number(rest & 127n) | 128);
        expected.push(Number(rest));
        expect([...buf.subarray(0, end)]).toEqual(expected);
        expect(varintBytes(value)).toBe(end);
        expect(new VarintReader(buf, 0, end).varlong()).toBe(value);
        if (value === (value | 0)) expect(new VarintReader(buf, 0, end).varint()).toBe(value);
        else expect(() => new VarintReader(buf, 0, end).varint()).toThrow(/32 bits/);
        expect(() => new VarintReader(buf, 0, end - 1).varlong()).toThrow(/cut off/);
      }),
      { numRuns: 1_000 },
    );
  });
});
