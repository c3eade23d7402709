/**
 * Small files that must be whole after any kill: written beside, fsynced, renamed, and the folder fsynced. Synchronous,
 * because it runs in flush workers and at start, never on the thread that answers.
 */
import { dirname, join } from 'node:path';
import { type Disk, isErrno, writeWholeSync } from '../kernel/index.js';
import { suffixes } from './log-files.js';

/** Makes names in a folder (new files, renames, removals) survive a power cut. */
export function fsyncDirectorySync(disk: Disk, path: string): void {
  const fd = disk.openSync(path, 'r');
  try {
    disk.fsyncSync(fd);
  } finally {
    disk.closeSync(fd);
  }
}

/** Replaces a file so that after any kill it holds either what it held or `bytes`. */
export function replaceFileSync(disk: Disk, path: string, bytes: Uint8Array): void {
  const temporary = `${path}${suffixes.temporary}`;
  const fd = disk.openSync(temporary, 'w', 0o644);
  try {
    writeWholeSync(disk, fd, bytes, 0);
    disk.fsyncSync(fd);
  } finally {
    disk.closeSync(fd);
  }
  disk.renameSync(temporary, path);
  fsyncDirectorySync(disk, dirname(path));
}

/**
 * Makes a folder with its files so that after any kill it is there as a whole or not at all: filled under a passing name, then
 * renamed. The passing name must not be there.
 */
export function makeFolderSync(
  disk: Disk,
  path: string,
  passing: string,
  files: readonly (readonly [name: string, bytes: Uint8Array])[],
): void {
  disk.mkdirSync(passing);
  for (const [name, bytes] of files) {
    const fd = disk.openSync(join(passing, name), 'wx', 0o644);
    try {
      writeWholeSync(disk, fd, bytes, 0);
      disk.fsyncSync(fd);
    } finally {
      disk.closeSync(fd);
    }
  }
  fsyncDirectorySync(disk, passing);
  disk.renameSync(passing, path);
  fsyncDirectorySync(disk, dirname(path));
}

/** A file's bytes, or `undefined` where there is none. */
export function readFileIfThereSync(disk: Disk, path: string): Buffer | undefined {
  try {
    return disk.readFileSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
