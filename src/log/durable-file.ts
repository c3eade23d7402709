/**
 * Small files that must be whole after any kill: written beside, fsynced, renamed, and the folder fsynced. Synchronous,
 * because it runs in flush workers and at start, never on the thread that answers.
 */
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { suffixes } from './log-files.js';

/** Makes names in a folder (new files, renames, removals) survive a power cut. */
export function fsyncDirectorySync(path: string): void {
  const fd = fs.openSync(path, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Writes all of `bytes` at `position`, however short the single writes are. */
export function writeWholeSync(fd: number, bytes: Uint8Array, position: number): void {
  let written = 0;
  while (written < bytes.length) written += fs.writeSync(fd, bytes, written, bytes.length - written, position + written);
}

/** Replaces a file so that after any kill it holds either what it held or `bytes`. */
export function replaceFileSync(path: string, bytes: Uint8Array): void {
  const temporary = `${path}${suffixes.temporary}`;
  const fd = fs.openSync(temporary, 'w', 0o644);
  try {
    writeWholeSync(fd, bytes, 0);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(temporary, path);
  fsyncDirectorySync(dirname(path));
}

/**
 * Makes a folder with its files so that after any kill it is there as a whole or not at all: filled under a passing name, then
 * renamed. The passing name must not be there.
 */
export function makeFolderSync(path: string, passing: string, files: readonly (readonly [name: string, bytes: Uint8Array])[]): void {
  fs.mkdirSync(passing);
  for (const [name, bytes] of files) {
    const fd = fs.openSync(join(passing, name), 'wx', 0o644);
    try {
      writeWholeSync(fd, bytes, 0);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  }
  fsyncDirectorySync(passing);
  fs.renameSync(passing, path);
  fsyncDirectorySync(dirname(path));
}

/** A file's bytes, or `undefined` where there is none. */
export function readFileIfThereSync(path: string): Buffer | undefined {
  try {
    return fs.readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
