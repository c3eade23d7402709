/**
 * One memory that a row group is read into: zstd, compiled to WebAssembly, inflates pages in it, and the hot loops go over them
 * where they lie. Native bindings hand out fresh memory for each page of some 16 MiB, and the system's making of it costs
 * nearly as much as the inflating; here the same memory serves one row group after the other.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import instantiateZstd, { type Zstd } from '@foxglove/wasm-zstd/dist/wasm-zstd.js';
import { invariant, KiB, LakeError, MiB } from '../kernel/index.js';
import { type Loops, loopsOn, WebAssembly } from './hot-loops.js';

/** Left free for zstd's own tables beside the region that pages lie in. */
const zstdBytes = 4 * MiB;
/** Every piece begins on a vector of 128 bits, and the loops may touch so much behind its end. */
const pieceAlignment = 16;
/** What the loops may touch behind the last piece. */
const behindBytes = 4 * KiB;
/** Row groups differ a little in size. */
const regionGrowth = 1.25;

let compiled: object | undefined;

function compiledZstd(): object {
  const path = createRequire(import.meta.url).resolve('@foxglove/wasm-zstd/dist/wasm-zstd.wasm');
  return (compiled ??= new WebAssembly.Module(readFileSync(path)));
}

/** Bytes of a piece with what it is rounded up to. */
export function pieceBytes(bytes: number): number {
  return Math.ceil(bytes / pieceAlignment) * pieceAlignment + pieceAlignment;
}

export class PageMemory {
  readonly loops: Loops;
  /** All of it; a position in it is an address. Another one after `begin`. */
  bytes: Buffer;
  readonly #zstd: Zstd;
  readonly #memory: { readonly buffer: ArrayBuffer };
  #regionAt = 0;
  #regionBytes = 0;
  #at = 0;

  constructor() {
    const exported: { memory?: { readonly buffer: ArrayBuffer } } = {};
    const zstd: Partial<Zstd> = {
      instantiateWasm: (imports, receive) => {
        const instance = new WebAssembly.Instance(compiledZstd(), imports);
        for (const one of Object.values(instance.exports)) if (one instanceof WebAssembly.Memory) exported.memory = one;
        receive(instance);
        return instance.exports;
      },
    };
    void instantiateZstd(zstd);
    invariant(zstd._malloc !== undefined && exported.memory !== undefined, 'zstd is there once it is instantiated');
    this.#zstd = zstd as Zstd;
    this.#memory = exported.memory;
    this.loops = loopsOn(exported.memory);
    this.bytes = Buffer.from(this.#memory.buffer);
  }

  /** Empties it and sees to room for pieces of so many bytes in all. Whatever lay in it before is void. Errors: `cold-corrupt`. */
  begin(bytes: number): void {
    if (bytes > this.#regionBytes) {
      const { _malloc: allocate, _free: free } = this.#zstd;
      free(this.#regionAt);
      this.#regionBytes = Math.ceil(bytes * regionGrowth);
      // Taken once with room for zstd's tables behind it: so these never make the memory grow, which would void all views of it.
      free(allocate(this.#regionBytes + behindBytes + zstdBytes));
      this.#regionAt = allocate(this.#regionBytes + behindBytes);
      if (this.#regionAt === 0) {
        this.#regionBytes = 0;
        throw new LakeError('cold-corrupt', `a row group of ${bytes} bytes is larger than any that is written`, { facts: { bytes } });
      }
      this.bytes = Buffer.from(this.#memory.buffer);
    }
    this.#at = this.#regionAt;
  }

  /** Address of a new piece. Errors: `cold-corrupt` where the row group needs more than was said when it began. */
  take(bytes: number): number {
    const at = Math.ceil(this.#at / pieceAlignment) * pieceAlignment;
    if (!(at + bytes <= this.#regionAt + this.#regionBytes)) {
      throw new LakeError('cold-corrupt', `a row group holds more than its footer says: ${bytes} bytes are too many`, { facts: { bytes } });
    }
    this.#at = at + bytes;
    return at;
  }

  /** Gives the last piece back. */
  giveBack(at: number): void {
    this.#at = at;
  }

  /** Inflates what lies at an address into a new piece of exactly so many bytes; undefined where it is anything else. */
  inflate(storedAt: number, storedBytes: number, inflatedBytes: number): Buffer | undefined {
    const at = this.take(inflatedBytes);
    const bytes = this.#zstd._decompress(at, inflatedBytes, storedAt, storedBytes);
    invariant(this.bytes.buffer === this.#memory.buffer, 'inflating leaves the memory as large as it was');
    return bytes === inflatedBytes ? this.bytes.subarray(at, at + inflatedBytes) : undefined;
  }
}
