/**
 * The local file system as a port, so that a simulation can own it: what is on disk after a power cut, what a full or failing disk
 * answers. The members are Node's own under their own names, and `systemDisk` is those functions themselves. Errors are the
 * operating system's, with its `code`.
 */
import * as fs from 'node:fs';
import * as files from 'node:fs/promises';

/** An open file of `Disk.open`. */
export interface DiskFile {
  read(into: Uint8Array, at: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
  write(bytes: Uint8Array, at: number, length: number, position: number): Promise<{ readonly bytesWritten: number }>;
  writeFile(text: string): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface FileFacts {
  readonly size: number;
  readonly mtimeMs: number;
  /** 0 where the file system does not keep it. */
  readonly birthtimeMs: number;
  /** Of the file system: files of one can be linked to each other. */
  readonly dev: number;
}

export interface DiskSpace {
  /** Blocks of the whole disk. */
  readonly blocks: number;
  /** Blocks that a process without privileges may use. */
  readonly bavail: number;
  readonly bsize: number;
}

export interface Disk {
  /** For appends, for starts, and in threads of their own; what answers clients waits for nothing here that may take long. */
  openSync(path: string, flags: string, mode?: number): number;
  closeSync(fd: number): void;
  writeSync(fd: number, bytes: Uint8Array, at: number, length: number, position: number): number;
  readSync(fd: number, into: Uint8Array, at: number, length: number, position: number): number;
  ftruncateSync(fd: number, bytes: number): void;
  /** Times of access and of the last change, in seconds. */
  futimesSync(fd: number, accessedSeconds: number, changedSeconds: number): void;
  fsyncSync(fd: number): void;
  fdatasyncSync(fd: number): void;
  readFileSync(path: string): Buffer;
  readdirSync(path: string): string[];
  statSync(path: string): FileFacts;
  mkdirSync(path: string, options?: { readonly recursive: boolean }): void;
  renameSync(from: string, to: string): void;
  rmSync(path: string, options: { readonly recursive?: boolean; readonly force: boolean }): void;

  /** Reads at a position of an open descriptor; a callback, because one promise a read would show. */
  read(
    fd: number,
    into: Uint8Array,
    at: number,
    length: number,
    position: number,
    done: (error: NodeJS.ErrnoException | null, count: number) => void,
  ): void;
  open(path: string, flags: string, mode?: number): Promise<DiskFile>;
  readFile(path: string): Promise<Buffer>;
  readdir(path: string): Promise<string[]>;
  stat(path: string): Promise<FileFacts>;
  statfs(path: string): Promise<DiskSpace>;
  mkdir(path: string, options?: { readonly recursive: boolean }): Promise<unknown>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { readonly recursive?: boolean; readonly force: boolean }): Promise<void>;
}

export const systemDisk: Disk = {
  openSync: fs.openSync,
  closeSync: fs.closeSync,
  writeSync: fs.writeSync,
  readSync: fs.readSync,
  ftruncateSync: fs.ftruncateSync,
  futimesSync: fs.futimesSync,
  fsyncSync: fs.fsyncSync,
  fdatasyncSync: fs.fdatasyncSync,
  readFileSync: fs.readFileSync,
  readdirSync: fs.readdirSync,
  statSync: fs.statSync,
  mkdirSync: fs.mkdirSync,
  renameSync: fs.renameSync,
  rmSync: fs.rmSync,
  read: fs.read,
  open: files.open,
  readFile: files.readFile,
  readdir: files.readdir,
  stat: files.stat,
  statfs: files.statfs,
  mkdir: files.mkdir,
  rename: files.rename,
  rm: files.rm,
};

/** All of `bytes` from `position` on, however little the system takes at a time. */
export async function writeAll(file: Pick<DiskFile, 'write'>, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/** Writes all of `bytes` at `position`, however short the single writes are. */
export function writeWholeSync(disk: Disk, fd: number, bytes: Uint8Array, position: number): void {
  let written = 0;
  while (written < bytes.length) written += disk.writeSync(fd, bytes, written, bytes.length - written, position + written);
}
