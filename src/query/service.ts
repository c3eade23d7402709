/**
 * The query service: takes questions, bounds how many run at once and how long, and answers with rows as they come. It owns the
 * engines, the tail's chunks, the cold cache and the list of queries; all of it can be deleted at any time.
 */
import { join } from 'node:path';
import { type ColumnWorkers, quoteName } from '../columns/index.js';
import type { LogReader } from '../client/index.js';
import type { SavedView } from '../control/index.js';
import { type Clock, isLakeError, KiB, LakeError, type Random, toLakeError } from '../kernel/index.js';
import { LocalCache, type ObjectStore } from '../objects/index.js';
import type { Logger } from '../telemetry/index.js';
import { asOfText, asOfNamed, type TokenTexts, tokenTexts } from './as-of.js';
import { StageTimes } from './analyzed.js';
import { ColdReads } from './cold/cold-reads.js';
import { FootersAhead } from './cold/footers-ahead.js';
import { EnginePool, type EngineSession } from './engine.js';
import type { AnswerColumn, AnswerShape, ParseQuery } from './engine-protocol.js';
import { answerOf } from './engine-reading.js';
import type { AnswerFormat } from './formats/format.js';
import { frontOf } from './front.js';
import { locatedIn } from './error-advice.js';
import { type KeyRequest, keyPlan, lastOfKey } from './key-lookup.js';
import { ColdNotes } from './keys/cold-notes.js';
import type { ControlPort } from './pin.js';
import {
  checkedLimits,
  type QueryRequest,
  type RecordsRequest,
  requireRecordsRequest,
  requireSql,
  type ServiceLimits,
} from './query-limits.js';
import { type Ended, endedBy, type ListedQuery, type QueryCounts, QueryList } from './query-list.js';
import { QueryQueue } from './query-queue.js';
import { QueryRun } from './query-run.js';
import { newRunRecord, type QueryStats, type RunRecord } from './query-stats.js';
import type { WatchedQuery } from './progress.js';
import { type RecordsPlan, recordsPlan } from './records-plan.js';
import type { RunPorts } from './run-context.js';
import { StatementCache } from './statement-cache.js';
import type { QuerySummary } from './system-tables.js';
import { Tables } from './tables.js';
import { TailCache } from './tail.js';
import { encodeToken } from './token.js';
import { TokenHandles } from './token-handles.js';
import { viewPrelude } from './views.js';

/** Queries that wait for an engine, and how long, where nothing else is said; others are refused with `overloaded`. */
const queueDefaults = { waiting: 32, waitMs: 10_000 };
/** Last rows of keys may take such a part of what the cache of cold files may. */
const lastRowsShare = 4;
/** And those of whole topics. */
const mergedRowsShare = 8;
/** A smaller cold file is read in no time, and compacted soon. */
const lastRowsFileBytesMin = 256 * KiB;
/** Engines and a column worker are started so long after the service: until then the other roles start as well. */
const warmUpDelayMs = 100;
/** Tables that are loaded before anyone has asked of them. */
const warmTablesMax = 100;

export interface QueryServiceOptions {
  readonly store: ObjectStore;
  readonly reader: LogReader;
  readonly control: ControlPort;
  readonly workers: ColumnWorkers;
  /** A folder of this service alone; its contents may be deleted while it does not run. */
  readonly cacheDir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits: ServiceLimits;
  /** Chunks of the tail whose raw file is smaller are never given typed columns of their own; default 1 MiB. */
  readonly tailEncodeBytesMin?: number;
  /** Cold files up to this are fetched whole; default 1 MiB. */
  readonly coldWholeBytesMax?: number;
  /** Of smaller cold files the last row of each key is not kept; default 256 KiB. */
  readonly lastRowsFileBytesMin?: number;
  /** So many cold files make it worth while to keep the last row of each key of all of them in one; default 8. */
  readonly mergedFilesMin?: number;
  /** Where long tokens are kept for as long as there is room; left out, every answer carries its token itself, however long. */
  readonly tokenDir?: string;
  /** False where no log is hot: then nothing is made ready for one. */
  readonly hasTail?: boolean;
}

/** With the token the same question can be asked again. */
export interface QueryAnswer extends TokenTexts {
  readonly columns: readonly AnswerColumn[];
  /** Chunks of rows, ready for JSON. To be read to its end or left by `return`; a late error is thrown here. */
  readonly rows: AsyncIterable<readonly (readonly unknown[])[]>;
  /** Final once the rows have ended. */
  stats(): Readonly<QueryStats>;
}

