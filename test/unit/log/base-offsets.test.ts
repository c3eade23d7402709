// No checksum covers the base offset of a batch. One that was raised is damage, whoever meets it; a gap that compaction left is none,
// whatever else became of the log.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { HotLog, LogConfig, PartitionLog } from '../../../src/log/index.js';
import { batchBaseOffset, batchBytes, batchLastOffset } from '../../../src/wire/index.js';
import { compactedConfig, directCompactor, keyedBatch, shown } from './compaction-world.js';
import { batch, clockAt, copyOf, files, looseConfig, openIn, partitionFolder, topic, world } from './hot-world.js';

const count = 46;
const never = new AbortController().signal;
const ports = { clock: clockAt(1), compactor: directCompactor() };
const scrubLimits = { bytesPerSecond: 1 << 30, mayGoOn: () => true };
const damaged = expect.objectContaining({ code: 'log-damaged', message: expect.stringMatching(/\.log is damaged/) as string }) as Error;
const pathsOf = async (dir: string) => (await files(dir, '.log')).map((name) => join(dir, partitionFolder, name));

interface Place {
  readonly position: number;
  readonly base: number;
  readonly last: number;
}

function batchesOf(bytes: Buffer): Place[] {
  const found: Place[] = [];
  for (let position = 0; position < bytes.length; position += batchBytes(bytes, position))
    found.push({ position, base: batchBaseOffset(bytes, position), last: batchLastOffset(bytes, position) });
  return found;
}

/** Raises the base offset of one of a segment's batches, counted from the end where negative. */
function raise(path: string, which: number, by: number): void {
  const bytes = fs.readFileSync(path);
  const { position, base } = batchesOf(bytes).at(which)!;
  bytes.writeBigInt64BE(BigInt(base + by), position);
  fs.writeFileSync(path, bytes, { flag: 'r+' });
}

interface Filled {
  readonly dir: string;
  readonly log: HotLog;
  readonly partition: PartitionLog;
}

const config: LogConfig = { ...looseConfig, segmentBytes: 1000, isTiered: false };

/** Segments of about ten batches of a record each, flushed and noted. */
async function filled(indexIntervalBytes = 200): Promise<Filled> {
  const made = await world({ ...config, indexIntervalBytes }, undefined, ports);
  for (let i = 0; i < count; i++) made.partition.append(batch({ value: `value ${i}`, timestampMs: 1000 + i }), 1);
  await made.partition.flush();
  await made.log.maintain(1, Number.POSITIVE_INFINITY);
  return made;
}

async function opened(dir: string): Promise<Filled> {
  const log = await openIn(dir, ports);
  const partition = log.partition(topic, 0)!;
  partition.updateConfig(config);
  return { dir, log, partition };
}

/** As it is after a clean stop. */
async function stoppedAndStarted(): Promise<Filled> {
  const { dir, log } = await filled();
  await log.close();
  return opened(dir);
}

/** As it is after a kill, with nothing appended since. */
async function killedAndStarted(indexIntervalBytes?: number): Promise<Filled> {
  const { dir } = await filled(indexIntervalBytes);
  return opened(await copyOf(dir));
}

const lives = [
  ['where it was written', () => filled()],
  ['after a clean stop', stoppedAndStarted],
  ['after a kill', killedAndStarted],
] as const;
/** Segment, batch, and how much is added: 1 where it then begins where the next one does. */
const victims = [
  [1, 0, 1],
  [1, 0, 1024],
  [1, 4, 1],
  [1, 4, 1024],
  [1, -1, 1],
  [1, -1, 1024],
  [-1, 2, 1],
  [-1, 2, 1024],
  [-1, -1, 1],
  [-1, -1, 1024],
] as const;

