/**
 * The zigzag base-128 numbers inside records (the protocol's own varints are unsigned and live with the messages). Values
 * up to ±(2^53 − 1), as offsets and timestamps are numbers here.
 */
import { LakeError } from '../kernel/index.js';

const two7 = 2 ** 7;
const two28 = 2 ** 28;

/** Bytes `writeVarint` will write for a safe integer. */
export function varintBytes(value: number): number {
  if (value >= -0x40 && value < 0x40) return 1;
  if (value >= -0x2000 && value < 0x2000) return 2;
  let rest = value < 0 ? -(value + 1) * 2 + 1 : value * 2;
  let bytes = 1;
  while (rest >= two7) {
    rest = Math.floor(rest / two7);
    bytes++;
  }
  return bytes;
}

/** Writes a safe integer at a position and answers the position after it; the caller has made room (8 bytes at most). */
export function writeVarint(buf: Uint8Array, value: number, position: number): number {
  let at = position;
  if (value >= -0x40000000 && value < 0x40000000) {
    let rest = ((value << 1) ^ (value >> 31)) >>> 0;
    while (rest >= 0x80) {
      buf[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    buf[at++] = rest;
    return at;
  }
  // Doubling may pass 2^53: the lowest seven bits are split off before, so that every step stays exact.
  const isNegative = value < 0;
  const magnitude = isNegative ? -(value + 1) : value;
  buf[at++] = ((magnitude % 64) * 2) | (isNegative ? 0x81 : 0x80);
  let rest = Math.floor(magnitude / 64);
  while (rest >= two7) {
    buf[at++] = (rest % two7) | 0x80;
    rest = Math.floor(rest / two7);
  }
  buf[at++] = rest;
  return at;
}

/** A position in a buffer that moves as numbers are read from it. Reading beyond `end` is `record-invalid`. */
export class VarintReader {
  buffer: Buffer;
  position: number;
  end: number;

  constructor(buffer: Buffer, position = 0, end = buffer.length) {
    this.buffer = buffer;
    this.position = position;
    this.end = end;
  }

  /** A signed number of 32 bits (Kafka's VARINT). */
  varint(): number {
    let at = this.position;
    const { buffer, end } = this;
    if (at < end) {
      const first = buffer[at] as number;
      if (first < 0x80) {
        this.position = at + 1;
        return (first >>> 1) ^ -(first & 1);
      }
    }
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (at >= end) throw this.invalid('a number is cut off');
      const byte = buffer[at++] as number;
      if (shift === 28 && byte > 0x0f) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.position = at;
        return (value >>> 1) ^ -(value & 1);
      }
    }
    throw this.invalid('a number has more than 32 bits');
  }

  /** A signed number of 64 bits (Kafka's VARLONG) as a safe integer. */
  varlong(): number {
    const { buffer, end } = this;
    let at = this.position;
    // Three parts of 28, 28 and 8 bits keep every step exact.
    let low = 0;
    let middle = 0;
    let high = 0;
    for (let index = 0; index < 10; index++) {
      if (at >= end) throw this.invalid('a number is cut off');
      const byte = buffer[at++] as number;
      const bits = byte & 0x7f;
      if (index < 4) low |= bits << (7 * index);
      else if (index < 8) middle |= bits << (7 * (index - 4));
      else high |= bits << (7 * (index - 8));
      if (byte < 0x80) {
        const magnitude = (low >>> 1) + middle * (two28 / 2) + high * (two28 * (two28 / 2));
        const value = (low & 1) === 0 ? magnitude : -magnitude - 1;
        if (!Number.isSafeInteger(value)) throw this.invalid('a number is beyond ±(2^53 − 1)');
        this.position = at;
        return value;
      }
    }
    throw this.invalid('a number has more than 64 bits');
  }

  /** The error for malformed bytes at the present position. */
  invalid(what: string): LakeError {
    return new LakeError('record-invalid', `${what} at ${this.position}`, { facts: { at: this.position, end: this.end } });
  }
}
