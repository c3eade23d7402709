import { afterEach, describe, expect, it } from 'vitest';
import { type Disk, systemDisk } from '../../../src/kernel/index.js';
import {
  batch,
  copyOf,
  looseConfig,
  openIn,
  readAll,
  sequenced,
  state,
  temporaryFolder,
  topic,
  topicKey,
  values,
  world,
} from './hot-world.js';

const writeSync: Disk['writeSync'] = (...call) => systemDisk.writeSync(...call);
const openSync: Disk['openSync'] = (...call) => systemDisk.openSync(...call);
const disk: { -readonly [Member in keyof Disk]: Disk[Member] } = { ...systemDisk };

afterEach(restore);

/** The next write gets `bytes` to the disk, and the one after it fails. */
function failAfter(bytes: number, code: string): void {
  let calls = 0;
  disk.writeSync = (fd, buffer, offset, length, position) => {
    calls++;
    if (calls === 1 && bytes > 0) return writeSync(fd, buffer, offset, Math.min(bytes, length), position);
    throw Object.assign(new Error(code), { code });
  };
}

function restore(): void {
  disk.writeSync = writeSync;
  disk.openSync = openSync;
}

describe('an append', () => {
  it.each([0, 40])('that finds the disk full after %i bytes is refused, and the log goes on when there is room again', async (bytes) => {
    const { dir, partition } = await world({}, undefined, { disk });
    partition.append(sequenced(7n, 0), 1);
    const before = state(partition);
    failAfter(bytes, 'ENOSPC');
    expect(() => partition.append(sequenced(7n, 1, 3), 1)).toThrow(
      expect.objectContaining({ code: 'disk-full', kafkaCode: 56, retriable: true }),
    );
    restore();
    expect(state(partition)).toEqual(before);
    const again = (await openIn(await copyOf(dir))).partition(topic, 0);
    expect(again?.logEndOffset).toBe(1);
    expect(partition.append(sequenced(7n, 1, 3), 1)).toMatchObject({ baseOffset: 1, isDuplicate: false });
    expect(await partition.flush()).toMatchObject({ flushedOffset: 4 });
    expect(await readAll(partition)).toHaveLength(4);
  });

  it('that fails otherwise takes the partition offline', async () => {
    const { dir, log, partition } = await world({}, undefined, { disk });
    partition.append(batch({ value: 'kept' }), 1);
    await partition.flush();
    failAfter(40, 'EIO');
    expect(() => partition.append(batch({ value: 'lost' }), 1)).toThrow(expect.objectContaining({ code: 'log-offline' }));
    restore();
    expect(() => partition.append(batch(), 1)).toThrow(expect.objectContaining({ code: 'log-offline' }));
    await expect(partition.read(0, 100, { isMinOneBatch: true })).rejects.toMatchObject({ code: 'log-offline' });
    await log.close();
    const again = (await openIn(dir)).partition(topic, 0);
    expect(state(again)).toMatchObject({ offline: undefined, logEndOffset: 1, leaderEpoch: 1 });
    expect(again === undefined ? [] : values(await readAll(again))).toEqual(['kept']);
  });

  it('goes on after short writes', async () => {
    const { partition } = await world({}, undefined, { disk });
    disk.writeSync = (fd, buffer, offset, length, position) => writeSync(fd, buffer, offset, Math.min(7, length), position);
    partition.append(batch({ value: 'in pieces' }), 1);
    restore();
    expect(values(await readAll(partition))).toEqual(['in pieces']);
  });
});

describe('a start', () => {
  it.each(['EIO', 'EACCES'])(
    'that may not open the segment that is written (%s) has that partition offline, and no other',
    async (code) => {
      const dir = await temporaryFolder();
      const log = await openIn(dir);
      await log.createPartitions(topic, topicKey, [0, 1], looseConfig);
      log.partition(topic, 1)!.append(batch({ value: 'kept' }), 1);
      await log.close();
      disk.openSync = (path, ...how) => {
        if (path.includes('flights-0/') && path.endsWith('.log')) throw Object.assign(new Error(code), { code });
        return openSync(path, ...how);
      };
      const started = await openIn(dir, { disk });
      const [bad, good] = [0, 1].map((partition) => started.partition(topic, partition)!);
      expect(bad!.offline).toMatchObject({ code: 'log-offline', message: expect.stringContaining(code) as string });
      expect(() => bad!.append(batch(), 1)).toThrow(expect.objectContaining({ code: 'log-offline' }));
      expect(values(await readAll(good!))).toEqual(['kept']);
      disk.openSync = openSync;
      await started.close();
      const again = (await openIn(dir)).partition(topic, 0)!;
      expect(again.append(batch(), 1)).toMatchObject({ baseOffset: 0 });
    },
  );
});
