import { compressFrameSync } from 'lz4-napi';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batchWindow, placeRecords } from '../../../src/columns/batch-room.js';
import { loopBytes } from '../../../src/columns/hot-loops.js';
import { isLakeError } from '../../../src/kernel/index.js';
import { batchHeaderBytes, batchRecords, compressionCodecs, encodeBatch, inflatedBytesMax } from '../../../src/wire/index.js';

/** Texts that repeat themselves at short and long distances, and bytes that do not. */
const content = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 18 }), fc.nat(400))
        .map(([unit, times]) => Buffer.concat(Array(times).fill(Buffer.from(unit)))),
      fc.nat(50).map((n) => Buffer.from(`{"name":"value ${n}","other":${n * 3}}`)),
    ),
    { maxLength: 30 },
  )
  .map((parts) => Buffer.concat(parts));

const lz4Header = encodeBatch({ records: [{ timestampMs: 0, key: null, value: null }], compression: 'lz4' }).subarray(0, batchHeaderBytes);

/** A batch of which the records are this frame, in the window of a spool. */
function inWindow(frame: Buffer, header = lz4Header): Buffer {
  const batch = batchWindow().subarray(0, header.length + frame.length);
  batch.set(header);
  batch.set(frame, header.length);
  batch.writeInt32BE(batch.length - 12, 8);
  return batch;
}

function placed(batch: Buffer): Buffer {
  const { at, end } = placeRecords(batch);
  return Buffer.from(loopBytes().subarray(at, end));
}

describe('records of a batch in the loops’ memory', () => {
  it('are what was compressed, whatever lay there before', () => {
    fc.assert(
      fc.property(content, (bytes) => {
        expect(placed(inWindow(compressFrameSync(bytes))).equals(bytes)).toBe(true);
      }),
    );
  });

  it('may be of many blocks', () => {
    const bytes = Buffer.from(Array.from({ length: 60_000 }, (_, i) => `line ${i} of ${(i * 7919) % 1000}\n`).join(''));
    for (let i = 0; i < 3; i++) expect(placed(inWindow(compressFrameSync(bytes))).equals(bytes)).toBe(true);
  });

  it('are refused where they are damaged, and nothing is written outside of their room', () => {
    const window = batchWindow();
    const before = Buffer.alloc(64, 0xa5);
    fc.assert(
      fc.property(
        content,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.nat(3000),
        (bytes, changes, cut) => {
          const frame = Buffer.from(compressFrameSync(bytes));
          for (const [at, byte] of changes) frame[at % frame.length] = byte;
          for (const damaged of [frame, frame.subarray(0, Math.max(0, frame.length - cut))]) {
            // Behind the window lies the records' room: the last bytes before it stay as they were.
            window.set(before, window.length - before.length);
            try {
              const { at, end } = placeRecords(inWindow(damaged));
              expect(end).toBeLessThanOrEqual(at + inflatedBytesMax);
            } catch (error) {
              expect(isLakeError(error, 'batch-corrupt') || isLakeError(error, 'decompression-bound')).toBe(true);
            }
            expect(window.subarray(window.length - before.length).equals(before)).toBe(true);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('are refused where they inflate to more than the bound', () => {
    const bomb = compressFrameSync(Buffer.alloc(inflatedBytesMax));
    expect(placed(inWindow(bomb)).length).toBe(inflatedBytesMax);
    // One more block of one stored byte, before the end mark.
    const more = Buffer.concat([bomb.subarray(0, -4), Buffer.from([1, 0, 0, 0x80, 7]), bomb.subarray(-4)]);
    expect(() => placeRecords(inWindow(more))).toThrow(expect.toSatisfy((error: unknown) => isLakeError(error, 'decompression-bound')));
  });

  it('are as the native decoders give them, of every codec, wherever the batch lies', () => {
    const records = Array.from({ length: 200 }, (_, i) => ({ timestampMs: i, key: null, value: Buffer.from(`value ${i}`.repeat(i % 5)) }));
    for (const compression of compressionCodecs) {
      const batch = encodeBatch({ records, compression });
      const expected = batchRecords(batch, 0);
      expect(placed(batch).equals(expected)).toBe(true);
      expect(placed(inWindow(batch.subarray(batchHeaderBytes), batch.subarray(0, batchHeaderBytes))).equals(expected)).toBe(true);
    }
  });

  it('are left to the native decoder where a frame has checksums', () => {
    const frame = Buffer.from(compressFrameSync(Buffer.from('abc')));
    for (const flag of [0x10, 0x01, 0x80]) {
      const other = Buffer.from(frame);
      other[4] = (other[4] as number) ^ flag;
      expect(() => placeRecords(inWindow(other))).toThrow(expect.toSatisfy((error: unknown) => isLakeError(error, 'batch-corrupt')));
    }
  });
});
