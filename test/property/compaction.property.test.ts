/**
 * Compaction against a model: whatever the keys, batches, codecs and the room for keys, the last of each key stays as it was and nothing
 * else of it; and a death at any call of the disk, with or without a power cut, leaves a log that holds this or what was there before.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Disk, writeWholeSync } from '../../src/kernel/index.js';
import { compactSegments, type CompactionJob } from '../../src/log/compact-segments.js';
import { finishSwaps, swapSegmentsSync } from '../../src/log/compaction-swap.js';
import { fsyncDirectorySync } from '../../src/log/durable-file.js';
import { offsetFile, offsetOfFile, suffixes } from '../../src/log/log-files.js';
import { idleFilesMax, OpenFiles } from '../../src/log/segment-file.js';
import {
  batchAt,
  batchBaseOffset,
  batchLastOffset,
  batchProducerId,
  type CompressionCodec,
  patchBatch,
  walkBatches,
} from '../../src/wire/index.js';
import { SimDisk } from '../sim/disk.js';
import { ProcessIsDead, SimProcess } from '../sim/process.js';
import { Scheduler } from '../sim/scheduler.js';
import { keyed, type KeyedRecord, leftIn } from '../unit/log/compaction-world.js';

const directory = '/log/flights-0';
const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const satisfies readonly CompressionCodec[];

const recordOf: fc.Arbitrary<KeyedRecord> = fc.record({
  key: fc.oneof({ weight: 12, arbitrary: fc.nat(9).map((n) => `k${n}`) }, { weight: 1, arbitrary: fc.constant(null) }),
  value: fc.oneof({ weight: 4, arbitrary: fc.string({ maxLength: 12 }) }, { weight: 1, arbitrary: fc.constant(null) }),
  timestampMs: fc.integer({ min: -1, max: 2000 }),
});

interface BatchPlan {
  readonly records: readonly KeyedRecord[];
  readonly compression: CompressionCodec;
  /** −1: none. */
  readonly producer: number;
  readonly endsSegment: boolean;
}

const batchPlan: fc.Arbitrary<BatchPlan> = fc.record({
  records: fc.array(recordOf, { minLength: 1, maxLength: 5 }),
  compression: fc.constantFrom(...codecs),
  producer: fc.integer({ min: -1, max: 2 }),
  endsSegment: fc.nat(3).map((n) => n === 0),
});

const runPlan = fc.record({
  batches: fc.array(batchPlan, { minLength: 1, maxLength: 16 }),
  /** Keys that one pass has room for, nearly. */
  keys: fc.integer({ min: 2, max: 14 }),
  segmentBytes: fc.constantFrom(200, 600, 5000),
  deleteRetentionMs: fc.constantFrom(0, 1000),
});

type RunPlan = typeof runPlan extends fc.Arbitrary<infer T> ? T : never;

interface Written extends KeyedRecord {
  readonly offset: number;
}

class World {
  readonly scheduler: Scheduler;
  readonly disk: SimDisk;
  readonly written: Written[] = [];
  readonly batches = new Map<number, number>();
  readonly producers = new Map<bigint, number>();
  readonly plan: RunPlan;
  firstDirtyOffset = 0;

  constructor(plan: RunPlan, seed: number) {
    this.plan = plan;
    this.scheduler = new Scheduler(seed);
    this.disk = new SimDisk(this.scheduler);
    this.disk.mount(directory);
    const disk = this.alive();
    let segment: Buffer[] = [];
    let base = 0;
    let next = 0;
    const sequences = new Map<number, number>();
    plan.batches.forEach(({ records, compression, producer, endsSegment }, index) => {
      const baseSequence = sequences.get(producer) ?? 0;
      sequences.set(producer, baseSequence + records.length);
      const idempotent = producer < 0 ? {} : { producerId: BigInt(producer), producerEpoch: 3, baseSequence };
      const batch = keyed(records, { compression, ...idempotent });
      patchBatch(batch, 0, next, 7);
      segment.push(batch);
      records.forEach((record, i) => this.written.push({ ...record, offset: next + i }));
      this.batches.set(next, next + records.length - 1);
      next += records.length;
      if (producer >= 0) this.producers.set(BigInt(producer), next - 1);
      if (!endsSegment && index < plan.batches.length - 1) return;
      const fd = disk.openSync(`${directory}/${offsetFile(base, suffixes.log)}`, 'w');
      writeWholeSync(disk, fd, Buffer.concat(segment), 0);
      disk.fsyncSync(fd);
      disk.closeSync(fd);
      segment = [];
      base = next;
    });
    fsyncDirectorySync(disk, directory);
    // The active segment: there before the last is compacted, and nobody has synced its name by then.
    disk.closeSync(disk.openSync(`${directory}/${offsetFile(next, suffixes.log)}`, 'wx'));
  }

