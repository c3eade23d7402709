import { compressFrameSync } from 'lz4-napi';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isLakeError } from '../../../src/kernel/index.js';
import { Lz4Room } from '../../../src/wire/lz4-frame.js';
import { BatchInflater, batchRecords, encodeBatch } from '../../../src/wire/index.js';

/** Texts that repeat themselves at short and long distances, and bytes that do not. */
const content = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 9 }), fc.nat(400))
        .map(([unit, times]) => Buffer.concat(Array(times).fill(Buffer.from(unit)))),
      fc.nat(50).map((n) => Buffer.from(`{"name":"value ${n}","other":${n * 3}}`)),
    ),
    { maxLength: 30 },
  )
  .map((parts) => Buffer.concat(parts));

describe('frames inflated into room that is used again', () => {
  it('are what was compressed, whatever lay there before', () => {
    const room = new Lz4Room();
    fc.assert(
      fc.property(content, (bytes) => {
        expect(room.inflate(compressFrameSync(bytes), 2 ** 20)?.equals(bytes)).toBe(true);
      }),
    );
  });

  it('may be of many blocks', () => {
    const bytes = Buffer.from(Array.from({ length: 60_000 }, (_, i) => `line ${i} of ${(i * 7919) % 1000}\n`).join(''));
    const room = new Lz4Room();
    for (let i = 0; i < 3; i++) expect(room.inflate(compressFrameSync(bytes), 2 ** 24)?.equals(bytes)).toBe(true);
  });

  it('are refused where they are damaged, or inflate to more than the bound', () => {
    const room = new Lz4Room();
    fc.assert(
      fc.property(
        content,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.nat(3000),
        (bytes, changes, cut) => {
          const frame = Buffer.from(compressFrameSync(bytes));
          for (const [at, byte] of changes) frame[at % frame.length] = byte;
          for (const damaged of [frame, frame.subarray(0, Math.max(0, frame.length - cut))]) {
            try {
              const inflated = room.inflate(damaged, 2 ** 16);
              expect(inflated === undefined || inflated.length <= 2 ** 16).toBe(true);
            } catch (error) {
              expect(isLakeError(error, 'batch-corrupt') || isLakeError(error, 'decompression-bound')).toBe(true);
            }
          }
        },
      ),
      { numRuns: 500 },
    );
    const code = (error: unknown): string => (isLakeError(error) ? error.code : String(error));
    let thrown = '';
    try {
      room.inflate(compressFrameSync(Buffer.alloc(1000)), 999);
    } catch (error) {
      thrown = code(error);
    }
    expect(thrown).toBe('decompression-bound');
    expect(room.inflate(compressFrameSync(Buffer.alloc(1000)), 1000)?.length).toBe(1000);
  });

  it('are left to the native decoder where they have checksums or a dictionary', () => {
    const frame = Buffer.from(compressFrameSync(Buffer.from('abc')));
    for (const flag of [0x10, 0x04, 0x01, 0x80]) {
      const other = Buffer.from(frame);
      other[4] = (other[4] as number) ^ flag;
      expect(new Lz4Room().inflate(other, 1000)).toBeUndefined();
    }
    expect(new Lz4Room().inflate(Buffer.from('no frame at all'), 1000)).toBeUndefined();
  });

  it('give the records of a batch as the other way does, of every codec', () => {
    const inflater = new BatchInflater();
    const records = Array.from({ length: 200 }, (_, i) => ({ timestampMs: i, key: null, value: Buffer.from(`value ${i}`.repeat(i % 5)) }));
    for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
      const batch = encodeBatch({ records, compression });
      expect(inflater.records(batch, 0).equals(batchRecords(batch, 0))).toBe(true);
    }
  });
});
