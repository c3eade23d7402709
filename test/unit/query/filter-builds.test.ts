import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LakeError, systemClock } from '../../../src/kernel/index.js';
import type { ColdFile } from '../../../src/lake/index.js';
import { BuildsBehind } from '../../../src/query/keys/builds-behind.js';
import { FilterBuilds } from '../../../src/query/keys/filter-builds.js';
import { FilterStore } from '../../../src/query/keys/filter-store.js';
import { QueryQueue } from '../../../src/query/query-queue.js';
import { silentLogger } from '../../../src/telemetry/index.js';

const file = (key: string): ColdFile => ({ key, bytes: 1, rows: 1 }) as unknown as ColdFile;

describe('building key filters', () => {
  let directory: string;
  let store: FilterStore;
  const seen = { claims: 0, left: 0 };
  let builds: BuildsBehind;
  let filters: FilterBuilds;
  let failure: unknown;
  const givers: ((() => void) | undefined)[] = [];
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'thermocline-builds-'));
    store = await FilterStore.open(directory);
    [seen.claims, seen.left] = [0, 0];
    givers.length = 0;
    filters = new FilterBuilds(store, undefined as never);
    builds = new BuildsBehind({
      enter: async (giveWay) => {
        givers.push(giveWay);
        return () => {
          seen.left++;
        };
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
    builds.want(filters, [file('a')]);
    await tried(1);
    builds.want(filters, [file('a')]);
    await tried(2);
    expect([seen.claims, seen.left]).toEqual([2, 2]);
  });

  it('tries a file no more that has none by itself, and others alone after a failure among many', async () => {
    failure = new LakeError('query-too-large', 'too large');
    builds.want(filters, [file('a'), file('b')]);
    await tried(1);
    builds.want(filters, [file('a'), file('b')]);
    await tried(2);
    builds.want(filters, [file('a')]);
    await tried(3);
    expect([seen.claims, seen.left]).toEqual([2, 2]);
    builds.want(filters, [file('b')]);
    await tried(3);
    expect([seen.claims, seen.left]).toEqual([3, 3]);
  });

  it('gives way to a query that waits and goes on behind it; after some times it is finished first', async () => {
    failure = undefined;
    builds.want(filters, [file('a')]);
    for (let time = 1; time <= 5; time++) {
      for (let look = 0; look < 200 && seen.claims < time; look++) await systemClock.sleep(5);
      givers.at(-1)?.();
      await tried(time);
    }
    for (let look = 0; look < 200 && seen.claims < 6; look++) await systemClock.sleep(5);
    expect([seen.claims, seen.left, givers.length, givers.at(-1)]).toEqual([6, 5, 6, undefined]);
  });

  it('is told when a query waits for its turn', async () => {
    const queue = new QueryQueue({ running: 1, waiting: 4, waitMs: 10_000 }, systemClock);
    const { signal } = new AbortController();
    let given = 0;
    const leave = await queue.enterBehind(() => {
      given++;
    }, signal);
    const waiting = queue.enter(signal);
    expect(given).toBe(1);
    const late = queue.enterBehind(() => {
      given++;
    }, signal);
    const last = queue.enter(signal);
    leave();
    (await waiting)();
    const leaveLate = await late;
    // One waited already, when its turn came.
    expect(given).toBe(2);
    leaveLate();
    const leaveLast = await last;
    const another = queue.enter(signal);
    expect(given).toBe(2);
    leaveLast();
    (await another)();
    expect(queue.running).toBe(0);
  });

  it('ends what it builds when it is closed, and begins nothing after', async () => {
    failure = undefined;
    builds.want(filters, [file('a')]);
    for (let look = 0; look < 200 && seen.claims === 0; look++) await systemClock.sleep(5);
    await builds.close();
    builds.want(filters, [file('b')]);
    await tried(2);
    expect([seen.claims, seen.left]).toEqual([1, 1]);
  });
});
