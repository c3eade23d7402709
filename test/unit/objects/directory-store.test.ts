import { mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openObjectStore, type ObjectStore } from '../../../src/objects/index.js';

describe('a directory store', () => {
  let folder: string;
  let root: string;
  let store: ObjectStore;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'thermocline-directory-'));
    root = join(folder, 'bucket');
    store = await openObjectStore(pathToFileURL(root).href);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('keeps objects as read-only files at their keys and no temporary file', async () => {
    await store.put('a/b/c', Buffer.from('x'));
    const path = store.localPath('a/b/c');
    expect(path).toBe(join(root, 'a/b/c'));
    expect(await readFile(path ?? '', 'utf8')).toBe('x');
    expect((await stat(path ?? '')).mode & 0o777).toBe(0o444);
    expect(await readdir(join(root, '.thermocline-tmp'))).toEqual([]);
    await expect(store.put('a/b/c', Buffer.from('y'), { ifAbsent: true })).rejects.toMatchObject({ code: 'object-exists' });
    expect(await readdir(join(root, '.thermocline-tmp'))).toEqual([]);
  });

  it('copies a local file, so that changing the source later changes no object', async () => {
    const source = join(folder, 'source');
    await writeFile(source, 'before');
    await store.put('copied', { path: source });
    await writeFile(source, 'after!');
    expect((await store.get('copied')).toString()).toBe('before');
    await expect(store.put('none', { path: join(folder, 'absent') })).rejects.toThrow('absent');
    expect(await store.head('none')).toBeNull();
  });

  it('names locations as Iceberg readers expect them, without percent-encoding', async () => {
    const spaced = await openObjectStore(pathToFileURL(join(folder, 'a b')).href);
    expect(spaced.location('t/x')).toBe(`file://${join(folder, 'a b')}/t/x`);
    expect(spaced.url).toBe(pathToFileURL(join(folder, 'a b')).href);
  });

  it('removes folders that became empty, and makes them again', async () => {
    await store.put('p/q/r', Buffer.from('x'));
    await store.delete('p/q/r');
    expect(await readdir(root)).toEqual(['.thermocline-tmp']);
    await store.put('p/q/r', Buffer.from('x'));
    expect((await store.get('p/q/r')).toString()).toBe('x');
  });

  it('survives writers and removers that meet in one folder', async () => {
    for (let round = 0; round < 30; round++) {
      await store.put('meet/a/x', Buffer.from('x'));
      await Promise.all([store.delete('meet/a/x'), store.put('meet/a/y', Buffer.from('y'), { ifAbsent: true })]);
      expect((await store.get('meet/a/y')).toString()).toBe('y');
      await store.delete('meet/a/y');
    }
  });

  it('sweeps temporary files of writers that died, and only old ones', async () => {
    const hidden = join(root, '.thermocline-tmp');
    await writeFile(join(hidden, 'old'), 'x');
    await writeFile(join(hidden, 'young'), 'x');
    await utimes(join(hidden, 'old'), 1, 1);
    await openObjectStore(pathToFileURL(root).href);
    expect(await readdir(hidden)).toEqual(['young']);
  });

  it('says that the parent of the bucket directory is missing', async () => {
    const url = pathToFileURL(join(folder, 'no', 'bucket')).href;
    await expect(openObjectStore(url)).rejects.toMatchObject({ code: 'store-refused', hint: /Create the parent directory/ });
    await writeFile(join(folder, 'file'), 'x');
    await expect(openObjectStore(pathToFileURL(join(folder, 'file')).href)).rejects.toMatchObject({ code: 'store-refused' });
  });

  it('follows a link to the bucket directory, so that locations name real paths', async () => {
    await symlink(root, join(folder, 'link'));
    const linked = await openObjectStore(pathToFileURL(join(folder, 'link')).href);
    expect(linked.location('k')).toBe(store.location('k'));
  });
});

describe('a bucket URL', () => {
  it.each([
    ['not a url', /not a URL/],
    ['ftp://host/x', /"ftp:" is not a kind of bucket/],
    ['file://host/x', /three slashes/],
    ['file:///', /root of the file system/],
    ['file:///x?y', /query/],
    ['s3://', /not a URL|names no bucket/],
    ['s3:///prefix', /not a URL|names no bucket/],
    ['s3://key:secret@bucket/x', /credentials/],
  ])('%s is refused with what is wrong', async (url, message) => {
    await expect(openObjectStore(url)).rejects.toMatchObject({
      code: 'config-invalid-value',
      message: expect.stringMatching(message) as string,
    });
  });

  it('with a secret in it is not repeated in the error', async () => {
    await expect(openObjectStore('s3://key:secret@bucket/x')).rejects.not.toThrow(/secret/);
  });
});
