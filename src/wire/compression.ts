/**
 * The four codecs of record batches behind one pair of functions. None of the packages bounds what it inflates, so every
 * bound is established from the compressed bytes' own framing before a byte is inflated.
 */
import * as zlib from 'node:zlib';
import { Decoder, Encoder } from '@toondepauw/node-zstd';
import { compressFrameSync, decompressFrameSync } from 'lz4-napi';
import { compressSync as snappyCompressSync, uncompressSync as snappyUncompressSync } from 'snappy';
import { GiB, isLakeError, KiB, LakeError, MiB } from '../kernel/index.js';

/** In the order of their ids: bits 0–2 of a batch's attributes. */
export const compressionCodecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
export type CompressionCodec = (typeof compressionCodecs)[number];

/** The bound for callers that have no tighter one: 256 times Kafka's default `max.message.bytes` of about 1 MiB. */
export const inflatedBytesMax = 256 * MiB;

const zstdLevelDefault = 3;
/** Kafka's −1 is zlib's own: 6. */
const gzipLevelDefault = -1;
/** Compressors that are kept, one a level; zstd has a hundred thousand levels. */
const encodersMax = 4;
/** Of one zstd block, RFC 8878 §3.1.1.2.4. */
const zstdBlockBytesMax = 128 * KiB;
/** The native decoder reserves (untouched) address space for every block at its largest; beyond this it might not get it. */
const zstdReservedBytesMax = 2 * GiB;

/** Errors: `compression-unsupported` for the ids 5–7. */
export function codecById(id: number): CompressionCodec {
  const codec = compressionCodecs[id];
  if (codec === undefined) {
    throw new LakeError('compression-unsupported', `compression type ${id} is not known`, {
      hint: 'Produce with none, gzip, snappy, lz4 or zstd.',
      facts: { compression: id },
    });
  }
  return codec;
}

export function codecId(codec: CompressionCodec): number {
  return compressionCodecs.indexOf(codec);
}

export function isCompressionCodec(text: string): text is CompressionCodec {
  return (compressionCodecs as readonly string[]).includes(text);
}

/**
 * Compresses the records of a batch. Snappy is one raw block, which every reader of Kafka's takes; lz4 is a frame of
 * independent blocks, which the Java reader insists on. `level` is of gzip (−1, 1 … 9) and zstd (−131072 … 22), as in Kafka; lz4 has
 * the one that Kafka calls 9.
 */
export function compress(codec: CompressionCodec, bytes: Buffer, level?: number): Buffer {
  switch (codec) {
    case 'none':
      return bytes;
    case 'gzip':
      return zlib.gzipSync(bytes, { level: level ?? gzipLevelDefault });
    case 'snappy':
      return snappyCompressSync(bytes);
    case 'lz4':
      return compressFrameSync(bytes);
    case 'zstd':
      return zstdCompress(bytes, level ?? zstdLevelDefault);
  }
}

/**
 * Inflates the records of a batch. Nothing is inflated, and no memory taken, where the framing allows more than `maxBytes`
 * of output; for lz4, raw snappy and zstd frames that name their size the figure is exact, for zstd frames that do not it is
 * the number of compressed blocks times their largest size (128 KiB), so a bound of a few MiB or less refuses honest ones.
 * Errors: `decompression-bound`, `batch-corrupt`.
 */
export function decompress(codec: CompressionCodec, bytes: Buffer, maxBytes: number): Buffer {
  switch (codec) {
    case 'none':
      assertWithin('none', bytes.length, maxBytes, bytes.length);
      return bytes;
    case 'gzip':
      return inflate(codec, bytes, () => gunzip(bytes, maxBytes));
    case 'snappy':
      return inflate(codec, bytes, () => unsnap(bytes, maxBytes));
    case 'lz4':
      return inflate(codec, bytes, () => decompressFrameSync(bytes.subarray(0, checkLz4Frame(bytes, maxBytes))));
    case 'zstd':
      checkZstdFrames(bytes, maxBytes);
      return inflate(codec, bytes, () => zstdDecompress(bytes, maxBytes));
  }
}

function inflate(codec: CompressionCodec, bytes: Buffer, decode: () => Buffer): Buffer {
  try {
    return decode();
  } catch (error) {
    if (isLakeError(error)) throw error;
    throw corruptData(codec, error instanceof Error ? error.message : String(error), bytes.length, error);
  }
}

