// A checkpoint file of the log: what is forgotten is not to be found in it at a start.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemDisk } from '../../../src/kernel/index.js';
import { DurableOffsets } from '../../../src/log/durable-offsets.js';

describe('offsets that are removed', () => {
  let dir: string;
  let failures = 0;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'durable-offsets-'));
    failures = 0;
  });
  afterEach(() => rm(dir, { recursive: true }));

  const open = (): DurableOffsets =>
    new DurableOffsets(systemDisk, dir, 'points', async (path, bytes) => {
      // As if the disk took a moment.
      await readFile(path).catch(() => undefined);
      if (failures-- > 0) throw new Error('EIO: i/o error, fdatasync');
      await writeFile(path, bytes);
    });

  it('are gone from the file at the next removal where the first could not be written', async () => {
    const offsets = open();
    await offsets.set('orders-0', 180);
    failures = 1;
    await expect(offsets.remove('orders-0')).rejects.toThrow('could not be written');
    expect(open().get('orders-0')).toBe(180);
    await offsets.remove('orders-0');
    expect(open().get('orders-0')).toBeUndefined();
  });

  it('are waited for by whoever removes them meanwhile, and hears that it failed', async () => {
    const offsets = open();
    await offsets.set('orders-0', 180);
    failures = 1;
    const outcomes = await Promise.allSettled([offsets.remove('orders-0'), offsets.remove('orders-0')]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const again = [offsets.remove('orders-0'), offsets.remove('orders-0')];
    await Promise.all(again);
    expect(open().get('orders-0')).toBeUndefined();
  });

  it('cost no write where there are none', async () => {
    const offsets = open();
    failures = 1;
    await offsets.remove('orders-0');
    expect(failures).toBe(1);
  });
});
