import * as fs from 'node:fs';
import { expect, it } from 'vitest';
import { OpenFiles, SegmentFile } from '../../../src/log/segment-file.js';
import { IndexCache, Segment } from '../../../src/log/segment.js';
import { batchRecordsCount, patchBatch } from '../../../src/wire/index.js';
import { batch, temporaryFolder } from './hot-world.js';

const options = { nowMs: 1, indexIntervalBytes: 1 };

/** Appends a batch that ends at the offset. */
function append(segment: Segment, timestampMs: number): void {
  const bytes = batch({ timestampMs });
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
