// Consumer groups of the new protocol: whatever members do, and whichever answers are lost, a partition is never used by two of them,
// and when they come to rest everything is assigned, as evenly as the assignor promises.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assignRanges } from '../../src/broker/groups/consumer/range-assignor.js';
import { areSamePartitions, eachPartition, type PartitionSets } from '../../src/broker/groups/consumer/partitions.js';
import { ConsumerWorld, FakeClient, sessionMs } from '../support/consumer-world.js';
import { type Seeded, stream } from '../support/seed.js';

const names = ['a', 'b', 'c'];

function step(world: ConsumerWorld, random: Seeded, nextId: () => string, mayRestart: boolean): void {
  const clients = [...world.clients.values()];
  const one = clients.length > 0 ? random.pick(clients) : undefined;
  const dice = random.whole(0, 100);
  if (dice < 12 && clients.length < 6) {
    const client = new FakeClient(nextId(), subscription(random));
    world.clients.set(client.id, client);
  } else if (dice < 16) {
    const topic = random.pick(names);
    world.topics.set(topic, (world.topics.partitions.get(topic) ?? 0) + random.whole(1, 4));
  } else if (dice < 18) world.topics.drop(random.pick(names));
  else if (dice < 22) world.pass(random.whole(1, sessionMs));
  else if (dice < 25 && mayRestart) world.restart();
  else if (one === undefined) return;
  else if (dice < 28) world.leave(one);
  else if (dice < 31) world.clients.delete(one.id);
  else if (dice < 34) {
    one.topicNames = subscription(random);
    one.isNewSubscription = true;
  } else if (dice < 50) one.giveUp();
  else if (dice < 65) one.takeUp();
  else world.beat(one, random.whole(0, 8) === 0);
}

function subscription(random: Seeded): readonly string[] {
  return random.whole(0, 2) === 0 ? names : random.shuffled(names).slice(0, random.whole(1, names.length + 1));
}

/** Everybody does as told, until nothing changes: each epoch behind costs a member two heartbeats, and waits for others besides. */
function rest(world: ConsumerWorld): void {
  world.pass(sessionMs);
  for (let round = 0; round < 60; round++) {
    for (const client of world.clients.values()) {
      world.beat(client);
      client.takeUp();
    }
    world.pass(1000);
  }
}

function run(seed: number, assignor: 'uniform' | 'range'): ConsumerWorld {
  const random = stream(seed);
  const world = new ConsumerWorld([assignor], random.pick([0, 1_000, 15_000]));
  world.topics.set('a', 3);
  let ids = 0;
  let before = { epoch: 0, assignmentEpoch: 0 };
  for (let i = 0; i < 150; i++) {
    step(world, random, () => `m${ids++}`, true);
    expect([...world.doublyOwned()]).toEqual([]);
    const { epoch, assignmentEpoch } = world.group;
    expect(epoch).toBeGreaterThanOrEqual(before.epoch);
    expect(assignmentEpoch).toBeGreaterThanOrEqual(before.assignmentEpoch);
    before = { epoch, assignmentEpoch };
  }
  rest(world);
  return world;
}

function size(sets: PartitionSets): number {
  return [...eachPartition(sets)].length;
}

/** Every subscribed partition has exactly one owner, who subscribes to it and knows it. */
function expectAllAssigned(world: ConsumerWorld): void {
  const owners = new Map<string, FakeClient>();
  for (const client of world.clients.values()) {
    const member = world.group.member(client.id) ?? expect.unreachable('everybody is in');
    expect(areSamePartitions(client.owned, member.assigned)).toBe(true);
    for (const [topic, partition] of eachPartition(client.owned)) {
      expect(owners.has(`${topic}-${partition}`)).toBe(false);
      owners.set(`${topic}-${partition}`, client);
    }
  }
  let expected = 0;
  for (const [name, partitions] of world.topics.partitions) {
    if (![...world.clients.values()].some((client) => client.topicNames.includes(name))) continue;
    expected += partitions;
    for (let partition = 0; partition < partitions; partition++) {
      expect(owners.get(`${world.topics.id(name)}-${partition}`)?.topicNames).toContain(name);
    }
  }
  expect(owners.size).toBe(expected);
  if (world.clients.size > 0) expect(world.group.state).toBe('Stable');
}

describe('consumer groups of the new protocol', () => {
  it('never have a partition used by two members, and come to rest with every partition evenly assigned (uniform)', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const world = run(seed, 'uniform');
        expectAllAssigned(world);
        const clients = [...world.clients.values()];
        for (const rich of clients) {
          for (const [topic] of rich.owned) {
            const poorest = Math.min(
              ...clients
                .filter(({ topicNames }) => topicNames.some((name) => world.topics.id(name) === topic))
                .map(({ owned }) => size(owned)),
            );
            expect(size(rich.owned) - poorest).toBeLessThanOrEqual(1);
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  it('never have a partition used by two members, and come to rest in runs of partitions (range)', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const world = run(seed, 'range');
        expectAllAssigned(world);
        const members = [...world.clients.values()].map(({ id, topicNames, owned }) => ({
          id,
          instanceId: null,
          topics: new Set(topicNames.filter((name) => world.topics.partitions.has(name)).map((name) => world.topics.id(name))),
          target: owned,
        }));
        const counts = new Map([...world.topics.partitions].map(([name, count]) => [world.topics.id(name), count]));
        const ranges = assignRanges({ members, partitionCount: (topic) => counts.get(topic) ?? 0 });
        for (const { id, owned } of world.clients.values()) expect(areSamePartitions(owned, ranges.get(id)!)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it('are the same after a restart', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const world = run(seed, 'uniform');
        const { epoch, assignmentEpoch, state } = world.group;
        const members = [...world.group.members];
        const targets = members.map(({ id }) => world.group.target(id));
        world.restart();
        for (const [i, { id }] of members.entries()) expect(areSamePartitions(world.group.target(id), targets[i]!)).toBe(true);
        expect(world.group).toMatchObject({ epoch, assignmentEpoch, state });
        expect([...world.group.members].toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual(
          members.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
        );
        for (const client of world.clients.values()) world.beat(client);
        expect(world.group.epoch).toBe(epoch);
      }),
      { numRuns: 15 },
    );
  });
});
