/**
 * One file of record batches: synchronous appends at a tracked end, reads beside the thread that answers or, of what is in memory, on
 * it, and a descriptor that stays open as long as anybody uses it, so that a read is safe against eviction of what it reads.
 */
import { type Disk, invariant, LakeError, MiB, systemClock, systemDisk, toLakeError, writeWholeSync } from '../kernel/index.js';
import { type WarmReader, WarmReads } from './warm-reads.js';

/** Descriptors of idle segments kept open in all: they cost the process's limit, not memory. Segments in use come on top. */
export const idleFilesMax = 512;

/** In memory while a file is written again. */
const writeAgainBytes = MiB;

/** Keeps idle descriptors open up to a bound and closes the longest unused beyond it. */
export class OpenFiles {
  readonly disk: Disk;
  readonly warmReads: WarmReader;
  readonly #limit: number;
  readonly #idle = new Set<SegmentFile>();

  constructor(limit = idleFilesMax, disk: Disk = systemDisk, warmReads: WarmReader = new WarmReads(systemClock)) {
    this.#limit = limit;
    this.disk = disk;
    this.warmReads = warmReads;
  }

  get idleCount(): number {
    return this.#idle.size;
  }

  use(file: SegmentFile): void {
    this.#idle.delete(file);
  }

  rest(file: SegmentFile): void {
    this.#idle.add(file);
    for (const oldest of this.#idle) {
      if (this.#idle.size <= this.#limit) return;
      this.#idle.delete(oldest);
      oldest.closeIdle();
    }
  }
}

export class SegmentFile {
  readonly path: string;
  readonly #openFiles: OpenFiles;
  readonly #disk: Disk;
  #fd = -1;
  #uses = 0;
  #isGivenUp = false;
  /** Bytes of whole batches; what lies behind them is of no meaning. */
  #bytes: number;

  constructor(path: string, bytes: number, openFiles: OpenFiles) {
    this.path = path;
    this.#bytes = bytes;
    this.#openFiles = openFiles;
    this.#disk = openFiles.disk;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Makes the file, which must not be there. */
  static createSync(path: string, openFiles: OpenFiles): SegmentFile {
    const { disk } = openFiles;
    disk.closeSync(disk.openSync(path, 'wx', 0o644));
    return new SegmentFile(path, 0, openFiles);
  }

  /** The descriptor, held open until `release`. Errors: `log-offline` where the file was given up before a reader came to it. */
  retain(): number {
    if (this.#isGivenUp && this.#uses === 0) throw new LakeError('log-offline', `${this.path} is closed`, { facts: { path: this.path } });
    if (this.#fd < 0) this.#fd = openFile(this.#disk, this.path);
    if (this.#uses === 0) this.#openFiles.use(this);
    this.#uses++;
    return this.#fd;
  }

  release(): void {
    this.#uses--;
    invariant(this.#uses >= 0, 'a segment is released once for each use', { path: this.path });
    if (this.#uses > 0) return;
    if (this.#isGivenUp) this.closeIdle();
    else this.#openFiles.rest(this);
  }

  /** No new use will come: the descriptor is closed with the last one. */
  giveUp(): void {
    this.#isGivenUp = true;
    this.#openFiles.use(this);
    if (this.#uses === 0) this.closeIdle();
  }

  closeIdle(): void {
    if (this.#fd < 0) return;
    this.#disk.closeSync(this.#fd);
    this.#fd = -1;
  }

  /** Appends all of `batch`; after an error the end is where it was. The caller holds the file by `retain`. */
  appendSync(batch: Buffer): void {
    writeWholeSync(this.#disk, this.#fd, batch, this.#bytes);
    this.#bytes += batch.length;
  }

  /** Drops what lies behind `bytes`, also what a failed write left there. */
  cutSync(bytes: number): void {
    const fd = this.retain();
    try {
      this.#disk.ftruncateSync(fd, bytes);
      this.#bytes = bytes;
    } finally {
      this.release();
    }
  }

  /**
   * Writes what lies from `position` on once more. Where a flush failed in an earlier life of the process, the kernel may show these
   * bytes and hold them for written, though they are not on disk; then a flush of them would say yes and do nothing.
   */
  async writeAgain(position: number): Promise<void> {
    const fd = this.retain();
    try {
      const window = Buffer.allocUnsafe(Math.min(writeAgainBytes, Math.max(0, this.#bytes - position)));
      for (let at = position; at < this.#bytes; at += window.length) {
        const bytes = window.subarray(0, Math.min(window.length, this.#bytes - at));
        await this.readInto(bytes, at);
        writeWholeSync(this.#disk, fd, bytes, at);
      }
    } finally {
      this.release();
    }
  }

  /** `readInto` for an answer: of what is in memory at once, a promise for what is not. Throws the same errors. */
  readSoon(into: Buffer, position: number): Promise<void> | undefined {
    const fd = this.retain();
    let filled: number;
    try {
      filled = this.#openFiles.warmReads.read(into.length, (at, bytes) => this.#disk.readSync(fd, into, at, bytes, position + at));
    } catch (error) {
      throw unusable(this.path, error);
    } finally {
      this.release();
    }
    return filled === into.length ? undefined : this.readInto(into.subarray(filled), position + filled);
  }

  /** Fills `into` from `position`. Errors: `log-damaged` where the file is shorter than it was, `log-offline` where the disk fails. */
  async readInto(into: Buffer, position: number): Promise<void> {
    const fd = this.retain();
    try {
      let filled = 0;
      while (filled < into.length) {
        const count = await readAt(this.#disk, this.path, fd, into, filled, position + filled);
        if (count === 0) throw damagedAt(this.path, position + filled, 'the file ends');
        filled += count;
      }
    } finally {
      this.release();
    }
  }
}

/** The error for bytes that are not what was written. */
export function damagedAt(path: string, position: number, what: string): LakeError {
  return new LakeError('log-damaged', `${path} is damaged at ${position}: ${what}`, {
    hint: 'Look at the disk and its messages. Restore the file from a copy and restart the broker, or delete the topic; nothing was cut.',
    facts: { path, position },
  });
}

function openFile(disk: Disk, path: string): number {
  try {
    return disk.openSync(path, 'r+');
  } catch (error) {
    throw unusable(path, error, `cannot be opened: ${toLakeError(error).message}`);
  }
}

function readAt(disk: Disk, path: string, fd: number, into: Buffer, at: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    disk.read(fd, into, at, into.length - at, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(unusable(path, error));
    });
  });
}

function unusable(path: string, cause: unknown, what = 'cannot be read'): LakeError {
  return new LakeError('log-offline', `${path} ${what}`, { cause, hint: 'Look at the disk and its messages.', facts: { path } });
}
