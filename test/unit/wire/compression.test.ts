import { gzipSync } from 'node:zlib';
import { compressFrameSync } from 'lz4-napi';
import { compressSync as snappyCompressSync } from 'snappy';
import { describe, expect, it } from 'vitest';
import { isLakeError, KiB, MiB } from '../../../src/kernel/index.js';
import { codecById, codecId, compress, compressionCodecs, decompress } from '../../../src/wire/index.js';

const text = Buffer.from('{"origin":"ORD","delay":12}\n'.repeat(5_000));
const zstdBlockBytes = 128 * KiB;
const packing = compressionCodecs.filter((codec) => codec !== 'none');

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (isLakeError(error)) return error.code;
    throw error;
  }
  return 'ok';
}

function xerial(blocks: Buffer[]): Buffer {
  const header = Buffer.from('82534e41505059000000000100000001', 'hex');
  return Buffer.concat([
    header,
    ...blocks.flatMap((block) => {
      const packed = snappyCompressSync(block);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(packed.length);
      return [length, packed];
    }),
  ]);
}

/** RLE blocks: four bytes stand for 128 KiB each. */
function zstdBomb(blocks: number, contentSize?: number): Buffer {
  const header = Buffer.from(contentSize === undefined ? '28b52ffd0058' : '28b52ffd805800000000', 'hex');
  if (contentSize !== undefined) header.writeUInt32LE(contentSize, 6);
  const parts = [header];
  for (let i = 0; i < blocks; i++) {
    const block = Buffer.alloc(4);
    block.writeUIntLE((131_072 << 3) | 2 | (i === blocks - 1 ? 1 : 0), 0, 3);
    parts.push(block);
  }
  return Buffer.concat(parts);
}

describe('compression', () => {
  it('gives every codec the id Kafka gives it', () => {
    expect(compressionCodecs.map((codec) => codecId(codec))).toEqual([0, 1, 2, 3, 4]);
    expect(compressionCodecs.map((_, id) => codecById(id))).toEqual([...compressionCodecs]);
    expect(codeOf(() => codecById(5))).toBe('compression-unsupported');
  });

  it.each(compressionCodecs)('%s inflates to what was compressed, at the exact bound', (codec) => {
    for (const bytes of [Buffer.alloc(0), Buffer.from('x'), text, Buffer.alloc(3 * MiB, 'ab')]) {
      // A zstd frame that does not name its size counts as whole blocks.
      const bound = codec === 'zstd' ? Math.ceil(bytes.length / zstdBlockBytes + 1) * zstdBlockBytes : bytes.length;
      expect(decompress(codec, compress(codec, bytes), bound).equals(bytes)).toBe(true);
    }
  });

  it.each(packing)('%s refuses one byte beyond the bound', (codec) => {
    expect(codeOf(() => decompress(codec, compress(codec, text), text.length - 1))).toBe('decompression-bound');
  });

  it('reads concatenated gzip members', () => {
    expect(decompress('gzip', Buffer.concat([gzipSync('one '), gzipSync('two')]), 7).toString()).toBe('one two');
  });

  it('reads both snappy framings', () => {
    expect(decompress('snappy', snappyCompressSync(text), text.length).equals(text)).toBe(true);
    const framed = xerial([text.subarray(0, 32 * KiB), text.subarray(32 * KiB)]);
    expect(decompress('snappy', framed, text.length).equals(text)).toBe(true);
    expect(codeOf(() => decompress('snappy', framed, text.length - 1))).toBe('decompression-bound');
    expect(codeOf(() => decompress('snappy', framed.subarray(0, framed.length - 1), text.length))).toBe('batch-corrupt');
  });

  it('reads lz4 frames whose coarse bound is above the limit but whose content is not', () => {
    const bytes = Buffer.alloc(70 * KiB, 'thermocline');
    const frame = compressFrameSync(bytes, { contentChecksum: true, blockChecksums: true });
    expect(decompress('lz4', frame, bytes.length).equals(bytes)).toBe(true);
  });

  it('reads zstd frames that do not name their size', () => {
    const bomb = zstdBomb(2);
    expect(decompress('zstd', bomb, 256 * KiB).length).toBe(256 * KiB);
    expect(codeOf(() => decompress('zstd', bomb, 256 * KiB - 1))).toBe('decompression-bound');
  });

  it('refuses bombs before inflating them', () => {
    const size = 512 * MiB;
    const zeros = Buffer.alloc(64 * MiB);
    const bombs: [(typeof packing)[number], Buffer][] = [
      ['gzip', gzipSync(zeros)],
      ['snappy', Buffer.concat([Buffer.from([0x80, 0x80, 0x80, 0x80, 0x02]), Buffer.alloc(16 * KiB, 0xfe)])],
      ['snappy', xerial(Array.from({ length: 16 }, () => zeros.subarray(0, 4 * MiB)))],
      ['lz4', compressFrameSync(zeros)],
      ['zstd', zstdBomb(size / (128 * KiB))],
    ];
    const before = process.memoryUsage().rss;
    for (const [codec, bomb] of bombs)
      expect(
        codeOf(() => decompress(codec, bomb, 16 * MiB)),
        codec,
      ).toBe('decompression-bound');
    expect(process.memoryUsage().rss - before).toBeLessThan(128 * MiB);
  });

  it('does not believe a zstd frame that names less than it holds', () => {
    expect(codeOf(() => decompress('zstd', zstdBomb(4_096, 100), 16 * MiB))).toBe('batch-corrupt');
  });

  it('answers damaged bytes with an error, never with a crash', () => {
    let seed = 7;
    const next = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const seen = new Set<string>();
    for (const codec of packing) {
      const whole = codec === 'snappy' ? [compress(codec, text), xerial([text])] : [compress(codec, text)];
      for (const good of whole) {
        for (let round = 0; round < 300; round++) {
          const bad = Buffer.from(good);
          for (let flips = next(4); flips >= 0; flips--) bad[next(Math.min(bad.length, round % 2 === 0 ? 40 : bad.length))] = next(256);
          seen.add(codeOf(() => decompress(codec, round % 3 === 0 ? bad.subarray(0, next(bad.length)) : bad, MiB)));
        }
      }
      for (let round = 0; round < 100; round++) {
        seen.add(codeOf(() => decompress(codec, Buffer.from(Array.from({ length: next(64) }, () => next(256))), MiB)));
      }
    }
    expect([...seen].sort()).toEqual(['batch-corrupt', 'decompression-bound', 'ok']);
  });
});
