import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeRuns } from '../../../src/columns/page-values.js';
import { isLakeError } from '../../../src/kernel/index.js';

/** One bit-packed run of Parquet's hybrid, bit by bit. */
function packed(values: readonly number[], bitWidth: number): Buffer {
  const groups = Math.ceil(values.length / 8);
  const bytes = Buffer.alloc(groups * bitWidth);
  values.forEach((value, index) => {
    for (let bit = 0; bit < bitWidth; bit++) {
      const place = index * bitWidth + bit;
      if (((value >>> bit) & 1) === 1) bytes[place >> 3] = (bytes[place >> 3] as number) | (1 << (place & 7));
    }
  });
  const header: number[] = [];
  let rest = groups * 2 + 1;
  for (; rest >= 0x80; rest >>>= 7) header.push((rest & 0x7f) | 0x80);
  return Buffer.concat([Buffer.from([...header, rest]), bytes]);
}

describe('bit-packed values', () => {
  it('come out as they were packed, of any width, also more of them than are unpacked at a time', () => {
    const width = fc.integer({ min: 1, max: 32 });
    const values = width.chain((bitWidth) =>
      fc.record({
        bitWidth: fc.constant(bitWidth),
        some: fc.array(fc.integer({ min: 0, max: 2 ** bitWidth - 1 }), { minLength: 1, maxLength: 50 }),
        times: fc.constantFrom(1, 1000),
      }),
    );
    fc.assert(
      fc.property(values, ({ bitWidth, some, times }) => {
        const all = Array.from({ length: some.length * times }, (_, i) => some[i % some.length] as number);
        const bytes = packed(all, bitWidth);
        const out = new Int32Array(all.length);
        decodeRuns(bytes, 0, bytes.length, bitWidth, out);
        expect(out).toEqual(Int32Array.from(all, (value) => value | 0));
      }),
      { numRuns: 60 },
    );
  });

  it('that are cut off are an error', () => {
    const bytes = packed([1, 2, 3, 4, 5, 6, 7, 0, 1], 3);
    const error = expect.toSatisfy((thrown: unknown) => isLakeError(thrown, 'cold-corrupt'));
    expect(() => decodeRuns(bytes, 0, bytes.length - 3, 3, new Int32Array(9))).toThrow(error);
    expect(() => decodeRuns(bytes, 0, bytes.length, 3, new Int32Array(17))).toThrow(error);
  });
});
