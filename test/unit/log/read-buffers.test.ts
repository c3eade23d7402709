import { describe, expect, it } from 'vitest';
import { KiB, MiB } from '../../../src/kernel/index.js';
import {
  freeBuffersMax,
  freeCopiesBytesMax,
  readBufferBytes,
  returnReadBuffers,
  takeReadBuffer,
  withoutSlack,
} from '../../../src/log/read-buffers.js';

describe('read buffers', () => {
  it('lends the memory again that was given back, whole or in part', () => {
    const first = takeReadBuffer(300 * KiB);
    expect(first.length).toBe(300 * KiB);
    returnReadBuffers([first.subarray(10, 20)]);
    const second = takeReadBuffer(readBufferBytes);
    expect(second.length).toBe(readBufferBytes);
    expect(second.buffer).toBe(first.buffer);
    expect(takeReadBuffer(readBufferBytes).buffer).not.toBe(first.buffer);
  });

  it('lends nothing to two readers, however often it is given back', () => {
    const first = takeReadBuffer(readBufferBytes);
    returnReadBuffers([first, first.subarray(0, 1)]);
    returnReadBuffers([first]);
    expect(takeReadBuffer(readBufferBytes).buffer).toBe(first.buffer);
    expect(takeReadBuffer(readBufferBytes).buffer).not.toBe(first.buffer);
  });

  it('takes nothing that is not its own, and keeps no more than its bound', () => {
    const foreign = [Buffer.alloc(readBufferBytes), takeReadBuffer(10), takeReadBuffer(readBufferBytes + 1)];
    returnReadBuffers(foreign);
    const many = Array.from({ length: freeBuffersMax + 5 }, () => takeReadBuffer(readBufferBytes));
    for (const { buffer } of foreign) expect(many.some((one) => one.buffer === buffer)).toBe(false);
    returnReadBuffers(many);
    const again = Array.from({ length: many.length }, () => takeReadBuffer(readBufferBytes));
    expect(again.filter((one) => many.some(({ buffer }) => buffer === one.buffer))).toHaveLength(freeBuffersMax);
  });

  it('gives what leaves much of its buffer unused as a copy, and takes the buffer back', () => {
    const [full, half] = [takeReadBuffer(900 * KiB).fill('a'), takeReadBuffer(500 * KiB).fill('b')];
    const large = Buffer.alloc(4096 * KiB, 'c').subarray(0, 100);
    const [first, second, third] = withoutSlack([full, half, large]);
    expect(first).toBe(full);
    expect([second, third].map((chunk) => chunk!.toString())).toEqual([half.toString(), large.toString()]);
    expect(second!.buffer.byteLength).toBeLessThan(600 * KiB);
    expect(third!.buffer.byteLength).toBeLessThan(100 * KiB);
    expect(takeReadBuffer(readBufferBytes).buffer).toBe(half.buffer);
  });

  it('makes copies in memory that copies gave back, of about their size, and keeps no more of it than its bound', () => {
    const copyOf = (bytes: number): Buffer => withoutSlack([Buffer.alloc(4 * MiB, 'x').subarray(0, bytes)])[0] as Buffer;
    const first = copyOf(300 * KiB);
    returnReadBuffers([first]);
    const [second, third] = [copyOf(310 * KiB), copyOf(300 * KiB)];
    expect(second.buffer).toBe(first.buffer);
    expect(second.equals(Buffer.alloc(310 * KiB, 'x'))).toBe(true);
    expect(third.buffer).not.toBe(first.buffer);
    const many = Array.from({ length: freeCopiesBytesMax / (512 * KiB) + 5 }, () => copyOf(500 * KiB));
    returnReadBuffers(many);
    const again = many.map(() => copyOf(500 * KiB));
    expect(again.filter((one) => many.some(({ buffer }) => buffer === one.buffer))).toHaveLength(many.length - 5);
    // One as large as what is read into is none to be kept.
    const larges = [MiB - 1, MiB, 2 * MiB + 1].map(copyOf);
    returnReadBuffers(larges);
    const windows = larges.map(() => takeReadBuffer(readBufferBytes));
    expect(windows.map(({ length }) => length)).toEqual(larges.map(() => readBufferBytes));
    expect(windows.some((window) => larges.some(({ buffer }) => buffer === window.buffer))).toBe(false);
    // What nobody asks for any more makes room.
    returnReadBuffers(again);
    const other = copyOf(700 * KiB);
    returnReadBuffers([other]);
    expect(copyOf(700 * KiB).buffer).toBe(other.buffer);
    expect(again.some(({ buffer }) => buffer === copyOf(500 * KiB).buffer)).toBe(false);
  });
});
