// Damage that was met before a restart is known after it: the partition is offline at once, nothing of it is cut, and a sound copy of the
// segment brings it back.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { LakeError } from '../../../src/kernel/index.js';
import { FlushPool, type Flusher } from '../../../src/log/flush-pool.js';
import { storageError } from '../../../src/log/job-threads.js';
import type { HotLog, PartitionLog } from '../../../src/log/index.js';
import {
  batch,
  clockAt,
  copyOf,
  files,
  looseConfig,
  openIn,
  partitionFolder,
  readAll,
  topic,
  values,
  world,
  type WorldPorts,
} from './hot-world.js';

const count = 60;
const all = Array.from({ length: count }, (_, i) => `value ${i}`);
const noteOf = (dir: string) => join(dir, partitionFolder, 'damaged-segments');
const recoveryPointOf = (dir: string) => join(dir, 'recovery-point-offset-checkpoint');
const clock = { clock: clockAt(1) };

interface Hurt {
  readonly dir: string;
  readonly log: HotLog;
  readonly partition: PartitionLog;
  /** Of the segment that is damaged. */
  readonly path: string;
  readonly good: Buffer;
  readonly message: string;
}

/** A log of sealed segments and an active one, flushed; the one asked for is changed and met by a reader. */
async function met(which: 'sealed' | 'active', change: (bytes: Buffer) => Buffer): Promise<Hurt> {
  const hurt = await metUnnoted(which, change, clock);
  await expect.poll(() => fs.existsSync(noteOf(hurt.dir))).toBe(true);
  return hurt;
}

/** The same, where the note may not be written. */
async function metUnnoted(which: 'sealed' | 'active', change: (bytes: Buffer) => Buffer, ports: WorldPorts): Promise<Hurt> {
  const { dir, log, partition } = await world({ segmentBytes: 1000, indexIntervalBytes: 200, isTiered: false }, undefined, ports);
  for (const value of all) partition.append(batch({ value }), 1);
  await partition.flush();
  const names = await files(dir, '.log');
  const path = join(dir, partitionFolder, names.at(which === 'active' ? -1 : 1)!);
  const good = fs.readFileSync(path);
  // In the file that is open, not one in its place.
  const hurt = change(Buffer.from(good));
  fs.writeFileSync(path, hurt, { flag: 'r+' });
  fs.truncateSync(path, hurt.length);
  expect(await partition.verify(0, count)).toMatchObject({ code: 'log-damaged' });
  const { message } = partition.offline as LakeError;
  return { dir, log, partition, path, good, message };
}

function flipped(bytes: Buffer): Buffer {
  bytes[bytes.indexOf('value', 300) + 2]! ^= 0x20;
  return bytes;
}

/** The first of its batches, whole. */
function shortened(bytes: Buffer): Buffer {
  return bytes.subarray(0, 12 + bytes.readInt32BE(8));
}

/** The base offset of its last batch, which no checksum covers. */
function raised(bytes: Buffer): Buffer {
  let last = 0;
  for (let at = 0; at < bytes.length; at += 12 + bytes.readInt32BE(at + 8)) last = at;
  bytes[last + 6]! ^= 0x10;
  return bytes;
}

/** The largest time of a time index. */
const timeOf = (times: Buffer) => Number(times.readBigInt64BE(times.length - 12));

function later(times: Buffer): Buffer {
  const changed = Buffer.from(times);
  changed.writeBigInt64BE(times.readBigInt64BE(times.length - 12) + 1_000_000n, times.length - 12);
  return changed;
}

/** Threads that call `before` first, whatever file is to be replaced. */
function flusherWith(before: (path: string) => Promise<void> | void): Flusher {
  const pool = new FlushPool(1);
  return {
    flush: (fds, directories) => pool.flush(fds, directories),
    replaceFile: async (path, bytes) => {
      await before(path);
      await pool.replaceFile(path, bytes);
    },
    makeFolder: (path, passing, made) => pool.makeFolder(path, passing, made),
    afterTurn: (work) => pool.afterTurn(work),
    close: () => pool.close(),
  };
}

const again = async (dir: string) => (await openIn(dir, clock)).partition(topic, 0)!;

