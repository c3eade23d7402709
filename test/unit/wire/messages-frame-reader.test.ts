/** Frames out of any way of cutting a stream, and the bounds on what a peer can make us hold. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isLakeError } from '../../../src/kernel/index.js';
import { FrameReader, frameBytesMaxDefault } from '../../../src/wire/index.js';

function framed(body: Uint8Array): Buffer {
  const frame = Buffer.alloc(4 + body.length);
  frame.writeInt32BE(body.length, 0);
  frame.set(body, 4);
  return frame;
}

function sizePrefix(size: number): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeInt32BE(size, 0);
  return prefix;
}

describe('FrameReader', () => {
  it('gives the same frames however the stream is cut', () => {
    const bodies = fc.array(fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 9000, maxLength: 20_000 })), {
      maxLength: 8,
    });
    const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 4000, max: 9000 })), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(bodies, cuts, (bodies, cuts) => {
        const stream = Buffer.concat(bodies.map(framed));
        const reader = new FrameReader();
        const frames: Buffer[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const end = Math.min(stream.length, at + (cuts[i % cuts.length] ?? 1));
          frames.push(...reader.push(stream.subarray(at, end)));
          at = end;
        }
        expect(frames.map((frame) => frame.toString('hex'))).toEqual(bodies.map((body) => Buffer.from(body).toString('hex')));
        expect(reader.pendingBytes).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('does not copy a frame that lies in one chunk', () => {
    const chunk = Buffer.concat([framed(Buffer.from('one')), framed(Buffer.from('two'))]);
    const frames = new FrameReader().push(chunk);
    expect(frames.map(String)).toEqual(['one', 'two']);
    expect(frames.every((frame) => frame.buffer === chunk.buffer)).toBe(true);
  });

  it.each([-1, -2147483648, 1025])('refuses a size of %i, now and ever after', (size) => {
    const reader = new FrameReader(1024);
    expect(() => reader.push(sizePrefix(size))).toThrow(expect.objectContaining({ code: 'frame-invalid' }));
    expect(() => reader.push(framed(Buffer.from('fine')))).toThrow(expect.objectContaining({ code: 'frame-invalid' }));
  });

  it('takes HTTP for what it is: no frame', () => {
    const refuse = (): unknown => new FrameReader(frameBytesMaxDefault).push(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    expect(refuse).toThrow(expect.objectContaining({ code: 'frame-invalid' }));
  });

  it('accepts a frame of exactly the bound', () => {
    expect(new FrameReader(1024).push(framed(Buffer.alloc(1024))).map((frame) => frame.length)).toEqual([1024]);
  });

  it('holds no more than was received, whatever is announced', () => {
    const before = process.memoryUsage().arrayBuffers;
    const readers = Array.from({ length: 50 }, () => new FrameReader(frameBytesMaxDefault));
    for (const reader of readers) reader.push(Buffer.concat([sizePrefix(frameBytesMaxDefault), Buffer.alloc(10)]));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50 * 128 * 1024);
    expect(readers.every((reader) => reader.pendingBytes === 10)).toBe(true);
  });

  it('takes a large frame that drips in byte by byte in linear time and few buffers', () => {
    const body = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i & 0xff));
    const stream = framed(body);
    const reader = new FrameReader();
    const frames: Buffer[] = [];
    for (let at = 0; at < stream.length; at++) frames.push(...reader.push(stream.subarray(at, at + 1)));
    expect(frames.length).toBe(1);
    expect(frames[0]?.equals(body)).toBe(true);
  });

  it('never throws anything but a LakeError on garbage', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 6 }), (chunks) => {
        const reader = new FrameReader(4096);
        try {
          for (const chunk of chunks) reader.push(Buffer.from(chunk));
        } catch (error) {
          expect(isLakeError(error, 'frame-invalid')).toBe(true);
        }
      }),
    );
  });
});
