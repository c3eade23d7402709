// The scrub of the hot log: damage that nobody has met is found, and nothing is taken for damage that is none.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Clock, type Disk, systemDisk, systemRandom } from '../../../src/kernel/index.js';
import type { HotLog, LogConfig, PartitionLog, ScrubLimits } from '../../../src/log/index.js';
import { batch, clockAt, files, looseConfig, openIn, partitionFolder, readAll, topic, topicKey, values, world } from './hot-world.js';

const count = 60;
const all = Array.from({ length: count }, (_, i) => `value ${i}`);

/** Time passes only while somebody sleeps; who is woken goes on in another turn, and `onSleep` has its own before. */
class SleepClock implements Clock {
  #ms = 1;
  readonly slept: number[] = [];
  onSleep: () => Promise<void> | void = () => undefined;

  nowMs(): number {
    return Math.floor(this.#ms);
  }

  monotonicMs(): number {
    return this.#ms;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.slept.push(ms);
    this.#ms += ms;
    await this.onSleep();
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
  }
}

const never = new AbortController().signal;
const limits = (more: Partial<ScrubLimits> = {}): ScrubLimits => ({ bytesPerSecond: 4096, mayGoOn: () => true, ...more });

interface Filled {
  readonly dir: string;
  readonly log: HotLog;
  readonly partition: PartitionLog;
  readonly clock: SleepClock;
}

/** Segments of a kilobyte, flushed, their indexes saved. */
async function filled(config: Partial<LogConfig> = {}, disk?: Disk): Promise<Filled> {
  const clock = new SleepClock();
  // Begins with the first segment.
  const ports = { clock, random: { ...systemRandom, float: () => 0 }, ...(disk === undefined ? {} : { disk }) };
  const { dir, log, partition } = await world(
    { segmentBytes: 1000, indexIntervalBytes: 200, isTiered: false, ...config },
    undefined,
    ports,
  );
  for (const [i, value] of all.entries()) partition.append(batch({ value, timestampMs: 1000 + i }), 1);
  await partition.flush();
  await expect.poll(() => files(dir, '.timeindex').then((names) => names.length)).toBe(partition.segmentCount - 1);
  return { dir, log, partition, clock };
}

async function segmentPath(dir: string, at: number): Promise<string> {
  return join(dir, partitionFolder, (await files(dir, '.log')).at(at)!);
}

function flip(path: string, at: number): void {
  const bytes = fs.readFileSync(path);
  bytes[at]! ^= 0x10;
  fs.writeFileSync(path, bytes, { flag: 'r+' });
}

describe('the scrub of the hot log', () => {
  it('reads every byte that is flushed once a round, and finds nothing in a sound log', async () => {
    const { log, partition, clock } = await filled();
    await log.scrub(limits(), never);
    expect(log.scrubbed).toMatchObject({ findings: 0, bytes: partition.hotBytes, lastRoundMs: clock.nowMs() });
    await log.scrub(limits(), never);
    expect(log.scrubbed.bytes).toBe(2 * partition.hotBytes);
  });

  it.each([
    ['in a sealed segment', 2],
    ['in the active one', -1],
  ])('finds a byte that changed %s while nobody read it: offline with a hint, nothing cut', async (_where, at) => {
    const { dir, log, partition } = await filled();
    const path = await segmentPath(dir, at);
    flip(path, 75);
    const before = fs.readFileSync(path);
    await log.scrub(limits(), never);
    expect(log.scrubbed.findings).toBe(1);
    expect(partition.offline).toMatchObject({
      code: 'log-damaged',
      message: `${path} is damaged at 0: the CRC does not match`,
      hint: expect.stringContaining('Restore the file from a copy') as string,
    });
    expect(fs.readFileSync(path)).toEqual(before);
    await log.scrub(limits(), never);
    expect(log.scrubbed.findings).toBe(1);
  });

  it('finds a segment that is shorter than it was, also by whole batches', async () => {
    const { dir, log, partition } = await filled();
    const path = await segmentPath(dir, 1);
    fs.truncateSync(path, 12 + fs.readFileSync(path).readInt32BE(8));
    await log.scrub(limits(), never);
    expect(partition.offline?.message).toContain('is damaged at ');
    expect(log.scrubbed.findings).toBe(1);
  });

  it('does not look at what is not flushed', async () => {
    const { dir, log, partition } = await filled();
    const path = await segmentPath(dir, -1);
    const { size } = fs.statSync(path);
    const { hotBytes } = partition;
    partition.append(batch({ value: 'late' }), 1);
    expect(await segmentPath(dir, -1)).toBe(path);
    flip(path, size + 75);
    await log.scrub(limits(), never);
    expect(log.scrubbed).toMatchObject({ findings: 0, bytes: hotBytes });
    expect(partition.offline).toBeUndefined();
  });

  it('leaves a partition whose active segment is appended to all the time', async () => {
    const { log, partition, clock } = await filled({ segmentBytes: 1_000_000 });
    const { hotBytes } = partition;
    const stop = new AbortController();
    clock.onSleep = () => {
      partition.append(batch({ value: 'late' }), 1);
      if (clock.slept.length > 100) stop.abort(new Error('it does not end'));
    };
    await log.scrub(limits(), stop.signal);
    expect(log.scrubbed).toMatchObject({ findings: 0, bytes: hotBytes });
    expect(await log.scrubTopic(topic, limits(), stop.signal)).toMatchObject({ findings: 0 });
  });

  it('drops a damaged copy of what the table has', async () => {
    const { dir, log, partition } = await filled({ isTiered: true });
    await partition.moveBoundary(40, 0);
    flip(await segmentPath(dir, 1), 75);
    await log.scrub(limits(), never);
    expect(log.scrubbed.findings).toBe(1);
    expect(partition.offline).toBeUndefined();
    expect(partition.localStartOffset).toBeGreaterThan(0);
    expect(values(await readAll(partition))).toEqual(all.slice(partition.localStartOffset));
  });

  it('does not look below the log start: nobody may read that', async () => {
    const { dir, log, partition } = await filled();
    await partition.raiseLogStart(40);
    flip(await segmentPath(dir, 1), 75);
    await log.scrub(limits(), never);
    expect(log.scrubbed.findings).toBe(0);
    expect(partition.offline).toBeUndefined();
  });

  it.each([
    ['says something else', '.index', (path: string) => flip(path, 11)],
    ['says something else', '.timeindex', (path: string) => flip(path, 6)],
    ['is missing', '.timeindex', (path: string) => fs.rmSync(path)],
  ])('makes an index anew that %s (%s)', async (_what, suffix, spoil) => {
    const { dir, log, partition } = await filled();
    const path = join(dir, partitionFolder, (await files(dir, suffix))[1]!);
    const good = fs.readFileSync(path);
    spoil(path);
    await log.scrub(limits(), never);
    expect(log.scrubbed.findings).toBe(1);
    expect(partition.offline).toBeUndefined();
    await expect.poll(() => (fs.existsSync(path) ? fs.readFileSync(path) : undefined)).toEqual(good);
    await log.scrub(limits(), never);
    expect(log.scrubbed.findings).toBe(1);
  });

  it('makes an index anew that cannot be read, and finds it once', async () => {
    let unreadable = 0;
    const disk: Disk = {
      ...systemDisk,
      readFile: async (file) => {
        if (fs.statSync(file).ino === unreadable) throw Object.assign(new Error('i/o error'), { code: 'EIO' });
        return systemDisk.readFile(file);
      },
    };
    const { dir, log, partition } = await filled({}, disk);
    const path = join(dir, partitionFolder, (await files(dir, '.index'))[1]!);
    unreadable = fs.statSync(path).ino;
    fs.linkSync(path, join(dir, 'unreadable'));
    await log.scrub(limits(), never);
    await expect.poll(() => fs.statSync(path).ino).not.toBe(unreadable);
    await log.scrub(limits(), never);
    expect(log.scrubbed.findings).toBe(1);
    expect(partition.offline).toBeUndefined();
  });

  it('reads no more than its budget, in small steps with rests between', async () => {
    const { log, partition, clock } = await filled();
    const read: number[] = [];
    clock.onSleep = () => void read.push(log.scrubbed.bytes);
    await log.scrub(limits({ bytesPerSecond: 8000 }), never);
    const seconds = clock.slept.reduce((sum, ms) => sum + ms, 0) / 1000;
    expect(partition.hotBytes / 8000).toBeLessThan(seconds);
    read.reduce((before, now) => {
      expect(now - before).toBeLessThanOrEqual(2000 + 100);
      return now;
    }, 0);
    expect(read.length).toBeGreaterThan(3);
  });

  it('waits while it may not go on, and ends when it is told to', async () => {
    const { log, clock } = await filled();
    const stop = new AbortController();
    let looks = 0;
    clock.onSleep = () => {
      if (++looks === 5) stop.abort(new Error('closed'));
    };
    await expect(log.scrub(limits({ mayGoOn: () => false }), stop.signal)).rejects.toThrow('closed');
    expect(log.scrubbed).toMatchObject({ bytes: 0, lastRoundMs: 0 });
  });

  it('lets go of a segment between its steps: what is dropped meanwhile frees the disk, and is no finding', async () => {
    const open = new Map<number, string>();
    const disk: Disk = {
      ...systemDisk,
      openSync: (path, flags, mode) => {
        const fd = systemDisk.openSync(path, flags, mode);
        open.set(fd, path);
        return fd;
      },
      closeSync: (fd) => {
        open.delete(fd);
        systemDisk.closeSync(fd);
      },
    };
    const { log, partition, clock } = await filled({ isTiered: true, segmentBytes: 3000 }, disk);
    const { segmentCount } = partition;
    await partition.moveBoundary(count, 0);
    let steps = 0;
    clock.onSleep = async () => {
      if (++steps !== 2) return;
      await log.maintain(1, 0);
      expect(partition.segmentCount).toBeLessThan(segmentCount);
      const logs = [...open.values()].filter((path) => path.endsWith('.log'));
      expect(logs).toHaveLength(1);
    };
    await log.scrub(limits(), never);
    expect(steps).toBeGreaterThan(2);
    expect(log.scrubbed.findings).toBe(0);
    expect(partition.offline).toBeUndefined();
  });

  it('goes on over partitions that come and go, and reads each of the others once', async () => {
    const { dir, log, clock } = await filled();
    const others = ['a', 'm', 'z'];
    const config = { ...looseConfig, isTiered: false };
    for (const [index, name] of others.entries()) {
      const [made] = await log.createPartitions(`${topic}${name}` as typeof topic, topicKey, [index], config);
      made.append(batch({ valueBytes: 2500 }), 1);
      await made.flush();
    }
    const goes = log.partition(`${topic}m` as typeof topic, 1)!.hotBytes;
    const stays = log.partition(topic, 0)!.hotBytes + 2 * log.partition(`${topic}a` as typeof topic, 0)!.hotBytes;
    let isDone = false;
    clock.onSleep = async () => {
      if (isDone) return;
      isDone = true;
      await log.deletePartitions(`${topic}m` as typeof topic, [1]);
      await log.createPartitions(`${topic}n` as typeof topic, topicKey, [0], config);
    };
    await log.scrub(limits(), never);
    const { bytes } = log.scrubbed;
    // The one that goes may have been read before.
    expect([stays, stays + goes]).toContain(bytes);
    await log.scrub(limits(), never);
    expect(log.scrubbed).toMatchObject({ bytes: bytes + stays, findings: 0 });
    flip(join(dir, `${topic}z-2`, `${'0'.repeat(20)}.log`), 100);
    await log.scrub(limits(), never);
    expect(log.partition(`${topic}z` as typeof topic, 2)!.offline).toMatchObject({ code: 'log-damaged' });
  });

  it('of one topic reads that and no other, also while a round is under way', async () => {
    const { dir, log, partition } = await filled();
    const other = `${topic}a` as typeof topic;
    const [made] = await log.createPartitions(other, topicKey, [0], { ...looseConfig, isTiered: false });
    made.append(batch({ valueBytes: 2500 }), 1);
    await made.flush();
    const round = log.scrub(limits(), never);
    expect(await log.scrubTopic(other, limits(), never)).toEqual({ bytes: made.hotBytes, findings: 0 });
    await round;
    expect(log.scrubbed).toMatchObject({ bytes: partition.hotBytes + 2 * made.hotBytes, findings: 0 });
    flip(await segmentPath(dir, 1), 75);
    expect(await log.scrubTopic(other, limits(), never)).toMatchObject({ findings: 0 });
    expect(await log.scrubTopic(topic, limits(), never)).toMatchObject({ findings: 1 });
    expect(partition.offline).toMatchObject({ code: 'log-damaged' });
  });

  it('of an empty log, or one that was just opened, ends', async () => {
    const { dir, log } = await world({}, undefined, { clock: new SleepClock() });
    await log.scrub(limits(), never);
    await log.close();
    const again = await openIn(dir, { clock: clockAt(1) });
    await again.scrub(limits({ bytesPerSecond: 1 }), never);
    expect(again.scrubbed).toMatchObject({ bytes: 0, findings: 0, lastRoundMs: 1 });
  });
});