describe.each(['sealed', 'active'] as const)('damage of a %s segment that was met', (which) => {
  it.each([
    ['a byte that changed', flipped],
    ['an end that is gone', shortened],
  ])('is known after a stop, and nothing is cut: %s', async (_what, change) => {
    const { dir, log, path } = await met(which, change);
    const bytes = fs.readFileSync(path);
    await log.close();
    const partition = await again(dir);
    expect(partition.offline).toMatchObject({ code: 'log-damaged', message: expect.stringContaining(`${path} is damaged at `) as string });
    expect(() => partition.append(batch(), 1)).toThrow('is damaged at');
    expect(fs.readFileSync(path)).toEqual(bytes);
  });

  it('is known after a kill where it is the base offset of the last batch, and nothing is cut', async () => {
    const { dir, path, message } = await met(which, raised);
    const copy = await copyOf(dir);
    const partition = await again(copy);
    // The end of an active segment is not known to a start: it says otherwise what is wrong there.
    const [where] = message.split(': ');
    expect(partition.offline?.message.replace(copy, dir)).toContain(where);
    expect(fs.readFileSync(path.replace(dir, copy))).toEqual(fs.readFileSync(path));
  });

  it('is known after a kill, though no recovery point lies above it', async () => {
    const { dir, path, message } = await met(which, flipped);
    const copy = await copyOf(dir);
    fs.rmSync(recoveryPointOf(copy), { force: true });
    const before = fs.readFileSync(path);
    const partition = await again(copy);
    expect(partition.offline?.message.replace(copy, dir)).toBe(message);
    expect(fs.readFileSync(path.replace(dir, copy))).toEqual(before);
  });

  it('ends with a sound copy of the segment', async () => {
    const { dir, log, path, good } = await met(which, flipped);
    await log.close();
    fs.writeFileSync(path, good);
    const partition = await again(dir);
    expect(partition.offline).toBeUndefined();
    expect(values(await readAll(partition))).toEqual(all);
    expect(partition.append(batch(), 1)).toMatchObject({ baseOffset: count });
    expect(fs.existsSync(noteOf(dir))).toBe(false);
  });
});

