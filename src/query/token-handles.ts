/**
 * Handles: what stands for a token where it is too long for its place, an HTTP header above all. The token's text lies in a file named
 * by its digest, so that the handle outlives the service, and the same token gets the same handle. The files are bounded: the ones
 * not given out or asked for the longest go first, and with them their handles.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, type Clock, KiB, LakeError, MiB, systemDisk, writeDurably } from '../kernel/index.js';

/** Above, a token does not fit with certainty into a header, nor a cursor of pages into an address. */
export const headerTokenBytesMax = 4 * KiB;
/** Above, a token does not fit with certainty into an argument of a command (128 KiB on Linux). */
export const bodyTokenBytesMax = 64 * KiB;
/** Tokens of 10,000 partitions have some 50 KiB: more than a thousand of them. */
const diskBytesMaxDefault = 64 * MiB;

const handlePrefix = 'h2.';
const olderPrefix = 'h1.';
const handlePattern = /^h2\.[0-9a-f]{64}$/;
const namePattern = /^[0-9a-f]{64}\.token$/;

export class TokenHandles {
  readonly #directory: string;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #bytesMax: number;
  /** Bytes by name, used the longest ago first. */
  readonly #kept = new Map<string, number>();
  #bytes = 0;
  #serial = 0;

  private constructor(directory: string, clock: Pick<Clock, 'nowMs'>, bytesMax: number) {
    this.#directory = directory;
    this.#clock = clock;
    this.#bytesMax = bytesMax;
  }

  /** Goes on with the files of earlier services. */
  static async open(directory: string, clock: Pick<Clock, 'nowMs'>, bytesMax = diskBytesMaxDefault): Promise<TokenHandles> {
    const handles = new TokenHandles(directory, clock, bytesMax);
    await mkdir(directory, { recursive: true });
    const found: { name: string; bytes: number; mtimeMs: number }[] = [];
    for (const name of await readdir(directory)) {
      const path = join(directory, name);
      if (!namePattern.test(name)) await rm(path, { recursive: true, force: true });
      else {
        const { size, mtimeMs } = await stat(path);
        found.push({ name, bytes: size, mtimeMs });
      }
    }
    for (const { name, bytes } of found.sort((a, b) => a.mtimeMs - b.mtimeMs)) handles.#note(name, bytes);
    await handles.#makeRoom();
    return handles;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What stands for the token; it is on disk when this resolves. Errors: `disk-full` and the system's. */
  async handleOf(text: string): Promise<string> {
    const digest = createHash('sha256').update(text).digest('hex');
    const name = nameOf(digest);
    if (this.#kept.has(name)) await this.#used(name, text.length);
    else {
      await this.#write(name, text);
      this.#note(name, text.length);
      await this.#makeRoom();
    }
    return handlePrefix + digest;
  }

  async #write(name: string, text: string): Promise<void> {
    const path = join(this.#directory, name);
    try {
      await writeDurably(systemDisk, path, text, `${path}.${++this.#serial}.part`);
    } catch (cause) {
      if (!isErrno(cause, 'ENOSPC')) throw cause;
      throw new LakeError('disk-full', 'the token of the answer could not be kept', {
        hint: 'Make room on the disk of data.dir, or ask for json or ndjson, whose answers carry the token itself.',
        cause,
      });
    }
  }

  /** The token that a handle stands for. Errors: `token-invalid`, `token-gone`. */
  async textOf(handle: string): Promise<string> {
    if (!handlePattern.test(handle)) {
      if (handle.startsWith(olderPrefix)) throw gone();
      throw new LakeError('token-invalid', 'the snapshot token cannot be read: it is no handle', {
        hint: 'Pass the snapshot of an earlier answer as it was given.',
      });
    }
    const digest = handle.slice(handlePrefix.length);
    const name = nameOf(digest);
    try {
      const text = await readFile(join(this.#directory, name), 'latin1');
      // A file that a fault of the disk has changed is no token of ours.
      if (createHash('sha256').update(text).digest('hex') !== digest) throw gone();
      await this.#used(name, text.length);
      return text;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) throw gone();
      throw error;
    }
  }

  async #used(name: string, bytes: number): Promise<void> {
    this.#note(name, bytes);
    const nowSeconds = this.#clock.nowMs() / 1000;
    await utimes(join(this.#directory, name), nowSeconds, nowSeconds).catch(() => undefined);
  }

  #note(name: string, bytes: number): void {
    this.#bytes += bytes - (this.#kept.get(name) ?? 0);
    this.#kept.delete(name);
    this.#kept.set(name, bytes);
  }

  async #makeRoom(): Promise<void> {
    for (const [name, bytes] of this.#kept) {
      if (this.#bytes <= this.#bytesMax || this.#kept.size === 1) return;
      this.#kept.delete(name);
      this.#bytes -= bytes;
      await rm(join(this.#directory, name), { force: true });
    }
  }
}

export function isHandle(text: string): boolean {
  return text.startsWith(handlePrefix) || text.startsWith(olderPrefix);
}

function nameOf(digest: string): string {
  return `${digest}.token`;
}

function gone(): LakeError {
  return new LakeError('token-gone', 'the snapshot token is a handle whose token is no longer kept here', {
    hint: 'Ask the service that gave it out, or ask again without as_of; answers in json and ndjson carry the token itself.',
  });
}
