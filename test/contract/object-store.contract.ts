/** What every object store does alike. Run against memory, a directory, and a real S3 server. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isLakeError, MiB, systemRandom } from '../../src/kernel/index.js';
import { probeConditionalWrites, type ObjectInfo, type ObjectStore } from '../../src/objects/index.js';

export interface ContractSubject {
  /** A fresh, empty store. */
  open(): Promise<ObjectStore>;
  close?(): Promise<void>;
  /** Another client of the same place, written by others; keys are the store's. */
  readonly other?: OtherClient;
  /** A list of many keys is slow on a remote store; more than one page of S3 is 1,001. */
  readonly manyKeys: number;
}

export interface OtherClient {
  put(key: string, bytes: Buffer): Promise<void>;
  get(key: string): Promise<Buffer>;
  /** Keys below a prefix, in their order. */
  list(prefix: string): Promise<readonly string[]>;
  /** Begins an upload and leaves it unfinished. */
  leaveUnfinished(key: string): Promise<void>;
  /** Keys of uploads begun and not finished; `undefined` where the server does not tell. */
  unfinished(): Promise<readonly string[] | undefined>;
}

export function objectStoreContract(name: string, subject: () => ContractSubject): void {
  describe(`${name} as an object store`, () => {
    let store: ObjectStore;
    let folder: string;
    let current: ContractSubject;

    beforeAll(async () => {
      current = subject();
      folder = await mkdtemp(join(tmpdir(), 'thermocline-store-'));
      store = await current.open();
    });
    afterAll(async () => {
      await store?.close();
      await current.close?.();
      await rm(folder, { recursive: true, force: true });
    });

    const keys = async (prefix: string): Promise<string[]> => (await collect(store.list(prefix))).map((info) => info.key);
    const code = async (work: Promise<unknown>): Promise<string> =>
      work.then(
        () => 'done',
        (error: unknown) => (isLakeError(error) ? error.code : `not a LakeError: ${String(error)}`),
      );

    it('gives back the bytes that were put, also none, and overwrites them', async () => {
      const bytes = randomBytes(100_000);
      await store.put('bytes/a', bytes);
      expect(await store.get('bytes/a')).toEqual(bytes);
      await store.put('bytes/a', Buffer.from('second'));
      expect((await store.get('bytes/a')).toString()).toBe('second');
      await store.put('bytes/empty', Buffer.alloc(0));
      expect(await store.get('bytes/empty')).toHaveLength(0);
    });

    it('puts a local file, in parts where it is large, and downloads it into a file that nobody may write', async () => {
      const bytes = randomBytes(33 * MiB + 5);
      const source = join(folder, 'source');
      await writeFile(source, bytes);
      await store.put('files/large', { path: source }, { ifAbsent: true });
      expect((await store.head('files/large'))?.bytes).toBe(bytes.length);
      const target = join(folder, 'target');
      expect(await store.download('files/large', target)).toBe(bytes.length);
      expect(bytes.equals(await readFile(target))).toBe(true);
      expect((await stat(target)).mode & 0o777).toBe(0o444);
      expect(await code(store.put('files/large', { path: source }, { ifAbsent: true }))).toBe('object-exists');
      expect(bytes.subarray(16 * MiB - 3, 16 * MiB + 3)).toEqual(
        await store.get('files/large', { range: { start: 16 * MiB - 3, end: 16 * MiB + 3 } }),
      );
    });

    it.each([0, 1, 16 * MiB, 16 * MiB + 1])(
      'keeps every byte at the edges of parts, put from a file and from memory: %d bytes',
      async (size) => {
        const bytes = randomBytes(size);
        const source = join(folder, 'edge');
        await writeFile(source, bytes);
        await store.put('edges/file', { path: source });
        await store.put('edges/memory', bytes);
        for (const key of ['edges/file', 'edges/memory']) {
          expect((await store.head(key))?.bytes).toBe(size);
          expect(bytes.equals(await store.get(key))).toBe(true);
        }
      },
    );

    it('takes many at once, each by its own key', async () => {
      const all = Array.from({ length: 100 }, (_, index) => `at-once/${index}`);
      await Promise.all(all.map((key) => store.put(key, Buffer.from(key))));
      expect((await Promise.all(all.map((key) => store.get(key)))).map(String)).toEqual(all);
      await Promise.all(all.map((key) => store.delete(key)));
      expect(await keys('at-once/')).toEqual([]);
    });

    it('shows an object that is overwritten while it is read as it was or as it is, never in part', async () => {
      const versions = [Buffer.alloc(300_000, 'a'), Buffer.alloc(200_000, 'b')];
      await store.put('changing', versions[0]!);
      const writing = (async () => {
        for (let round = 1; round < 20; round++) await store.put('changing', versions[round % 2]!);
      })();
      for (let round = 0; round < 20; round++) {
        const seen = await store.get('changing');
        expect(versions.some((version) => version.equals(seen))).toBe(true);
      }
      await writing;
    });

    it('goes on listing while objects come and go', async () => {
      const stay = Array.from({ length: 30 }, (_, index) => `moving/${String(index).padStart(3, '0')}`);
      await Promise.all(stay.map((key) => store.put(key, Buffer.from('x'))));
      const churn = (async () => {
        for (let round = 0; round < 10; round++) {
          await store.put('moving/015x', Buffer.from('x'));
          await store.delete('moving/015x');
        }
      })();
      for (let round = 0; round < 10; round++) {
        expect((await keys('moving/')).filter((key) => key !== 'moving/015x')).toEqual(stay);
      }
      await churn;
    });

    it('takes keys of many alphabets and lengths as they are', async () => {
      const names = [
        'names/a b',
        'names/ü/日本',
        'names/p=0/00000000000000000000-00000000000000000009-x.parquet',
        `names/${'l'.repeat(200)}`,
      ];
      for (const key of names) await store.put(key, Buffer.from(key));
      for (const key of names) expect((await store.get(key)).toString()).toBe(key);
      expect(new Set(await keys('names/'))).toEqual(new Set(names));
    });

    it('does not download over a file that is there', async () => {
      await store.put('files/small', Buffer.from('new'));
      const target = join(folder, 'taken');
      await writeFile(target, 'kept');
      await expect(store.download('files/small', target)).rejects.toThrow();
      expect(await readFile(target, 'utf8')).toBe('kept');
    });

    it('leaves no file behind where a download fails', async () => {
      const target = join(folder, 'nothing');
      expect(await code(store.download('files/none', target))).toBe('object-missing');
      await expect(stat(target)).rejects.toThrow('ENOENT');
    });

    it('reads ranges, cut at the end of the object', async () => {
      await store.put('range', Buffer.from('0123456789'));
      const read = async (start: number, end: number): Promise<string> => (await store.get('range', { range: { start, end } })).toString();
      expect(await read(0, 4)).toBe('0123');
      expect(await read(4, 10)).toBe('456789');
      expect(await read(8, 100)).toBe('89');
      expect(await read(10, 20)).toBe('');
      expect(await read(50, 60)).toBe('');
    });

    it('stores only what is absent when asked to, and keeps what is there', async () => {
      await store.put('once', Buffer.from('first'), { ifAbsent: true });
      expect(await code(store.put('once', Buffer.from('second'), { ifAbsent: true }))).toBe('object-exists');
      expect((await store.get('once')).toString()).toBe('first');
      await store.delete('once');
      await store.put('once', Buffer.from('third'), { ifAbsent: true });
      expect((await store.get('once')).toString()).toBe('third');
    });

    it('lets exactly one of many racing writers win, whose bytes are what is stored', async () => {
      for (let round = 0; round < 5; round++) {
        const key = `race/${round}`;
        const outcomes = await Promise.all(
          Array.from({ length: 20 }, (_, writer) => code(store.put(key, Buffer.from(`writer ${writer}`), { ifAbsent: true }))),
        );
        expect(outcomes.filter((outcome) => outcome === 'done')).toHaveLength(1);
        expect(outcomes.filter((outcome) => outcome === 'object-exists')).toHaveLength(19);
        expect((await store.get(key)).toString()).toBe(`writer ${outcomes.indexOf('done')}`);
      }
    });

    it('lets exactly one of racing writers win whose objects go in parts, whole or large', async () => {
      const large = (writer: number): Buffer => Buffer.alloc(17 * MiB, writer);
      const small = (writer: number): Buffer => Buffer.from([writer]);
      for (const [key, body, inParts] of [
        ['race/large', large, false],
        ['race/parts', small, true],
      ] as const) {
        const outcomes = await Promise.all([1, 2, 3].map((writer) => code(store.put(key, body(writer), { ifAbsent: true, inParts }))));
        expect([...outcomes].sort()).toEqual(['done', 'object-exists', 'object-exists']);
        expect((await store.get(key))[0]).toBe(outcomes.indexOf('done') + 1);
      }
    });

    it('passes the probe of its conditional writes, which leaves nothing behind', async () => {
      await probeConditionalWrites(store, systemRandom, { rounds: 2 });
      expect(await keys('cluster/probe')).toEqual([]);
      expect((await current.other?.unfinished()) ?? []).toEqual([]);
    });

    it('is read by another client as it was written, and reads what that one wrote', async () => {
      const { other } = current;
      if (other === undefined) return;
      const bodies: [string, Buffer][] = [
        ['shared/small', randomBytes(1000)],
        ['shared/large', randomBytes(20 * MiB)],
      ];
      for (const [key, bytes] of bodies) {
        await store.put(key, bytes, { ifAbsent: true });
        expect(bytes.equals(await other.get(key))).toBe(true);
        await other.put(`${key}-theirs`, bytes);
        expect(bytes.equals(await store.get(`${key}-theirs`))).toBe(true);
        expect(await code(store.put(`${key}-theirs`, Buffer.from('ours'), { ifAbsent: true }))).toBe('object-exists');
      }
      expect(await other.list('shared/')).toEqual(await keys('shared/'));
    });

    it('removes what was begun and never finished once it is old enough, and nothing else', async () => {
      const { other } = current;
      await store.put('finished', Buffer.from('x'));
      await other?.leaveUnfinished('never/finished');
      expect(await store.removeUnfinished(60_000)).toBe(0);
      const before = await other?.unfinished();
      // Not every server tells of them; MinIO removes them itself.
      expect(await store.removeUnfinished(-60_000)).toBe(before?.length ?? 0);
      if (before !== undefined) expect(await other?.unfinished()).toEqual([]);
      expect((await store.get('finished')).toString()).toBe('x');
    });

    it('answers head and get for what is missing', async () => {
      expect(await store.head('missing/object')).toBeNull();
      expect(await code(store.get('missing/object'))).toBe('object-missing');
      await store.put('folder/inner', Buffer.from('x'));
      expect(await store.head('folder')).toBeNull();
      expect(await code(store.get('folder'))).toBe('object-missing');
    });

    it('deletes, also what is not there, and a folder is no object', async () => {
      await store.put('gone/a', Buffer.from('x'));
      await store.put('gone/b', Buffer.from('x'));
      await store.delete('gone/a');
      await store.delete('gone/a');
      await store.delete('gone');
      expect(await keys('gone/')).toEqual(['gone/b']);
    });

    it('lists by prefix in the order of UTF-8 bytes, a folder between its neighbours', async () => {
      const put = ['o/a', 'o/a-b', 'o/a/1', 'o/a.b', 'o/ab', 'o/B', 'o/a0', 'o/é', 'o/z'].filter((key) => key !== 'o/a');
      for (const key of put) await store.put(key, Buffer.from(key));
      expect(await keys('o/')).toEqual(['o/B', 'o/a-b', 'o/a.b', 'o/a/1', 'o/a0', 'o/ab', 'o/z', 'o/é']);
      expect(await keys('o/a')).toEqual(['o/a-b', 'o/a.b', 'o/a/1', 'o/a0', 'o/ab']);
      expect(await keys('o/a/')).toEqual(['o/a/1']);
      expect(await keys('o/nothing')).toEqual([]);
      expect(await keys('nowhere/at/all')).toEqual([]);
      const [first] = await collect(store.list('o/B'));
      expect(first).toMatchObject({ key: 'o/B', bytes: 3 });
      expect(first?.lastModifiedMs).toBeGreaterThan(1e12);
    });

    it('lists more keys than one page holds, each once', async () => {
      const names = Array.from({ length: current.manyKeys }, (_, index) => `many/${String(index).padStart(5, '0')}`);
      for (let at = 0; at < names.length; at += 50) {
        await Promise.all(names.slice(at, at + 50).map((key) => store.put(key, Buffer.from('x'))));
      }
      expect(await keys('many/')).toEqual(names);
    });

    it('refuses keys that leave the store or name nothing', async () => {
      for (const key of ['', '/absolute', '../up', 'a/../b', 'a//b', 'a/', './a', 'a\0b', 'a\\b', '.thermocline-tmp/x', 'k'.repeat(1025)]) {
        expect(await code(store.put(key, Buffer.from('x')))).toBe('request-invalid');
        expect(await code(store.get(key))).toBe('request-invalid');
      }
      expect(await code(collect(store.list('../')))).toBe('request-invalid');
    });

    it('ends with the reason of a signal that is aborted', async () => {
      const reason = new Error('enough');
      const signal = AbortSignal.abort(reason);
      await expect(store.put('aborted', Buffer.from('x'), { signal })).rejects.toBe(reason);
      await expect(store.get('range', { signal })).rejects.toBe(reason);
      await expect(collect(store.list('o/', signal))).rejects.toBe(reason);
      expect(await store.head('aborted')).toBeNull();
    });

    it('names locations below its url', () => {
      expect(store.location('a/b').endsWith('/a/b')).toBe(true);
      expect(store.location('a/b').split(':')[0]).toBe(store.url.split(':')[0]);
    });
  });
}

async function collect(list: AsyncIterable<ObjectInfo>): Promise<ObjectInfo[]> {
  const all: ObjectInfo[] = [];
  for await (const info of list) all.push(info);
  return all;
}
