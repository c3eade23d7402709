import * as fs from 'node:fs';
import { expect, it } from 'vitest';
import { OpenFiles, SegmentFile } from '../../../src/log/segment-file.js';
import { IndexCache, Segment } from '../../../src/log/segment.js';
import { offsetEntryBytes } from '../../../src/log/sparse-index.js';
import { batchRecordsCount, patchBatch } from '../../../src/wire/index.js';
import { batch, temporaryFolder } from './hot-world.js';

const options = { nowMs: 1, indexIntervalBytes: 1 };

/** Appends a batch of so many records. */
function append(segment: Segment, timestampMs: number, count = 1): void {
  const bytes = batch({ timestampMs, count });
  const position = segment.bytes;
  const lastOffset = segment.nextOffset + batchRecordsCount(bytes, 0) - 1;
  patchBatch(bytes, 0, segment.nextOffset, 0);
  segment.file.appendSync(bytes);
  segment.note(position, bytes.length, lastOffset, timestampMs, 1);
}

it('knows its largest timestamp after a kill between the writes of its two index files', async () => {
  for (const writes of [0, 1, 2]) {
    const dir = await temporaryFolder();
    const ports = { openFiles: new OpenFiles(), indexCache: new IndexCache() };
    const segment = Segment.createSync(dir, 0, ports, options);
    segment.file.retain();
    append(segment, 100);
    append(segment, 200);
    const write = async (path: string, bytes: Uint8Array): Promise<void> => fs.writeFileSync(path, bytes);
    await segment.saveIndexes(write);
    // The largest is before the batch that the last entry of the offset index names.
    for (const timestampMs of [900, 300, 400]) append(segment, timestampMs);
    let left = writes;
    const killed = segment.saveIndexes(async (path, bytes) => {
      if (left-- === 0) throw new Error('killed');
      await write(path, bytes);
    });
    await (writes === 2 ? killed : expect(killed).rejects.toThrow('killed'));
    const again = new Segment(dir, 0, new SegmentFile(segment.file.path, segment.bytes, ports.openFiles), ports, options);
    again.file.retain();
    expect(await again.openIndexed()).toBe(true);
    expect(again).toMatchObject({ nextOffset: 5, maxTimestampMs: 900, maxTimestampOffset: 2 });
    for (const { file } of [segment, again]) {
      file.giveUp();
      file.release();
    }
  }
});

it('is read whole after a kill before its offset index was written for the first time', async () => {
  const dir = await temporaryFolder();
  const ports = { openFiles: new OpenFiles(), indexCache: new IndexCache() };
  const segment = Segment.createSync(dir, 0, ports, options);
  segment.file.retain();
  for (const timestampMs of [900, 300, 400]) append(segment, timestampMs);
  const killed = segment.saveIndexes(async (path, bytes) => {
    if (path.endsWith('.index')) throw new Error('killed');
    fs.writeFileSync(path, bytes);
  });
  await expect(killed).rejects.toThrow('killed');
  const again = new Segment(dir, 0, new SegmentFile(segment.file.path, segment.bytes, ports.openFiles), ports, options);
  again.file.retain();
  expect(await again.openIndexed()).toBe(false);
  for (const { file } of [segment, again]) {
    file.giveUp();
    file.release();
  }
});

it('does not believe a time that its time index does not know where the batch that has it is damaged', async () => {
  const dir = await temporaryFolder();
  const ports = { openFiles: new OpenFiles(), indexCache: new IndexCache() };
  const segment = Segment.createSync(dir, 0, ports, options);
  segment.file.retain();
  for (const timestampMs of [100, 200]) append(segment, timestampMs);
  await segment.saveIndexes(async (path, bytes) => fs.writeFileSync(path, bytes));
  const { path } = segment.file;
  const open = async (): Promise<boolean> => {
    const again = new Segment(dir, 0, new SegmentFile(path, segment.bytes, ports.openFiles), ports, options);
    again.file.retain();
    const isOpen = await again.openIndexed();
    again.file.giveUp();
    again.file.release();
    return isOpen;
  };
  expect(await open()).toBe(true);
  // The largest time of the last batch.
  const bytes = fs.readFileSync(path);
  bytes[12 + bytes.readInt32BE(8) + 37]! ^= 1;
  fs.writeFileSync(path, bytes);
  expect(await open()).toBe(false);
  segment.file.giveUp();
  segment.file.release();
});

