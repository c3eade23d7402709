/**
 * Fetch. Versions served: 4–18 (topics by id from 13; the same topic may be listed several times).
 * Behaviour: whole batches, the first covering the offset asked for, within the request's limits (KIP-74): in its order, or in that of
 * its session, where a partition that was given records goes behind the others. Waits up to `max_wait` for `min_bytes`, or for as much of
 * it as the limits allow; woken by appends, deletion and state changes. Offsets below the local start come out of the chunk cache, and are
 * answered without a wait for more; while they are being hydrated the partition is answered with no records and no error, after at most
 * `remote.fetch.max.wait.ms` where the fetch has nothing else. A partition that is not there is told of with what there is of the others.
 * A client that names the epoch it read last is told at once where that ended, where it ended before the client's position (v12, KIP-595).
 * Sessions (v7, KIP-227): a later fetch names only what is other than before, and its answer only partitions that have something new.
 * Where `max.incremental.fetch.session.cache.slots` sessions are in use, or they hold very many partitions together, whoever begins one is
 * given session id 0, and full answers; a session that would have to grow beyond that ends.
 * Ignored: rack, replica id and state, a follower's high watermark (v18, KIP-1166).
 * Errors: FETCH_SESSION_ID_NOT_FOUND (70, also of a session that may not grow), INVALID_FETCH_SESSION_EPOCH (71),
 * FETCH_SESSION_TOPIC_ID_ERROR (106, begun with topics by name and gone on with by id, or the other way round); by partition
 * UNKNOWN_TOPIC_OR_PARTITION (3), UNKNOWN_TOPIC_ID (100; once the id was known 3, or INCONSISTENT_TOPIC_ID (103) where another topic has
 * the name), OFFSET_OUT_OF_RANGE (1, below the true log start, above the end, or behind an epoch that is not known),
 * FENCED_LEADER_EPOCH (74), UNKNOWN_LEADER_EPOCH (75), KAFKA_STORAGE_ERROR (56, offline; below v6 NOT_LEADER_OR_FOLLOWER, 6).
 */
import type { TopicId } from '../../kernel/index.js';
import { fetchApi, kafkaErrors, type MessageInput, type FetchResponse } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { runAfter } from '../deadline.js';
import { type FetchPartition, type FetchRound, fetchRound, type PartitionAnswer } from '../fetch/fetch-round.js';
import type { FetchTold } from '../fetch/fetch-sessions.js';
import { type Handler, handlerOf } from './handler.js';

export function fetchHandler(core: BrokerCore): Handler {
  const remoteWaitMs = core.config.get('remote.fetch.max.wait.ms');
  const answerBytesMax = core.config.get('fetch.max.bytes');
  return handlerOf(fetchApi, async (request, { version, signal, reserveAnswer }): Promise<MessageInput<FetchResponse>> => {
    const context = core.fetchSessions.open(request, version);
    if (typeof context === 'number') return { errorCode: context, responses: [] };
    const startMs = core.clock.monotonicMs();
    const wantedBytes = Math.min(Math.max(0, request.maxBytes), answerBytesMax, partitionBytesMax(context.partitions));
    const { isolationLevel } = request;
    let unknownAtFirst: number | undefined;
    for (;;) {
      const reserved = reserveAnswer(wantedBytes);
      const room = reserved instanceof Promise ? await reserved : reserved;
      if (signal.aborted) return { errorCode: kafkaErrors.NONE, responses: [] };
      const limits = { version, isolationLevel, maxBytes: room.bytes, isTight: room.bytes < wantedBytes };
      const round = await fetchRound(core, context.partitions, limits);
      const isColdAwaited = round.bytes === 0 && round.watched.some(({ coldOffset }) => coldOffset !== undefined);
      const waitMs = isColdAwaited ? remoteWaitMs : request.maxWaitMs;
      const leftMs = startMs + waitMs - core.clock.monotonicMs();
      // What an answer has no room for is not waited for, nor what lies behind cold records: it is there.
      const minBytes = Math.min(request.minBytes, Math.max(1, room.bytes));
      const isFull = (round.fullBytes >= minBytes || round.coldBytes > 0) && !isColdAwaited;
      // Who waits is told at once of a partition that goes meanwhile.
      const isGone = round.unknownCount > (unknownAtFirst ??= round.unknownCount);
      const isEnough = round.isUrgent || isGone || round.watched.length === 0 || isFull;
      if (isEnough || leftMs <= 0 || signal.aborted) {
        core.counters.fetchedBytes += round.bytes;
        core.counters.fetchedColdBytes += round.coldBytes;
        return answerOf(context.tell(round.answers));
      }
      room.release();
      await change(core, round, minBytes, leftMs, signal);
    }
  });
}

/** What all partitions asked for may give together. */
function partitionBytesMax(partitions: readonly FetchPartition[]): number {
  return partitions.reduce((bytes, { asked }) => bytes + Math.max(0, asked.partitionMaxBytes), 0);
}

/** Partitions of one topic that follow each other are one entry, as in Kafka. */
function answerOf({ errorCode, sessionId, told }: FetchTold): MessageInput<FetchResponse> {
  const responses: { readonly topic: string; readonly topicId: TopicId; readonly partitions: PartitionAnswer[] }[] = [];
  for (const { partition, answer } of told) {
    const { topic, topicId } = partition;
    const last = responses.at(-1);
    if (last !== undefined && last.topic === topic && last.topicId === topicId) last.partitions.push(answer);
    else responses.push({ topic, topicId, partitions: [answer] });
  }
  return { errorCode, sessionId, responses };
}

/** Resolves when another round may find enough, or at the deadline, or when the client is gone. */
function change(core: BrokerCore, round: FetchRound, minBytes: number, leftMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const removals: (() => void)[] = [];
    let isOver = false;
    const wake = (): void => {
      if (isOver) return;
      isOver = true;
      for (const remove of removals) remove();
      resolve();
    };
    const look = (): void => {
      if (hasGrown(round, minBytes)) wake();
    };
    removals.push(runAfter(core.clock, leftMs, wake));
    removals.push(
      core.topics.onChange((removed) => {
        if (removed !== undefined) wake();
      }),
    );
    signal.addEventListener('abort', wake, { once: true });
    removals.push(() => signal.removeEventListener('abort', wake));
    for (const { log, coldOffset } of round.watched) {
      removals.push(coldOffset === undefined ? log.onChange(look) : core.cold.onProgress(log, wake));
      // What happened between the round's look and now has called nobody.
      if (coldOffset !== undefined && core.cold.isThere(log, coldOffset)) wake();
    }
    look();
  });
}

/** Whether what was appended since the round, with what it read, may reach `minBytes`. */
function hasGrown({ fullBytes, watched }: FetchRound, minBytes: number): boolean {
  let available = fullBytes;
  for (const { log, endOffset, hotBytes, leftBytes } of watched) {
    if (log.offline !== undefined) return true;
    if (log.logEndOffset === endOffset) continue;
    // Where segments were evicted meanwhile the growth cannot be told from the bytes: look again.
    if (log.hotBytes <= hotBytes) return true;
    available += Math.min(log.hotBytes - hotBytes, leftBytes);
  }
  return available > fullBytes && available >= minBytes;
}
