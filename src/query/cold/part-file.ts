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

/** Fills a file, and answers its length. */
type Fill = (file: PartFile) => Promise<number>;

/** A file of up to `bytesMax` bytes, which `fill` writes. Resolves to its length; where it fails, nothing is left. */
export function writeParts(path: string, bytesMax: number, fill: Fill): Promise<number> {
  return writeNew(path, (handle) =>
    bytesMax <= inMemoryBytesMax ? fillInMemory(handle, bytesMax, fill) : fill({ write: (piece, at) => writeAll(handle, piece, at) }),
  );
}

async function fillInMemory(handle: FileHandle, bytesMax: number, fill: Fill): Promise<number> {
  const whole = Buffer.allocUnsafe(bytesMax);
  const bytes = await fill({
    write: async (piece, at) => {
      whole.set(piece, at);
    },
  });
  await writeAll(handle, whole.subarray(0, bytes), 0);
  return bytes;
}
