/**
 * The hot log against a model that is an array: whatever is appended, flushed, evicted, closed, or lost in a power cut, what was
 * flushed is there, in order and once, and nothing that was never appended.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { HotLog, LogConfig, PartitionLog } from '../../src/log/index.js';
import { batchBaseOffset, walkBatches } from '../../src/wire/index.js';
import {
  batch,
  clockAt,
  copyOf,
  looseConfig,
  openIn,
  partitionFolder,
  readAll,
  temporaryFolder,
  topic,
  topicKey,
} from '../unit/log/hot-world.js';

type Step =
  | { readonly kind: 'append'; readonly count: number; readonly bytes: number; readonly timestampMs: number }
  | { readonly kind: 'again' }
  | { readonly kind: 'flush' }
  | { readonly kind: 'restart' }
  | { readonly kind: 'power-cut'; readonly seed: number; readonly isTailGarbage: boolean }
  | { readonly kind: 'commit'; readonly share: number }
  | { readonly kind: 'delete-records'; readonly share: number }
  | { readonly kind: 'evict' }
  | { readonly kind: 'look'; readonly share: number; readonly maxBytes: number; readonly timestampMs: number };

const timestamps = fc.integer({ min: 0, max: 500 });
const share = fc.double({ min: 0, max: 1, noNaN: true });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      count: fc.integer({ min: 1, max: 6 }),
      bytes: fc.nat(200),
      timestampMs: timestamps,
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'again' as const }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'flush' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('power-cut' as const), seed: fc.nat(), isTailGarbage: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('commit' as const), share }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete-records' as const), share }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'evict' as const }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('look' as const),
      share,
      maxBytes: fc.integer({ min: 1, max: 4000 }),
      timestampMs: timestamps,
    }),
  },
);

const config: LogConfig = { ...looseConfig, segmentBytes: 1500, indexIntervalBytes: 150 };
const producerId = 7n;

interface ModelRecord {
  readonly value: string;
  readonly timestampMs: number;
}

class Run {
  dir = '';
  log: HotLog | undefined;
  partition: PartitionLog | undefined;
  records: ModelRecord[] = [];
  /** Sequence and offset of each of the producer's batches. */
  batches: { sequence: number; offset: number; count: number; bytes: Buffer }[] = [];
  boundary = 0;
  logStart = 0;
  appended = 0;

  get hot(): PartitionLog {
    return this.partition as PartitionLog;
  }

  async open(dir: string): Promise<void> {
    this.dir = dir;
    this.log = await openIn(dir, { clock: clockAt(1) });
    [this.partition] = await this.log.createPartitions(topic, topicKey, [0], config);
    expect(this.hot.offline).toBeUndefined();
  }

  append(count: number, bytes: number, timestampMs: number): void {
    const sequence = this.batches.reduce((sum, sent) => sum + sent.count, 0);
    const value = `${this.appended++} ${'x'.repeat(bytes)}`;
    const spread = Array.from({ length: count }, (_none, i) => timestampMs + ((i * 7) % 5));
    const made = batch({ timestamps: spread, value, producerId, producerEpoch: 0, baseSequence: sequence });
    const { baseOffset, lastOffset, isDuplicate } = this.hot.append(Buffer.from(made), 1);
    expect({ baseOffset, lastOffset, isDuplicate }).toEqual({
      baseOffset: this.records.length,
      lastOffset: this.records.length + count - 1,
      isDuplicate: false,
    });
    for (const each of spread) this.records.push({ value, timestampMs: each });
    this.batches.push({ sequence, offset: baseOffset, count, bytes: made });
  }

  again(): void {
    const last = this.batches.at(-1);
    if (last !== undefined)
      expect(this.hot.append(Buffer.from(last.bytes), 1)).toMatchObject({ baseOffset: last.offset, isDuplicate: true });
  }

  async powerCut(seed: number, isTailGarbage: boolean): Promise<void> {
    const { flushedOffset, leaderEpoch } = this.hot;
    const copy = await copyOf(this.dir);
    loseUnflushed(join(copy, partitionFolder), flushedOffset, seed, isTailGarbage);
    await (this.log as HotLog).close();
    await this.open(copy);
    const end = this.hot.logEndOffset;
    expect(end).toBeGreaterThanOrEqual(flushedOffset);
    expect(end).toBeLessThanOrEqual(this.records.length);
    expect(this.hot.leaderEpoch).toBeGreaterThan(leaderEpoch);
    this.records.length = end;
    this.batches = this.batches.filter((sent) => sent.offset < end);
    for (const sent of this.batches) expect(sent.offset + sent.count).toBeLessThanOrEqual(end);
  }

  async check(): Promise<void> {
    const { hot, records } = this;
    expect(hot.logEndOffset).toBe(records.length);
    expect(hot.boundary).toBe(Math.max(this.boundary, this.logStart));
    expect(hot.logStartOffset).toBe(this.logStart);
    expect(hot.localStartOffset).toBeGreaterThanOrEqual(this.logStart);
    expect(hot.localStartOffset).toBeLessThanOrEqual(Math.max(this.boundary, this.logStart));
    const wholeBelow = hot.hotBytes - hot.tailBytes;
    expect(hot.tailBytes).toBeGreaterThanOrEqual(0);
    if (hot.boundary === 0) expect(wholeBelow).toBe(0);
    const from = hot.localStartOffset;
    expect(await readAll(hot)).toEqual(records.slice(from).map(({ value }, i) => ({ offset: from + i, value })));
  }

  async look(part: number, maxBytes: number, timestampMs: number): Promise<void> {
    const { hot, records } = this;
    const from = Math.round(hot.localStartOffset + part * (records.length - hot.localStartOffset));
    const read = await readAll(hot, from, maxBytes);
    expect(read.map((record) => record.offset)).toEqual(records.slice(from).map((_record, i) => from + i));
    const expected = records.findIndex((record, offset) => offset >= from && record.timestampMs >= timestampMs);
    const found = await hot.offsetForTimestamp(timestampMs, from);
    expect(found?.offset ?? -1).toBe(expected);
    const largest = Math.max(...records.slice(hot.localStartOffset).map((record) => record.timestampMs));
    const first = records.findIndex((record, offset) => offset >= hot.localStartOffset && record.timestampMs === largest);
    expect((await hot.maxTimestamp())?.offset ?? -1).toBe(first);
  }

  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case 'append':
        return this.append(step.count, step.bytes, step.timestampMs);
      case 'again':
        return this.again();
      case 'flush':
        expect((await this.hot.flush()).flushedOffset).toBe(this.records.length);
        return;
      case 'restart': {
        const { leaderEpoch } = this.hot;
        await (this.log as HotLog).close();
        await this.open(this.dir);
        expect(this.hot.leaderEpoch).toBe(leaderEpoch);
        return;
      }
      case 'power-cut':
        return this.powerCut(step.seed, step.isTailGarbage);
      case 'commit': {
        const boundary = Math.floor(step.share * this.hot.flushedOffset);
        await this.hot.moveBoundary(boundary, 0);
        this.boundary = Math.max(this.boundary, boundary);
        return;
      }
      case 'delete-records': {
        const offset = Math.floor(step.share * this.records.length);
        this.logStart = Math.max(this.logStart, offset);
        expect(await this.hot.raiseLogStart(offset)).toBe(this.logStart);
        return;
      }
      case 'evict':
        await (this.log as HotLog).maintain(1, 0);
        return;
      case 'look':
        return this.look(step.share, step.maxBytes, step.timestampMs);
    }
  }
}