  get endOffset(): number {
    return this.written.length;
  }

  process(): SimProcess {
    return new SimProcess(this.scheduler, 'broker');
  }

  alive(): Disk {
    return this.disk.of(this.process());
  }

  /** The sealed segments as they are, which must follow on one another. */
  segments(disk: Disk): { baseOffset: number; nextOffset: number; bytes: Buffer }[] {
    const bases = disk.readdirSync(directory).flatMap((name) => offsetOfFile(name, suffixes.log) ?? []);
    let expected = 0;
    return bases
      .filter((base) => base < this.endOffset)
      .sort((a, b) => a - b)
      .map((baseOffset) => {
        const bytes = disk.readFileSync(`${directory}/${offsetFile(baseOffset, suffixes.log)}`);
        let nextOffset = baseOffset;
        walkBatches(bytes, (at) => {
          nextOffset = batchLastOffset(bytes, at) + 1;
        });
        expect(baseOffset).toBe(expected);
        expected = nextOffset;
        return { baseOffset, nextOffset, bytes };
      });
  }

  /** One pass; groups are swapped as they come. Errors: `ProcessIsDead`. */
  pass(disk: Disk, nowMs: number): number {
    const segments = this.segments(disk).map(({ baseOffset, nextOffset, bytes }) => ({
      baseOffset,
      nextOffset,
      bytes: bytes.length,
      lastAppendMs: nowMs,
      fd: disk.openSync(`${directory}/${offsetFile(baseOffset, suffixes.log)}`, 'r'),
    }));
    const job: CompactionJob = {
      directory,
      segments,
      firstDirtyOffset: this.firstDirtyOffset,
      nowMs,
      deleteRetentionMs: this.plan.deleteRetentionMs,
      segmentBytes: this.plan.segmentBytes,
      indexIntervalBytes: 100,
      keyTableBytes: this.plan.keys * 24,
      producers: this.producers,
    };
    const { cleanOffset } = compactSegments(
      disk,
      job,
      () => undefined,
      (group) => {
        if (group.isChanged) swapSegmentsSync(disk, { directory, baseOffset: group.baseOffset, nextOffset: group.nextOffset });
      },
    );
    expect(cleanOffset).toBeGreaterThan(this.firstDirtyOffset);
    this.firstDirtyOffset = cleanOffset;
    return cleanOffset;
  }

  round(disk: Disk, nowMs: number): void {
    this.firstDirtyOffset = 0;
    while (this.firstDirtyOffset < this.endOffset) this.pass(disk, nowMs);
  }

  /** What a start does first, in the simulated disk's own time. */
  async start(disk: Disk): Promise<void> {
    let isDone = false;
    const finished = finishSwaps(new OpenFiles(idleFilesMax, disk), directory).finally(() => {
      isDone = true;
    });
    await this.scheduler.run(() => isDone, this.scheduler.nowMs + 60_000);
    await finished;
  }

