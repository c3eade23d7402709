import { link, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/index.js';
import {
  faultyStore,
  LocalCache,
  MemoryStore,
  openObjectStore,
  unavailable,
  type FaultPlan,
  type ObjectStore,
} from '../../../src/objects/index.js';

describe('the local cache', () => {
  let folder: string;
  let inner: MemoryStore;
  let plan: FaultPlan;
  let downloads: string[];
  let store: ObjectStore;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'thermocline-cache-'));
    inner = new MemoryStore({ clock: systemClock });
    for (const key of ['a', 'b', 'c', 'd']) await inner.put(key, Buffer.alloc(10, key));
    downloads = [];
    plan = {};
    store = faultyStore(inner, {
      before: async (call) => {
        if (call.operation === 'download') downloads.push(call.key);
        await plan.before?.(call);
      },
    });
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const open = (maxBytes: number): Promise<LocalCache> => LocalCache.open({ store, dir: join(folder, 'cache'), maxBytes });
  const use = async (cache: LocalCache, key: string): Promise<string> => {
    const lease = await cache.fetchToLocal(key);
    const text = await readFile(lease.path, 'utf8');
    lease.release();
    return text;
  };

  it('downloads an object once, also for many who ask at the same time', async () => {
    const cache = await open(100);
    const leases = await Promise.all([1, 2, 3].map(() => cache.fetchToLocal('a', 10)));
    expect(new Set(leases.map((lease) => lease.path)).size).toBe(1);
    expect(await use(cache, 'a')).toBe('aaaaaaaaaa');
    expect(downloads).toEqual(['a']);
    expect(cache.stats).toEqual({ bytes: 10, leasedBytes: 10, entries: 1, hits: 3, misses: 1 });
  });

  it('begins a download anew where all who waited for one have left, which may hang for ever', async () => {
    const cache = await open(100);
    const leave = new AbortController();
    plan = { before: (call) => (call.operation === 'download' ? new Promise<void>(() => undefined) : undefined) };
    const waiting = [cache.fetchToLocal('a', 10, leave.signal), cache.fetchToLocal('a', 10, leave.signal)];
    leave.abort(new Error('too long'));
    for (const wait of waiting) await expect(wait).rejects.toThrow('too long');
    plan = {};
    expect(await use(cache, 'a')).toBe('aaaaaaaaaa');
    expect(cache.stats).toMatchObject({ bytes: 10, entries: 1 });
  });

  it('keeps nothing of a file that comes about after all who waited for it have left', async () => {
    const cache = await open(100);
    const leave = new AbortController();
    let write: (() => void) | undefined;
    const written = new Promise<void>((resolve) => {
      write = resolve;
    });
    let isDone = false;
    const waiting = cache.makeLocal(
      'made',
      10,
      async (path) => {
        await written;
        await writeFile(path, Buffer.alloc(10), { mode: 0o444 });
        isDone = true;
        return 10;
      },
      leave.signal,
    );
    leave.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    write?.();
    await expect.poll(() => isDone).toBe(true);
    await expect.poll(() => readdir(join(folder, 'cache'))).toEqual([]);
    expect(cache.stats).toMatchObject({ bytes: 0, entries: 0 });
  });

  it('evicts what was used least recently, and its file', async () => {
    const cache = await open(20);
    await use(cache, 'a');
    await use(cache, 'b');
    await use(cache, 'a');
    await use(cache, 'c');
    await use(cache, 'a');
    expect(downloads).toEqual(['a', 'b', 'c']);
    expect(await readdir(join(folder, 'cache'))).toHaveLength(2);
    await use(cache, 'b');
    expect(downloads).toEqual(['a', 'b', 'c', 'b']);
  });

  it('keeps leased files, counts them, and refuses what does not fit beside them', async () => {
    const cache = await open(20);
    const a = await cache.fetchToLocal('a');
    const b = await cache.fetchToLocal('b');
    await expect(cache.fetchToLocal('c')).rejects.toMatchObject({ code: 'overloaded' });
    await expect(cache.fetchToLocal('c', 5000)).rejects.toMatchObject({ code: 'overloaded' });
    expect(await readFile(a.path, 'utf8')).toBe('aaaaaaaaaa');
    a.release();
    a.release();
    const c = await cache.fetchToLocal('c');
    expect(cache.stats.bytes).toBe(20);
    b.release();
    c.release();
    expect(cache.stats.leasedBytes).toBe(0);
  });

  it('forgets a failed download, tells all who waited, and tries again for the next', async () => {
    const cache = await open(20);
    let isBroken = true;
    plan = {
      before: (call) => {
        if (call.operation === 'download' && isBroken) throw unavailable(call);
      },
    };
    const outcomes = await Promise.allSettled([cache.fetchToLocal('a', 10), cache.fetchToLocal('a', 10)]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['rejected', 'rejected']);
    expect(cache.stats).toMatchObject({ bytes: 0, entries: 0 });
    isBroken = false;
    expect(await use(cache, 'a')).toBe('aaaaaaaaaa');
    await expect(cache.fetchToLocal('missing')).rejects.toMatchObject({ code: 'object-missing' });
  });

  it('lets one caller leave without ending the download of the others', async () => {
    const cache = await open(20);
    let go = (): void => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    plan = { before: (call) => (call.operation === 'download' ? gate : undefined) };
    const leaving = new AbortController();
    const first = cache.fetchToLocal('a', 10, leaving.signal);
    const second = cache.fetchToLocal('a', 10);
    leaving.abort(new Error('left'));
    await expect(first).rejects.toThrow('left');
    go();
    const lease = await second;
    expect(cache.stats.leasedBytes).toBe(10);
    lease.release();
    expect(cache.stats.leasedBytes).toBe(0);
    expect(downloads).toEqual(['a']);
  });

  it('books the true length where the announced one was wrong', async () => {
    const cache = await open(20);
    (await cache.fetchToLocal('a', 3)).release();
    expect(cache.stats.bytes).toBe(10);
  });

  it('shrinks on demand down to what is leased', async () => {
    const cache = await open(40);
    const lease = await cache.fetchToLocal('a');
    await use(cache, 'b');
    await cache.shrinkTo(0);
    expect(cache.stats).toMatchObject({ bytes: 10, entries: 1 });
    lease.release();
    await cache.shrinkTo(0);
    expect(await readdir(join(folder, 'cache'))).toEqual([]);
  });

  it('begins empty whatever lay in its folder, and leaves nothing when closed', async () => {
    await mkdir(join(folder, 'cache'));
    await writeFile(join(folder, 'cache', 'left over'), 'x');
    const cache = await open(40);
    expect(await readdir(join(folder, 'cache'))).toEqual([]);
    const lease = await cache.fetchToLocal('a');
    await link(lease.path, join(folder, 'kept'));
    await cache.close();
    expect(await readdir(join(folder, 'cache'))).toEqual([]);
    expect(await readFile(join(folder, 'kept'), 'utf8')).toBe('aaaaaaaaaa');
    await expect(cache.fetchToLocal('b', 10)).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('gives the file itself where the bucket is a directory on the same file system', async () => {
    const directory = await openObjectStore(pathToFileURL(join(folder, 'bucket')).href);
    await directory.put('x/y', Buffer.from('there'));
    const cache = await LocalCache.open({ store: directory, dir: join(folder, 'cache'), maxBytes: 1 });
    const lease = await cache.fetchToLocal('x/y');
    expect(lease).toMatchObject({ path: directory.localPath('x/y'), bytes: 5 });
    lease.release();
    await expect(cache.fetchToLocal('x/z')).rejects.toMatchObject({ code: 'object-missing' });
    expect(await readdir(join(folder, 'cache'))).toEqual([]);
  });
});
