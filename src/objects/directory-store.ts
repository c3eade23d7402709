/**
 * A bucket that is a directory. An object is a file of mode 0444 at its key, and becomes visible whole or not at all:
 * written to a hidden folder of the same file system, flushed, then linked (if absent) or renamed to its name, and the
 * folder flushed. `link` fails where the name is taken, so of several writers one wins.
 */
import { constants } from 'node:fs';
import {
  access,
  copyFile,
  lstat,
  mkdir,
  open,
  readdir,
  realpath,
  rename,
  rmdir,
  stat,
  unlink,
  link,
  type FileHandle,
} from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isErrno, hourMs, invariant, LakeError, type Clock, type Random } from '../kernel/index.js';
import { objectExists, objectMissing, outcomeUnknown } from './errors.js';
import { fileError } from './file-errors.js';
import { checkKey, checkPrefix, compareKeys, hiddenFolder } from './keys.js';
import type { ByteRange, ObjectBody, ObjectInfo, ObjectStore, PutOptions } from './object-store.js';

/** A temporary file this old belongs to a writer that died. */
const staleTemporaryMs = hourMs;
/** A folder may be removed as empty between making it and linking into it. */
const placeTries = 5;
const objectMode = 0o444;

export class DirectoryStore implements ObjectStore {
  readonly url: string;
  readonly #root: string;
  readonly #ports: { readonly clock: Clock; readonly random: Random };

  private constructor(root: string, ports: { readonly clock: Clock; readonly random: Random }) {
    this.#root = root;
    this.#ports = ports;
    this.url = pathToFileURL(root).href;
  }