export function corruptData(codec: CompressionCodec, what: string, compressedBytes: number, cause?: unknown): LakeError {
  return new LakeError('batch-corrupt', `${codec} data cannot be inflated: ${what}`, { facts: { codec, compressedBytes }, cause });
}

export function assertWithin(codec: CompressionCodec, inflatedBytes: number, maxBytes: number, compressedBytes: number): void {
  if (inflatedBytes > maxBytes) {
    throw new LakeError('decompression-bound', `${codec} data of ${compressedBytes} bytes would inflate beyond ${maxBytes} bytes`, {
      hint: 'Produce smaller batches.',
      facts: { codec, compressedBytes, maxBytes, inflatedBytes },
    });
  }
}

// gzip: RFC 1952; members may follow one another.

function gunzip(bytes: Buffer, maxBytes: number): Buffer {
  const maxOutputLength = Math.max(1, maxBytes);
  try {
    return zlib.gunzipSync(bytes, { maxOutputLength, chunkSize: 64 * KiB });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') assertWithin('gzip', maxBytes + 1, maxBytes, bytes.length);
    throw error;
  }
}

// snappy: one raw block (librdkafka, JavaScript clients), or xerial's framing of Java:
//
// | at | field                                                    |
// |---:|----------------------------------------------------------|
// |  0 | magic 82 53 4e 41 50 50 59 00                            |
// |  8 | version i32, lowest compatible version i32               |
// | 16 | blocks: length i32, one raw snappy block of that length  |

const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const xerialHeaderBytes = 16;

function hasXerialMagic(bytes: Buffer, at: number): boolean {
  return bytes.length >= at + xerialHeaderBytes && bytes.compare(xerialMagic, 0, xerialMagic.length, at, at + xerialMagic.length) === 0;
}

function unsnap(bytes: Buffer, maxBytes: number): Buffer {
  if (!hasXerialMagic(bytes, 0)) {
    assertWithin('snappy', snappyBlockBytes(bytes, 0, bytes.length), maxBytes, bytes.length);
    return unsnapBlock(bytes);
  }
  const blocks: { at: number; end: number }[] = [];
  let inflatedBytes = 0;
  let at = 0;
  while (at < bytes.length) {
    if (hasXerialMagic(bytes, at)) {
      at += xerialHeaderBytes;
      continue;
    }
    if (at + 4 > bytes.length) throw corruptData('snappy', `a block's length is cut off at ${at}`, bytes.length);
    const blockAt = at + 4;
    const end = blockAt + bytes.readUInt32BE(at);
    if (end > bytes.length) throw corruptData('snappy', `the block at ${at} reaches beyond the end`, bytes.length);
    inflatedBytes += snappyBlockBytes(bytes, blockAt, end);
    assertWithin('snappy', inflatedBytes, maxBytes, bytes.length);
    blocks.push({ at: blockAt, end });
    at = end;
  }
  const inflated = Buffer.allocUnsafe(inflatedBytes);
  let to = 0;
  for (const block of blocks) to += unsnapBlock(bytes.subarray(block.at, block.end)).copy(inflated, to);
  return inflated;
}

function unsnapBlock(block: Buffer): Buffer {
  const inflated = snappyUncompressSync(block, { asBuffer: true });
  return typeof inflated === 'string' ? Buffer.from(inflated) : inflated;
}

/** The length a raw block names in its first bytes (little-endian base 128), which the decoder neither exceeds nor falls short of. */
function snappyBlockBytes(bytes: Buffer, at: number, end: number): number {
  let length = 0;
  for (let i = 0; i < 5; i++) {
    if (at + i >= end) break;
    const byte = bytes[at + i] as number;
    length += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return length;
  }
  throw corruptData('snappy', 'a block does not begin with its length', bytes.length);
}

// lz4 frame format 1.6: magic, FLG, BD, [content size u64], [dictionary id u32], header checksum,
// blocks (u32 size, top bit: stored; data; [checksum u32]), end mark 0, [content checksum u32].

const lz4Magic = 0x184d2204;