describe.each(lives)('a base offset that was raised in a log that is open, %s', (_life, make) => {
  it.each(victims)('is never given to a reader (segment %i, batch %i, by %i)', async (segment, at, by) => {
    const { dir, partition } = await make();
    const path = (await pathsOf(dir)).at(segment)!;
    const { base } = batchesOf(fs.readFileSync(path)).at(at)!;
    raise(path, at, by);
    const before = fs.readFileSync(path);
    // From that batch on, and no more than one: nothing else of the answer would say so.
    await expect(partition.read(base, 1, { isMinOneBatch: true })).rejects.toEqual(damaged);
    expect(partition.offline).toEqual(damaged);
    expect(fs.readFileSync(path)).toEqual(before);
  });

  it('is never given to a reader, or counted for a time, either where it is the last of an answer', async () => {
    for (const by of [1, 1024]) {
      const { dir, partition } = await make();
      const path = (await pathsOf(dir))[1]!;
      const batches = batchesOf(fs.readFileSync(path));
      // Its place is known to the reader who comes from before, and the answer has no room for the next one.
      await partition.read(batches[3]!.base, 1, { isMinOneBatch: true });
      raise(path, 5, by);
      const room = batches[6]!.position - batches[4]!.position;
      await expect(partition.read(batches[4]!.base, room, { isMinOneBatch: true })).rejects.toEqual(damaged);
      const other = await make();
      const otherPath = (await pathsOf(other.dir))[1]!;
      raise(otherPath, 5, by);
      await expect(other.partition.offsetForTimestamp(1000 + batches[5]!.base, 0)).rejects.toEqual(damaged);
    }
  });

  it.each(victims)('is found by the scrub (segment %i, batch %i, by %i)', async (segment, at, by) => {
    const { dir, log, partition } = await make();
    // Not flushed: beyond what the scrub reads.
    partition.append(batch({ value: 'late' }), 1);
    const path = (await pathsOf(dir)).at(segment)!;
    raise(path, segment === -1 && at === -1 ? -2 : at, by);
    await log.scrub(scrubLimits, never);
    expect(log.scrubbed.findings).toBe(1);
    expect(partition.offline).toEqual(damaged);
  });

  it.each(victims)('is found by an examination (segment %i, batch %i, by %i)', async (segment, at, by) => {
    const { dir, partition } = await make();
    raise((await pathsOf(dir)).at(segment)!, at, by);
    expect(await partition.verify(0, count)).toEqual(damaged);
  });
});

describe.each(
  [200, 10_000].flatMap((indexIntervalBytes) => [
    { what: 'a clean stop', end: 'stopped', indexIntervalBytes },
    { what: 'a kill', end: 'killed', indexIntervalBytes },
    { what: 'two kills, with nothing appended between', end: 'killed twice', indexIntervalBytes },
  ]),
)(
  'a base offset that was raised before a start after $what (an index entry each $indexIntervalBytes bytes)',
  ({ end, indexIntervalBytes }) => {
    async function ended(): Promise<string> {
      const { dir, log } = end === 'killed twice' ? await killedAndStarted(indexIntervalBytes) : await filled(indexIntervalBytes);
      if (end === 'stopped') await log.close();
      return end === 'stopped' ? dir : copyOf(dir);
    }

    it.each([
      [-1, -1, 1],
      [-1, -1, 1024],
      [-1, 2, 1024],
      [1, -1, 1],
      [1, -1, 1024],
    ])('takes the partition offline, and nothing is cut or dropped (segment %i, batch %i, by %i)', async (segment, at, by) => {
      const dir = await ended();
      raise((await pathsOf(dir)).at(segment)!, at, by);
      const before = (await pathsOf(dir)).map((path) => fs.readFileSync(path));
      const { partition } = await opened(dir);
      // Of a sealed segment below the recovery point a start reads the end, of the last one behind the last entry of its index.
      if (partition.offline === undefined) expect([end, at]).toEqual(['stopped', 2]);
      const offline = partition.offline ?? (await partition.verify(0, count));
      expect(offline).toMatchObject({ code: 'log-damaged' });
      expect((await pathsOf(dir)).map((path) => fs.readFileSync(path))).toEqual(before);
    });
  },
);

it('a base offset that was raised beyond the recovery point is not where a start cuts, also where gaps may be', async () => {
  const { dir, log, partition } = await world(config, undefined, ports);
  for (let i = 0; i < 20; i++) partition.append(batch({ value: `value ${i}` }), 1);
  await partition.flush();
  await log.maintain(1, Number.POSITIVE_INFINITY);
  for (let i = 20; i < count; i++) partition.append(batch({ value: `value ${i}` }), 1);
  const copy = await copyOf(dir);
  const path = (await pathsOf(copy))[1]!;
  expect(batchesOf(fs.readFileSync(path)).map(({ base }) => base)).toContain(20);
  raise(path, 2, 1024);
  const before = (await pathsOf(copy)).map((one) => fs.readFileSync(one));
  expect((await opened(copy)).partition.offline).toEqual(damaged);
  expect((await pathsOf(copy)).map((one) => fs.readFileSync(one))).toEqual(before);
});

