// Fetch sessions (KIP-227): over the wire what a client is told, and by themselves how many there may be.
import { describe, expect, it, vi } from 'vitest';
import type { Broker } from '../../../src/broker/index.js';
import type { PartitionAnswer } from '../../../src/broker/fetch/fetch-round.js';
import { type FetchContext, FetchSessions } from '../../../src/broker/fetch/fetch-sessions.js';
import { minuteMs, systemRandom, type TopicId, zeroTopicId } from '../../../src/kernel/index.js';
import {
  deleteRecordsApi,
  deleteTopicsApi,
  fetchApi,
  type FetchRequest,
  type FetchResponse,
  kafkaErrors,
} from '../../../src/wire/index.js';
import { batchOf, testBroker, type TestBrokerOptions, valuesOf, WireClient } from './broker-fixture.js';
import { ManualClock } from './manual-clock.js';

type Position = readonly [partition: number, fetchOffset: number];

interface Asked {
  readonly session?: number;
  readonly epoch: number;
  readonly at?: readonly Position[];
  readonly forgotten?: readonly number[];
  readonly maxWaitMs?: number;
  readonly maxBytes?: number;
  readonly version?: number;
}

/** A client of topic `a`, with three partitions unless it says otherwise. */
async function open(options: TestBrokerOptions = {}, partitions = 3): Promise<{ broker: Broker; client: WireClient; topicId: TopicId }> {
  const broker = await testBroker(options);
  const client = await WireClient.open(broker);
  return { broker, client, topicId: await client.createTopic('a', partitions) };
}

function ask(client: WireClient, topicId: TopicId, asked: Asked): Promise<FetchResponse> {
  const { session = 0, epoch, at = [], forgotten = [], maxWaitMs = 0, maxBytes = 1 << 20, version = 13 } = asked;
  const topic = { topicId, topic: 'a' };
  const partitions = at.map(([partition, fetchOffset]) => ({ partition, fetchOffset, partitionMaxBytes: 1 << 20 }));
  return client.call(fetchApi, version, {
    maxWaitMs,
    minBytes: 1,
    maxBytes,
    sessionId: session,
    sessionEpoch: epoch,
    topics: at.length === 0 ? [] : [{ ...topic, partitions }],
    forgottenTopicsData: forgotten.length === 0 ? [] : [{ ...topic, partitions: [...forgotten] }],
  });
}

/** Partition → values, of what is in an answer. */
function told({ responses }: FetchResponse): Record<number, unknown> {
  const all = responses.flatMap(({ partitions }) => partitions);
  return Object.fromEntries(
    all.map(({ partitionIndex, errorCode, records }) => [
      partitionIndex,
      errorCode !== 0 ? errorCode : valuesOf(records).map(([, value]) => value),
    ]),
  );
}

const everyone: readonly Position[] = [
  [0, 0],
  [1, 0],
  [2, 0],
];