/** Establishes what one frame inflates to and answers where it ends. */
function checkLz4Frame(bytes: Buffer, maxBytes: number): number {
  if (bytes.length < 7 || bytes.readUInt32LE(0) !== lz4Magic) throw corruptData('lz4', 'there is no frame', bytes.length);
  const flags = bytes[4] as number;
  const blockBytesMax = 2 ** (8 + 2 * (((bytes[5] as number) >> 4) & 7));
  const hasBlockChecksums = (flags & 0x10) !== 0;
  const hasContentSize = (flags & 0x08) !== 0;
  const hasContentChecksum = (flags & 0x04) !== 0;
  const hasDictionaryId = (flags & 0x01) !== 0;
  if (flags >> 6 !== 1 || blockBytesMax < 64 * KiB || hasDictionaryId)
    throw corruptData('lz4', 'the frame header is not one of ours', bytes.length);
  const blocksAt = 6 + (hasContentSize ? 8 : 0) + 1;
  if (hasContentSize) {
    if (bytes.length < blocksAt) throw corruptData('lz4', 'the frame header is cut off', bytes.length);
    assertWithin('lz4', bytes.readUInt32LE(6) + bytes.readUInt32LE(10) * 2 ** 32, maxBytes, bytes.length);
  }
  const walk = (isExact: boolean): { end: number; inflatedBytes: number } => {
    let at = blocksAt;
    let inflatedBytes = 0;
    for (;;) {
      if (at + 4 > bytes.length) throw corruptData('lz4', `a block's size is cut off at ${at}`, bytes.length);
      const word = bytes.readUInt32LE(at);
      at += 4;
      if (word === 0) break;
      const size = word & 0x7fffffff;
      if (at + size > bytes.length) throw corruptData('lz4', `the block at ${at} reaches beyond the end`, bytes.length);
      if (word >>> 31 === 1) inflatedBytes += size;
      // A byte of a compressed block stands for at most 255 bytes of output.
      else inflatedBytes += isExact ? lz4BlockBytes(bytes, at, at + size) : Math.min(blockBytesMax, size * 255);
      if (isExact) assertWithin('lz4', inflatedBytes, maxBytes, bytes.length);
      at += size + (hasBlockChecksums ? 4 : 0);
    }
    return { end: at + (hasContentChecksum ? 4 : 0), inflatedBytes };
  };
  const coarse = walk(false);
  if (coarse.inflatedBytes > maxBytes) walk(true);
  return coarse.end;
}

/** What a compressed block inflates to: the sum of its sequences' literal and match lengths. */
function lz4BlockBytes(bytes: Buffer, from: number, end: number): number {
  let at = from;
  let inflated = 0;
  while (at < end) {
    const token = bytes[at++] as number;
    let literals = token >> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255 && at < end) literals += more = bytes[at++] as number;
    }
    inflated += literals;
    at += literals;
    if (at >= end) break;
    at += 2;
    let match = (token & 15) + 4;
    if ((token & 15) === 15) {
      let more = 255;
      while (more === 255 && at < end) match += more = bytes[at++] as number;
    }
    inflated += match;
  }
  return inflated;
}

// zstd: RFC 8878. Frames may follow one another; streaming writers (Java, Go) leave the content size out.

const zstdMagic = 0xfd2fb528;
const zstdSkippableMagic = 0x184d2a50;

/** Establishes what all frames together inflate to at most. */
function checkZstdFrames(bytes: Buffer, maxBytes: number): void {
  let at = 0;
  let inflatedBytes = 0;
  let reservedBytes = 0;
  do {
    if (at + 8 <= bytes.length && (bytes.readUInt32LE(at) & 0xfffffff0) >>> 0 === zstdSkippableMagic) {
      at += 8 + bytes.readUInt32LE(at + 4);
      if (at > bytes.length) throw corruptData('zstd', 'a skippable frame reaches beyond the end', bytes.length);
      continue;
    }
    const frame = measureZstdFrame(bytes, at);
    inflatedBytes += frame.contentBytes ?? frame.blocksBytes;
    reservedBytes += frame.contentBytes ?? frame.blocks * zstdBlockBytesMax;
    assertWithin('zstd', inflatedBytes, maxBytes, bytes.length);
    assertWithin('zstd', reservedBytes, zstdReservedBytesMax, bytes.length);
    at = frame.end;
  } while (at < bytes.length);
}

