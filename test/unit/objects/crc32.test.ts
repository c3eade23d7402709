import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { combineCrc32, crc32, crc32Header } from '../../../src/objects/crc32.js';

describe('the checksum of an object in parts', () => {
  it('is that of its bytes, wherever they are cut', () => {
    const bytes = randomBytes(5000);
    for (const at of [0, 1, 7, 2048, 4999, 5000]) {
      const [a, b] = [bytes.subarray(0, at), bytes.subarray(at)];
      expect(combineCrc32(crc32(a), crc32(b), b.length)).toBe(crc32(bytes));
    }
  });

  it('begins with nothing', () => {
    expect(combineCrc32(0, crc32(Buffer.from('abc')), 3)).toBe(crc32(Buffer.from('abc')));
  });

  it('stands in a header as the specification of CRC-32 and S3 have it', () => {
    // The check value of CRC-32 is that of "123456789": cbf43926.
    expect(crc32Header(crc32(Buffer.from('123456789')))).toBe(Buffer.from('cbf43926', 'hex').toString('base64'));
  });
});
