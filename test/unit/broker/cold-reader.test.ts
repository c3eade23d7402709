import { afterEach, describe, expect, it } from 'vitest';
import type { ColdTier } from '../../../src/broker/cold-tier.js';
import { ChunkCache } from '../../../src/broker/cold/chunk-cache.js';
import { ColdReader } from '../../../src/broker/cold/cold-reader.js';
import { MiB, systemClock, topicId } from '../../../src/kernel/index.js';
import type { PartitionLog } from '../../../src/log/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';
import { encodeBatch } from '../../../src/wire/index.js';
import { noColdTier, temporaryFolder } from './broker-fixture.js';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A batch of one record of about a mebibyte. */
function largeBatch(offset: number): Buffer {
  const batch = encodeBatch({ records: [{ timestampMs: 1, key: null, value: Buffer.alloc(MiB) }] });
  batch.writeBigInt64BE(BigInt(offset), 0);
  return batch;
}

describe('the cold reader', () => {
  it('lets a reader far ahead begin while another’s hydration is still at its beginning', async () => {
    const asked: number[] = [];
    const hydrate: ColdTier['hydrate'] = async ({ offset }, onPart, signal) => {
      asked.push(offset);
      await onPart({ baseOffset: offset, nextOffset: offset + 1, batches: largeBatch(offset) });
      // The bucket takes its time for the rest.
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    };
    const cache = await ChunkCache.open({ dir: await temporaryFolder(), maxBytes: 64 * MiB });
    const reader = new ColdReader({ clock: systemClock, logger: silentLogger, coldTier: { ...noColdTier, hydrate }, cache });
    closing.push(async () => {
      await reader.close();
      await cache.close();
    });
    const log = { topicId: topicId('7Qm0V4nQTMmTsA3nU8qR2w'), partition: 0, boundary: 1000, localStartOffset: 1000 } as PartitionLog;
    const ask = (offset: number): Promise<unknown> => reader.read(log, offset, MiB, true);
    expect(await ask(0)).toBeUndefined();
    await expect.poll(() => reader.isThere(log, 0)).toBe(true);
    // What the first brings next is waited for.
    await ask(1);
    expect(asked).toEqual([0]);
    await ask(500);
    await expect.poll(() => reader.isThere(log, 500)).toBe(true);
    expect(asked).toEqual([0, 500]);
  });
});
