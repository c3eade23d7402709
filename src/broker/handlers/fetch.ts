/**
 * Fetch. Versions served: 4–18 (topics by id from 13; the same topic may be listed several times).
 * Behaviour: whole batches, the first covering the offset asked for, in the request's order within its limits (KIP-74). Waits up
 * to `max_wait` for `min_bytes`; woken by appends, deletion and state changes. Offsets below the local start come out of the
 * chunk cache; while they are being hydrated the partition is answered with no records and no error, after at most
 * `remote.fetch.max.wait.ms` where the fetch has nothing else.
 * Ignored: rack, replica id and state, last fetched epoch, a follower's high watermark (v18, KIP-1166), forgotten topics. Sessions are declined: session id 0, full answers.
 * Errors: FETCH_SESSION_ID_NOT_FOUND (70) for a session's later epochs; by partition UNKNOWN_TOPIC_OR_PARTITION (3),
 * UNKNOWN_TOPIC_ID (100), OFFSET_OUT_OF_RANGE (1, below the true log start or above the end), FENCED_LEADER_EPOCH (74),
 * UNKNOWN_LEADER_EPOCH (75), KAFKA_STORAGE_ERROR (56, offline).
 */
import { fetchApi, kafkaErrors, type MessageInput, type FetchRequest, type FetchResponse } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { runAfter } from '../deadline.js';
import { type FetchRound, fetchRound } from '../fetch-round.js';
import { type Handler, handlerOf } from './handler.js';

export function fetchHandler(core: BrokerCore): Handler {
  const remoteWaitMs = core.config.get('remote.fetch.max.wait.ms');
  const answerBytesMax = core.config.get('fetch.max.bytes');
  return handlerOf(fetchApi, async (request, { version, signal, reserveAnswer }): Promise<MessageInput<FetchResponse>> => {
    if (request.sessionEpoch > 0) return { errorCode: kafkaErrors.FETCH_SESSION_ID_NOT_FOUND, responses: [] };
    const startMs = core.clock.monotonicMs();
    const wantedBytes = Math.min(Math.max(0, request.maxBytes), answerBytesMax, partitionBytesMax(request));
    for (;;) {
      const reserved = reserveAnswer(wantedBytes);
      const room = reserved instanceof Promise ? await reserved : reserved;
      if (signal.aborted) return { errorCode: kafkaErrors.NONE, responses: [] };
      const round = await fetchRound(core, request, version, room.bytes);
      const isColdAwaited = round.bytes === 0 && round.watched.some(({ coldOffset }) => coldOffset !== undefined);
      const waitMs = isColdAwaited ? remoteWaitMs : request.maxWaitMs;
      const leftMs = startMs + waitMs - core.clock.monotonicMs();
      const isEnough = round.hasError || round.watched.length === 0 || (round.bytes >= request.minBytes && !isColdAwaited);
      if (isEnough || leftMs <= 0 || signal.aborted) return answerOf(core, request, round);
      room.release();
      await change(core, round, request.minBytes, leftMs, signal);
    }
  });
}

/** What all partitions asked for may give together. */
function partitionBytesMax({ topics }: FetchRequest): number {
  return topics.reduce(
    (sum, { partitions }) => partitions.reduce((bytes, { partitionMaxBytes }) => bytes + Math.max(0, partitionMaxBytes), sum),
    0,
  );
}

function answerOf(core: BrokerCore, request: FetchRequest, round: FetchRound): MessageInput<FetchResponse> {
  core.counters.fetchedBytes += round.bytes;
  core.counters.fetchedColdBytes += round.coldBytes;
  return {
    errorCode: kafkaErrors.NONE,
    sessionId: 0,
    responses: request.topics.map(({ topic, topicId }, i) => ({ topic, topicId, partitions: round.answers[i]! })),
  };
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
function hasGrown({ bytes, watched }: FetchRound, minBytes: number): boolean {
  let available = bytes;
  for (const { log, endOffset, hotBytes } of watched) {
    if (log.offline !== undefined) return true;
    if (log.logEndOffset === endOffset) continue;
    // Where segments were evicted meanwhile the growth cannot be told from the bytes: look again.
    if (log.hotBytes <= hotBytes) return true;
    available += log.hotBytes - hotBytes;
  }
  return available > bytes && available >= minBytes;
}
