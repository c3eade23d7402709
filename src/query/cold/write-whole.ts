/** Files of the cache: mode 0444 from the start, removed where they do not come about whole. */
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { writeAll } from '../../kernel/index.js';

/** Resolves to the file's length. */
export async function writeNew(path: string, write: (file: FileHandle) => Promise<number>): Promise<number> {
  const file = await open(path, 'wx', 0o444);
  try {
    return await write(file);
  } catch (error) {
    await unlink(path).catch(() => undefined);
    throw error;
  } finally {
    await file.close();
  }
}

export function writeWhole(path: string, bytes: Uint8Array): Promise<number> {
  return writeNew(path, async (file) => {
    await writeAll(file, bytes, 0);
    return bytes.length;
  });
}