  /**
   * Opens the directory, and creates it if its parent is there; to be read only, it must be there and is left as it is. Errors:
   * `store-refused`, `store-unavailable`, `disk-full`.
   */
  static async open(
    path: string,
    ports: { readonly clock: Clock; readonly random: Random },
    isReadOnly: boolean = false,
  ): Promise<DirectoryStore> {
    try {
      if (isReadOnly) {
        const root = await realpath(path);
        await access(root, constants.R_OK | constants.X_OK);
        return new DirectoryStore(root, ports);
      }
      await mkdir(path).catch((error: unknown) => {
        if (!isErrno(error, 'EEXIST')) throw error;
      });
      const root = await realpath(path);
      await mkdir(join(root, hiddenFolder), { recursive: true });
      await access(root, constants.R_OK | constants.W_OK | constants.X_OK);
      const store = new DirectoryStore(root, ports);
      await store.removeUnfinished(staleTemporaryMs);
      return store;
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
        throw new LakeError('store-refused', `the bucket directory ${path} cannot be opened: its parent is not a directory`, {
          hint: 'Create the parent directory (or mount it), or correct bucket.url.',
          facts: { path },
          cause: error,
        });
      }
      throw fileError(error, `opening ${path}`);
    }
  }

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<void> {
    checkKey(key);
    options.signal?.throwIfAborted();
    const path = this.#path(key);
    const temporary = join(this.#root, hiddenFolder, this.#ports.random.uuid());
    let isPlaced = false;
    try {
      await writeDurably(temporary, body);
      options.signal?.throwIfAborted();
      await this.#place(temporary, path, options.ifAbsent === true);
      isPlaced = true;
      await syncFolder(dirname(path));
    } catch (error) {
      if (options.ifAbsent === true && !isPlaced && isErrno(error, 'EEXIST')) throw objectExists(this.url, key);
      if (isPlaced) throw outcomeUnknown(this.url, `writing ${key}`, error);
      throw fileError(error, `writing ${key}`);
    } finally {
      await unlink(temporary).catch((error: unknown) => {
        // A rename has taken it away; anything else is swept as stale by the next start.
        if (!isErrno(error, 'ENOENT')) return;
      });
    }
  }

  async get(key: string, options: { readonly range?: ByteRange; readonly signal?: AbortSignal | undefined } = {}): Promise<Buffer> {
    checkKey(key);
    options.signal?.throwIfAborted();
    let file: FileHandle | undefined;
    try {
      file = await open(this.#path(key), 'r');
      const { size } = await file.stat();
      const start = options.range?.start ?? 0;
      const end = Math.min(options.range?.end ?? size, size);
      invariant(start >= 0 && (options.range === undefined || options.range.end > start), 'a byte range is not empty', { start, end });
      return await readExactly(file, start, Math.max(start, end));
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) throw objectMissing(this.url, key, error);
      throw fileError(error, `reading ${key}`);
    } finally {
      await file?.close();
    }
  }

  async download(key: string, path: string, signal?: AbortSignal): Promise<number> {
    checkKey(key);
    signal?.throwIfAborted();
    const found = await this.head(key, signal);
    if (found === null) throw objectMissing(this.url, key);
    try {
      // Keeps the mode, and shares the blocks where the file system can.
      await copyFile(this.#path(key), path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      return found.bytes;
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) await unlink(path).catch(() => {});
      throw fileError(error, `copying ${key}`);
    }
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectInfo | null> {
    checkKey(key);
    signal?.throwIfAborted();
    return this.#stat(key);
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo> {
    checkPrefix(prefix);
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    yield* this.#walk(folder, prefix, signal);
  }

  async delete(key: string, signal?: AbortSignal): Promise<void> {
    checkKey(key);
    signal?.throwIfAborted();
    const path = this.#path(key);
    try {
      if ((await lstat(path)).isDirectory()) return;
      await unlink(path);
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return;
      throw fileError(error, `removing ${key}`);
    }
    await this.#removeEmptyFolders(dirname(path));
  }

  async removeUnfinished(olderThanMs: number, signal?: AbortSignal): Promise<number> {
    const beforeMs = this.#ports.clock.nowMs() - olderThanMs;
    const folder = join(this.#root, hiddenFolder);
    let removed = 0;
    for (const name of await readdir(folder)) {
      signal?.throwIfAborted();
      const path = join(folder, name);
      const found = await stat(path).catch(() => null);
      if (found === null || found.mtimeMs >= beforeMs) continue;
      // Its writer may be alive after all and quicker: then it is gone already.
      removed += await unlink(path).then(
        () => 1,
        () => 0,
      );
    }
    return removed;
  }

  localPath(key: string): string | null {
    checkKey(key);
    return this.#path(key);
  }

  location(key: string): string {
    // Iceberg paths are not percent-encoded.
    return `file://${this.#root.split(sep).join('/')}/${key}`;
  }

  async close(): Promise<void> {}

  #path(key: string): string {
    return join(this.#root, ...key.split('/'));
  }

  async #stat(key: string): Promise<ObjectInfo | null> {
    try {
      const found = await stat(this.#path(key));
      return found.isFile() ? { key, bytes: found.size, lastModifiedMs: Math.floor(found.mtimeMs) } : null;
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return null;
      throw fileError(error, `looking at ${key}`);
    }
  }

  async #place(temporary: string, path: string, ifAbsent: boolean): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      await makeFolders(this.#root, dirname(path));
      try {
        await (ifAbsent ? link(temporary, path) : rename(temporary, path));
        return;
      } catch (error) {
        if (!isErrno(error, 'ENOENT') || attempt === placeTries) throw error;
      }
    }
  }

  /** One folder's names at a time are in memory. Folders compare by their name and a slash, which gives the order of keys. */
  async *#walk(folder: string, prefix: string, signal: AbortSignal | undefined): AsyncIterable<ObjectInfo> {
    signal?.throwIfAborted();
    for (const name of await this.#names(folder)) {
      const key = folder + name;
      if (name.endsWith('/')) {
        if (key.startsWith(prefix) || prefix.startsWith(key)) yield* this.#walk(key, prefix, signal);
      } else if (key.startsWith(prefix)) {
        signal?.throwIfAborted();
        const found = await this.#stat(key);
        if (found !== null) yield found;
      }
    }
  }

  async #names(folder: string): Promise<readonly string[]> {
    try {
      const entries = await readdir(join(this.#root, folder), { withFileTypes: true });
      return entries
        .filter((entry) => folder !== '' || entry.name !== hiddenFolder)
        .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
        .sort(compareKeys);
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
      throw fileError(error, `listing ${folder}`);
    }
  }

  async #removeEmptyFolders(from: string): Promise<void> {
    for (let folder = from; folder.length > this.#root.length; folder = dirname(folder)) {
      try {
        await rmdir(folder);
      } catch {
        // Not empty, or somebody else was quicker: either way it is not ours to remove.
        return;
      }
    }
  }
}

async function writeDurably(path: string, body: ObjectBody): Promise<void> {
  if (!(body instanceof Uint8Array)) await copyFile(body.path, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  const file = await open(path, body instanceof Uint8Array ? 'wx' : 'r+', objectMode);
  try {
    if (body instanceof Uint8Array) await file.writeFile(body);
    await file.chmod(objectMode);
    await file.datasync();
  } finally {
    await file.close();
  }
}

async function readExactly(file: FileHandle, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(end - start);
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done);
    if (bytesRead === 0) return bytes.subarray(0, done);
    done += bytesRead;
  }
  return bytes;
}

/** Makes what is missing of `folder` below `root`; a new folder's name is flushed with its parent. */
async function makeFolders(root: string, folder: string): Promise<void> {
  if (folder.length <= root.length) return;
  try {
    await mkdir(folder);
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return;
    if (!isErrno(error, 'ENOENT')) throw error;
    await makeFolders(root, dirname(folder));
    return makeFolders(root, folder);
  }
  await syncFolder(dirname(folder));
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