interface ZstdFrame {
  readonly end: number;
  readonly blocks: number;
  /** What the blocks inflate to at most. */
  readonly blocksBytes: number;
  /** As the header names it; the decoder gives the frame no more room than that. */
  readonly contentBytes: number | undefined;
}

function measureZstdFrame(bytes: Buffer, frameAt: number): ZstdFrame {
  if (frameAt + 6 > bytes.length || bytes.readUInt32LE(frameAt) !== zstdMagic) throw corruptData('zstd', 'there is no frame', bytes.length);
  const descriptor = bytes[frameAt + 4] as number;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const contentSizeFlag = descriptor >> 6;
  const contentSizeBytes = contentSizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 2 ** contentSizeFlag;
  const windowAt = frameAt + 5;
  const contentSizeAt = windowAt + (isSingleSegment ? 0 : 1) + ([0, 1, 2, 4][descriptor & 3] as number);
  let at = contentSizeAt + contentSizeBytes;
  if (at > bytes.length) throw corruptData('zstd', 'the frame header is cut off', bytes.length);
  let contentBytes: number | undefined;
  if (contentSizeBytes === 8) contentBytes = bytes.readUInt32LE(contentSizeAt) + bytes.readUInt32LE(contentSizeAt + 4) * 2 ** 32;
  else if (contentSizeBytes > 0) contentBytes = bytes.readUIntLE(contentSizeAt, contentSizeBytes) + (contentSizeBytes === 2 ? 256 : 0);
  const window = bytes[windowAt] as number;
  const windowBytes = isSingleSegment ? (contentBytes as number) : 2 ** (10 + (window >> 3)) * (1 + (window & 7) / 8);
  const blockBytesMax = Math.min(zstdBlockBytesMax, windowBytes);

  let blocks = 0;
  let blocksBytes = 0;
  for (let isLast = false; !isLast; blocks++) {
    if (at + 3 > bytes.length) throw corruptData('zstd', `a block header is cut off at ${at}`, bytes.length);
    const header = bytes.readUIntLE(at, 3);
    const kind = (header >> 1) & 3;
    const size = header >> 3;
    isLast = (header & 1) === 1;
    if (kind === 3 || size > zstdBlockBytesMax) throw corruptData('zstd', `the block at ${at} is of no known kind or size`, bytes.length);
    blocksBytes += kind === 2 ? blockBytesMax : size;
    at += 3 + (kind === 1 ? 1 : size);
  }
  at += (descriptor & 0x04) === 0 ? 0 : 4;
  if (at > bytes.length) throw corruptData('zstd', 'the last block is cut off', bytes.length);
  return { end: at, blocks, blocksBytes, contentBytes };
}

/** What node:zlib has from Node 22.15 on; absent from the types of Node 20. */
interface ZstdOfNode {
  readonly zstdCompressSync?: (bytes: Buffer, options: { readonly params: Readonly<Record<number, number>> }) => Buffer;
  readonly zstdDecompressSync?: (bytes: Buffer, options: { readonly maxOutputLength: number }) => Buffer;
}

/** `zlib.constants.ZSTD_c_compressionLevel`. */
const zstdCompressionLevelOfNode = 100;
const zstdOfNode = zlib as ZstdOfNode;
const encoders = new Map<number, Encoder>();
let decoder: Decoder | undefined;

function zstdCompress(bytes: Buffer, level: number): Buffer {
  if (zstdOfNode.zstdCompressSync !== undefined) {
    return zstdOfNode.zstdCompressSync(bytes, { params: { [zstdCompressionLevelOfNode]: level } });
  }
  let encoder = encoders.get(level);
  if (encoder === undefined) {
    if (encoders.size >= encodersMax) encoders.clear();
    encoder = new Encoder(level);
    encoders.set(level, encoder);
  }
  return encoder.encodeSync(bytes);
}

function zstdDecompress(bytes: Buffer, maxBytes: number): Buffer {
  if (zstdOfNode.zstdDecompressSync !== undefined) {
    return zstdOfNode.zstdDecompressSync(bytes, { maxOutputLength: Math.max(1, maxBytes) });
  }
  decoder ??= new Decoder();
  return decoder.decodeSync(bytes);
}
