// Positions to read from, and records as files.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openParquetRecords, rowOf } from '../../../src/cli/consume/parquet-records.js';
import { offsetsText, positionOf, readResume, writeResume } from '../../../src/cli/consume/positions.js';
import { csvLine, jsonLine } from '../../../src/cli/consume/record-text.js';
import type { TopicId } from '../../../src/kernel/index.js';
import type { DecodedRecord } from '../../../src/wire/index.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'thermocline-consume-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function record(offset: number, more: Partial<DecodedRecord> = {}): DecodedRecord {
  return { offset, timestampMs: 1_000_000_000_000 + offset, key: null, value: Buffer.from('v'), headers: [], ...more } as DecodedRecord;
}

describe('positions', () => {
  it('are places, times and offsets by partition', () => {
    expect(positionOf('0:5,12:7')).toEqual({
      isEnd: false,
      position: {
        kind: 'offsets',
        offsets: new Map([
          [0, 5],
          [12, 7],
        ]),
      },
    });
    expect(positionOf('e@2001-03-04')).toEqual({ isEnd: true, position: { kind: 'time', ms: Date.parse('2001-03-04') } });
    for (const text of ['0:', ':5', '0:5,', '-3', 's@never']) expect(() => positionOf(text)).toThrow();
    expect(
      offsetsText(
        new Map([
          [10, 1],
          [2, 0],
        ]),
      ),
    ).toBe('2:0,10:1');
  });

  it('are left in a file for the next reading of the same topic', async () => {
    const path = join(folder, 'resume.json');
    const [id, other] = ['AAAAAAAAAAAAAAAAAAAAAA', 'BBBBBBBBBBBBBBBBBBBBBB'] as [TopicId, TopicId];
    expect(await readResume(path, 'orders', id)).toBeUndefined();
    await writeResume(path, 'orders', id, new Map([[0, 5]]));
    expect(await readResume(path, 'orders', id)).toEqual({ kind: 'offsets', offsets: new Map([[0, 5]]) });
    await expect(readResume(path, 'orders', other)).rejects.toMatchObject({ code: 'offset-out-of-range' });
    await writeFile(path, 'else');
    await expect(readResume(path, 'orders', id)).rejects.toMatchObject({ code: 'usage' });
  });
});

describe('records', () => {
  it('as CSV tell null from empty and quote what must be', () => {
    const full = record(1, { key: Buffer.from(''), value: Buffer.from('a,"b"\n'), headers: [{ key: 'h', value: null }] as never });
    expect(csvLine(full, 3)).toBe('3,1,2001-09-09T01:46:40.001Z,"","a,""b""\n","[{""key"":""h"",""value"":null}]"\n');
    expect(csvLine(record(2, { value: Buffer.from([255]) }), 0)).toBe('0,2,2001-09-09T01:46:40.002Z,,base64:/w==,\n');
    expect(JSON.parse(jsonLine(record(3), 1))).toMatchObject({ partition: 1, offset: 3, key: null, value: 'v', headers: [] });
  });

  it('as Parquet keep every field, and the file has its name when it is whole', async () => {
    const path = join(folder, 'x.parquet');
    const records = [
      record(0, {
        key: Buffer.from([0, 255]),
        headers: [
          { key: 'a', value: Buffer.from('1') },
          { key: 'a', value: null },
        ] as never,
      }),
      record(2 ** 53 - 2, { value: null, timestampMs: -1 }),
      record(2, { value: Buffer.alloc(0), timestampMs: 2 ** 53 - 1 }),
      record(3, { value: Buffer.alloc(40 * 1024 * 1024, 'x') }),
      record(4),
    ];
    const file = await openParquetRecords(path);
    await file.write(records, 7);
    expect(await readdir(folder)).not.toContain('x.parquet');
    await file.finish();
    const rows = await parquetReadObjects({ file: await asyncBufferFromFile(path), compressors, utf8: false });
    expect(rows).toHaveLength(5);
    expect(rows[0]).toMatchObject({ _partition_id: 7, _offset: 0n, _key: new Uint8Array([0, 255]) });
    expect(rows[0]!['_headers']).toEqual([
      { key: new Uint8Array(Buffer.from('a')), value: new Uint8Array(Buffer.from('1')) },
      { key: new Uint8Array(Buffer.from('a')), value: null },
    ]);
    expect(rows.map((row) => row['_offset'])).toEqual([0n, 2n ** 53n - 2n, 2n, 3n, 4n]);
    expect(rows.map((row) => (row['_value'] as Uint8Array | undefined)?.length)).toEqual([1, undefined, 0, 40 * 1024 * 1024, 1]);
    expect((rows[1]!['_timestamp'] as Date).getTime()).toBe(-1);
    expect([rows[2]!['_timestamp'], rows[2]!['_timestamp_raw']]).toEqual([null, 2n ** 53n - 1n]);
    const discarded = await openParquetRecords(join(folder, 'y.parquet'));
    await discarded.write(records.slice(0, 1), 0);
    await discarded.discard();
    expect((await readdir(folder)).filter((name) => name.includes('y.parquet'))).toEqual([]);
    await expect(openParquetRecords(join(folder, 'no', 'z.parquet'))).rejects.toMatchObject({ code: 'usage' });
  });

  it('are never given to the Parquet library with a number it would round', () => {
    expect(() => rowOf(record(2 ** 53), 0)).toThrow(/holds exactly/);
    expect(() => rowOf(record(1.5), 0)).toThrow(/holds exactly/);
  });
});
