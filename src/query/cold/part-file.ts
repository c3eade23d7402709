/**
 * A new local file that comes in pieces, in any order. A small one is put together in memory and written at once: each write is a
 * turn of the thread pool, and a part may have a hundred pieces.
 */
import type { FileHandle } from 'node:fs/promises';
import { MiB, writeAll } from '../../kernel/index.js';
import { writeNew } from './write-whole.js';

/** Of one file. A query makes eight at a time, so that they take 32 MiB at most. */
const inMemoryBytesMax = 4 * MiB;

export interface PartFile {
  /** Pieces do not overlap, and leave no gap when all are there. */
  write(bytes: Uint8Array, at: number): Promise<void>;
}

/** A file of `bytes` bytes, which `fill` writes. Resolves to its length; where it fails, nothing is left. */
export function writeParts(path: string, bytes: number, fill: (file: PartFile) => Promise<void>): Promise<number> {
  return writeNew(path, async (handle) => {
    await (bytes <= inMemoryBytesMax ? fillInMemory(handle, bytes, fill) : fill({ write: (piece, at) => writeAll(handle, piece, at) }));
    return bytes;
  });
}

async function fillInMemory(handle: FileHandle, bytes: number, fill: (file: PartFile) => Promise<void>): Promise<void> {
  const whole = Buffer.allocUnsafe(bytes);
  await fill({
    write: async (piece, at) => {
      whole.set(piece, at);
    },
  });
  await writeAll(handle, whole, 0);
}