it('a raised base offset is not made sound by compaction', async () => {
  const { dir, log, partition } = await world({ ...compactedConfig, segmentMs: 0 }, undefined, ports);
  partition.append(keyedBatch('a=1 b=1'), 1);
  partition.append(keyedBatch('a=2 c=1'), 1);
  await partition.flush();
  await log.maintain(2, Number.MAX_SAFE_INTEGER);
  const path = (await pathsOf(dir))[0]!;
  raise(path, -1, 1024);
  const before = fs.readFileSync(path);
  expect((await log.compact(3, never)).passes).toBe(0);
  expect(partition.offline).toEqual(damaged);
  expect(fs.readFileSync(path)).toEqual(before);
});

/** Keys that replace each other in segments of a few batches; compacted, so that batches between are gone. */
async function compactedLog(): Promise<Filled & { readonly left: string }> {
  const { dir, log, partition } = await world({ ...compactedConfig, indexIntervalBytes: 1, segmentMs: 0 }, undefined, ports);
  for (const texts of ['a=1', 'b=1 c=1', 'a=2', 'd=1', 'a=3', 'e=1']) {
    for (const text of [texts, 'x=1']) partition.append(keyedBatch(text), 1);
    await partition.flush();
    if (texts !== 'e=1') await log.maintain(2, Number.MAX_SAFE_INTEGER);
  }
  await expect.poll(async () => (await files(dir, '.index')).length).toBeGreaterThan(4);
  expect((await log.compact(3, never)).passes).toBe(1);
  await log.maintain(1, Number.MAX_SAFE_INTEGER);
  const gaps = (await pathsOf(dir)).flatMap((path) => {
    const batches = batchesOf(fs.readFileSync(path));
    return batches.filter(({ base }, i) => i > 0 && base > batches[i - 1]!.last + 1);
  });
  expect(gaps.length).toBeGreaterThan(0);
  return { dir, log, partition, left: await shown(partition) };
}

async function expectSound(dir: string, left: string): Promise<Filled> {
  const again = await opened(dir);
  expect(again.partition.offline).toBeUndefined();
  expect(await shown(again.partition)).toBe(left);
  // Batch by batch, from every offset.
  for (let offset = again.partition.localStartOffset; offset < again.partition.logEndOffset; offset++)
    await again.partition.read(offset, 1, { isMinOneBatch: true });
  expect(await again.partition.verify(0, Number.MAX_SAFE_INTEGER)).toBeUndefined();
  await again.log.scrub(scrubLimits, never);
  expect(again.log.scrubbed.findings).toBe(0);
  return again;
}

