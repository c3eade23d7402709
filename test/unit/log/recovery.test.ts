import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Disk, systemDisk } from '../../../src/kernel/index.js';
import { FlushPool, type Flusher } from '../../../src/log/flush-pool.js';
import type { HotLog, PartitionLog } from '../../../src/log/index.js';
import { storageError } from '../../../src/log/job-threads.js';
import {
  batch,
  clockAt,
  copyOf,
  files,
  looseConfig,
  openIn,
  partitionFolder,
  readAll,
  state,
  sequenced,
  topic,
  topicKey,
  values,
  world,
} from './hot-world.js';

const firstLog = '00000000000000000000.log';

async function reopened(dir: string): Promise<PartitionLog> {
  const log = await openIn(dir, { clock: clockAt(1) });
  const partition = log.partition(topic, 0);
  if (partition === undefined) throw new Error('the partition is not there');
  return partition;
}

function segmentPath(dir: string, name = firstLog): string {
  return join(dir, partitionFolder, name);
}

async function checkpoint(dir: string, name: string): Promise<string> {
  return (await fs.readFile(join(dir, name))).toString();
}

describe('a clean restart', () => {
  it('finds everything where it was, in the same leader epoch', async () => {
    const { dir, log, partition } = await world({ segmentBytes: 3000, indexIntervalBytes: 200 });
    for (let i = 0; i < 100; i++) partition.append(batch({ value: `value ${i}`, timestampMs: 1000 + i }), 1);
    const { segmentCount } = partition;
    await log.close();
    expect(await checkpoint(dir, 'recovery-point-offset-checkpoint')).toBe('0\n1\nflights 0 100\n');
    const again = await reopened(dir);
    expect(state(again)).toMatchObject({
      logEndOffset: 100,
      flushedOffset: 100,
      leaderEpoch: 0,
      segmentCount,
      offline: undefined,
      topicId: topicKey,
    });
    expect(values(await readAll(again))).toEqual(Array.from({ length: 100 }, (_none, i) => `value ${i}`));
    expect(again.append(batch(), 1).baseOffset).toBe(100);
    expect(await again.offsetForTimestamp(1050, 0)).toEqual({ offset: 50, timestampMs: 1050, leaderEpoch: 0 });
  });

  it('does not believe a last offset of the last batch that its checksum does not, and finds the end again with the sound byte', async () => {
    const { dir, log, partition } = await world();
    for (let i = 0; i < 5; i++) partition.append(batch({ value: `value ${i}` }), 1);
    await log.close();
    const path = segmentPath(dir);
    const good = await fs.readFile(path);
    const spoiled = Buffer.from(good);
    spoiled[batch({ value: 'value 0' }).length * 4 + 25]! ^= 2;
    await fs.writeFile(path, spoiled);
    const damaged = await openIn(dir);
    expect(damaged.partition(topic, 0)?.offline).toMatchObject({ code: 'log-damaged' });
    await damaged.close();
    expect(await fs.readFile(path)).toEqual(spoiled);
    await fs.writeFile(path, good);
    expect(state(await reopened(dir))).toMatchObject({ offline: undefined, logEndOffset: 5 });
  });

  it('is not one when the marker of the last is still there but the log was used since', async () => {
    const first = await world();
    first.partition.append(batch(), 1);
    await first.log.close();
    await fs.access(join(first.dir, '.kafka_cleanshutdown'));
    const second = await reopened(first.dir);
    second.append(batch(), 1);
    const copy = await copyOf(first.dir);
    expect((await reopened(copy)).leaderEpoch).toBe(1);
  });

  it('refuses appends and flushes after it was closed', async () => {
    const { log, partition } = await world();
    await log.close();
    expect(() => partition.append(batch(), 1)).toThrow(expect.objectContaining({ code: 'log-offline' }));
    await expect(partition.flush()).rejects.toMatchObject({ code: 'log-offline' });
    await expect(log.maintain(1, 1)).rejects.toMatchObject({ code: 'log-offline' });
  });
});

