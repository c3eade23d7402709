import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LakeError, systemClock } from '../../../src/kernel/index.js';
import type { ColdFile } from '../../../src/lake/index.js';
import { FilterBuilds } from '../../../src/query/keys/filter-builds.js';
import { FilterStore } from '../../../src/query/keys/filter-store.js';
import { silentLogger } from '../../../src/telemetry/index.js';

const file = (key: string): ColdFile => ({ key, bytes: 1, rows: 1 }) as unknown as ColdFile;

describe('building key filters', () => {
  let directory: string;
  let store: FilterStore;
  const seen = { claims: 0, left: 0 };
  let builds: FilterBuilds;
  let failure: unknown;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'thermocline-builds-'));
    store = await FilterStore.open(directory);
    [seen.claims, seen.left] = [0, 0];
    builds = new FilterBuilds({
      store,
      cold: undefined as never,
      enter: async () => () => {
        seen.left++;
      },
      claim: async (signal) => {
        seen.claims++;
        if (failure !== undefined) throw failure;
        // Until it is closed.
        await systemClock.sleep(60_000, signal);
        throw new LakeError('internal', 'nobody closed it');
      },
      timeoutMs: 30_000,
      clock: systemClock,
      logger: silentLogger,
    });
  });
  afterEach(async () => {
    await builds.close();
    await rm(directory, { recursive: true, force: true });
  });
  const tried = async (count: number): Promise<void> => {
    for (let look = 0; look < 50 && seen.left < count; look++) await systemClock.sleep(5);
    await systemClock.sleep(5);
  };

  it('tries again with the next question where the bucket or the engines were not well, and gives its turn back', async () => {
    failure = new LakeError('cold-unavailable', 'the bucket is away');
    builds.want([file('a')]);
    await tried(1);
    builds.want([file('a')]);
    await tried(2);
    expect([seen.claims, seen.left]).toEqual([2, 2]);
  });

  it('tries a file no more that has none by itself, and others alone after a failure among many', async () => {
    failure = new LakeError('query-too-large', 'too large');
    builds.want([file('a'), file('b')]);
    await tried(1);
    builds.want([file('a'), file('b')]);
    await tried(2);
    builds.want([file('a')]);
    await tried(3);
    expect([seen.claims, seen.left]).toEqual([2, 2]);
    builds.want([file('b')]);
    await tried(3);
    expect([seen.claims, seen.left]).toEqual([3, 3]);
  });

  it('ends what it builds when it is closed, and begins nothing after', async () => {
    failure = undefined;
    builds.want([file('a')]);
    for (let look = 0; look < 200 && seen.claims === 0; look++) await systemClock.sleep(5);
    await builds.close();
    builds.want([file('b')]);
    await tried(2);
    expect([seen.claims, seen.left]).toEqual([1, 1]);
  });
});
