import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ColdFile } from '../../../src/lake/index.js';
import { FilterStore } from '../../../src/query/keys/filter-store.js';
import { hashOfDigits, hashOfKey, KeyFilter } from '../../../src/query/keys/key-filter.js';

const hex = (text: string): string => Buffer.from(text).toString('hex');
const filterOf = (keys: readonly string[]): KeyFilter =>
  KeyFilter.of(
    keys.map((key) => hashOfKey(hex(key))),
    keys.length,
  );
const range = (from: number, end: number): string[] => Array.from({ length: end - from }, (_, at) => `key ${from + at}`);

describe('a key filter', () => {
  it('holds every key it was made of, and few others, also when read back', () => {
    for (const count of [0, 1, 21, 10_000]) {
      const read = KeyFilter.decode(filterOf(range(0, count)).encode())!;
      expect(range(0, count).every((key) => read.mayHold(hashOfKey(hex(key))))).toBe(true);
      const wrong = range(count, count + 10_000).filter((key) => read.mayHold(hashOfKey(hex(key)))).length;
      expect(wrong).toBeLessThan(100);
    }
  });

  it('takes about twelve bits a key', () => {
    expect((filterOf(range(0, 10_000)).bytes * 8) / 10_000).toBeLessThan(12.2);
  });

  it('lets every key through where there were too many', () => {
    expect(KeyFilter.decode(KeyFilter.ofTooMany().encode())!.mayHold(hashOfKey('00'))).toBe(true);
  });

  it('hashes a key as the engine does', () => {
    const digits = createHash('sha256')
      .update(Buffer.from([0, 255]))
      .digest('hex')
      .slice(0, 16);
    expect(hashOfKey('00ff')).toEqual(hashOfDigits(digits));
  });

  it('is none where any byte is another', () => {
    const whole = filterOf(range(0, 100)).encode();
    for (let at = 0; at < whole.length; at++) {
      const damaged = Buffer.from(whole);
      damaged[at]! ^= 1;
      expect(KeyFilter.decode(damaged)).toBeUndefined();
    }
    for (let length = 0; length < whole.length; length++) expect(KeyFilter.decode(whole.subarray(0, length))).toBeUndefined();
  });
});

describe('the store of key filters', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'thermocline-filters-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const file = (key: string): ColdFile => ({ key, bytes: 1000 }) as unknown as ColdFile;
  const a = hashOfKey(hex('key 0'));

  it('gives back what it keeps, also to the service after', async () => {
    const store = await FilterStore.open(directory);
    expect(await store.load(file('x'))).toBeUndefined();
    await store.keep(file('x'), filterOf(['key 0']));
    const later = await FilterStore.open(directory);
    for (const one of [store, later]) {
      expect((await one.load(file('x')))?.mayHold(a)).toBe(true);
      expect(await one.load(file('y'))).toBeUndefined();
    }
    expect([later.files, later.bytes]).toEqual([1, 48]);
  });

  it('drops a filter that is damaged or gone, so that it is built again', async () => {
    await (await FilterStore.open(directory)).keep(file('x'), filterOf(['key 0']));
    const [name] = await readdir(directory);
    const whole = await readFile(join(directory, name!));
    for (const damage of [() => writeFile(join(directory, name!), whole.fill(1, 20)), () => rm(join(directory, name!))]) {
      const store = await FilterStore.open(directory);
      await store.keep(file('other'), filterOf(['key 1']));
      await store.keep(file('x'), filterOf(['key 0']));
      const next = await FilterStore.open(directory);
      await damage();
      expect(await next.load(file('x'))).toBeUndefined();
      expect([next.has(file('x')), next.has(file('other'))]).toEqual([false, true]);
    }
  });

  it('keeps within its bounds on disk and in memory, the ones used last', async () => {
    const store = await FilterStore.open(directory, 3 * 48, 48);
    for (const name of ['a', 'b', 'c']) await store.keep(file(name), filterOf(['key 0']));
    expect((await store.load(file('a')))?.mayHold(a)).toBe(true);
    await store.keep(file('d'), filterOf(['key 0']));
    expect(['a', 'b', 'c', 'd'].filter((name) => store.has(file(name)))).toEqual(['a', 'c', 'd']);
    expect([store.files, store.bytes, (await readdir(directory)).length]).toEqual([3, 144, 3]);
    expect((await FilterStore.open(directory, 48)).files).toBe(1);
  });

  it('has no room for more where all it has is in use, so that nothing is built for ever', async () => {
    const store = await FilterStore.open(directory, 96);
    expect(store.hasRoom).toBe(true);
    for (const name of ['a', 'b']) await store.keep(file(name), filterOf(['key 0']));
    expect(store.hasRoom).toBe(false);
    for (let look = 0; look <= 1000; look++) {
      store.beginLook();
      await store.load(file('a'));
    }
    // Nobody has asked for b since.
    expect(store.hasRoom).toBe(true);
    await store.keep(file('c'), filterOf(['key 0']));
    expect([store.has(file('a')), store.has(file('b')), store.hasRoom]).toEqual([true, false, false]);
  });

  it('takes nothing for a filter that is none', async () => {
    await writeFile(join(directory, 'left.0'), 'x');
    expect((await FilterStore.open(directory)).files).toBe(0);
    expect(await readdir(directory)).toEqual([]);
  });
});