describe('a gap that compaction left is no damage', () => {
  it.each(['stop', 'kill'])('after a %s, and where no checkpoint says that there was a pass', async (end) => {
    const { dir, log, left } = await compactedLog();
    if (end === 'stop') await log.close();
    const copy = end === 'stop' ? dir : await copyOf(dir);
    // As a kill leaves it between the first pass's last swap and its checkpoint.
    fs.rmSync(join(copy, 'cleaner-offset-checkpoint'));
    const { log: second, dir: where } = await expectSound(copy, left);
    // And the next start, whose leader epoch is another one.
    await expectSound(await copyOf(where), left);
    await second.close();
    await expectSound(where, left);
  });

  it('where the topic is not compacted any more', async () => {
    const { dir, log, partition, left } = await compactedLog();
    partition.updateConfig(config);
    expect(await shown(partition)).toBe(left);
    expect(await partition.verify(0, Number.MAX_SAFE_INTEGER)).toBeUndefined();
    await log.close();
    fs.rmSync(join(dir, 'cleaner-offset-checkpoint'));
    await expectSound(dir, left);
  });

  it('where a start cut a compacted segment, which is the one that is written since', async () => {
    const { dir, left } = await compactedLog();
    const copy = await copyOf(dir);
    fs.rmSync(join(copy, 'cleaner-offset-checkpoint'));
    // Nothing says how far it was flushed, and the end of the first segment is gone.
    fs.rmSync(join(copy, 'recovery-point-offset-checkpoint'));
    const first = (await pathsOf(copy))[0]!;
    const { position } = batchesOf(fs.readFileSync(first)).at(-1)!;
    fs.truncateSync(first, position + 70);
    const cut = await opened(copy);
    expect(await pathsOf(copy)).toEqual([first]);
    cut.partition.append(keyedBatch('z=1'), 1);
    await cut.partition.flush();
    const now = await shown(cut.partition);
    expect(left.startsWith(now.slice(0, now.lastIndexOf(' ')))).toBe(true);
    const killed = await copyOf(copy);
    await expectSound(killed, now);
    await expectSound(await copyOf(killed), now);
  });

  it('where nothing of a segment is left but its last batch', async () => {
    const { dir, log, partition } = await world({ ...compactedConfig, segmentMs: 0 }, undefined, ports);
    for (const text of ['a=1', 'a=2', 'a=3']) partition.append(keyedBatch(text), 1);
    await partition.flush();
    await log.maintain(2, Number.MAX_SAFE_INTEGER);
    partition.append(keyedBatch('a=4'), 1);
    await partition.flush();
    await log.maintain(2, Number.MAX_SAFE_INTEGER);
    await log.compact(3, never);
    const first = batchesOf(fs.readFileSync((await pathsOf(dir))[0]!));
    expect(first[0]!.base).toBeGreaterThan(0);
    const left = await shown(partition);
    const copy = await copyOf(dir);
    fs.rmSync(join(copy, 'cleaner-offset-checkpoint'));
    await expectSound(copy, left);
  });

  it('in a swap that a start goes on with; a base offset that was raised in one is damage, and takes no other segment with it', async () => {
    const { dir, left } = await compactedLog();
    const copy = await copyOf(dir);
    const [first] = await pathsOf(copy);
    fs.renameSync(first!, `${first}.swap`);
    const spoiled = await copyOf(copy);
    await expectSound(copy, left);
    const swap = join(spoiled, partitionFolder, '00000000000000000000.log.swap');
    raise(swap, -1, 1024);
    const before = await pathsOf(spoiled);
    expect(before.length).toBeGreaterThan(0);
    expect((await opened(spoiled)).partition.offline).toEqual(expect.objectContaining({ code: 'log-damaged' }));
    expect(await pathsOf(spoiled)).toEqual(before);
  });
});

describe('a log that never was compacted is sound', () => {
  it('where its log start lies within a batch, over stops and kills', async () => {
    const { dir, log, partition } = await world(config, undefined, ports);
    for (let i = 0; i < 6; i++) partition.append(batch({ count: 7 }), 1);
    await partition.raiseLogStart(24);
    const left = await shown(partition);
    await expectSound(await copyOf(dir), left);
    await log.close();
    const { partition: again, dir: where } = await expectSound(dir, left);
    again.append(batch({ count: 3 }), 1);
    await again.flush();
    await expectSound(await copyOf(where), await shown(again));
  });

  it('where it begins anew at its boundary, with a hole before that', async () => {
    const { dir, log, partition } = await filled();
    partition.updateConfig({ ...config, isTiered: true });
    await partition.moveBoundary(count, 0);
    await log.maintain(1, Number.POSITIVE_INFINITY);
    const copy = await copyOf(dir);
    const last = (await pathsOf(copy)).at(-1)!;
    fs.truncateSync(last, batchesOf(fs.readFileSync(last)).at(-1)!.position + 20);
    const again = await opened(copy);
    expect(again.partition).toMatchObject({ offline: undefined, localStartOffset: count });
    again.partition.append(batch({ count: 5 }), 1);
    await again.partition.flush();
    await expectSound(await copyOf(copy), await shown(again.partition));
  });

  it('where batches are control batches', async () => {
    const { dir, log, partition } = await world(config, undefined, ports);
    for (let i = 0; i < 4; i++) {
      partition.append(batch({ count: 2, isTransactional: true }), 1);
      partition.append(batch({ isControl: true, isTransactional: true }), 1);
    }
    await partition.flush();
    const left = await shown(partition);
    await log.close();
    await expectSound(dir, left);
  });
});
