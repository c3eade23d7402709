import { describe, expect, it } from 'vitest';
import { GroupCoordinator } from '../../../src/broker/groups/coordinator.js';
import type { MemberAnswer } from '../../../src/broker/groups/consumer/consumer-group.js';
import type { GroupLog, KeyValue } from '../../../src/broker/groups/group-log.js';
import { decodeGroupRecord, type GroupRecord } from '../../../src/broker/groups/group-records.js';
import { LakeError, systemRandom } from '../../../src/kernel/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';
import { FakeTopics, heartbeat } from '../../support/consumer-world.js';
import { ManualClock, settle } from './manual-clock.js';

/** Has records in the order they came in, and takes as long to be on disk as the test wants. */
class SlowLog {
  readonly #written: KeyValue[] = [];
  readonly #waiting: (() => void)[] = [];
  isFull = false;

  async append(_group: string, records: readonly KeyValue[]): Promise<void> {
    if (this.isFull) throw new LakeError('disk-full', 'there is no room');
    this.#written.push(...records);
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  isServed(): boolean {
    return true;
  }

  async replay(onRecord: (record: GroupRecord) => void): Promise<void> {
    for (const { key, value } of this.#written) {
      const record = decodeGroupRecord(key, value);
      if (record !== undefined) onRecord(record);
    }
  }

  flush(): Promise<void> {
    for (const resolve of this.#waiting.splice(0)) resolve();
    return settle();
  }
}

interface Setup {
  readonly clock: ManualClock;
  readonly log: SlowLog;
  readonly groups: GroupCoordinator;
  /** When each was created. */
  readonly topics: Map<string, number>;
  readonly view: FakeTopics;
  readonly flush: () => Promise<void>;
  /** Another coordinator, of what is in the log. */
  readonly restarted: () => Promise<GroupCoordinator>;
}

function setUp(): Setup {
  const clock = new ManualClock();
  const topics = new Map([['a', 1]]);
  const view = new FakeTopics();
  const log = new SlowLog();
  const coordinator = (): GroupCoordinator =>
    new GroupCoordinator({
      clock,
      random: systemRandom,
      logger: silentLogger,
      settings: { initialRebalanceDelayMs: 0, maxSize: 10 },
      groupsMax,
      consumerSettingsOf: () => ({ sessionTimeoutMs: 45_000, assignmentIntervalMs: 0, maxSize: 10, assignors: ['uniform'] }),
      migration: { mayUpgrade: true, mayDowngrade: true },
      topics: view,
      log: log as unknown as GroupLog,
      createdMs: (topic) => topics.get(topic),
    });
  const restarted = async (): Promise<GroupCoordinator> => {
    const groups = coordinator();
    await groups.load();
    return groups;
  };
  return { clock, log, groups: coordinator(), topics, view, flush: () => log.flush(), restarted };
}

/** Position 7, if no other is asked for. */
function at(partition: number, offset = 7, topic = 'a') {
  return { topic, partition, offset, leaderEpoch: -1, metadata: '' };
}

const groupsMax = 5;
const dayMs = 86_400_000;
const { signal } = new AbortController();

describe('the coordinator', () => {
  it('takes up no position in a topic that was deleted while it was written', async () => {
    const { groups, topics, flush } = setUp();
    const committed = groups.commit('g', [at(0)]);
    topics.delete('a');
    const deleted = groups.offsets.topicDeleted('a');
    await flush();
    await committed;
    await deleted;
    expect(groups.offsets.get('g', 'a', 0)).toBeUndefined();
  });

  it('dates no position before its topic, whatever the clock does', async () => {
    const { clock, groups, topics, flush } = setUp();
    const createdMs = clock.nowMs() + 3_600_000;
    topics.set('a', createdMs);
    const committed = groups.commit('g', [at(0)]);
    await flush();
    await committed;
    expect(groups.offsets.get('g', 'a', 0)).toMatchObject({ offset: 7, committedMs: createdMs });
  });

  it('forgets the positions of all groups in a deleted topic before it waits for the disk', async () => {
    const { groups, flush } = setUp();
    const before = [groups.commit('g', [at(0)]), groups.commit('h', [at(0)])];
    await flush();
    await Promise.all(before);
    const deleted = groups.offsets.topicDeleted('a');
    // Another topic of the name, to which a group commits while the old positions are still being struck out.
    const again = groups.commit('h', [at(0, 1)]);
    for (let i = 0; i < 3; i++) await flush();
    await Promise.all([deleted, again]);
    expect(groups.offsets.get('g', 'a', 0)).toBeUndefined();
    expect(groups.offsets.get('h', 'a', 0)).toMatchObject({ offset: 1 });
  });

  it('keeps what is being committed where a group has nothing else that has not expired, also over a restart', async () => {
    const { clock, groups, flush, restarted } = setUp();
    const old = groups.commit('g', [at(0, 1), at(1, 1)]);
    await flush();
    await old;
    await clock.advance(dayMs);
    const underWay = [groups.commit('g', [at(1, 2)]), groups.commit('new', [at(0)])];
    const gone = groups.expire(dayMs, signal);
    await settle();
    for (let i = 0; i < 3; i++) await flush();
    await Promise.all(underWay);
    expect(await gone).toEqual({ offsets: 1, groups: 0 });
    for (const now of [groups, await restarted()]) {
      expect(now.offsets.get('g', 'a', 0)).toBeUndefined();
      expect(now.offsets.get('g', 'a', 1)).toMatchObject({ offset: 2 });
      expect(now.offsets.get('new', 'a', 0)).toMatchObject({ offset: 7 });
      expect(now.group('new')?.state).toBe('empty');
    }
  });

  it('keeps what is being committed for the first time where other groups make room', async () => {
    const { groups, flush } = setUp();
    const committed = groups.commit('g', [at(0)]);
    for (let i = 1; i < groupsMax; i++) groups.groupOrNew(`idle ${i}`);
    expect(groups.groupOrNew('one more')).toBeDefined();
    await flush();
    await committed;
    expect(groups.offsets.get('g', 'a', 0)).toMatchObject({ offset: 7 });
    expect([groups.group('g')?.state, groups.group('idle 1')]).toEqual(['empty', undefined]);
  });

  it.each<[string, (groups: GroupCoordinator, topics: Map<string, number>) => Promise<unknown>]>([
    ['the group', (groups) => groups.delete('g')],
    ['some positions', (groups) => groups.offsets.forget('g', [at(0), at(1)])],
    [
      'the topic, of which another one has the name at once',
      (groups, topics) => {
        topics.delete('a');
        const deleted = groups.offsets.topicDeleted('a');
        topics.set('a', 1);
        return deleted;
      },
    ],
  ])('does not see again, also after a restart, what was being committed where one deletes %s', async (_what, remove) => {
    const { groups, topics, flush, restarted } = setUp();
    const known = groups.commit('g', [at(1)]);
    await flush();
    await known;
    const committed = groups.commit('g', [at(0)]);
    const deleted = remove(groups, topics);
    // What comes after it stays.
    const after = groups.commit('g', [at(2)]);
    for (let i = 0; i < 3; i++) await flush();
    await Promise.all([committed, deleted, after]);
    for (const now of [groups, await restarted()]) expect([...now.offsets.ofGroup('g').get('a')!.keys()]).toEqual([2]);
  });

  it('keeps what is being committed where the end of its group cannot be written', async () => {
    const { groups, log, flush, restarted } = setUp();
    const committed = groups.commit('g', [at(0)]);
    log.isFull = true;
    await expect(groups.delete('g')).rejects.toThrow('there is no room');
    await flush();
    await committed;
    for (const now of [groups, await restarted()]) expect(now.offsets.get('g', 'a', 0)).toMatchObject({ offset: 7 });
  });

  /** A group of the new protocol that has position 7 of partition 0, and whose only member has left. */
  async function emptied({ groups, flush }: Setup): Promise<void> {
    const joined = groups.consumers.heartbeat('g', heartbeat('m', 0, { topicNames: ['a'] }));
    const left = groups.consumers.heartbeat('g', heartbeat('m', -1));
    const committed = groups.commit('g', [at(0)]);
    await flush();
    await Promise.all([joined, left, committed]);
  }

  it('lets a member in while its empty group is deleted: it is in another one, also over a restart', async () => {
    const setup = setUp();
    const { groups, flush, restarted } = setup;
    await emptied(setup);
    const deleted = groups.delete('g');
    const joined = groups.consumers.heartbeat('g', heartbeat('n', 0, { topicNames: ['a'] }));
    const committed = groups.commit('g', [at(1)]);
    for (let i = 0; i < 3; i++) await flush();
    await Promise.all([deleted, committed]);
    const { memberEpoch } = (await joined) as MemberAnswer;
    for (const now of [groups, await restarted()]) {
      expect([...now.consumers.group('g')!.members].map(({ id }) => id)).toEqual(['n']);
      expect(await now.consumers.heartbeat('g', heartbeat('n', memberEpoch))).toMatchObject({ memberEpoch });
      expect([...now.offsets.ofGroup('g').get('a')!.keys()]).toEqual([1]);
    }
  });

  it('has an empty group of the new protocol as it was where its end cannot be written', async () => {
    const setup = setUp();
    const { groups, log } = setup;
    await emptied(setup);
    log.isFull = true;
    await expect(groups.delete('g')).rejects.toThrow('there is no room');
    expect(groups.listed('g')).toMatchObject({ type: 'consumer', state: 'Empty' });
    expect(groups.offsets.get('g', 'a', 0)).toMatchObject({ offset: 7 });
  });

  it('has one group of an id where the end of another cannot be written and a member has joined meanwhile', async () => {
    const { groups, log, flush } = setUp();
    const committed = groups.commit('g', [at(0)]);
    await flush();
    await committed;
    log.isFull = true;
    const deleted = groups.delete('g');
    log.isFull = false;
    const joined = groups.consumers.heartbeat('g', heartbeat('n', 0, { topicNames: ['a'] }));
    await expect(deleted).rejects.toThrow('there is no room');
    await flush();
    await joined;
    expect([groups.group('g'), groups.listed('g')?.type]).toEqual([undefined, 'consumer']);
  });

  it('searches once for the topics of an expression, whatever number of topics it is asked for', async () => {
    const { groups, view, flush } = setUp();
    view.set('other', 1);
    // Each takes longer than a search may.
    for (let i = 0; i < 5; i++) view.set(`${'a'.repeat(248)}${i}`, 1);
    const joined = groups.consumers.heartbeat('g', heartbeat('m', 0, { topicRegex: '(.*a){600}|(a.*){100}' }));
    await flush();
    await joined;
    const isConsumed = groups.consumedBy('g');
    // Until it is known, every one may be consumed.
    for (let asked = 0; asked < 100; asked++) expect(isConsumed('other')).toBe(true);
    let searches = 1;
    while (groups.consumedBy('g')('other')) expect(++searches).toBeLessThan(100);
  });
});