describe('a start after a kill', () => {
  it('keeps what was flushed and begins a new leader epoch', async () => {
    const { dir, partition } = await world();
    for (let i = 0; i < 10; i++) partition.append(batch({ value: `value ${i}` }), 1);
    await partition.flush();
    const again = await reopened(await copyOf(dir));
    expect(state(again)).toMatchObject({ logEndOffset: 10, flushedOffset: 10, leaderEpoch: 1 });
    expect(again.epochForOffset(9)).toBe(0);
    expect(again.epochForOffset(10)).toBe(1);
    again.append(batch({ value: 'next' }), 1);
    expect(values(await readAll(again, 9))).toEqual(['value 9', 'next']);
    const { chunks } = await again.read(10, 1000, { isMinOneBatch: true });
    expect((chunks[0] as Buffer).readInt32BE(12)).toBe(1);
  });

  it('writes what no flush is known to have covered once more: one that failed may have left it unwritten and called written', async () => {
    const { dir, log, partition } = await world();
    for (let i = 0; i < 3; i++) partition.append(batch({ value: `known ${i}` }), 1);
    await partition.flush();
    await log.maintain(1, Number.POSITIVE_INFINITY);
    const knownBytes = (await fs.stat(segmentPath(dir))).size;
    for (let i = 0; i < 3; i++) partition.append(batch({ value: `unknown ${i}` }), 1);
    const killed = await copyOf(dir);
    const written: { readonly from: number; readonly to: number }[] = [];
    const disk: Disk = {
      ...systemDisk,
      writeSync: (fd, bytes, at, length, position) => {
        written.push({ from: position, to: position + length });
        return systemDisk.writeSync(fd, bytes, at, length, position);
      },
    };
    const again = (await openIn(killed, { disk })).partition(topic, 0);
    expect(again === undefined ? [] : values(await readAll(again))).toHaveLength(6);
    expect(written).toContainEqual({ from: knownBytes, to: (await fs.stat(segmentPath(killed))).size });
  });

  it('takes a partition offline whose flush fails again, and waits for the others', async () => {
    const { dir, log, partition } = await world();
    const [other] = await log.createPartitions(topic, topicKey, [1], looseConfig);
    for (const one of [partition, other]) one.append(batch(), 1);
    const killed = await copyOf(dir);
    const pool = new FlushPool(1);
    let fail = (): void => undefined;
    const hasFailed = new Promise<void>((resolve) => {
      fail = resolve;
    });
    const flusher: Flusher = {
      flush: async (fds, directories) => {
        if (directories.includes(join(killed, partitionFolder))) {
          fail();
          throw storageError('EIO: i/o error, fdatasync', 'EIO', undefined);
        }
        await hasFailed;
        await pool.flush(fds, directories);
      },
      replaceFile: (path, bytes) => pool.replaceFile(path, bytes),
      makeFolder: (path, passing, made) => pool.makeFolder(path, passing, made),
      afterTurn: (work) => pool.afterTurn(work),
      close: () => pool.close(),
    };
    const again = await openIn(killed, { flusher });
    expect(again.partition(topic, 0)?.offline).toMatchObject({
      code: 'log-offline',
      message: expect.stringContaining('EIO') as string,
      hint: expect.stringContaining('disk') as string,
    });
    expect(state(again.partition(topic, 1))).toMatchObject({ offline: undefined, logEndOffset: 1 });
    await again.close();
    expect(state((await openIn(killed)).partition(topic, 0))).toMatchObject({ offline: undefined, logEndOffset: 1 });
  });

  it('cuts a last batch that is torn, at every length', { timeout: 60_000 }, async () => {
    const { dir, partition } = await world();
    for (let i = 0; i < 3; i++) partition.append(batch({ value: `value ${i}` }), 1);
    const whole = await fs.readFile(segmentPath(dir));
    const last = batch({ value: 'value 2' }).length;
    for (let length = whole.length - last; length < whole.length; length++) {
      const copy = await copyOf(dir);
      await fs.truncate(segmentPath(copy), length);
      const log = await openIn(copy);
      const again = log.partition(topic, 0) as PartitionLog;
      expect(state(again), `${length} bytes`).toMatchObject({
        logEndOffset: 2,
        offline: undefined,
        leaderEpoch: 1,
        hotBytes: whole.length - last,
      });
      expect(again.append(batch({ value: 'anew' }), 1).baseOffset).toBe(2);
      expect(values(await readAll(again))).toEqual(['value 0', 'value 1', 'anew']);
      await log.close();
    }
  });

  it.each([
    ['zeros', Buffer.alloc(500)],
    ['random bytes', Buffer.from(Array.from({ length: 300 }, (_none, i) => (i * 197 + 31) & 0xff))],
    ['a header that promises 2 GiB', Buffer.concat([batch().subarray(0, 8), Buffer.from([0x7f, 0xff, 0xff, 0xff]), batch().subarray(12)])],
    ['a batch with offsets of before', batch()],
  ])('cuts %s behind the last batch', async (_what, garbage) => {
    const { dir, partition } = await world();
    for (let i = 0; i < 3; i++) partition.append(batch(), 1);
    const copy = await copyOf(dir);
    await fs.appendFile(segmentPath(copy), garbage);
    const again = await reopened(copy);
    expect(state(again)).toMatchObject({ logEndOffset: 3, offline: undefined });
    expect((await fs.stat(segmentPath(copy))).size).toBe(again.hotBytes);
  });

  it('cuts at a bad CRC and drops the segments behind it', async () => {
    const { dir, partition } = await world({ segmentBytes: 1000 });
    for (let i = 0; i < 40; i++) partition.append(batch({ value: `value ${i}` }), 1);
    await partition.flush();
    const copy = await copyOf(dir);
    const [, second] = await files(copy, '.log');
    const bytes = await fs.readFile(segmentPath(copy, second));
    bytes[batch({ value: 'value 10' }).length + 70] = 0xee;
    await fs.writeFile(segmentPath(copy, second), bytes);
    const again = await reopened(copy);
    expect(again.logEndOffset).toBe(Number.parseInt(second as string, 10) + 1);
    expect(await files(copy, '.log')).toHaveLength(2);
    expect(await readAll(again)).toHaveLength(again.logEndOffset);
  });

  it('never uses an epoch twice, also where the records of the last one were cut', async () => {
    const { dir, partition } = await world();
    partition.append(batch(), 1);
    const second = await copyOf(dir);
    const log = await openIn(second);
    (log.partition(topic, 0) as PartitionLog).append(batch(), 1);
    const third = await copyOf(second);
    await fs.truncate(segmentPath(third), 10);
    const again = await reopened(third);
    expect(state(again)).toMatchObject({ logEndOffset: 0, leaderEpoch: 2 });
    expect(await fs.readFile(join(third, partitionFolder, 'leader-epoch-checkpoint'), 'utf8')).toBe('0\n1\n2 0\n');
  });

  it('answers retries of idempotent producers across it', async () => {
    const { dir, partition } = await world({ segmentBytes: 1000 });
    for (let i = 0; i < 30; i++) partition.append(sequenced(7n, i), 1);
    partition.append(sequenced(8n, 5), 1);
    await partition.flush();
    const again = await reopened(await copyOf(dir));
    for (let i = 25; i < 30; i++) expect(again.append(sequenced(7n, i), 1)).toMatchObject({ baseOffset: i, isDuplicate: true });
    expect(again.append(sequenced(8n, 5), 1)).toMatchObject({ baseOffset: 30, isDuplicate: true });
    expect(again.append(sequenced(7n, 30), 1)).toMatchObject({ baseOffset: 31, isDuplicate: false });
  });

  it('answers for all batches that a producer may have under way, however many segments they lie in, and where they were evicted', async () => {
    const { dir, log, partition } = await world({ segmentBytes: 200 });
    for (let i = 0; i < 10; i++) partition.append(sequenced(7n, i * 3, 3), 1);
    expect(partition.segmentCount).toBeGreaterThan(4);
    await partition.flush();
    const expectAnswers = async (): Promise<void> => {
      const again = await reopened(await copyOf(dir));
      for (let i = 5; i < 10; i++) expect(again.append(sequenced(7n, i * 3, 3), 1)).toMatchObject({ baseOffset: i * 3, isDuplicate: true });
      expect(() => again.append(sequenced(7n, 12, 3), 1)).toThrow(expect.objectContaining({ code: 'sequence-out-of-order' }));
      expect(again.producers()).toMatchObject([{ producerId: 7n, lastSequence: 29, lastOffset: 29, offsetDelta: 2 }]);
      expect(again.append(sequenced(7n, 30, 3), 1)).toMatchObject({ baseOffset: 30, isDuplicate: false });
    };
    await expectAnswers();
    await partition.moveBoundary(30, 0);
    await log.evictAll([partition]);
    expect(partition.hotBytes).toBe(0);
    await expectAnswers();
  });

  it('answers them also where all snapshots are gone or damaged', async () => {
    const { dir, log, partition } = await world({ segmentBytes: 1000 });
    for (let i = 0; i < 30; i++) partition.append(sequenced(7n, i), 1);
    await log.close();
    const copy = await copyOf(dir);
    for (const name of await files(copy, '.snapshot')) await fs.writeFile(join(copy, partitionFolder, name), 'not a snapshot');
    const again = await reopened(copy);
    for (let i = 25; i < 30; i++) expect(again.append(sequenced(7n, i), 1)).toMatchObject({ baseOffset: i, isDuplicate: true });
  });

  it('answers them also where an index leads astray on the way from the last snapshot that is whole', async () => {
    const config = { ...looseConfig, segmentBytes: 2000, indexIntervalBytes: 100 };
    const { dir, log, partition } = await world(config);
    for (let i = 0; i < 10; i++) partition.append(sequenced(7n, i), 1);
    await log.close();
    const again = await openIn(dir);
    const goesOn = again.partition(topic, 0)!;
    goesOn.updateConfig(config);
    for (let i = 10; i < 40; i++) goesOn.append(sequenced(7n, i), 1);
    expect(goesOn.segmentCount).toBeGreaterThan(1);
    await again.close();
    const inFolder = (name: string | undefined): string => join(dir, partitionFolder, name!);
    for (const name of (await files(dir, '.snapshot')).slice(1)) await fs.writeFile(inFolder(name), 'not a snapshot');
    const index = inFolder((await files(dir, '.index'))[0]);
    const entries = await fs.readFile(index);
    // Each but the last, which a start looks at, names the batch before its own.
    for (let at = 0; at < entries.length - 8; at += 8) entries.writeInt32BE(entries.readInt32BE(at) - 1, at);
    await fs.writeFile(index, entries);
    const last = await reopened(dir);
    expect(last.offline).toBeUndefined();
    for (let i = 35; i < 40; i++) expect(last.append(sequenced(7n, i), 1)).toMatchObject({ baseOffset: i, isDuplicate: true });
  });

  it('builds indexes anew that are missing or of no use', async () => {
    const { dir, log, partition } = await world({ segmentBytes: 3000, indexIntervalBytes: 100 });
    for (let i = 0; i < 100; i++) partition.append(batch({ value: `value ${i}`, timestampMs: 1000 + i }), 1);
    await log.close();
    const copy = await copyOf(dir);
    for (const [i, name] of (await files(copy, 'index')).entries()) {
      const path = join(copy, partitionFolder, name);
      if (i % 3 === 0) await fs.rm(path);
      else if (i % 3 === 1) await fs.writeFile(path, Buffer.alloc(96));
      else await fs.truncate(path, 24);
    }
    const again = await reopened(copy);
    expect(again.offline).toBeUndefined();
    for (const offset of [0, 33, 66, 99]) {
      expect((await readAll(again, offset))[0]).toEqual({ offset, value: `value ${offset}` });
      expect(await again.offsetForTimestamp(1000 + offset, 0)).toMatchObject({ offset });
    }
    expect(await again.maxTimestamp()).toMatchObject({ offset: 99, timestampMs: 1099 });
  });

  it('removes what a kill left half made and half deleted', async () => {
    const { dir, log } = await world();
    await log.close();
    await fs.mkdir(join(dir, 'other-0.abc-creating'));
    await fs.mkdir(join(dir, 'gone-1.def-delete'));
    await fs.writeFile(join(dir, partitionFolder, '00000000000000000000.log.deleted'), 'x');
    await fs.writeFile(join(dir, partitionFolder, 'leader-epoch-checkpoint.tmp'), 'x');
    await reopened(dir);
    const left = (await fs.readdir(dir, { recursive: true })).filter((name) => /creating|delete|tmp/.test(name));
    expect(left).toEqual([]);
  });
});

