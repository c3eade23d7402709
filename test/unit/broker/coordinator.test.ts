import { describe, expect, it } from 'vitest';
import { GroupCoordinator } from '../../../src/broker/groups/coordinator.js';
import type { GroupLog } from '../../../src/broker/groups/group-log.js';
import { systemClock, systemRandom } from '../../../src/kernel/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';

/** A coordinator whose log takes as long as the test wants. */
function setUp(): { groups: GroupCoordinator; topics: Map<string, number>; flush: () => Promise<void> } {
  const topics = new Map([['a', 1]]);
  const waiting: (() => void)[] = [];
  const log = { append: () => new Promise<void>((resolve) => waiting.push(resolve)), isServed: () => true };
  const groups = new GroupCoordinator({
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    settings: { initialRebalanceDelayMs: 0, maxSize: 10 },
    consumerSettingsOf: () => ({ sessionTimeoutMs: 45_000, assignmentIntervalMs: 0, maxSize: 10, assignors: ['uniform'] }),
    migration: { mayUpgrade: true, mayDowngrade: true },
    topics: { revision: 0, topic: () => undefined, names: () => [], nameOf: () => undefined },
    log: log as unknown as GroupLog,
    createdMs: (topic) => topics.get(topic),
  });
  const flush = (): Promise<void> => {
    for (const resolve of waiting.splice(0)) resolve();
    return new Promise((resolve) => void setImmediate(resolve));
  };
  return { groups, topics, flush };
}

describe('the coordinator', () => {
  it('takes up no position in a topic that was deleted while it was written', async () => {
    const { groups, topics, flush } = setUp();
    const committed = groups.commit('g', [{ topic: 'a', partition: 0, offset: 7, leaderEpoch: -1, metadata: '' }]);
    topics.delete('a');
    const deleted = groups.offsets.topicDeleted('a');
    await flush();
    await committed;
    await deleted;
    expect(groups.offsets.get('g', 'a', 0)).toBeUndefined();
  });

  it('dates no position before its topic, whatever the clock does', async () => {
    const { groups, topics, flush } = setUp();
    const createdMs = systemClock.nowMs() + 3_600_000;
    topics.set('a', createdMs);
    const committed = groups.commit('g', [{ topic: 'a', partition: 0, offset: 7, leaderEpoch: -1, metadata: '' }]);
    await flush();
    await committed;
    expect(groups.offsets.get('g', 'a', 0)).toMatchObject({ offset: 7, committedMs: createdMs });
  });

  it('forgets the positions of all groups in a deleted topic before it waits for the disk', async () => {
    const { groups, flush } = setUp();
    const offset = { topic: 'a', partition: 0, offset: 7, leaderEpoch: -1, metadata: '' };
    const before = [groups.commit('g', [offset]), groups.commit('h', [offset])];
    await flush();
    await Promise.all(before);
    const deleted = groups.offsets.topicDeleted('a');
    // Another topic of the name, to which a group commits while the old positions are still being struck out.
    const again = groups.commit('h', [{ ...offset, offset: 1 }]);
    for (let i = 0; i < 3; i++) await flush();
    await Promise.all([deleted, again]);
    expect(groups.offsets.get('g', 'a', 0)).toBeUndefined();
    expect(groups.offsets.get('h', 'a', 0)).toMatchObject({ offset: 1 });
  });
});
