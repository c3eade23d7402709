/**
 * The encodings in which DuckDB writes the values of a data page, into arrays with one entry a value: levels and dictionary
 * indexes (RLE), integers (PLAIN, DELTA_BINARY_PACKED), lengths of byte arrays (DELTA_LENGTH_BYTE_ARRAY).
 * Source: Parquet format, Encodings.md.
 */
import { KiB, LakeError } from '../kernel/index.js';
import { loopBytes, loops, reserve } from './hot-loops.js';

const two32 = 2 ** 32;
/** A number of at most 64 bits takes so many bytes of seven bits. */
const varintBytesMax = 10;

function cutOff(what: string): LakeError {
  return new LakeError('cold-corrupt', `${what} of a Parquet page are cut off`);
}

/** The one value of all `count`, where a single run says so; undefined otherwise. */
export function singleRun(bytes: Buffer, from: number, end: number, bitWidth: number, count: number): number | undefined {
  let at = from;
  let header = 0;
  for (let scale = 1; at < end; scale *= 0x80) {
    const b = bytes[at++] as number;
    header += (b & 0x7f) * scale;
    if (b < 0x80) break;
  }
  if (header % 2 !== 0 || header / 2 < count) return undefined;
  return runValue(bytes, at, Math.ceil(bitWidth / 8));
}

function runValue(bytes: Buffer, at: number, valueBytes: number): number {
  let value = 0;
  for (let i = 0; i < valueBytes; i++) value |= (bytes[at + i] as number) << (8 * i);
  return value;
}

/** Parquet's RLE / bit-packed hybrid, as many values as `out` has room for. Errors: `cold-corrupt`. */
export function decodeRuns(bytes: Buffer, from: number, end: number, bitWidth: number, out: Uint8Array | Int32Array): void {
  let at = from;
  let filled = 0;
  const valueBytes = Math.ceil(bitWidth / 8);
  while (filled < out.length && at < end) {
    let header = 0;
    for (let scale = 1; ; scale *= 0x80) {
      if (at >= end) throw cutOff('levels or indexes');
      const b = bytes[at++] as number;
      header += (b & 0x7f) * scale;
      if (b < 0x80) break;
    }
    if (header % 2 === 0) {
      const runEnd = Math.min(out.length, filled + header / 2);
      out.fill(runValue(bytes, at, valueBytes), filled, runEnd);
      at += valueBytes;
      filled = runEnd;
    } else {
      const count = ((header - 1) / 2) * 8;
      const runEnd = Math.min(out.length, filled + count);
      if (at + ((runEnd - filled) * bitWidth) / 8 > end) throw cutOff('levels or indexes');
      filled = unpack(bytes, at, bitWidth, out, filled, runEnd);
      at += (count * bitWidth) / 8;
    }
  }
  if (filled < out.length) throw cutOff('levels or indexes');
}

/** Values unpacked in one call: whole groups of eight, so that each call begins on a byte. */
const unpackedValuesMax = 16 * KiB;
let unpackRoom: { readonly packedAt: number; readonly wordsAt: number } | undefined;

/** Bit-packed values of at most 32 bits, from `filled` up to `runEnd`. */
function unpack(bytes: Buffer, at: number, bitWidth: number, out: Uint8Array | Int32Array, filled: number, runEnd: number): number {
  unpackRoom ??= { packedAt: reserve(unpackedValuesMax * 4), wordsAt: reserve(unpackedValuesMax * 4) };
  const { packedAt, wordsAt } = unpackRoom;
  const room = loopBytes();
  let from = at;
  for (let next = filled; next < runEnd; next += unpackedValuesMax) {
    const count = Math.min(unpackedValuesMax, runEnd - next);
    const packedBytes = Math.ceil((count * bitWidth) / 8);
    bytes.copy(room, packedAt, from, from + packedBytes);
    loops.unpack(packedAt, bitWidth, wordsAt, count);
    out.set(new Int32Array(room.buffer, wordsAt, count), next);
    from += packedBytes;
  }
  return runEnd;
}

export interface DeltaValues {
  /** Position after the encoded values. */
  readonly end: number;
  /** Where a value is beyond ±(2^53 − 1): all of them, exact; the numbers are then rounded. */
  readonly wide: BigInt64Array | undefined;
}

/** DELTA_BINARY_PACKED: `count` values into `out`. Errors: `cold-corrupt`. */
export function decodeDelta(bytes: Buffer, from: number, end: number, out: Float64Array, count: number): DeltaValues {
  const exact = decodeDeltaNumbers(bytes, from, end, out, count);
  if (exact !== undefined) return { end: exact, wide: undefined };
  const wide = new BigInt64Array(count);
  const wideEnd = decodeDeltaWide(bytes, from, end, wide);
  for (let i = 0; i < count; i++) out[i] = Number(wide[i]);
  return { end: wideEnd, wide };
}

/** A cursor over the numbers of a delta header. Those of 64 bits are NaN where they are no safe integer. */
class DeltaHeader {
  at: number;
  readonly #bytes: Buffer;
  readonly #end: number;

  constructor(bytes: Buffer, at: number, end: number) {
    this.#bytes = bytes;
    this.at = at;
    this.#end = end;
  }