describe('a fetch session', () => {
  it('is told of all at first, and then of what is new', async () => {
    const { client, topicId } = await open();
    await client.produce('a', batchOf(['x']), { partition: 1 });
    const first = await ask(client, topicId, { epoch: 0, at: everyone });
    const session = first.sessionId;
    expect(session).toBeGreaterThan(0);
    expect(told(first)).toEqual({ 0: [], 1: ['x'], 2: [] });
    // Its position was not moved: the records are there still.
    expect(told(await ask(client, topicId, { session, epoch: 1 }))).toEqual({ 1: ['x'] });
    const moved = await ask(client, topicId, { session, epoch: 2, at: [[1, 1]] });
    expect(moved).toMatchObject({ errorCode: 0, sessionId: session });
    expect(told(moved)).toEqual({});
    await client.produce('a', batchOf(['y']), { partition: 2 });
    expect(told(await ask(client, topicId, { session, epoch: 3 }))).toEqual({ 2: ['y'] });
  });

  it('waits for records of any partition it has', async () => {
    const { broker, client, topicId } = await open();
    const { sessionId: session } = await ask(client, topicId, { epoch: 0, at: everyone });
    const producer = await WireClient.open(broker);
    const waiting = ask(client, topicId, { session, epoch: 1, maxWaitMs: 20_000 });
    await producer.produce('a', batchOf(['z']), { partition: 2 });
    expect(told(await waiting)).toEqual({ 2: ['z'] });
  });

  it('tells of a new log start, of an end, and of an error for as long as there is one', async () => {
    const { client, topicId } = await open({}, 2);
    await client.produce('a', batchOf(['x', 'y', 'z']));
    const { sessionId: session } = await ask(client, topicId, {
      epoch: 0,
      at: [
        [0, 3],
        [7, 0],
      ],
    });
    const unknown = { 7: kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION };
    expect(told(await ask(client, topicId, { session, epoch: 1 }))).toEqual(unknown);
    const topics = [{ name: 'a', partitions: [{ partitionIndex: 0, offset: 2 }] }];
    await client.call(deleteRecordsApi, 2, { timeoutMs: 1000, topics });
    const [after] = (await ask(client, topicId, { session, epoch: 2, forgotten: [7] })).responses;
    expect(after!.partitions).toMatchObject([{ partitionIndex: 0, logStartOffset: 2, highWatermark: 3 }]);
    expect(told(await ask(client, topicId, { session, epoch: 3 }))).toEqual({});
  });

  it('tells whether a topic by id is gone, or another one has its name', async () => {
    const { client, topicId } = await open();
    const { sessionId: session } = await ask(client, topicId, { epoch: 0, at: everyone });
    await client.call(deleteTopicsApi, 1, { topicNames: ['a'], timeoutMs: 1 });
    const unknown = kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION;
    expect(told(await ask(client, topicId, { session, epoch: 1 }))).toEqual({ 0: unknown, 1: unknown, 2: unknown });
    const otherId = await client.createTopic('a', 2);
    const other = kafkaErrors.INCONSISTENT_TOPIC_ID;
    expect(told(await ask(client, topicId, { session, epoch: 2 }))).toEqual({ 0: other, 1: other, 2: unknown });
    // Of an id that never was a topic's there nothing is known, whatever it was before.
    const begun = await ask(client, topicId, { epoch: 0, at: [[0, 0]] });
    expect(told(begun)).toEqual({ 0: kafkaErrors.UNKNOWN_TOPIC_ID });
    expect(told(await ask(client, topicId, { session: begun.sessionId, epoch: 1 }))).toEqual({ 0: kafkaErrors.UNKNOWN_TOPIC_ID });
    // Added by the fetch that finds it.
    const added = await ask(client, otherId, { session: begun.sessionId, epoch: 2, at: [[1, 0]] });
    expect(added.responses.map((topic) => [topic.topicId, topic.partitions[0]!.errorCode])).toEqual([
      [topicId, kafkaErrors.UNKNOWN_TOPIC_ID],
      [otherId, 0],
    ]);
    await client.call(deleteTopicsApi, 1, { topicNames: ['a'], timeoutMs: 1 });
    expect(told(await ask(client, topicId, { session: begun.sessionId, epoch: 3 }))).toEqual({
      0: kafkaErrors.UNKNOWN_TOPIC_ID,
      1: unknown,
    });
  });

  it('lets those who were given nothing go first', async () => {
    const { client, topicId } = await open();
    for (const partition of [0, 1, 2]) await client.produce('a', batchOf([`of ${partition}`]), { partition });
    // One batch an answer, and nobody moves on.
    const { sessionId: session } = await ask(client, topicId, { epoch: 0, at: everyone, maxBytes: 1 });
    const turns: unknown[] = [];
    for (let epoch = 1; epoch <= 6; epoch++) turns.push(...Object.keys(told(await ask(client, topicId, { session, epoch, maxBytes: 1 }))));
    expect(turns).toEqual(['0', '1', '2', '0', '1', '2']);
  });

  it('tells of a high watermark that has moved where the room went to another', async () => {
    const { client, topicId } = await open();
    const { sessionId: session } = await ask(client, topicId, { epoch: 0, at: everyone });
    for (const partition of [0, 1]) await client.produce('a', batchOf([`of ${partition}`]), { partition });
    expect(told(await ask(client, topicId, { session, epoch: 1, maxBytes: 1 }))).toEqual({ 0: ['of 0'], 1: [] });
    expect(told(await ask(client, topicId, { session, epoch: 2, maxBytes: 1 }))).toEqual({ 1: ['of 1'] });
  });

  it('adds partitions and forgets them, and ends with the last', async () => {
    const { client, topicId } = await open();
    for (const partition of [0, 1, 2]) await client.produce('a', batchOf([`of ${partition}`]), { partition });
    const { sessionId: session } = await ask(client, topicId, { epoch: 0, at: [[0, 0]] });
    expect(told(await ask(client, topicId, { session, epoch: 1, at: [[2, 0]] }))).toEqual({ 0: ['of 0'], 2: ['of 2'] });
    expect(told(await ask(client, topicId, { session, epoch: 2, forgotten: [0] }))).toEqual({ 2: ['of 2'] });
    expect(await ask(client, topicId, { session, epoch: 3, forgotten: [2] })).toMatchObject({ errorCode: 0, sessionId: 0, responses: [] });
    expect(await ask(client, topicId, { session, epoch: 4 })).toMatchObject({ errorCode: kafkaErrors.FETCH_SESSION_ID_NOT_FOUND });
  });

  it('refuses what does not follow', async () => {
    const { client, topicId } = await open();
    const { sessionId: session } = await ask(client, topicId, { epoch: 0, at: everyone });
    const code = async (asked: Asked): Promise<number> => (await ask(client, topicId, asked)).errorCode;
    expect(await code({ session: session === 5 ? 6 : 5, epoch: 1 })).toBe(kafkaErrors.FETCH_SESSION_ID_NOT_FOUND);
    expect(await code({ session, epoch: 2 })).toBe(kafkaErrors.INVALID_FETCH_SESSION_EPOCH);
    expect(await code({ session, epoch: 1, version: 12 })).toBe(kafkaErrors.FETCH_SESSION_TOPIC_ID_ERROR);
    // None of these has moved it.
    expect(await code({ session, epoch: 1 })).toBe(0);
    // A fetch by itself ends it.
    expect(await ask(client, topicId, { session, epoch: -1, at: everyone })).toMatchObject({ errorCode: 0, sessionId: 0 });
    expect(await code({ session, epoch: 2 })).toBe(kafkaErrors.FETCH_SESSION_ID_NOT_FOUND);
  });

  it('answers a fetch that another of the same session has overtaken with an error', async () => {
    const { broker, client, topicId } = await open();
    const { sessionId: session } = await ask(client, topicId, { epoch: 0, at: everyone });
    const waiting = ask(client, topicId, { session, epoch: 1, maxWaitMs: 20_000 });
    const other = await WireClient.open(broker);
    // Refused for as long as the first has not come.
    await vi.waitFor(async () => expect(await ask(other, topicId, { session, epoch: 2 })).toMatchObject({ errorCode: 0 }));
    await other.produce('a', batchOf(['x']));
    expect(await waiting).toMatchObject({ errorCode: kafkaErrors.INVALID_FETCH_SESSION_EPOCH, sessionId: session, responses: [] });
  });

  it('is not there where no slot is', async () => {
    const { client, topicId } = await open({ flags: { 'max.incremental.fetch.session.cache.slots': '0' } });
    expect(await ask(client, topicId, { epoch: 0, at: everyone })).toMatchObject({ errorCode: 0, sessionId: 0 });
  });
});