export interface RecordsAnswer extends TokenTexts {
  /** NDJSON: whole lines, each a `QueryRecord`, many in one text. To be read to its end or left by `return`, as rows are. */
  readonly lines: AsyncIterable<string>;
  stats(): Readonly<QueryStats>;
}

export interface QueryMetrics extends QueryCounts {
  readonly running: number;
  readonly waiting: number;
  readonly tailCacheBytes: number;
  readonly tailChunks: number;
  /** Of them, those whose typed columns are computed. */
  readonly tailEncodedChunks: number;
  readonly coldCacheBytes: number;
  readonly keyFilterFiles: number;
  readonly keyFilterBytes: number;
  /** Cold files of which it is known what the last row of each key is, and the disk that takes. */
  readonly lastRowsFiles: number;
  readonly lastRowsBytes: number;
}

/** What is asked, and how the answer is to be written. */
export interface WrittenRequest extends QueryRequest {
  readonly format: AnswerFormat;
}

export interface WrittenAnswer extends TokenTexts {
  readonly id: string;
  /** Empty for `parquet`, whose file says it. */
  readonly columns: readonly AnswerColumn[];
  /**
   * The bytes of the format, whole rows a piece; of `json` the rows with commas between, of `ndjson` and `ndjson-arrays` the lines of
   * rows. To be read to its end or left by `return`, as rows are.
   */
  readonly pieces: AsyncIterable<Uint8Array>;
  stats(): Readonly<QueryStats>;
}

/** An answer as the engine sends it: texts, or pieces of bytes, by its shape. */
interface EngineAnswer extends Omit<QueryAnswer, 'rows'> {
  readonly id: string;
  readonly parts: AsyncIterable<string | Uint8Array>;
  /** See `RunRecord`. */
  readonly unread: () => RunRecord['unread'];
}

export class QueryService {
  readonly #options: QueryServiceOptions;
  readonly #pool: EnginePool;
  readonly #tails: TailCache;
  readonly #cold: LocalCache;
  readonly #coldReads: ColdReads;
  readonly #tables: Tables;
  readonly #footersAhead: FootersAhead;
  readonly #handles: TokenHandles | undefined;
  readonly #statements = new StatementCache();
  readonly #turns: QueryQueue;
  readonly #notes: ColdNotes;
  readonly #queries: QueryList;
  /** Engines on their way back; as many as there are turns. */
  readonly #givenBack = new Set<Promise<void>>();
  readonly #closed = new AbortController();
  #warmingUp: Promise<void> = Promise.resolve();
  #isClosed = false;

