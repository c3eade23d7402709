// Bytes of a living log change behind its back: whoever meets it says so, nothing of it is served as good or cut, and what is only an
// index or a copy is mended.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Disk, systemDisk } from '../../../src/kernel/index.js';
import { type PartitionLog, type LogConfig } from '../../../src/log/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';
import { batchAt, batchBytes } from '../../../src/wire/index.js';
import { batch, clockAt, files, openIn, partitionFolder, readAll, topic, values, world } from './hot-world.js';

const count = 60;
/** In a sealed segment, neither its first batch nor its last. */
const victim = 12;

interface Spoiled {
  readonly dir: string;
  readonly partition: PartitionLog;
  readonly before: Map<string, Buffer>;
}

function contents(dir: string): Map<string, Buffer> {
  const folder = join(dir, partitionFolder);
  return new Map(
    fs
      .readdirSync(folder)
      .filter((name) => name.endsWith('.log'))
      .map((name) => [name, fs.readFileSync(join(folder, name))]),
  );
}

/** Changes a byte of the victim's batch, `at` bytes into it, while the log is open. */
async function spoiled(at: number, config: Partial<LogConfig> = {}, boundary = 0): Promise<Spoiled> {
  const { dir, log, partition } = await world({ segmentBytes: 1000, indexIntervalBytes: 200, ...config }, undefined, { clock: clockAt(1) });
  for (let i = 0; i < count; i++) partition.append(batch({ value: `value ${i}`, timestampMs: 1000 + i }), 1);
  await partition.flush();
  if (boundary > 0) await partition.moveBoundary(boundary, 0);
  await log.maintain(1, Number.POSITIVE_INFINITY);
  const name = (await files(dir, '.log')).findLast((file) => Number(file.slice(0, 20)) < victim)!;
  const path = join(dir, partitionFolder, name);
  const bytes = fs.readFileSync(path);
  let position = 0;
  for (let offset = Number(name.slice(0, 20)); offset < victim; offset++) position += batchBytes(bytes, position);
  expect(Number(bytes.readBigInt64BE(position))).toBe(victim);
  bytes[position + at]! ^= 0x10;
  fs.writeFileSync(path, bytes);
  return { dir, partition, before: contents(dir) };
}

const read = (partition: PartitionLog, offset: number) => partition.read(offset, 300, { isMinOneBatch: true });
const damaged = expect.objectContaining({
  code: 'log-damaged',
  kafkaCode: 56,
  message: expect.stringMatching(/\.log is damaged at \d+: /) as string,
  hint: expect.stringContaining('Restore the file from a copy') as string,
}) as Error;

describe('damage of a living log', () => {
  it.each([
    ['its format', batchAt.magic],
    ['its length', batchAt.length],
    ['its offset', batchAt.baseOffset + 7],
  ])('in %s of a batch takes the partition offline for who reads it, and nothing is cut', async (_what, at) => {
    const { dir, partition, before } = await spoiled(at);
    await expect(readAll(partition, 0, 300)).rejects.toEqual(damaged);
    expect(partition.offline).toEqual(damaged);
    await expect(read(partition, 0)).rejects.toEqual(damaged);
    expect(() => partition.append(batch(), 1)).toThrow(damaged);
    expect(contents(dir)).toEqual(before);
  });

  it.each([
    ['in its records', batchAt.records + 8],
    ['in its header', batchAt.baseTimestamp + 5],
  ])('under a checksum, %s, is never taken for a time', async (_where, at) => {
    const { dir, partition, before } = await spoiled(at);
    await expect(partition.offsetForTimestamp(1000 + victim, 0)).rejects.toEqual(damaged);
    expect(partition.offline).toEqual(damaged);
    expect(contents(dir)).toEqual(before);
  });

  it('of a copy that the table has costs the copy only', async () => {
    const { partition } = await spoiled(batchAt.magic, { localRetentionMs: -1 }, 40);
    await expect(readAll(partition, 0, 300)).rejects.toMatchObject({ code: 'offset-out-of-range' });
    expect(partition.offline).toBeUndefined();
    expect(partition.localStartOffset).toBeGreaterThan(victim);
    expect(partition.localStartOffset).toBeLessThanOrEqual(40);
    const { localStartOffset } = partition;
    expect(values(await readAll(partition))).toEqual(
      Array.from({ length: count - localStartOffset }, (_, i) => `value ${localStartOffset + i}`),
    );
    expect(partition.append(batch(), 1)).toMatchObject({ baseOffset: count });
  });

  it.each([
    // Two of its entries still ascend, and the last one is right, which a start follows: but no batch begins there.
    ['leads to no batch', 0, 4, 3],
    ['leads behind some', 0, 0, -1],
    ['is of the segment that is written, and leads to no batch', -1, 4, 3],
    ['is of the segment that is written, and leads behind some', -1, 0, -1],
  ])('of an index that %s is mended, and nobody hears of it', async (_what, which, field, by) => {
    const { dir, log } = await world({ segmentBytes: 2500, indexIntervalBytes: 200 }, undefined, { clock: clockAt(1) });
    const first = log.partition(topic, 0)!;
    for (let i = 0; i < count; i++) first.append(batch({ value: `value ${i}` }), 1);
    await log.close();
    const path = join(dir, partitionFolder, (await files(dir, '.index')).at(which)!);
    const wrong = fs.readFileSync(path);
    expect(wrong.length).toBeGreaterThan(16);
    for (let at = field; at < wrong.length - 8; at += 8) wrong.writeInt32BE(wrong.readInt32BE(at) + by, at);
    fs.writeFileSync(path, wrong);
    const again = (await openIn(dir, { clock: clockAt(1) })).partition(topic, 0)!;
    for (let offset = count - 1; offset >= 0; offset--) {
      const { chunks } = await again.read(offset, 1, { isMinOneBatch: true });
      expect(Number(chunks[0]!.readBigInt64BE(0))).toBe(offset);
    }
    expect(again.offline).toBeUndefined();
  });

  it.each(['.index', '.timeindex'])(
    'of the disk under an index (%s) is no damage of the log: the index is made anew elsewhere',
    async (suffix) => {
      const { dir, log, partition: first } = await world({ segmentBytes: 1000, indexIntervalBytes: 200 }, undefined, { clock: clockAt(1) });
      for (let i = 0; i < count; i++) first.append(batch({ value: `value ${i}`, timestampMs: 1000 + i }), 1);
      await log.close();
      const path = join(dir, partitionFolder, (await files(dir, suffix))[1]!);
      const { ino } = fs.statSync(path);
      // The first file stays, so that no other has its number.
      fs.linkSync(path, join(dir, 'unreadable'));
      const disk: Disk = {
        ...systemDisk,
        readFile: async (file) => {
          if (fs.statSync(file).ino === ino) throw Object.assign(new Error('i/o error'), { code: 'EIO' });
          return systemDisk.readFile(file);
        },
      };
      const warnings: string[] = [];
      const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
      const again = await openIn(dir, { clock: clockAt(1), disk, logger });
      const partition = again.partition(topic, 0)!;
      expect(partition.offline).toBeUndefined();
      expect(values(await readAll(partition))).toEqual(Array.from({ length: count }, (_, i) => `value ${i}`));
      expect(warnings).toContain('an index file cannot be read and is made anew');
      await expect.poll(() => fs.statSync(path).ino).not.toBe(ino);
      await again.close();
      const warned = warnings.length;
      const { partition: mended } = await world({}, dir, { clock: clockAt(1), disk, logger });
      expect(values(await readAll(mended))).toHaveLength(count);
      expect(warnings).toHaveLength(warned);
    },
  );
});