  zigzag(): number {
    const value = this.varint();
    if (value > Number.MAX_SAFE_INTEGER) return Number.NaN;
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  zigzagWide(): bigint {
    let value = 0n;
    for (let i = 0; i < varintBytesMax; i++) {
      if (this.at >= this.#end) break;
      const b = this.#bytes[this.at++] as number;
      value |= BigInt(b & 0x7f) << BigInt(7 * i);
      if (b < 0x80) return BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n));
    }
    throw cutOff('delta headers');
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < varintBytesMax; i++, scale *= 0x80) {
      if (this.at >= this.#end) break;
      const b = this.#bytes[this.at++] as number;
      value += (b & 0x7f) * scale;
      if (b < 0x80) return value;
    }
    throw cutOff('delta headers');
  }
}

/** Position after the values; undefined where one is no safe integer. */
function decodeDeltaNumbers(bytes: Buffer, from: number, end: number, out: Float64Array, count: number): number | undefined {
  const header = new DeltaHeader(bytes, from, end);
  const blockValues = header.varint();
  const miniblocks = header.varint();
  const total = header.varint();
  let value = header.zigzag();
  if (total < count || miniblocks === 0 || blockValues % miniblocks !== 0) throw cutOff('delta values');
  if (Number.isNaN(value)) return undefined;
  const miniValues = blockValues / miniblocks;
  let filled = 0;
  if (count > 0) out[filled++] = value;
  let left = total - 1;
  while (left > 0) {
    const minDelta = header.zigzag();
    if (Number.isNaN(minDelta)) return undefined;
    const widthsAt = header.at;
    header.at += miniblocks;
    for (let mini = 0; mini < miniblocks && left > 0; mini++) {
      const bitWidth = bytes[widthsAt + mini] as number;
      const at = header.at;
      header.at += (miniValues * bitWidth) / 8;
      if (header.at > end) throw cutOff('delta values');
      if (bitWidth > 32) return undefined;
      const inMini = Math.min(miniValues, left);
      left -= inMini;
      const wanted = Math.min(inMini, count - filled);
      if (bitWidth === 0) {
        for (let i = 0; i < wanted; i++) out[filled++] = value += minDelta;
      } else {
        for (let i = 0, bit = 0; i < wanted; i++, bit += bitWidth) {
          let packed = 0;
          for (let taken = 0; taken < bitWidth; ) {
            const shift = (bit + taken) & 7;
            packed |= ((bytes[at + ((bit + taken) >> 3)] as number) >> shift) << taken;
            taken += 8 - shift;
          }
          if (bitWidth < 32) packed &= (1 << bitWidth) - 1;
          out[filled++] = value += minDelta + (packed >>> 0);
        }
      }
      // Steps of a miniblock are below 2^54 each: what has left the safe range is seen before it could come back exact.
      if (!Number.isSafeInteger(value)) return undefined;
    }
  }
  for (let i = 0; i < count; i++) if (!Number.isSafeInteger(out[i])) return undefined;
  return header.at;
}

/** As above for any 64 bits, which wrap around as the format says. */
function decodeDeltaWide(bytes: Buffer, from: number, end: number, out: BigInt64Array): number {
  const header = new DeltaHeader(bytes, from, end);
  const blockValues = header.varint();
  const miniblocks = header.varint();
  const total = header.varint();
  let value = header.zigzagWide();
  const miniValues = blockValues / miniblocks;
  let filled = 0;
  if (out.length > 0) out[filled++] = value;
  let left = total - 1;
  while (left > 0) {
    const minDelta = header.zigzagWide();
    const widthsAt = header.at;
    header.at += miniblocks;
    for (let mini = 0; mini < miniblocks && left > 0; mini++) {
      const bitWidth = bytes[widthsAt + mini] as number;
      const at = header.at;
      header.at += (miniValues * bitWidth) / 8;
      if (header.at > end || bitWidth > 64) throw cutOff('delta values');
      const inMini = Math.min(miniValues, left);
      left -= inMini;
      for (let i = 0; i < inMini && filled < out.length; i++) {
        value = BigInt.asIntN(64, value + minDelta + packedWide(bytes, at, i * bitWidth, bitWidth));
        out[filled++] = value;
      }
    }
  }
  return header.at;
}

function packedWide(bytes: Buffer, at: number, bit: number, bitWidth: number): bigint {
  let value = 0n;
  for (let taken = 0; taken < bitWidth; ) {
    const shift = (bit + taken) & 7;
    value |= BigInt((bytes[at + ((bit + taken) >> 3)] as number) >> shift) << BigInt(taken);
    taken += 8 - shift;
  }
  return BigInt.asUintN(bitWidth, value);
}

/** PLAIN int64: `count` values into `out`; exact ones beside them where one is no safe integer. */
export function readPlainLongs(bytes: Buffer, from: number, out: Float64Array, count: number): BigInt64Array | undefined {
  let isWide = false;
  for (let i = 0; i < count; i++) {
    const value = bytes.readInt32LE(from + 8 * i + 4) * two32 + bytes.readUInt32LE(from + 8 * i);
    out[i] = value;
    if (!Number.isSafeInteger(value)) isWide = true;
  }
  if (!isWide) return undefined;
  const wide = new BigInt64Array(count);
  for (let i = 0; i < count; i++) wide[i] = bytes.readBigInt64LE(from + 8 * i);
  return wide;
}

/** PLAIN int32: `count` values into `out`. */
export function readPlainInts(bytes: Buffer, from: number, out: Float64Array, count: number): void {
  for (let i = 0; i < count; i++) out[i] = bytes.readInt32LE(from + 4 * i);
}