  private constructor(
    options: QueryServiceOptions,
    pool: EnginePool,
    tails: TailCache,
    cold: { readonly cache: LocalCache; readonly reads: ColdReads; readonly notes: ColdNotes },
    turns: QueryQueue,
    handles: TokenHandles | undefined,
  ) {
    this.#options = options;
    this.#queries = new QueryList(options.clock);
    this.#pool = pool;
    this.#tails = tails;
    this.#cold = cold.cache;
    this.#coldReads = cold.reads;
    this.#notes = cold.notes;
    this.#turns = turns;
    this.#footersAhead = new FootersAhead({
      learn: (file, signal) => cold.reads.learn(file, { requests: 0, bytes: 0 }, signal),
      hasRoom: () => cold.reads.hasRoomForFooters,
      logger: options.logger,
    });
    this.#tables = new Tables(
      options.store,
      { clock: options.clock, random: options.random },
      options.logger,
      options.limits.snapshotUsableMs,
      (snapshot) => this.#footersAhead.want(snapshot),
    );
    this.#handles = handles;
  }

  static async open(options: QueryServiceOptions): Promise<QueryService> {
    const { cacheDir, limits, clock, logger, reader, workers, random, store } = options;
    const pool = await EnginePool.open({
      directory: join(cacheDir, 'leases'),
      engines: limits.concurrency,
      memoryBytes: limits.memoryBytes,
      niceness: limits.niceness ?? 0,
      spillBytes: Math.floor((limits.spillBytes ?? limits.cacheBytes) / limits.concurrency),
      prelude: viewPrelude,
      clock,
      logger,
    });
    const tails = await TailCache.open({
      reader,
      workers,
      directory: join(cacheDir, 'tail'),
      bytesMax: limits.cacheBytes,
      random,
      logger,
      ...(options.tailEncodeBytesMin === undefined ? {} : { encodeBytesMin: options.tailEncodeBytesMin }),
    });
    const cache = await LocalCache.open({ store, dir: join(cacheDir, 'cold'), maxBytes: limits.cacheBytes });
    const reads = new ColdReads(cache, store, options.coldWholeBytesMax);
    const { concurrency: running, queueMax = queueDefaults.waiting, queueWaitMs = queueDefaults.waitMs } = limits;
    const turns = new QueryQueue({ running, waiting: queueMax, waitMs: queueWaitMs }, clock);
    const sizes = {
      lastRowsBytesMax: Math.floor(limits.cacheBytes / lastRowsShare),
      fileBytesMin: options.lastRowsFileBytesMin ?? lastRowsFileBytesMin,
      mergedRowsBytesMax: Math.floor(limits.cacheBytes / mergedRowsShare),
      newFilesMin: options.mergedFilesMin,
    };
    const notes = await ColdNotes.open(cacheDir, sizes, reads, {
      enter: (giveWay, signal) => turns.enterBehind(giveWay, signal),
      claim: (signal) => pool.claim(signal),
      timeoutMs: limits.timeoutMs,
      clock,
      logger,
    });
    const handles = options.tokenDir === undefined ? undefined : await TokenHandles.open(options.tokenDir, clock);
    const service = new QueryService(options, pool, tails, { cache, reads, notes }, turns, handles);
    service.#warmingUp = service.#warmUp();
    return service;
  }

  /** Starts what the first query would wait for, once the service that this one is part of is up. */
  async #warmUp(): Promise<void> {
    const { signal } = this.#closed;
    try {
      await this.#options.clock.sleep(warmUpDelayMs, signal);
      this.#pool.start();
      if (this.#options.hasTail === false) return;
      await this.#tails.warmUp(signal);
      // One after the other: a query's own goes between.
      const { clusterId, topics } = await this.#options.control.call('broker.describe', {}, { signal });
      for (const topic of topics.filter(({ isInternal }) => !isInternal).slice(0, warmTablesMax))
        await this.#tables.snapshot(clusterId, topic, signal);
    } catch (error) {
      if (!signal.aborted) this.#options.logger.warn('the first query will be slower', { error: (error as Error).message });
    }
  }

  /**
   * Resolves when the first rows can be read. Errors: `topic-unknown`, `query-invalid`, `query-forbidden`, `query-too-large`,
   * `request-invalid`, `token-invalid`, `token-gone`, `overloaded`, `timeout`, `cancelled`, `worker-died`, and those of broker
   * and bucket.
   */
  async query(request: QueryRequest, signal: AbortSignal): Promise<QueryAnswer> {
    this.#admit(() => requireSql(request.sql));
    const { parts, id: _, ...answer } = await this.#start(request, undefined, 'rows', signal);
    return { ...answer, rows: rowChunks(parts as AsyncIterable<string>) };
  }

  /** As `query`, with the answer written by the engine. `onTaken` is called before it waits for anything. */
  async answer(request: WrittenRequest, signal: AbortSignal, onTaken?: (query: WatchedQuery) => void): Promise<WrittenAnswer> {
    this.#admit(() => requireSql(request.sql));
    const { parts, ...answer } = await this.#start(request, undefined, request.format, signal, { onTaken });
    return { ...answer, pieces: parts as AsyncIterable<Uint8Array> };
  }

  /**
   * The columns a view has, saved as it is here; nothing is read. Errors: `view-invalid` and `query-invalid` where it cannot be used,
   * and as `query`.
   */
  async columnsOfView(view: SavedView, signal: AbortSignal): Promise<readonly AnswerColumn[]> {
    const sql = `SELECT * FROM ${quoteName(view.name)}`;
    const { columns, parts } = await this.#start({ sql }, undefined, 'rows', signal, { tried: view });
    for await (const _ of parts);
    return columns;
  }

  /** Records of one topic over both tiers, by partition and offset, or merged by time. Errors: as `query`. */
  async records(request: RecordsRequest, signal: AbortSignal): Promise<RecordsAnswer> {
    const checked = this.#admit(() => requireRecordsRequest(request));
    return this.#records(recordsPlan(checked), checked.asOf, signal);
  }

  /** Records of one key over both tiers: the last, or all. Errors: as `query`. */
  async keyRecords(request: KeyRequest, signal: AbortSignal): Promise<RecordsAnswer> {
    const plan = this.#admit(() => keyPlan(request));
    const answer = await this.#records(plan, request.asOf, signal);
    if (plan.lastOf === undefined) return answer;
    const { line, partitions } = await lastOfKey(answer.lines);
    if ([...answer.unread()].every((partition) => partitions.has(partition))) return { ...answer, lines: onlyLine(line) };
    // A filter let a key through that is not there; the older files are asked for the same moment.
    const { lastOf: _, ...whole } = plan;
    const all = await this.#records(whole, answer.token, signal);
    return { ...all, lines: onlyLine((await lastOfKey(all.lines)).line) };
  }

  async #records(plan: RecordsPlan, asOf: string | undefined, signal: AbortSignal): Promise<RecordsAnswer & Pick<EngineAnswer, 'unread'>> {
    const question: QueryRequest = { sql: plan.statement.sql, ...(asOf === undefined ? {} : { asOf }) };
    const { parts, token, headerToken, stats, unread } = await this.#start(question, plan, 'records', signal);
    return { lines: parts as AsyncIterable<string>, token, headerToken, stats, unread };
  }

  async #start(
    request: QueryRequest,
    records: RecordsPlan | undefined,
    shape: AnswerShape,
    signal: AbortSignal,
    { tried, onTaken }: { readonly tried?: SavedView; readonly onTaken?: ((query: WatchedQuery) => void) | undefined } = {},
  ): Promise<EngineAnswer> {
    if (this.#isClosed) throw new LakeError('cancelled', 'the query service is closing');
    const { clock } = this.#options;
    const { limits, asOf } = this.#admit(() => ({
      limits: checkedLimits(this.#options.limits, request.limits),
      asOf: request.asOf === undefined ? undefined : asOfText(request.asOf),
    }));
    const listed = this.#queries.add(request.sql);
    const takenMs = clock.monotonicMs();
    onTaken?.({ id: listed.id, progress: () => this.#queries.progressOf(listed) });
    const timer = new AbortController();
    clock.sleep(limits.timeoutMs, timer.signal).then(
      () => listed.abort.abort(timeoutError(limits.timeoutMs)),
      () => undefined,
    );
    const combined = AbortSignal.any([signal, listed.abort.signal]);
    const asLakeError = (error: unknown): LakeError =>
      combined.aborted && !isLakeError(combined.reason)
        ? new LakeError('cancelled', 'the query was cancelled')
        : locatedIn(request.sql, toLakeError(combined.aborted ? combined.reason : error));

    let freeTurn: (() => void) | undefined;
    let session: Promise<EngineSession> | undefined;
    let hasEnded = false;
    // Whoever stops reading without a word still gives the engine back when the time is up.
    const onAbort = (): void => end(endedBy(asLakeError(combined.reason)));
    const end = (how: Ended): void => {
      if (hasEnded) return;
      hasEnded = true;
      timer.abort();
      // Node keeps a composed signal, and all that its listeners reach, until nobody listens.
      combined.removeEventListener('abort', onAbort);
      this.#queries.end(listed, how);
      this.#giveBack(session, freeTurn);
    };
    try {
      combined.throwIfAborted();
      freeTurn = await this.#turns.enter(combined);
      const first = records === undefined ? this.#parseOf(request.sql) : undefined;
      const engine = (): Promise<EngineSession> => (session ??= this.#claim(listed, first, combined));
      // Meanwhile the query is pinned.
      if (records?.lastOf === undefined) engine().catch(() => undefined);
      const record = newRunRecord(new StageTimes(() => clock.monotonicMs(), takenMs));
      listed.record = record;
      const named = asOf === undefined ? undefined : await asOfNamed(asOf, this.#handles);
      const context = { ports: this.#runPorts(), engine, records, signal: combined, record };
      const started = await new QueryRun(context, shape).start(request, named, limits, tried);
      combined.addEventListener('abort', onAbort, { once: true });
      const texts = await tokenTexts(encodeToken(started.token), this.#handles);
      if (combined.aborted) throw combined.reason;
      const { stats } = record;
      return {
        columns: started.columns,
        ...texts,
        id: listed.id,
        parts: this.#parts(started.text ?? (await engine()), listed, stats, end, asLakeError),
        stats: () => stats,
        unread: () => record.unread,
      };
    } catch (error) {
      const lakeError = asLakeError(error);
      end(endedBy(lakeError));
      throw lakeError;
    }
  }

  /** What a query asks of its engine first, where its text is new. */
  #parseOf(text: string): ParseQuery | undefined {
    const { sql } = frontOf(text);
    return this.#statements.parsed(sql) === undefined ? { type: 'parse', sql } : undefined;
  }

  #claim(listed: ListedQuery, first: ParseQuery | undefined, signal: AbortSignal): Promise<EngineSession> {
    const claimed = this.#pool.claim(signal, first);
    const watch = (session: EngineSession): void =>
      session.onProgress((percent) => {
        listed.percent = percent;
      });
    // Whoever asks for the engine hears why there is none.
    claimed.then(watch).catch(() => undefined);
    return claimed;
  }

  /** Of an engine's answer, or the one there is. */
  async *#parts(
    source: EngineSession | string,
    listed: ListedQuery,
    stats: QueryStats,
    end: (how: Ended) => void,
    asLakeError: (error: unknown) => LakeError,
  ): AsyncGenerator<string | Uint8Array> {
    let how: Ended = { state: 'cancelled' };
    try {
      if (typeof source === 'string') {
        listed.rows = stats.rows;
        yield source;
      } else
        for await (const message of answerOf(source)) {
          listed.rows += message.count;
          stats.rows = listed.rows;
          yield message.type === 'rows' ? message.text : message.bytes;
        }
      how = { state: 'done' };
    } catch (error) {
      const lakeError = asLakeError(error);
      how = endedBy(lakeError);
      throw lakeError;
    } finally {
      end(how);
    }
  }

  /** What is refused before it begins counts among the errors as well. */
  #admit<T>(check: () => T): T {
    try {
      return check();
    } catch (error) {
      this.#queries.countError(toLakeError(error));
      throw error;
    }
  }

  /** Behind the answer, which is complete without it; the next query's turn comes when the engine is free. */
  #giveBack(session: Promise<EngineSession> | undefined, freeTurn: (() => void) | undefined): void {
    const given = (async () => {
      try {
        // Where it could not be claimed, the query has told so.
        await (await session?.catch(() => undefined))?.release();
      } catch (error) {
        this.#options.logger.warn('a query engine could not be given back', { error: (error as Error).message });
      } finally {
        freeTurn?.();
      }
    })();
    this.#givenBack.add(given);
    void given.finally(() => this.#givenBack.delete(given));
  }

  #runPorts(): RunPorts {
    const { control, reader, limits, clock } = this.#options;
    return {
      control,
      reader,
      limits,
      tables: this.#tables,
      tails: this.#tails,
      cold: this.#coldReads,
      keyed: this.#notes.keyed,
      remembered: this.#notes.remembered,
      statements: this.#statements,
      queries: () => this.list(),
      nowMs: () => clock.monotonicMs(),
    };
  }

  /** Running queries and the last ones that ended, oldest first. */
  list(): readonly QuerySummary[] {
    return this.#queries.summaries();
  }

  get running(): number {
    return this.#queries.running;
  }

  /** Ends a running query; false where there is none of that id. */
  cancel(id: string): boolean {
    return this.#queries.cancel(id);
  }

  /** Process ids of the engines now alive (for tests that kill them). */
  get pids(): readonly number[] {
    return this.#pool.pids;
  }

  /** Resolves when nothing is read or built behind the queries (for tests). */
  async settled(): Promise<void> {
    await this.#footersAhead.settled();
    await this.#notes.settled();
  }

  metricsSnapshot(): QueryMetrics {
    return {
      running: this.#turns.running,
      waiting: this.#turns.waiting,
      ...this.#queries.counts,
      tailCacheBytes: this.#tails.bytes,
      tailChunks: this.#tails.chunks,
      tailEncodedChunks: this.#tails.encodedChunks,
      coldCacheBytes: this.#cold.stats.bytes,
      ...this.#notes.sizes,
    };
  }

  /** Cancels what runs, ends the engines and empties the caches. The reader, the workers and the store stay the caller's. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#closed.abort();
    this.#queries.cancelAll(new LakeError('cancelled', 'the query service is closing'));
    this.#tables.close();
    await this.#warmingUp;
    await this.#footersAhead.close();
    await this.#notes.close();
    await this.#pool.close();
    await Promise.all(this.#givenBack);
    await this.#tails.close();
    await this.#cold.close();
  }
}

/** Empties the caches of an earlier process; engines are started a little later, or by the first query. */
export function openQueryService(options: QueryServiceOptions): Promise<QueryService> {
  return QueryService.open(options);
}

async function* onlyLine(line: string | undefined): AsyncGenerator<string> {
  if (line !== undefined) yield line;
}

async function* rowChunks(texts: AsyncIterable<string>): AsyncGenerator<readonly (readonly unknown[])[]> {
  for await (const text of texts) yield JSON.parse(text) as unknown[][];
}

function timeoutError(timeoutMs: number): LakeError {
  return new LakeError('timeout', `the query took longer than ${timeoutMs} ms`, {
    hint: 'Narrow it, or raise query.timeout.ms.',
    facts: { timeoutMs },
  });
}
