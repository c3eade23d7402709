/**
 * Memory for large reads, used again when what was read has been sent. A consumer that catches up takes gigabytes in pieces of one
 * size; fresh memory for each is mapped and cleared by the kernel and counted by the garbage collector, for one use.
 */
import { KiB, MiB } from '../kernel/index.js';

/** What the usual clients ask for a partition: `max.partition.fetch.bytes`, `fetch.message.max.bytes`. */
export const readBufferBytes = MiB;
/** Smaller reads, as at the end of a log, come out of small allocations. */
const pooledBytesMin = 128 * KiB;
/** 32 MiB: a full fetch answer of 32 partitions. What comes back beyond is left to the garbage collector. */
export const freeBuffersMax = 32;

const free: Buffer[] = [];
/** Copies are of a multiple of it, so that one serves where another did; those that are kept are smaller than what is read into. */
const copyStepBytes = 64 * KiB;
/** As many bytes of them, of all sizes together. */
export const freeCopiesBytesMax = 32 * MiB;
/** By size. */
const freeCopies = new Map<number, Buffer[]>();
let freeCopiesBytes = 0;
/** Who has one: each is given back once. */
const lent = new WeakSet<ArrayBufferLike>();

/** A buffer of so many bytes, with anything in it. Whoever never gives it back costs no more than the allocation. */
export function takeReadBuffer(bytes: number): Buffer {
  if (bytes < pooledBytesMin || bytes > readBufferBytes) return Buffer.allocUnsafe(bytes);
  const whole = free.pop() ?? Buffer.allocUnsafeSlow(readBufferBytes);
  lent.add(whole.buffer);
  return bytes === readBufferBytes ? whole : whole.subarray(0, bytes);
}

/** Takes back those of `chunks` that came from here, whole or in part: nobody reads any byte of them any more. */
export function returnReadBuffers(chunks: readonly Buffer[]): void {
  for (const { buffer } of chunks) {
    if (!lent.delete(buffer)) continue;
    if (buffer.byteLength < readBufferBytes) keepCopy(Buffer.from(buffer));
    else if (free.length < freeBuffersMax) free.push(Buffer.from(buffer));
  }
}

function keepCopy(copy: Buffer): void {
  const isFull = freeCopiesBytes + copy.length > freeCopiesBytesMax;
  const ofSize = freeCopies.get(copy.length) ?? [];
  if (isFull && ofSize.length > 0) return;
  if (isFull) {
    // Of sizes that nobody may ask for any more.
    freeCopies.clear();
    freeCopiesBytes = 0;
  }
  ofSize.push(copy);
  freeCopies.set(copy.length, ofSize);
  freeCopiesBytes += copy.length;
}

function copyOf(chunk: Buffer): Buffer {
  const bytes = Math.ceil(chunk.length / copyStepBytes) * copyStepBytes;
  if (chunk.length < pooledBytesMin || bytes >= readBufferBytes) return Buffer.from(chunk);
  const kept = freeCopies.get(bytes)?.pop();
  if (kept !== undefined) freeCopiesBytes -= bytes;
  const whole = kept ?? Buffer.allocUnsafeSlow(bytes);
  lent.add(whole.buffer);
  chunk.copy(whole);
  return whole.subarray(0, chunk.length);
}

/** A chunk that leaves more than a quarter of its buffer unused is worth a copy, where memory is short. */
const usedShareMin = 3 / 4;

/**
 * The same bytes in no more memory than they need, or little more. Copies are lent like the buffers that they are made from: hundreds of
 * megabytes of small answers a second, each alive until a socket has taken it, are more than V8 collects in time.
 */
export function withoutSlack(chunks: readonly Buffer[]): Buffer[] {
  return chunks.map((chunk) => {
    if (chunk.length >= usedShareMin * chunk.buffer.byteLength) return chunk;
    const copy = copyOf(chunk);
    returnReadBuffers([chunk]);
    return copy;
  });
}