describe('a note of damage', () => {
  it('waits for nothing that a start can do without', async () => {
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const flusher = flusherWith((path) => (path.endsWith('index') ? held : undefined));
    const { dir } = await metUnnoted('sealed', flipped, { ...clock, flusher });
    await expect.poll(() => fs.existsSync(noteOf(dir))).toBe(true);
    letGo();
  });

  it.each([
    ['upkeep', ({ log }: Hurt) => log.maintain(1, Number.POSITIVE_INFINITY)],
    ['a stop', ({ log }: Hurt) => log.close()],
  ])('that found the disk full is written at %s', async (_when, later) => {
    let isFull = true;
    let tries = 0;
    const flusher = flusherWith((path) => {
      if (!path.endsWith('damaged-segments')) return;
      tries++;
      if (isFull) throw storageError('it is full', 'ENOSPC', undefined);
    });
    const hurt = await metUnnoted('sealed', flipped, { ...clock, flusher });
    await expect.poll(() => tries).toBe(1);
    isFull = false;
    await later(hurt);
    expect(fs.existsSync(noteOf(hurt.dir))).toBe(true);
    expect((await again(await copyOf(hurt.dir))).offline).toMatchObject({ code: 'log-damaged' });
  });

  it('has the recovery point beside it, so that without it nothing is cut either', async () => {
    const { dir, path } = await met('active', flipped);
    await expect.poll(() => fs.existsSync(recoveryPointOf(dir))).toBe(true);
    const copy = await copyOf(dir);
    fs.rmSync(noteOf(copy));
    expect((await again(copy)).offline).toMatchObject({ code: 'log-damaged' });
    expect(fs.readFileSync(path.replace(dir, copy))).toEqual(fs.readFileSync(path));
  });

  it('ends with a sound copy of the segment, whatever was made of the damage in its time index', async () => {
    const { dir, log, path, good } = await met('sealed', flipped);
    await log.close();
    fs.writeFileSync(path, good);
    const indexPath = path.replace(/log$/, 'timeindex');
    const times = fs.readFileSync(indexPath);
    fs.writeFileSync(indexPath, later(times));
    // As after a clean stop.
    fs.writeFileSync(join(dir, '.kafka_cleanshutdown'), '{"version":0,"brokerEpoch":-1}');
    const partition = await again(dir);
    expect(await partition.maxTimestamp()).toMatchObject({ timestampMs: timeOf(times) });
  });

  it.each(['cut off', 'changed'])(
    'does not take an end for damage that was not flushed yet, and is %s by the power cut that came next',
    async (how) => {
      const { dir, partition } = await world({ isTiered: false }, undefined, clock);
      for (const value of all) partition.append(batch({ value }), 1);
      await partition.flush();
      partition.append(batch({ value: 'late' }), 1);
      const [name] = await files(dir, '.log');
      const path = join(dir, partitionFolder, name!);
      const good = fs.readFileSync(path);
      fs.writeFileSync(path, flipped(Buffer.from(good)), { flag: 'r+' });
      expect(await partition.verify(0, count)).toMatchObject({ code: 'log-damaged' });
      await expect.poll(() => fs.existsSync(noteOf(dir))).toBe(true);
      const copy = await copyOf(dir);
      const torn = how === 'cut off' ? good.subarray(0, good.length - 7) : Buffer.from(good);
      if (how === 'changed') torn[torn.length - 7]! ^= 1;
      fs.writeFileSync(path.replace(dir, copy), torn);
      const recovered = await again(copy);
      expect(recovered.offline).toBeUndefined();
      expect(values(await readAll(recovered))).toEqual(all);
      expect(recovered.append(batch(), 1)).toMatchObject({ baseOffset: count });
    },
  );

  it('goes where the table has come to have all of the segment: what is met again is dropped', async () => {
    const { dir, log } = await met('sealed', flipped);
    await log.close();
    fs.writeFileSync(join(dir, 'boundary-checkpoint'), `0\n1\n${topic} 0 50\n`);
    const partition = await again(dir);
    expect(partition.offline).toBeUndefined();
    expect(fs.existsSync(noteOf(dir))).toBe(false);
    partition.updateConfig({ ...looseConfig, isTiered: true });
    expect(await partition.verify(0, count)).toBeUndefined();
    expect(partition.localStartOffset).toBeGreaterThan(0);
  });

  it('outlives a start that does not find the segment, and nothing of the others is cut', async () => {
    const { path, ...hurt } = await met('sealed', flipped);
    // As after a kill: the last recovery point that was noted is long ago.
    const dir = await copyOf(hurt.dir);
    const aside = path.replace(hurt.dir, dir);
    fs.rmSync(aside);
    const others = await files(dir, '.log');
    const partition = await again(dir);
    expect(partition.offline).toMatchObject({
      code: 'log-damaged',
      message: expect.stringContaining(`${aside} is damaged at 0`) as string,
    });
    expect(await files(dir, '.log')).toEqual(others);
    expect(fs.existsSync(noteOf(dir))).toBe(true);
    fs.writeFileSync(aside, hurt.good);
    expect(values(await readAll(await again(await copyOf(dir))))).toEqual(all);
  });

  it('goes where the segment is gone and the table has come to have all of it', async () => {
    const { dir, log, path } = await met('sealed', flipped);
    await log.close();
    fs.rmSync(path);
    fs.writeFileSync(join(dir, 'boundary-checkpoint'), `0\n1\n${topic} 0 50\n`);
    const partition = await again(dir);
    expect(partition.offline).toBeUndefined();
    expect(fs.existsSync(noteOf(dir))).toBe(false);
  });

  it('that cannot be read keeps the partition offline', async () => {
    const { dir, log } = await met('sealed', flipped);
    await log.close();
    fs.writeFileSync(noteOf(dir), '0\n1\n12\n');
    expect((await again(dir)).offline).toMatchObject({ code: 'log-damaged', message: expect.stringContaining(noteOf(dir)) as string });
  });

  it('is what a start reads segments for: without one it takes them by their indexes', async () => {
    const { dir, log } = await met('sealed', flipped);
    await log.close();
    fs.rmSync(noteOf(dir));
    // As after a clean stop.
    fs.writeFileSync(join(dir, '.kafka_cleanshutdown'), '{"version":0,"brokerEpoch":-1}');
    expect((await again(dir)).offline).toBeUndefined();
  });
});
