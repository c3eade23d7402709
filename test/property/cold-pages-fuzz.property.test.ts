// Damaged pages of cold files, thousands of them, through the reader whose loops are compiled.
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isLakeError } from '../../src/kernel/index.js';
import { ColumnFiles, someHeaders } from '../support/column-files.js';

let files: ColumnFiles;
beforeAll(() => {
  files = new ColumnFiles();
});
afterAll(() => files.close());

describe('rows of a cold file', () => {
  it('of damaged pages are refused or other rows: no byte outside of them is read, whatever lengths, levels and indexes say', async () => {
    // Not compressed, so that each byte of a page can be anything.
    const path = await files.writeBase(
      {
        _timestamp: 'make_timestamptz(i * 1000)',
        _key: "CASE WHEN i % 7 = 0 THEN NULL ELSE ('key ' || (i % 20)::VARCHAR)::BLOB END",
        _value: "CASE WHEN i % 9 = 0 THEN NULL ELSE repeat('v', (i % 50)::INTEGER)::BLOB END",
        _headers: someHeaders,
      },
      'PARQUET_VERSION v2, COMPRESSION uncompressed',
    );
    const bytes = readFileSync(path);
    const footerAt = bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8);
    const damaged = files.path('damaged.parquet');
    const lastOffset = 9998 + 4 * 7;
    let [refused, read] = [0, 0];
    const change = (at: number, to: number): void => {
      const copy = Buffer.from(bytes);
      copy[at] = to;
      writeFileSync(damaged, copy);
      try {
        files.rebuild(damaged, { baseOffset: 0, lastOffset });
        read++;
      } catch (error) {
        if (!isLakeError(error, 'cold-corrupt')) throw error;
        refused++;
      }
    };
    for (let at = 4; at < footerAt; at += 1 + (at % 97)) for (const to of [0, 0x7f, 0xff]) change(at, to);
    expect(refused).toBeGreaterThan(100);
    expect(read).toBeGreaterThan(100);
  });
});
