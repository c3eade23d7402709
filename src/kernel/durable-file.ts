/** Small files that survive any kill: whole new content, or the old one. */
import { dirname } from 'node:path';
import type { Disk } from './disk.js';
import { isErrno } from './errno.js';

/**
 * Replaces a file: temporary file, fsync, rename, fsync of the directory. One write of a temporary path at a time. Errors are the
 * operating system's.
 */
export async function writeDurably(disk: Disk, path: string, content: string, temporary = `${path}.tmp`): Promise<void> {
  try {
    const file = await disk.open(temporary, 'w', 0o644);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await disk.rename(temporary, path);
  } catch (error) {
    await disk.rm(temporary, { force: true });
    throw error;
  }
  const directory = await disk.open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** The file's text, `undefined` where there is none. */
export async function readIfThere(disk: Disk, path: string): Promise<string | undefined> {
  try {
    return (await disk.readFile(path)).toString('utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
