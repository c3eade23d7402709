import { beforeEach, describe, expect, it } from 'vitest';
import { PageMemory } from '../../../src/columns/page-memory.js';
import { isLakeError } from '../../../src/kernel/index.js';
import { compress } from '../../../src/wire/index.js';

const corrupt = expect.toSatisfy((error: unknown) => isLakeError(error, 'cold-corrupt'));
const text = Buffer.from('some bytes that come again and again, '.repeat(1000));
const stored = compress('zstd', text);
let memory: PageMemory;
beforeEach(() => {
  memory = new PageMemory();
});

/** Puts bytes in, as a page is read in. */
function put(bytes: Buffer): number {
  const at = memory.take(bytes.length);
  memory.bytes.set(bytes, at);
  return at;
}

describe('the memory of pages', () => {
  it('inflates a page where it lies, one row group after the other, larger ones too', () => {
    for (const times of [1, 1, 2000]) {
      const large = Buffer.concat(Array.from({ length: times }, () => text));
      const page = compress('zstd', large);
      memory.begin(page.length + large.length + 64);
      const at = put(page);
      const inflated = memory.inflate(at, page.length, large.length);
      expect(inflated?.equals(large)).toBe(true);
      expect(memory.bytes.subarray(at, at + page.length).equals(page)).toBe(true);
    }
  });

  it('says of a page that is damaged, or of another length, that it is none', () => {
    memory.begin(1 << 20);
    const at = put(stored);
    expect(memory.inflate(at, stored.length, text.length - 1)).toBeUndefined();
    expect(memory.inflate(at, stored.length, text.length + 1)).toBeUndefined();
    expect(memory.inflate(at, stored.length - 3, text.length)).toBeUndefined();
    const damaged = Buffer.from(stored);
    damaged[0] = 0;
    expect(memory.inflate(put(damaged), damaged.length, text.length)).toBeUndefined();
    expect(memory.inflate(at, stored.length, text.length)?.equals(text)).toBe(true);
  });

  it('gives no more than was said when the row group began', () => {
    memory.begin(1000);
    memory.take(600);
    expect(() => memory.take(2000)).toThrow(corrupt);
    expect(() => memory.take(Number.NaN)).toThrow(corrupt);
    expect(() => memory.inflate(0, 10, 1e9)).toThrow(corrupt);
    memory.begin(1000);
    memory.take(600);
  });

  it('refuses a row group that no memory can hold, and goes on', () => {
    expect(() => memory.begin(3e9)).toThrow(corrupt);
    memory.begin(1 << 20);
    expect(memory.inflate(put(stored), stored.length, text.length)?.equals(text)).toBe(true);
  });
});
