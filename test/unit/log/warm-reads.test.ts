import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Clock, KiB, MiB, minuteMs, secondMs, systemDisk } from '../../../src/kernel/index.js';
import { OpenFiles, SegmentFile } from '../../../src/log/segment-file.js';
import { WarmReads } from '../../../src/log/warm-reads.js';
import { temporaryFolder } from './hot-world.js';

const memoryMsPerMiB = 0.125;
const diskMsPerMiB = 40;

function failing(): never {
  throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
}

/** Reads that take their time of a clock by hand. */
function reading() {
  let nowMs = 0;
  const clock: Clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: () => Promise.reject(new Error('nobody sleeps')) };
  const reads = new WarmReads(clock);
  const pieces: number[] = [];
  return {
    pieces,
    pass: (ms: number): void => void (nowMs += ms),
    /** Answers how many bytes came at once. */
    read: (bytes: number, msPerMiB: number, available = bytes): number =>
      reads.read(bytes, (at, wanted) => {
        const count = Math.min(wanted, available - at);
        pieces.push(count);
        nowMs += (count / MiB) * msPerMiB;
        return count;
      }),
    stallMs: (work: () => void): number => {
      const before = nowMs;
      work();
      return nowMs - before;
    },
  };
}

describe('reads of what is in memory', () => {
  it('come whole, in pieces, one after the other', () => {
    const { read, pass, pieces } = reading();
    for (let i = 0; i < 1000; i++) {
      expect(read(MiB, memoryMsPerMiB)).toBe(MiB);
      pass(0.5);
    }
    expect(new Set(pieces)).toEqual(new Set([256 * KiB]));
    expect(read(100, memoryMsPerMiB)).toBe(100);
  });

  it('end where the file ends', () => {
    const { read } = reading();
    expect(read(MiB, memoryMsPerMiB, 300 * KiB)).toBe(300 * KiB);
    expect(read(MiB, memoryMsPerMiB, 0)).toBe(0);
  });

  it('take half of the time at most', () => {
    const { read, pass } = reading();
    // A millisecond of them, and what is over goes elsewhere until the next has passed.
    expect(read(64 * MiB, memoryMsPerMiB)).toBe(8 * MiB);
    expect(read(MiB, memoryMsPerMiB)).toBe(0);
    pass(1.5);
    expect(read(MiB, memoryMsPerMiB)).toBe(MiB);
  });

  it('that a busy machine made slow now and then go on', () => {
    const { read, pass } = reading();
    for (let i = 0; i < 1000; i++) {
      pass(3);
      expect(read(256 * KiB, i % 32 === 31 ? 12 : memoryMsPerMiB)).toBe(256 * KiB);
    }
  });
});

describe('reads that wait for a disk', () => {
  it('end after the first piece of a slow one, and are tried again ever more seldom', () => {
    const { read, pass, stallMs } = reading();
    for (const pauseMs of [secondMs, 2 * secondMs, 4 * secondMs, 8 * secondMs, 16 * secondMs, 32 * secondMs, minuteMs, minuteMs]) {
      expect(stallMs(() => expect(read(MiB, diskMsPerMiB)).toBe(256 * KiB))).toBe(diskMsPerMiB / 4);
      pass(pauseMs - 1);
      expect(read(MiB, diskMsPerMiB)).toBe(0);
      pass(1);
    }
  });

  it('end after some milliseconds of a fast one', () => {
    const { read, pass, stallMs } = reading();
    let stalledMs = 0;
    for (let i = 0; i < 100; i++) {
      stalledMs += stallMs(() => read(256 * KiB, 4));
      pass(3);
    }
    expect(stalledMs).toBeGreaterThan(5);
    expect(stalledMs).toBeLessThan(15);
  });

  it('are forgotten after much that came from memory', () => {
    const { read, pass } = reading();
    for (let i = 0; i < 5; i++) {
      read(MiB, diskMsPerMiB);
      pass(minuteMs);
    }
    for (let i = 0; i < 300; i++) {
      expect(read(MiB, memoryMsPerMiB)).toBe(MiB);
      pass(3);
    }
    read(MiB, diskMsPerMiB);
    pass(secondMs);
    expect(read(MiB, memoryMsPerMiB)).toBe(MiB);
  });
});

describe('a segment read for an answer', () => {
  it('gives what is in memory at once, the rest by a promise, and the same errors', async () => {
    const file = SegmentFile.createSync(join(await temporaryFolder(), 'a'), new OpenFiles());
    file.retain();
    const bytes = Buffer.alloc(3 * MiB, 'some text that goes on and on ');
    file.appendSync(bytes);
    // Warm or not is for the machine to say; the bytes are the same.
    for (const [from, to] of [
      [0, 100],
      [MiB, 2 * MiB + 17],
      [5, 3 * MiB],
    ] as const) {
      const into = Buffer.alloc(to - from);
      await file.readSoon(into, from);
      expect(into.equals(bytes.subarray(from, to))).toBe(true);
    }
    const behind = async (): Promise<void> => file.readSoon(Buffer.alloc(100), 3 * MiB - 50);
    await expect(behind()).rejects.toMatchObject({ code: 'log-damaged', facts: { path: file.path, position: 3 * MiB } });
    const broken = new SegmentFile(file.path, 100, new OpenFiles(10, { ...systemDisk, readSync: failing }));
    expect(() => broken.readSoon(Buffer.alloc(1), 0)).toThrow(expect.objectContaining({ code: 'log-offline', facts: { path: file.path } }));
    file.release();
    file.giveUp();
    expect(() => file.readSoon(Buffer.alloc(1), 0)).toThrow(expect.objectContaining({ code: 'log-offline' }));
  });
});
