import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { composeDigests, emptyDigest, RecordDigest } from '../../../src/columns/index.js';
import { isLakeError } from '../../../src/kernel/index.js';

function digestOf(values: readonly Uint8Array[], firstOffset = 0): string {
  const digest = new RecordDigest();
  values.forEach((value, index) => {
    digest.begin(firstOffset + index, 1_600_000_000_000, 0, 0, -1, -1, -1, -1);
    digest.absent();
    digest.bytes(new DataView(value.buffer, value.byteOffset, value.length), 0, value.length);
    digest.word(0);
    digest.end();
  });
  return digest.toString();
}

describe('the digest', () => {
  it('of a concatenation follows from the parts, however they are grouped', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 40 }), fc.nat(40), fc.nat(40), (values, one, other) => {
        const [a, b] = [Math.min(one, other, values.length), Math.min(Math.max(one, other), values.length)];
        const parts = [digestOf(values.slice(0, a)), digestOf(values.slice(a, b), a), digestOf(values.slice(b), b)] as const;
        expect(composeDigests(...parts)).toBe(digestOf(values));
        expect(composeDigests(parts[0], composeDigests(parts[1], parts[2]))).toBe(digestOf(values));
        expect(composeDigests(emptyDigest, digestOf(values), emptyDigest)).toBe(digestOf(values));
      }),
    );
  });

  it('changes with any bit, with order, with null for empty and with where a byte belongs', () => {
    const value = Buffer.from('some value of nineteen');
    const seen = new Set([digestOf([value])]);
    for (let bit = 0; bit < value.length * 8; bit++) {
      const changed = Buffer.from(value);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      seen.add(digestOf([changed]));
    }
    seen.add(digestOf([Buffer.concat([value, Buffer.from([0])])]));
    expect(seen.size).toBe(value.length * 8 + 2);
    expect(digestOf([Buffer.from('a'), Buffer.from('b')])).not.toBe(digestOf([Buffer.from('b'), Buffer.from('a')]));
  });

  it('copies what it hashes', () => {
    const source = Buffer.from('0123456789abcdef');
    const view = new DataView(source.buffer, source.byteOffset, source.length);
    for (let length = 0; length <= 9; length++) {
      const target = Buffer.alloc(16);
      const [copied, plain] = [new RecordDigest(), new RecordDigest()];
      copied.beginRawBatch(1);
      copied.copyBytes(view, 3, length, new DataView(target.buffer, target.byteOffset, target.length), 5);
      copied.end();
      plain.beginRawBatch(1);
      plain.bytes(view, 3, length);
      plain.end();
      expect(copied.toString()).toBe(plain.toString());
      expect(target.subarray(5, 5 + length).toString()).toBe('3456789abcdef'.slice(0, length));
    }
  });

  it('has a text form that never changes', () => {
    expect(digestOf([Buffer.from('a'), Buffer.from('bc')])).toBe('t1:2:74f8e4cd24455996');
    expect(() => composeDigests('t2:1:00')).toThrow(expect.toSatisfy((error: unknown) => isLakeError(error, 'cold-corrupt')));
  });
});
