import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type KeyedRow, lastRowOfKey, ReadAllowance } from '../../../src/columns/index.js';
import { isLakeError, MiB } from '../../../src/kernel/index.js';
import { encodeBatch } from '../../../src/wire/index.js';
import { ColumnFiles } from '../../support/column-files.js';

/** Three row groups of what DuckDB writes. */
const count = 5000;
const batchRecords = 500;
const keys = ['', 'a', 'b', 'ab', 'ba', 'key', 'yek'].map((text) => Buffer.from(text)).concat(Buffer.from([255, 0]));
/** Stand once each: before the first group's end, and in the last one. */
const rare = { early: Buffer.from('early'), late: Buffer.from('late!') };

const records = Array.from({ length: count }, (_, at) => {
  const hash = Math.imul(at + 1, 0x9e3779b1) >>> 8;
  const key = at === 100 ? rare.early : at === count - 10 ? rare.late : hash % 5 === 0 ? null : keys[hash % keys.length]!;
  const value = hash % 7 === 0 ? null : Buffer.from([hash & 255, 255, at & 255]);
  const headers = Array.from({ length: hash % 3 }, (_, n) => ({
    key: n === 1 ? Buffer.from([254]) : Buffer.from(`h${at % 4}`),
    value: hash % 2 === 0 ? null : Buffer.from(`${at}`),
  }));
  // Every second one is beyond what a column of times can hold.
  return { timestampMs: at % 2 === 0 ? at : 5e15 - at, key, value, headers };
});

let files: ColumnFiles;
let paths: Readonly<Record<'staged' | 'cold', string>>;
beforeAll(async () => {
  files = new ColumnFiles();
  const batches = Array.from({ length: count / batchRecords }, (_, at) =>
    encodeBatch({
      baseOffset: at * batchRecords,
      leaderEpoch: 1,
      records: records.slice(at * batchRecords, (at + 1) * batchRecords),
    }),
  );
  const staged = await files.stage(batches, { endOffset: count });
  paths = { staged: staged.path, cold: (await files.encode([staged])).path };
});
afterAll(() => files.close());

const find = (path: string, key: Buffer, from = 0, end = count, bytes = 64 * MiB): KeyedRow | 'too-large' | undefined =>
  lastRowOfKey(path, { key, from, end }, new ReadAllowance(bytes));

function wanted(key: Buffer, from: number, end: number): KeyedRow | undefined {
  for (let offset = Math.min(end, count) - 1; offset >= from; offset--) {
    const { key: own, ...record } = records[offset]!;
    if (own?.equals(key) === true) return { partition: 3, offset, ...record };
  }
  return undefined;
}

describe.each(['staged', 'cold'] as const)('the last row of a key in a %s file', (kind) => {
  it('is that of the records, within whatever bounds', () => {
    const froms = [0, 100, 101, 2048, 4990];
    for (const [turn, key] of [...keys, ...Object.values(rare), Buffer.from('nobody')].entries()) {
      // Each key meets each end, with one of the starts; each end meets each start.
      for (const end of [0, 1, 99, 101, 2047, 2048, 2049, 4096, 4097, count - 9, count, count + 5]) {
        const from = froms[turn % froms.length]!;
        expect(find(paths[kind], key, from, end)).toEqual(wanted(key, from, end));
      }
    }
  });

  it('is not looked for where more would be read than is allowed', () => {
    expect(find(paths[kind], rare.early, 0, count, 100)).toBe('too-large');
    // Enough for the keys, but not for a row.
    expect(find(paths[kind], Buffer.from('nobody'), 0, count, 60_000)).toBeUndefined();
    expect(find(paths[kind], rare.early, 0, count, 60_000)).toBe('too-large');
  });
});

it('tells what is damaged', () => {
  const whole = readFileSync(paths.cold);
  const path = files.path('damaged.parquet');
  let told = 0;
  for (let at = 4; at < whole.length; at += 389) {
    const bytes = Buffer.from(whole);
    bytes[at]! ^= 0x55;
    writeFileSync(path, bytes);
    try {
      find(path, rare.early);
    } catch (error) {
      expect(isLakeError(error, 'cold-corrupt'), String(error)).toBe(true);
      told++;
    }
  }
  expect(told).toBeGreaterThan(10);
});
