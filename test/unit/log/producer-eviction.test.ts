// Segments go only where a start would still know their producers: their snapshots may have failed.
import * as fs from 'node:fs/promises';
import { describe, expect, it, vi } from 'vitest';
import { FlushPool, type Flusher } from '../../../src/log/flush-pool.js';
import { storageError } from '../../../src/log/job-threads.js';
import type { LogConfig, PartitionLog } from '../../../src/log/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';
import { batch, clockAt, copyOf, files, openIn, sequenced, state, topic, type World, world } from './hot-world.js';

const endless = Number.POSITIVE_INFINITY;

interface Faults {
  /** Saving a snapshot finds the disk full. */
  isFull: boolean;
  /** A flush answers no sooner. */
  heldFlush?: Promise<void> | undefined;
}

interface FaultyWorld extends World {
  readonly faults: Faults;
  readonly warnings: string[];
}

async function faulty(config: Partial<LogConfig>): Promise<FaultyWorld> {
  const faults: Faults = { isFull: false };
  const pool = new FlushPool(1);
  const flusher: Flusher = {
    flush: async (fds, directories) => {
      await faults.heldFlush;
      await pool.flush(fds, directories);
    },
    replaceFile: async (path, bytes) => {
      if (faults.isFull && path.endsWith('.snapshot')) throw storageError('it is full', 'ENOSPC', undefined);
      await pool.replaceFile(path, bytes);
    },
    makeFolder: (path, passing, made) => pool.makeFolder(path, passing, made),
    afterTurn: (work) => pool.afterTurn(work),
    close: () => pool.close(),
  };
  const warnings: string[] = [];
  const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
  return { ...(await world(config, undefined, { flusher, logger, clock: clockAt(1) })), faults, warnings };
}

/** Batches of a record from one offset to another: the first two by producer 8, who is silent from then on, the others by producer 7. */
function send(partition: PartitionLog, from: number, to: number): void {
  for (let offset = from; offset < to; offset++) partition.append(offset < 2 ? sequenced(8n, offset) : sequenced(7n, offset), 1);
}

/** After a kill at this moment: the newest batches of both are known, and those behind them are taken. */
async function expectKnown(dir: string, endOffset: number): Promise<void> {
  const again = (await openIn(await copyOf(dir), { clock: clockAt(1) })).partition(topic, 0) as PartitionLog;
  expect(again.append(sequenced(8n, 1), 1)).toMatchObject({ isDuplicate: true, baseOffset: 1 });
  expect(again.append(sequenced(8n, 2), 1)).toMatchObject({ isDuplicate: false });
  expect(again.append(sequenced(7n, endOffset - 1), 1)).toMatchObject({ isDuplicate: true });
  expect(again.append(sequenced(7n, endOffset), 1)).toMatchObject({ isDuplicate: false });
}

const small = { segmentBytes: 800 };

describe('segments of idempotent producers', () => {
  it('go after a snapshot of theirs was saved, where those of the rolls had failed', async () => {
    const { dir, log, partition, faults } = await faulty(small);
    faults.isFull = true;
    send(partition, 0, 25);
    await partition.flush();
    await partition.moveBoundary(25, 0);
    await vi.waitFor(async () => expect(await files(dir, '.index')).toHaveLength(partition.segmentCount - 1), { timeout: 20_000 });
    faults.isFull = false;
    await log.maintain(1, 0);
    expect(partition.segmentCount).toBe(1);
    expect(partition.localStartOffset).toBeGreaterThan(2);
    await expectKnown(dir, 25);
  });

  it('stay while no snapshot can be saved, but those below the last one; that is said once', async () => {
    const { dir, log, partition, faults, warnings } = await faulty(small);
    send(partition, 0, 20);
    await partition.flush();
    await partition.moveBoundary(20, 0);
    await log.evictAll([partition]);
    expect(partition.localStartOffset).toBe(20);
    send(partition, 20, 36);
    const { segmentCount } = partition;
    await partition.flush();
    await vi.waitFor(async () => expect(await files(dir, '.snapshot')).toHaveLength(segmentCount), { timeout: 20_000 });
    faults.isFull = true;
    send(partition, 36, 60);
    await partition.flush();
    await partition.moveBoundary(60, 0);
    for (let round = 0; round < 3; round++) {
      await log.evictAll([partition]);
      // And it ends, though all that is hot is too much.
      await log.maintain(1, 0);
    }
    const saved = Number.parseInt((await files(dir, '.snapshot')).at(-1) as string, 10);
    expect(partition.localStartOffset).toBe(saved);
    expect(saved).toBeGreaterThan(20);
    expect(saved).toBeLessThan(40);
    expect(partition.segmentCount).toBeGreaterThan(segmentCount);
    expect(warnings.filter((line) => line.startsWith('segments stay'))).toHaveLength(1);
    await expectKnown(dir, 60);
    faults.isFull = false;
    await log.evictAll([partition]);
    expect(partition.localStartOffset).toBe(60);
    await expectKnown(dir, 60);
  });

  it.each([
    ['retention', async () => undefined],
    ['DeleteRecords', (partition: PartitionLog) => partition.raiseLogStart(25)],
  ])('go by %s no further, either', async (by, raise) => {
    const { dir, log, partition, faults } = await faulty({ ...small, isTiered: false, retentionBytes: by === 'retention' ? 500 : -1 });
    faults.isFull = true;
    send(partition, 0, 30);
    await partition.flush();
    await raise(partition);
    await log.maintain(1, endless);
    expect(partition.logStartOffset).toBeGreaterThanOrEqual(20);
    expect(await files(dir, '.log')).toContain('00000000000000000000.log');
    await expectKnown(dir, 30);
    faults.isFull = false;
    await log.maintain(1, endless);
    expect(await files(dir, '.log')).not.toContain('00000000000000000000.log');
    await expectKnown(dir, 30);
  });

  it('go after a flush of what their snapshot speaks of', async () => {
    const { dir, log, partition, faults } = await faulty(small);
    send(partition, 0, 30);
    await partition.flush();
    await partition.moveBoundary(30, 0);
    let release = (): void => undefined;
    faults.heldFlush = new Promise((resolve) => {
      release = resolve;
    });
    // The roll's snapshot is on disk before the record below it.
    send(partition, 30, 31);
    const evicted = log.evictAll([partition]);
    try {
      await vi.waitFor(async () => expect(await files(dir, '.index')).toHaveLength(partition.segmentCount - 1), { timeout: 20_000 });
      expect(await files(dir, '.snapshot')).toContain('00000000000000000031.snapshot');
      for (let turn = 0; turn < 20; turn++) await fs.stat(dir);
      expect(state(partition)).toMatchObject({ localStartOffset: 0, flushedOffset: 30 });
    } finally {
      release();
    }
    await evicted;
    expect(state(partition)).toMatchObject({ flushedOffset: 31 });
    expect(partition.localStartOffset).toBeGreaterThan(20);
    await expectKnown(dir, 31);
  });

  it('wait for no snapshot where there are no producers', async () => {
    const { dir, log, partition, faults } = await faulty(small);
    faults.isFull = true;
    for (let i = 0; i < 30; i++) partition.append(batch({ value: `value ${i}` }), 1);
    await partition.flush();
    await partition.moveBoundary(30, 0);
    await log.evictAll([partition]);
    expect(state(partition)).toMatchObject({ localStartOffset: 30, hotBytes: 0 });
    expect(await files(dir, '.snapshot')).toEqual([]);
  });
});