  /** What is there is as it was written, in order, in batches that were, and of each key at least the last. */
  check(disk: Disk): Written[] {
    const segments = this.segments(disk);
    expect(segments.at(-1)?.nextOffset).toBe(this.endOffset);
    const left = segments.flatMap(({ bytes }) => leftIn(bytes));
    let previous = -1;
    for (const { offset, header, ...rest } of left) {
      expect(offset).toBeGreaterThan(previous);
      previous = offset;
      const { offset: _offset, ...was } = this.written[offset] as Written;
      expect(rest).toEqual(was);
      expect(header).toBe(`h:${was.key ?? '-'}`);
    }
    const lastOfProducers = new Set<number>();
    for (const { bytes } of segments) {
      walkBatches(bytes, (at) => {
        expect(this.batches.get(batchBaseOffset(bytes, at))).toBe(batchLastOffset(bytes, at));
        expect(bytes.readInt32BE(at + batchAt.leaderEpoch)).toBe(7);
        const records = leftIn(Buffer.from(bytes.subarray(at, at + bytes.readInt32BE(at + 8) + 12)));
        const largest = Math.max(-1, ...records.map(({ timestampMs }) => timestampMs));
        expect(Number(bytes.readBigInt64BE(at + batchAt.maxTimestamp))).toBe(largest);
        if (this.producers.get(batchProducerId(bytes, at)) === batchLastOffset(bytes, at)) lastOfProducers.add(batchLastOffset(bytes, at));
      });
    }
    expect([...lastOfProducers].sort((a, b) => a - b)).toEqual([...this.producers.values()].sort((a, b) => a - b));
    const there = new Set(left.map(({ offset }) => offset));
    for (const last of this.lasts()) if (last.value !== null) expect(there).toContain(last.offset);
    return left;
  }

  lasts(): Written[] {
    const lasts = new Map<string, Written>();
    for (const record of this.written) if (record.key !== null) lasts.set(record.key, record);
    return [...lasts.values()].sort((a, b) => a.offset - b.offset);
  }
}

it('leaves the last of each key, and tombstones until their time', () => {
  fc.assert(
    fc.property(runPlan, (plan) => {
      const world = new World(plan, 1);
      const disk = world.alive();
      world.round(disk, 10_000);
      const offsets = world.check(disk).map(({ offset }) => offset);
      const lasts = world.lasts();
      const isKept = plan.deleteRetentionMs > 0;
      if (isKept) expect(offsets).toEqual(lasts.map(({ offset }) => offset));
      else for (const offset of offsets) expect(lasts.map((last) => last.offset)).toContain(offset);
      // Once more before their time, and then after it.
      world.round(disk, 10_000 + plan.deleteRetentionMs - 1);
      if (isKept) expect(world.check(disk).map(({ offset }) => offset)).toEqual(offsets);
      world.round(disk, 10_000 + plan.deleteRetentionMs);
      expect(world.check(disk).map(({ offset }) => offset)).toEqual(
        lasts.filter(({ value }) => value !== null).map(({ offset }) => offset),
      );
    }),
    { numRuns: 60, seed: 20_261_126 },
  );
});

it('survives a death at any call of the disk, and a power cut then', async () => {
  await fc.assert(
    fc.asyncProperty(runPlan, fc.nat(1 << 20), async (plan, seed) => {
      const calls = (() => {
        const world = new World(plan, seed);
        const process = world.process();
        world.round(world.disk.of(process), 10_000);
        return process.portCalls;
      })();
      // Of each run a few of its calls; all kinds of them come in a hundred runs.
      for (let at = seed % 11; at < calls; at += 11) {
        for (const isPowerCut of [false, true]) {
          const world = new World(plan, seed + at);
          const process = world.process();
          process.death = { calls: at, when: at % 2 === 0 ? 'before' : 'after', die: () => process.kill() };
          expect(() => world.round(world.disk.of(process), 10_000)).toThrow(ProcessIsDead);
          if (isPowerCut) world.disk.powerCut();
          const again = world.alive();
          await world.start(again);
          expect(again.readdirSync(directory).filter((name) => !name.endsWith(suffixes.log))).toEqual([]);
          world.check(again);
          world.round(again, 10_000);
          const lasts = world.lasts().filter(({ value }) => value !== null || plan.deleteRetentionMs > 0);
          const left = world.check(again).filter(({ value }) => value !== null || plan.deleteRetentionMs > 0);
          expect(left.map(({ offset }) => offset)).toEqual(lasts.map(({ offset }) => offset));
        }
      }
    }),
    { numRuns: 12, seed: 20_261_127 },
  );
});
