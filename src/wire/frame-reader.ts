/**
 * Cuts a stream of bytes into frames: an int32 size, then so many bytes. A frame that lies within one chunk is a view of it; one
 * that spans chunks is copied once, when its last byte is there. What is held is never much more than what was received, whatever
 * size a peer announces.
 */
import { KiB, LakeError, MiB } from '../kernel/index.js';

/** Kafka's `socket.request.max.bytes`. */
export const frameBytesMaxDefault = 100 * MiB;

/** Chunks below this are gathered in buffers of up to `gatherBytes`, so that a peer that drips bytes does not cost an object for each. */
const smallChunkBytes = 4 * KiB;
const gatherBytes = 64 * KiB;
const sizeBytes = 4;

export class FrameReader {
  private readonly maxFrameBytes: number;
  private readonly prefix = Buffer.alloc(sizeBytes);
  private prefixBytes = 0;
  /** Size of the frame under way, −1 between frames. */
  private size = -1;
  private received = 0;
  private parts: Buffer[] = [];
  private gathered: Buffer | null = null;
  private gatheredFrom = 0;
  private gatheredTo = 0;
  private broken: LakeError | null = null;

  constructor(maxFrameBytes: number = frameBytesMaxDefault) {
    this.maxFrameBytes = maxFrameBytes;
  }

  /** Bytes held for a frame that is not whole yet. */
  get pendingBytes(): number {
    return this.prefixBytes + this.received;
  }

  /**
   * The frames that a chunk completes, without their size prefix, in order. Keeps views of the chunk: it must not change afterwards.
   * Throws `frame-invalid` for a size that is negative or above the bound, and again at every later call.
   */
  push(chunk: Buffer): Buffer[] {
    if (this.broken !== null) throw this.broken;
    const frames: Buffer[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.size < 0) {
        if (this.prefixBytes === 0 && chunk.length - at >= sizeBytes) {
          this.begin(chunk.readInt32BE(at));
          at += sizeBytes;
        } else {
          const taken = chunk.copy(this.prefix, this.prefixBytes, at, Math.min(chunk.length, at + sizeBytes - this.prefixBytes));
          at += taken;
          this.prefixBytes += taken;
          if (this.prefixBytes < sizeBytes) break;
          this.prefixBytes = 0;
          this.begin(this.prefix.readInt32BE(0));
        }
      }
      const taken = Math.min(this.size - this.received, chunk.length - at);
      const part = chunk.subarray(at, at + taken);
      at += taken;
      if (this.received + taken === this.size) frames.push(this.complete(part));
      else this.keep(part);
    }
    return frames;
  }

  private begin(size: number): void {
    if (size < 0 || size > this.maxFrameBytes) {
      this.broken = new LakeError('frame-invalid', `A frame announces ${size} bytes; between 0 and ${this.maxFrameBytes} are allowed.`, {
        hint: 'Check that the peer speaks the Kafka protocol, without TLS; for real requests of this size raise socket.request.max.bytes.',
        facts: { size, maxFrameBytes: this.maxFrameBytes },
      });
      throw this.broken;
    }
    this.size = size;
  }

  private complete(last: Buffer): Buffer {
    const { size } = this;
    this.size = -1;
    if (this.received === 0) return last;
    this.sealGathered();
    this.parts.push(last);
    const frame = Buffer.concat(this.parts, size);
    this.parts = [];
    this.gathered = null;
    this.received = 0;
    return frame;
  }

  private keep(part: Buffer): void {
    this.received += part.length;
    if (part.length >= smallChunkBytes) {
      this.sealGathered();
      this.parts.push(part);
      return;
    }
    for (let from = 0; from < part.length; ) {
      if (this.gathered === null || this.gatheredTo === this.gathered.length) {
        this.sealGathered();
        this.gathered = Buffer.allocUnsafe(Math.min(gatherBytes, this.size - this.received + part.length - from));
        this.gatheredFrom = 0;
        this.gatheredTo = 0;
      }
      const copied = part.copy(this.gathered, this.gatheredTo, from);
      this.gatheredTo += copied;
      from += copied;
    }
  }

  /** Puts what was gathered since the last part in its place among the parts. */
  private sealGathered(): void {
    if (this.gathered === null || this.gatheredTo === this.gatheredFrom) return;
    this.parts.push(this.gathered.subarray(this.gatheredFrom, this.gatheredTo));
    this.gatheredFrom = this.gatheredTo;
  }
}
