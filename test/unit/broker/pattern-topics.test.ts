import { describe, expect, it } from 'vitest';
import { PatternTopics } from '../../../src/broker/groups/consumer/pattern-topics.js';
import { Subscriptions } from '../../../src/broker/groups/consumer/subscriptions.js';
import { TopicPattern } from '../../../src/broker/groups/consumer/topic-pattern.js';
import { FakeTopics } from '../../support/consumer-world.js';

/** Each character of a name costs it thousands of steps. */
const hostile = '(.*[ab]){600}c';

function manyTopics(count: number): FakeTopics {
  const topics = new FakeTopics();
  for (let i = 0; i < count; i++) topics.set(i.toString(2).padStart(9, '0').replaceAll('0', 'a').replaceAll('1', 'b').repeat(27), 1);
  return topics;
}

describe('topics of an expression', () => {
  it('are searched for with so much work at a time, though one name takes more', () => {
    const topics = manyTopics(5);
    const found = new PatternTopics(new TopicPattern(hostile));
    let turns = 0;
    for (; found.names === undefined && turns < 1_000; turns++) expect(found.searchOn(topics, 100_000)).toBeLessThan(150_000);
    expect(turns).toBeGreaterThan(10);
    expect(found.names).toEqual([]);
    expect(found.searchOn(topics, 100_000)).toBe(0);
  });

  it('are those of the last search until the next one has ended, also where topics come meanwhile', () => {
    const topics = new FakeTopics();
    for (const name of ['a1', 'a2', 'b1']) topics.set(name, 1);
    const found = new PatternTopics(new TopicPattern('a.'));
    found.searchOn(topics, Infinity);
    topics.set('a3', 1);
    found.searchOn(topics, 1);
    topics.set('a4', 1);
    expect(found.names).toEqual(['a1', 'a2']);
    // What was begun is done with the topics of then.
    found.searchOn(topics, Infinity);
    expect(found.names).toEqual(['a1', 'a2', 'a3']);
    found.searchOn(topics, Infinity);
    expect(found).toMatchObject({ names: ['a1', 'a2', 'a3', 'a4'], revision: topics.revision });
  });

  it('are found for each of many expressions, whatever the others take', () => {
    const topics = manyTopics(200);
    topics.set('x', 1);
    const subscriptions = new Subscriptions(topics);
    const members = [hostile, `${hostile}d`, 'x'].map((topicRegex) => ({ topicNames: [], topicRegex }));
    subscriptions.use(members);
    subscriptions.follow();
    expect(subscriptions.topicsOf(members[2]!).size).toBe(0);
    for (let turn = 0; turn < 3; turn++) subscriptions.follow();
    expect(subscriptions.isResolved).toBe(false);
    expect([...subscriptions.topicsOf(members[2]!)]).toEqual([topics.id('x')]);
  });

  it('are found though members come, go and change what they subscribe to all the time', () => {
    const topics = manyTopics(200);
    topics.set('x', 1);
    const subscriptions = new Subscriptions(topics);
    const members = [hostile, 'x'].map((topicRegex) => ({ topicNames: [], topicRegex }));
    for (let turn = 0; turn < 3; turn++) {
      subscriptions.use(turn % 2 === 0 ? members : [...members, { topicNames: [], topicRegex: `${hostile}d` }]);
      subscriptions.follow();
    }
    expect([...subscriptions.topicsOf(members[1]!)]).toEqual([topics.id('x')]);
  });
});
