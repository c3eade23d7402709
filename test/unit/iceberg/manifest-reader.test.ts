import { describe, expect, it } from 'vitest';
import { TableStore } from '../../../src/iceberg/index.js';
import { faultyStore } from '../../../src/objects/index.js';
import { emptyMetadata, file, prefix, seededRandom, steppedClock, world } from './table-world.js';

describe('a manifest that is read', () => {
  it('and never comes keeps nobody waiting beyond a signal, nor whoever reads it next', async () => {
    const there = world();
    const { table, store } = there;
    const head = await there.append(await table.commit(null, emptyMetadata(), 'first'), [file('a')], 'second');
    let isHanging = true;
    const hung = faultyStore(store, {
      before: (call) => (isHanging && call.key.endsWith('-m0.avro') ? new Promise<void>(() => undefined) : undefined),
    });
    const other = new TableStore(hung, prefix, { clock: steppedClock(), random: seededRandom(1) });
    const limit = new AbortController();
    const reads = [1, 2].map(() => other.readDataFiles(head.metadata, limit.signal));
    limit.abort(new Error('too long'));
    for (const read of reads) await expect(read).rejects.toThrow('too long');
    isHanging = false;
    expect(await other.readDataFiles(head.metadata)).toHaveLength(1);
  });
});