describe('the sessions of a broker', () => {
  const request = (partitions: number, sessionId = 0, sessionEpoch = 0, first = 0): FetchRequest =>
    ({
      sessionId,
      sessionEpoch,
      topics: [{ topic: 'a', topicId: zeroTopicId, partitions: Array.from({ length: partitions }, (_, i) => ({ partition: first + i })) }],
      forgottenTopicsData: [],
    }) as unknown as FetchRequest;
  const nothing = { errorCode: 0, highWatermark: 0, logStartOffset: 0, records: [] } as unknown as PartitionAnswer;
  const end = (context: FetchContext | number): number => {
    if (typeof context === 'number') throw new Error(`refused with ${context}`);
    return context.tell(context.partitions.map(() => nothing)).sessionId;
  };
  const begin = (sessions: FetchSessions, partitions: number): number => end(sessions.open(request(partitions), 12));

  it('keep to their number, and give up the longest unused, then a smaller one', async () => {
    const clock = new ManualClock();
    const sessions = new FetchSessions(clock, systemRandom, 2);
    const [large, small] = [begin(sessions, 5), begin(sessions, 3)];
    expect(begin(sessions, 9)).toBe(0);
    await clock.advance(2 * minuteMs + 1);
    expect(end(sessions.open(request(0, large, 1), 12))).toBe(large);
    // `small` has not been used.
    const other = begin(sessions, 1);
    expect(other).toBeGreaterThan(0);
    expect(sessions.open(request(0, small, 1), 12)).toBe(kafkaErrors.FETCH_SESSION_ID_NOT_FOUND);
    // Both are in use: what began long ago gives way to what is larger.
    expect(begin(sessions, 5)).toBe(0);
    expect(begin(sessions, 6)).toBeGreaterThan(0);
    expect(sessions.open(request(0, large, 2), 12)).toBe(kafkaErrors.FETCH_SESSION_ID_NOT_FOUND);
    expect(sessions).toMatchObject({ size: 2, partitions: 7, evictions: 2 });
  });

  /** Two sessions that leave no room for a partition more. */
  const full = (clock: ManualClock): { sessions: FetchSessions; first: number; second: number } => {
    const sessions = new FetchSessions(clock, systemRandom, 10);
    const [first, second] = [begin(sessions, 60_000), begin(sessions, 40_000)];
    expect(sessions.partitions).toBe(100_000);
    return { sessions, first, second };
  };

  it('go on where there is no room for more, while they name what they have', () => {
    const { sessions, second } = full(new ManualClock());
    expect(end(sessions.open(request(10, second, 1), 12))).toBe(second);
    const topic = { topic: 'a', topicId: zeroTopicId };
    const forgotten = { forgottenTopicsData: [{ ...topic, partitions: Array.from({ length: 10 }, (_, partition) => partition) }] };
    const moved = { ...request(10, second, 2, 40_000), ...forgotten };
    expect(end(sessions.open(moved, 12))).toBe(second);
    expect(sessions).toMatchObject({ size: 2, partitions: 100_000, evictions: 0 });
  });

  it('make room for one that grows, where another is not used', async () => {
    const clock = new ManualClock();
    const { sessions, first, second } = full(clock);
    await clock.advance(2 * minuteMs + 1);
    expect(end(sessions.open(request(10_000, second, 1, 40_000), 12))).toBe(second);
    expect(sessions).toMatchObject({ size: 1, partitions: 50_000, evictions: 1 });
    expect(sessions.open(request(0, first, 1), 12)).toBe(kafkaErrors.FETCH_SESSION_ID_NOT_FOUND);
  });

  it('give nobody up for one that gets no room all the same', async () => {
    const clock = new ManualClock();
    const sessions = new FetchSessions(clock, systemRandom, 10);
    const small = [begin(sessions, 1), begin(sessions, 2), begin(sessions, 3)];
    const large = begin(sessions, 90_000);
    await clock.advance(2 * minuteMs + 1);
    for (const session of [...small, large]) expect(end(sessions.open(request(0, session, 1), 12))).toBe(session);
    expect(begin(sessions, 10_001)).toBe(0);
    // Nor where it would never get any.
    expect(begin(sessions, 100_001)).toBe(0);
    expect(sessions).toMatchObject({ size: 4, partitions: 90_006, evictions: 0 });
    // As many as it takes, the smallest first.
    expect(begin(sessions, 9_996)).toBeGreaterThan(0);
    expect(sessions).toMatchObject({ size: 3, partitions: 99_999, evictions: 2 });
  });

  it('hold no more partitions together than there is room for', () => {
    const sessions = new FetchSessions(new ManualClock(), systemRandom, 10);
    const first = begin(sessions, 60_000);
    expect(first).toBeGreaterThan(0);
    expect(begin(sessions, 45_000)).toBe(0);
    const second = begin(sessions, 35_000);
    expect(sessions.partitions).toBe(95_000);
    // Who grows beyond it must begin anew.
    expect(sessions.open(request(10_000, second, 1, 35_000), 12)).toBe(kafkaErrors.FETCH_SESSION_ID_NOT_FOUND);
    expect(sessions.partitions).toBe(60_000);
    expect(end(sessions.open(request(0, first, 1), 12))).toBe(first);
  });
});
