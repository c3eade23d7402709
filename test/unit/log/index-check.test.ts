// What an index file may not say of a segment, whatever the interval of its entries.
import { describe, expect, it } from 'vitest';
import { IndexCheck } from '../../../src/log/index-check.js';
import { SegmentIndexes } from '../../../src/log/segment-indexes.js';

interface Batch {
  readonly position: number;
  readonly bytes: number;
  readonly lastOffset: number;
  readonly maxTimestampMs: number;
}

const base = 1000;
const times = [5, 3, 9, 9, 40, -1, 41, 2];
const batches: readonly Batch[] = times.map((maxTimestampMs, i) => ({
  position: i * 100,
  bytes: 100,
  lastOffset: base + i * 3 + 2,
  maxTimestampMs,
}));

function written(intervalBytes: number, of = batches): { offsets: Buffer; times: Buffer } {
  const indexes = new SegmentIndexes(base);
  for (const { position, bytes, lastOffset, maxTimestampMs } of of)
    indexes.note(position, bytes, lastOffset, maxTimestampMs, intervalBytes);
  indexes.finish();
  return { offsets: Buffer.from(indexes.offsets.bytes), times: Buffer.from(indexes.times.bytes) };
}

function said(bytes: { readonly offsets: Buffer; readonly times: Buffer }, of = batches): string | undefined {
  const check = new IndexCheck(base, bytes);
  for (const { position, lastOffset, maxTimestampMs } of of) check.note(position, lastOffset, maxTimestampMs);
  return check.end();
}

describe('index files', () => {
  it.each([0, 50, 150, 250, 10_000])('that were written with an entry each %d bytes agree with their batches', (intervalBytes) => {
    expect(said(written(intervalBytes))).toBeUndefined();
  });

  it('of records without a time above -1 agree with them', () => {
    const timeless = batches.map((one) => ({ ...one, maxTimestampMs: -1 }));
    expect(said(written(50, timeless), timeless)).toBeUndefined();
  });

  it('do not agree when any byte of them is another one', () => {
    const good = written(50);
    expect([good.offsets.length, good.times.length]).toEqual([7 * 8, 4 * 12]);
    for (const kind of ['offsets', 'times'] as const) {
      for (let at = 0; at < good[kind].length; at++) {
        for (const mask of [0x01, 0x80]) {
          const wrong = { ...good, [kind]: Buffer.from(good[kind]) };
          wrong[kind][at]! ^= mask;
          expect(said(wrong), `${kind} ${at} ${mask}`).toMatch(kind === 'offsets' ? /its offset index/ : /its time index/);
        }
      }
    }
  });

  it('do not agree when they are cut within an entry, go on behind the batches, or lack the largest time', () => {
    const good = written(50);
    expect(said({ ...good, offsets: good.offsets.subarray(0, -3) })).toBe('its offset index goes on behind its last batch');
    expect(said({ ...good, times: Buffer.concat([good.times, Buffer.alloc(12, 0x7f)]) })).toBe(
      'its time index goes on behind its last batch',
    );
    expect(said({ ...good, times: good.times.subarray(0, -12) })).toBe('its time index lacks the largest time of its batches');
    expect(said({ ...good, times: Buffer.alloc(0) })).toBe('its time index lacks the largest time of its batches');
  });
});