/** What a power cut may leave of bytes that no flush covered: any part of each file, and garbage behind it. */
function loseUnflushed(folder: string, flushedOffset: number, seed: number, isTailGarbage: boolean): void {
  let state = seed;
  const random = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x80000000;
  };
  for (const name of fs.readdirSync(folder)) {
    const path = join(folder, name);
    if (/index$|snapshot$/.test(name) && random() < 0.2) fs.rmSync(path);
    if (!name.endsWith('.log')) continue;
    const bytes = fs.readFileSync(path);
    let flushedBytes = 0;
    walkBatches(bytes, (at, size) => {
      if (batchBaseOffset(bytes, at) < flushedOffset) flushedBytes = at + size;
    });
    const kept = flushedBytes + Math.floor(random() * (bytes.length - flushedBytes + 1));
    const garbage =
      isTailGarbage && kept < bytes.length ? Buffer.alloc(Math.floor(random() * 200), Math.floor(random() * 256)) : Buffer.alloc(0);
    fs.writeFileSync(path, Buffer.concat([bytes.subarray(0, kept), garbage]));
  }
}

it('keeps what was flushed whatever happens', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
      const run = new Run();
      await run.open(join(await temporaryFolder(), 'log'));
      for (const step of steps) await run.take(step);
      await run.check();
      await (run.log as HotLog).close();
    }),
    { numRuns: 40 },
  );
});
