import { describe, expect, it } from 'vitest';
import { clusterId, isLakeError, systemClock } from '../../../src/kernel/index.js';
import { claimBucket, identityKey, readIdentity } from '../../../src/lake/index.js';
import { answerLost, faultyStore } from '../../../src/objects/index.js';
import { cluster, memoryStore } from './table-fixture.js';

const other = clusterId('ZZZZZZZZZZZZZZZZZZZZZQ');

describe('the identity of a bucket prefix', () => {
  it('is claimed once and found again', async () => {
    const store = memoryStore();
    expect(await readIdentity(store)).toBeNull();
    const first = await claimBucket(store, cluster, { nowMs: () => 5 });
    expect(first).toEqual({ clusterId: cluster, createdAtMs: 5 });
    expect(await claimBucket(store, cluster, { nowMs: () => 9 })).toEqual(first);
  });

  it('is refused to another cluster, with what can be done', async () => {
    const store = memoryStore();
    await claimBucket(store, cluster, systemClock);
    const refused = claimBucket(store, other, systemClock);
    await expect(refused).rejects.toMatchObject({ code: 'data-dir-foreign', facts: { bucketCluster: cluster, dataDirCluster: other } });
    await expect(refused).rejects.toSatisfy(
      (error) => isLakeError(error) && /recover/.test(error.hint ?? '') && /prefix/.test(error.hint ?? ''),
    );
  });

  it('goes to exactly one of two that claim it at once', async () => {
    const store = memoryStore();
    const outcomes = await Promise.allSettled([claimBucket(store, cluster, systemClock), claimBucket(store, other, systemClock)]);
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1);
  });

  it('is ours where the answer to our claim was lost', async () => {
    const store = faultyStore(memoryStore(), {
      after: (call) => {
        if (call.operation === 'put') throw answerLost(call);
      },
    });
    expect((await claimBucket(store, cluster, systemClock)).clusterId).toBe(cluster);
  });

  it('is not overwritten where it cannot be read', async () => {
    const store = memoryStore();
    await store.put(identityKey, Buffer.from('{"format":"something/9"}'));
    await expect(claimBucket(store, cluster, systemClock)).rejects.toMatchObject({ code: 'table-corrupt' });
  });
});