/** A segment at 100 of batches of ten offsets, with an index entry for each but the first, and its index file. */
async function indexed(batches: number): Promise<{ readonly segment: Segment; readonly reopened: () => Promise<Segment> }> {
  const dir = await temporaryFolder();
  const ports = { openFiles: new OpenFiles(), indexCache: new IndexCache() };
  const segment = Segment.createSync(dir, 100, ports, options);
  segment.file.retain();
  for (let i = 0; i < batches; i++) append(segment, i, 10);
  await segment.saveIndexes(async (path, bytes) => fs.writeFileSync(path, bytes));
  const reopened = async (): Promise<Segment> => {
    const again = new Segment(dir, 100, new SegmentFile(segment.file.path, segment.bytes, ports.openFiles), ports, options);
    again.file.retain();
    expect(await again.openIndexed()).toBe(true);
    return again;
  };
  return { segment, reopened };
}

it.each([
  ['the offset of an entry is lower', (entry: Buffer) => entry.writeInt32BE(entry.readInt32BE(0) - 7, 0)],
  ['the offset of an entry is higher', (entry: Buffer) => entry.writeInt32BE(entry.readInt32BE(0) + 7, 0)],
  ['the position of an entry is of the next batch', (entry: Buffer, bytes: number) => entry.writeInt32BE(entry.readInt32BE(4) + bytes, 4)],
  ['the position of an entry is of the one before', (entry: Buffer, bytes: number) => entry.writeInt32BE(entry.readInt32BE(4) - bytes, 4)],
])('leads behind no batch that is looked for, and has a right index once it was read, where %s', async (_what, alter) => {
  const { segment, reopened } = await indexed(12);
  const right = await Promise.all(Array.from({ length: 120 }, (_none, i) => segment.locate(100 + i)));
  const indexPath = segment.file.path.replace(/\.log$/, '.index');
  const bytes = fs.readFileSync(indexPath);
  expect(bytes.length).toBe(11 * offsetEntryBytes);
  const entries = Array.from({ length: 11 }, (_none, i) => bytes.subarray(i * offsetEntryBytes, (i + 1) * offsetEntryBytes));
  alter(entries[4]!, segment.bytes / 12);
  // Without its neighbours, so that the entries still ascend.
  fs.writeFileSync(indexPath, Buffer.concat(entries.filter((_entry, i) => i !== 3 && i !== 5)));
  const again = await reopened();
  let damaged = 0;
  for (let i = 0; i < 120; i++) {
    const found = await again.locate(100 + i).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'log-damaged' });
      damaged++;
      return right[i];
    });
    expect(found).toBe(right[i]);
  }
  expect(damaged).toBeGreaterThan(0);
  const verifying = again.verify();
  append(again, 12, 10);
  append(again, 20, 10);
  expect(await verifying).toMatchObject({ fault: undefined });
  for (let i = 0; i < 120; i++) expect(await again.locate(100 + i)).toBe(right[i]);
  expect([await again.locate(220), await again.locate(239)]).toEqual([segment.bytes, (segment.bytes / 12) * 13]);
  expect(again).toMatchObject({ nextOffset: 240, maxTimestampMs: 20, maxTimestampOffset: 239 });
  expect((await again.indexes()).offsets.bytes).toHaveLength(13 * offsetEntryBytes);
  for (const { file } of [segment, again]) {
    file.giveUp();
    file.release();
  }
});

it('is whole where it is appended to and rolls while it is read', async () => {
  const { segment } = await indexed(3);
  const verifying = segment.verify();
  append(segment, 3, 10);
  segment.seal();
  expect(await verifying).toMatchObject({ fault: undefined });
  const { offsets, times } = await segment.indexes();
  expect([segment.nextOffset, offsets.lastOffset, times.lastTimestamp]).toEqual([140, 139, 3]);
  segment.file.giveUp();
  segment.file.release();
});
