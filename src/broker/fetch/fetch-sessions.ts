/**
 * The fetch sessions of a broker (KIP-227): bounded in number, and in how many partitions they hold together. Who begins one and finds
 * no room is told so by session id 0, and fetches in full each time; one that may not grow ends with an error. Room is made where a
 * session has not been used for long, or is older than that and has fewer partitions than the one that is to begin or to grow.
 */
import { type Clock, minuteMs, type Random } from '../../kernel/index.js';
import { type FetchRequest, kafkaErrors } from '../../wire/index.js';
import { type FetchPartition, type PartitionAnswer, topicIdsVersion } from './fetch-round.js';
import { FetchSession, finalEpoch, initialEpoch, keyOf, nextEpoch, type Told } from './fetch-session.js';

/** So long a session is kept in any case. */
const keptMs = 2 * minuteMs;
/** Partitions in all sessions together; one takes some 580 bytes, all of them 55 MiB. */
const partitionsMax = 100_000;
const noSession = 0;
const sessionIdMax = 0x7fffffff;

/** One fetch: what it reads, and what of that its client is told. */
export interface FetchContext {
  /** In the order in which they are read. */
  readonly partitions: readonly FetchPartition[];
  /** `answers` are those to `partitions`, in their order. */
  tell(answers: readonly PartitionAnswer[]): FetchTold;
}

/** The head of an answer, and the partitions in it. */
export interface FetchTold {
  readonly errorCode: number;
  readonly sessionId: number;
  readonly told: readonly Told[];
}

export class FetchSessions {
  readonly #clock: Clock;
  readonly #random: Random;
  /** Most sessions at once. */
  readonly #slots: number;
  /** The longest unused first. */
  readonly #sessions = new Map<number, FetchSession>();
  /** In all of them. */
  partitions = 0;
  /** Sessions that made room for others, since the start. */
  evictions = 0;

  constructor(clock: Clock, random: Random, slots: number) {
    this.#clock = clock;
    this.#random = random;
    this.#slots = slots;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** What a fetch is about, or the error that answers it: FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR. */
  open(request: FetchRequest, version: number): FetchContext | number {
    const { sessionId, sessionEpoch } = request;
    if (sessionEpoch === initialEpoch || sessionEpoch === finalEpoch) {
      this.#remove(sessionId);
      return sessionEpoch === finalEpoch ? sessionless(request) : this.#full(request, version);
    }
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return kafkaErrors.FETCH_SESSION_ID_NOT_FOUND;
    if (session.epoch !== sessionEpoch) return kafkaErrors.INVALID_FETCH_SESSION_EPOCH;
    if (session.usesTopicIds !== version >= topicIdsVersion) return kafkaErrors.FETCH_SESSION_TOPIC_ID_ERROR;
    return this.#incremental(session, request);
  }

  /** Begins a session with what it tells. */
  #full(request: FetchRequest, version: number): FetchContext {
    const alone = sessionless(request);
    return {
      partitions: alone.partitions,
      tell: (answers) => {
        const answer = alone.tell(answers);
        return { ...answer, sessionId: this.#begin(answer.told, version)?.id ?? noSession };
      },
    };
  }

  #incremental(session: FetchSession, request: FetchRequest): FetchContext | number {
    const before = session.size;
    session.update(request);
    this.partitions += session.size - before;
    if (!this.#makeRoom(session.size, session)) {
      this.#remove(session.id);
      return kafkaErrors.FETCH_SESSION_ID_NOT_FOUND;
    }
    if (session.size === 0) {
      this.#remove(session.id);
      return sessionless(request);
    }
    this.#touch(session);
    const epoch = nextEpoch(session.epoch);
    session.epoch = epoch;
    return {
      partitions: session.inOrder,
      tell: (answers) => {
        // Another fetch of the session came meanwhile: one of them was sent twice.
        if (session.epoch !== epoch) return { errorCode: kafkaErrors.INVALID_FETCH_SESSION_EPOCH, sessionId: session.id, told: [] };
        return { errorCode: kafkaErrors.NONE, sessionId: session.id, told: session.news(answers) };
      },
    };
  }

  /** `undefined` where there is no room. */
  #begin(told: readonly Told[], version: number): FetchSession | undefined {
    if (!this.#makeRoom(told.length)) return undefined;
    const session = new FetchSession(this.#newId(), version >= topicIdsVersion, this.#clock.monotonicMs());
    session.begin(told);
    this.#sessions.set(session.id, session);
    this.partitions += session.size;
    return session;
  }

  /** Whether there is room for a session of `size` partitions, which may be there already. Others are evicted for it, but none in vain. */
  #makeRoom(size: number, there?: FetchSession): boolean {
    let tooMany = this.#sessions.size + (there === undefined ? 1 : 0) - this.#slots;
    let tooManyPartitions = this.partitions + size - (there?.size ?? 0) - partitionsMax;
    if (tooMany <= 0 && tooManyPartitions <= 0) return true;
    const evicted: FetchSession[] = [];
    for (const session of this.#evictable(size, there)) {
      evicted.push(session);
      tooMany--;
      tooManyPartitions -= session.size;
      if (tooMany <= 0 && tooManyPartitions <= 0) break;
    }
    if (tooMany > 0 || tooManyPartitions > 0) return false;
    for (const { id } of evicted) this.#remove(id);
    this.evictions += evicted.length;
    return true;
  }

  /** What gives way to a session of `size` partitions, in this order: the longest unused, then the smallest that is not new. */
  #evictable(size: number, there: FetchSession | undefined): readonly FetchSession[] {
    const nowMs = this.#clock.monotonicMs();
    const unused: FetchSession[] = [];
    const smaller: FetchSession[] = [];
    for (const session of this.#sessions.values()) {
      if (session === there) continue;
      if (nowMs - session.usedMs > keptMs) unused.push(session);
      else if (nowMs - session.createdMs > keptMs && session.size < size) smaller.push(session);
    }
    return [...unused, ...smaller.sort((a, b) => a.size - b.size)];
  }

  #touch(session: FetchSession): void {
    session.usedMs = this.#clock.monotonicMs();
    this.#sessions.delete(session.id);
    this.#sessions.set(session.id, session);
  }

  #remove(id: number): void {
    this.partitions -= this.#sessions.get(id)?.size ?? 0;
    this.#sessions.delete(id);
  }

  #newId(): number {
    for (;;) {
      const id = 1 + Math.floor(this.#random.float() * (sessionIdMax - 1));
      if (!this.#sessions.has(id)) return id;
    }
  }
}

function sessionless(request: FetchRequest): FetchContext {
  const partitions = requested(request);
  return {
    partitions,
    tell: (answers) => {
      const told = partitions.map((partition, at) => ({ partition, answer: answers[at]! }));
      return { errorCode: kafkaErrors.NONE, sessionId: noSession, told };
    },
  };
}

/** All partitions that a request names; of one that it names twice what it says last, where it says it first. */
function requested({ topics }: FetchRequest): FetchPartition[] {
  const partitions = new Map<string, FetchPartition>();
  for (const { topic, topicId, partitions: entries } of topics)
    for (const asked of entries) partitions.set(keyOf({ topic, topicId }, asked.partition), { topic, topicId, knownAs: undefined, asked });
  return [...partitions.values()];
}
