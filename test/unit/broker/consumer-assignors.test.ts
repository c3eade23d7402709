import { describe, expect, it } from 'vitest';
import { assignorNamesOf, assignors, type AssignorInput, type MemberToAssign } from '../../../src/broker/groups/consumer/assignor.js';
import { noPartitions, type PartitionSets, partitionSetsOf } from '../../../src/broker/groups/consumer/partitions.js';
import { type TopicId, topicId } from '../../../src/kernel/index.js';

const a = topicId('a');
const b = topicId('b');
const c = topicId('c');

function member(
  id: string,
  topics: readonly TopicId[],
  target: PartitionSets = noPartitions,
  instanceId: string | null = null,
): MemberToAssign {
  return { id, instanceId, topics: new Set(topics), target };
}

function input(members: readonly MemberToAssign[], counts: Readonly<Record<string, number>>): AssignorInput {
  return { members, partitionCount: (topic) => counts[topic] ?? 0 };
}

function listed(sets: ReadonlyMap<string, PartitionSets>): Record<string, string> {
  const text = (each: PartitionSets): string =>
    [...each]
      .flatMap(([topic, partitions]) => [...partitions].map((partition) => `${topic}${partition}`))
      .toSorted()
      .join(' ');
  return Object.fromEntries([...sets].map(([id, each]) => [id, text(each)]));
}

describe('the range assignor', () => {
  it('gives members runs of each topic, static members first, so that equal topics go together', () => {
    const members = [member('m2', [a, b]), member('m1', [a, b]), member('z', [a, b], noPartitions, 'i')];
    expect(listed(assignors.range(input(members, { a: 4, b: 4 })))).toEqual({ z: 'a0 a1 b0 b1', m1: 'a2 b2', m2: 'a3 b3' });
  });

  it('counts only the subscribers of a topic, and leaves out who finds none left', () => {
    const members = [member('m1', [a]), member('m2', [a, b]), member('m3', [b])];
    expect(listed(assignors.range(input(members, { a: 1, b: 3 })))).toEqual({ m1: 'a0', m2: 'b0 b1', m3: 'b2' });
  });
});

describe('the uniform assignor', () => {
  it('deals equally and moves no more than it must', () => {
    const first = assignors.uniform(input([member('m1', [a, b])], { a: 3, b: 2 }));
    expect(listed(first)).toEqual({ m1: 'a0 a1 a2 b0 b1' });
    const second = assignors.uniform(input([member('m1', [a, b], first.get('m1')), member('m0', [a, b])], { a: 3, b: 2 }));
    expect(listed(second)).toEqual({ m1: 'a0 a1 a2', m0: 'b0 b1' });
    const grown = assignors.uniform(
      input([member('m1', [a, b], second.get('m1')), member('m0', [a, b], second.get('m0'))], { a: 4, b: 2 }),
    );
    expect(listed(grown)).toEqual({ m1: 'a0 a1 a2', m0: 'a3 b0 b1' });
  });

  it('drops what is not there or not subscribed to any more, and resolves a double claim', () => {
    const had = partitionSetsOf([
      { topicId: a, partitions: [0, 5] },
      { topicId: b, partitions: [0] },
    ]);
    const both = assignors.uniform(
      input([member('m1', [a], had), member('m2', [a], partitionSetsOf([{ topicId: a, partitions: [0] }]))], { a: 2, b: 1 }),
    );
    expect(listed(both)).toEqual({ m1: 'a0', m2: 'a1' });
  });

  it('levels members with different subscriptions as far as those allow', () => {
    const had = partitionSetsOf([
      { topicId: a, partitions: [0, 1, 2, 3] },
      { topicId: b, partitions: [0, 1] },
    ]);
    const levelled = assignors.uniform(input([member('m1', [a, b], had), member('m2', [b]), member('m3', [b, c])], { a: 4, b: 2, c: 1 }));
    expect(listed(levelled)).toEqual({ m1: 'a0 a1 a2 a3', m2: 'b0 b1', m3: 'c0' });
  });
});

it('knows the assignors by name, in the order configured', () => {
  expect(assignorNamesOf('range, uniform')).toEqual(['range', 'uniform']);
  expect(() => assignorNamesOf('sticky')).toThrow('there is no assignor "sticky"');
  expect(() => assignorNamesOf('')).toThrow('there is no assignor ""');
});
