import { expect, it } from 'vitest';
import { SegmentIndexes } from '../../../src/log/segment-indexes.js';
import { OffsetIndex, TimeIndex } from '../../../src/log/sparse-index.js';

it('adds an entry to both indexes whenever more than the interval was written since the last', () => {
  const indexes = new SegmentIndexes(100);
  for (let i = 0; i < 10; i++) indexes.note(i * 50, 50, 100 + i, 1000 + i, 99);
  expect(indexes.offsets.count).toBe(4);
  expect(indexes.times.count).toBe(4);
  expect(indexes).toMatchObject({ nextOffset: 110, maxTimestampMs: 1009, maxTimestampOffset: 109 });
  indexes.finish();
  indexes.finish();
  expect(indexes.times.count).toBe(5);
});

it('finds the last entry at or below an offset, a position, a timestamp', () => {
  const offsets = new OffsetIndex(10);
  const times = new TimeIndex(10);
  for (let i = 1; i <= 500; i++) {
    offsets.append(10 + i * 3, i * 1000);
    times.appendIfLarger(i * 10, 10 + i * 3);
  }
  const looked = [10, 12, 13, 15, 16, 5000].map((offset) => offsets.lookup(offset));
  expect(looked.map((entry) => entry?.position)).toEqual([undefined, undefined, 1000, 1000, 2000, 500_000]);
  expect(looked.map((entry) => entry?.lastOffset)).toEqual([undefined, undefined, 13, 13, 16, 1510]);
  expect([0, 999, 1000, 1999, 9e9].map((position) => offsets.positionAtMost(position))).toEqual([0, 0, 1000, 1000, 500_000]);
  expect([-1, 9, 10, 19, 20, 9e9].map((timestampMs) => times.lookup(timestampMs))).toEqual([10, 10, 13, 13, 16, 1510]);
  const read = new OffsetIndex(10, Buffer.from(offsets.bytes));
  expect([read.count, read.lastPosition]).toEqual([500, 500_000]);
});

it('does not take for an index what a power cut may have left', () => {
  const offsets = new OffsetIndex(0);
  const times = new TimeIndex(0);
  for (let i = 1; i < 5; i++) {
    offsets.append(i, i * 100);
    times.appendIfLarger(i * 10, i);
  }
  expect([offsets.isPlausible(401), offsets.isPlausible(400)]).toEqual([true, false]);
  expect([times.isPlausible(5), times.isPlausible(4)]).toEqual([true, false]);
  expect(new OffsetIndex(0, Buffer.concat([offsets.bytes, Buffer.alloc(8)])).isPlausible(1000)).toBe(false);
  expect(new TimeIndex(0, Buffer.concat([times.bytes, Buffer.alloc(12)])).isPlausible(1000)).toBe(false);
  const twice = Buffer.concat([times.bytes, times.bytes.subarray(-12)]);
  twice.writeInt8(1, twice.length - 12);
  expect(new TimeIndex(0, twice).isPlausible(1000)).toBe(false);
});