describe('damage below the recovery point', () => {
  interface Damaged {
    readonly copy: string;
    readonly log: HotLog;
    readonly partition: PartitionLog;
  }

  async function damaged(spoil: (dir: string) => Promise<void>): Promise<Damaged> {
    const { dir, log, partition } = await world({ segmentBytes: 1000 });
    for (let i = 0; i < 40; i++) partition.append(batch({ value: `value ${i}` }), 1);
    await partition.flush();
    await log.maintain(1, Number.POSITIVE_INFINITY);
    partition.append(batch(), 1);
    const copy = await copyOf(dir);
    await spoil(copy);
    const recovered = await openIn(copy, { clock: clockAt(1) });
    return { copy, log: recovered, partition: recovered.partition(topic, 0) as PartitionLog };
  }

  it('leaves the partition offline and touches nothing', async () => {
    let before: Buffer | undefined;
    let last = '';
    const { copy, partition } = await damaged(async (dir) => {
      last = (await files(dir, '.log')).at(-1) as string;
      const bytes = await fs.readFile(segmentPath(dir, last));
      bytes[65] = (bytes[65] as number) ^ 1;
      before = bytes;
      await fs.writeFile(segmentPath(dir, last), bytes);
    });
    expect(partition.offline).toMatchObject({ code: 'log-damaged' });
    expect(() => partition.append(batch(), 1)).toThrow(expect.objectContaining({ kafkaCode: 56 }));
    await expect(partition.read(0, 1, { isMinOneBatch: true })).rejects.toMatchObject({ code: 'log-damaged' });
    await expect(partition.flush()).rejects.toMatchObject({ code: 'log-damaged' });
    expect(await fs.readFile(segmentPath(copy, last))).toEqual(before);
  });

  it('is a missing end', async () => {
    const { partition } = await damaged(async (dir) => {
      await fs.truncate(segmentPath(dir, (await files(dir, '.log')).at(-1) as string), 0);
    });
    expect(partition.offline).toMatchObject({ code: 'log-damaged' });
  });

  it('is a missing segment in the middle', async () => {
    const { partition, copy } = await damaged(async (dir) => {
      await fs.rm(segmentPath(dir, (await files(dir, '.log'))[1] as string));
    });
    expect(partition.offline).toMatchObject({ code: 'log-damaged' });
    expect((await files(copy, '.log')).length).toBeGreaterThan(2);
  });

  it('is still there after another stop and start, and other partitions are not touched by it', async () => {
    const { copy, log, partition } = await damaged(async (dir) => {
      await fs.truncate(segmentPath(dir, (await files(dir, '.log')).at(-1) as string), 0);
    });
    expect(partition.offline).toBeDefined();
    const [other] = await log.createPartitions(topic, topicKey, [1], looseConfig);
    other.append(batch(), 1);
    await other.flush();
    await log.close();
    await expect(fs.access(join(copy, '.kafka_cleanshutdown'))).rejects.toMatchObject({ code: 'ENOENT' });
    const again = await openIn(copy);
    expect(again.partition(topic, 0)?.offline).toMatchObject({ code: 'log-damaged' });
    expect(state(again.partition(topic, 1))).toMatchObject({ offline: undefined, logEndOffset: 1 });
  });
});

describe('the boundary at a start', () => {
  it.each([0, 5, 65])('is where the log begins anew when it is shorter, with %i bytes of a torn batch', async (tornBytes) => {
    const { dir, log, partition } = await world();
    for (let i = 0; i < 10; i++) partition.append(batch({ value: `value ${i}` }), 1);
    await partition.flush();
    await partition.moveBoundary(10, 0);
    await log.maintain(1, Number.POSITIVE_INFINITY);
    const copy = await copyOf(dir);
    await log.close();
    await fs.truncate(segmentPath(copy), batch({ value: 'value 0' }).length * 4 + tornBytes);
    const again = await reopened(copy);
    expect(state(again)).toMatchObject({
      offline: undefined,
      logEndOffset: 10,
      boundary: 10,
      localStartOffset: 10,
      logStartOffset: 0,
      segmentCount: 2,
    });
    expect(again.append(batch({ value: 'next' }), 1).baseOffset).toBe(10);
    await expect(again.read(3, 100, { isMinOneBatch: true })).rejects.toMatchObject({ code: 'offset-out-of-range' });
    expect(values(await readAll(again, 10))).toEqual(['next']);
  });

  /** Ten batches that are flushed, of which no recovery point is noted yet. */
  async function unnoted(segmentBytes: number, spoil: (bytes: Buffer, batchBytes: number) => void, lower: 'boundary' | 'log start') {
    const { dir, partition } = await world({ segmentBytes });
    for (let i = 0; i < 10; i++) partition.append(batch({ value: `value ${i}` }), 1);
    await partition.flush();
    if (lower === 'boundary') await partition.moveBoundary(5, 0);
    else await partition.raiseLogStart(5);
    const copy = await copyOf(dir);
    const bytes = await fs.readFile(segmentPath(copy));
    spoil(bytes, batch({ value: 'value 0' }).length);
    await fs.writeFile(segmentPath(copy), bytes);
    const before = await Promise.all((await files(copy, '.log')).map((name) => fs.readFile(segmentPath(copy, name))));
    const again = await reopened(copy);
    const after = await Promise.all((await files(copy, '.log')).map((name) => fs.readFile(segmentPath(copy, name))));
    return { again, before, after };
  }

  const spoilt: readonly (readonly [string, (bytes: Buffer, batchBytes: number) => void])[] = [
    ['the length of a batch', (bytes, batchBytes) => void (bytes[batchBytes * 2 + 8]! ^= 0x10)],
    ['the records of a batch', (bytes, batchBytes) => void (bytes[batchBytes * 2 + 70]! ^= 1)],
    ['the format of a batch', (bytes, batchBytes) => void (bytes[batchBytes * 2 + 16]! ^= 1)],
  ];
  it.each(
    spoilt.flatMap(([what, spoil]) =>
      (['boundary', 'log start'] as const).flatMap((lower) => [1 << 30, 600].map((segmentBytes) => ({ what, spoil, lower, segmentBytes }))),
    ),
  )('does not let $what below the $lower cut what was flushed above (segments of $segmentBytes bytes)', async (wish) => {
    const { again, before, after } = await unnoted(wish.segmentBytes, wish.spoil, wish.lower);
    expect(after).toEqual(before);
    expect(again.offline).toMatchObject({ code: 'log-damaged' });
  });

  it.each([0, 20])('does not let a hole below it drop the segments behind, with %i bytes of a torn batch', async (tornBytes) => {
    const { dir, partition } = await world({ segmentBytes: 600 });
    for (let i = 0; i < 20; i++) partition.append(batch({ value: `value ${i}` }), 1);
    await partition.flush();
    await partition.moveBoundary(5, 0);
    const copy = await copyOf(dir);
    const before = await files(copy, '.log');
    expect(before.length).toBeGreaterThan(2);
    await fs.truncate(segmentPath(copy), batch({ value: 'value 0' }).length * 4 + tornBytes);
    expect((await reopened(copy)).offline).toMatchObject({ code: 'log-damaged' });
    expect(await files(copy, '.log')).toEqual(before);
  });

  it('does not hide that records above it are gone', async () => {
    const { dir, log, partition } = await world();
    for (let i = 0; i < 10; i++) partition.append(batch({ value: `value ${i}` }), 1);
    await partition.flush();
    await partition.moveBoundary(5, 0);
    await log.maintain(1, Number.POSITIVE_INFINITY);
    const copy = await copyOf(dir);
    await fs.truncate(segmentPath(copy), batch({ value: 'value 0' }).length * 4);
    expect((await reopened(copy)).offline).toMatchObject({ code: 'log-damaged' });
  });
});
