/**
 * The query service: takes questions, bounds how many run at once and how long, and answers with rows as they come. It owns the
 * engines, the tail's chunks, the cold cache and the list of queries; all of it can be deleted at any time.
 */
import { quoteName } from '../columns/index.js';
import type { SavedView } from '../control/index.js';
import { isLakeError, LakeError, toLakeError, UnderWay } from '../kernel/index.js';
import { StageTimes } from './analyzed.js';
import type { QueryAnswer, RecordsAnswer, WrittenAnswer, WrittenRequest } from './answers.js';
import { asOfNamed, asOfText, tokenTexts } from './as-of.js';
import type { EngineSession } from './engine.js';
import type { AnswerColumn, AnswerShape, ParseQuery } from './engine-protocol.js';
import { answerOf } from './engine-reading.js';
import { locatedIn } from './error-advice.js';
import { frontOf } from './front.js';
import { type KeyRequest, keyPlan, lastOfKey } from './key-lookup.js';
import type { WatchedQuery } from './progress.js';
import { checkedLimits, type QueryRequest, type RecordsRequest, requireRecordsRequest, requireSql } from './query-limits.js';
import { type Ended, endedBy, type ListedQuery, type QueryCounts, QueryList } from './query-list.js';
import { QueryRun } from './query-run.js';
import { newRunRecord, type QueryStats, type RunRecord } from './query-stats.js';
import { type RecordsPlan, recordsPlan } from './records-plan.js';
import type { RunPorts } from './run-context.js';
import { openParts, type QueryServiceOptions, type ServiceParts, warmUp } from './service-parts.js';
import { StatementCache } from './statement-cache.js';
import type { QuerySummary } from './system-tables.js';
import { encodeToken } from './token.js';

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

/** An answer as the engine sends it: texts, or pieces of bytes, by its shape. */
interface EngineAnswer extends Omit<QueryAnswer, 'rows'> {
  readonly id: string;
  readonly parts: AsyncIterable<string | Uint8Array>;
  /** See `RunRecord`. */
  readonly unread: () => RunRecord['unread'];
}

export class QueryService {
  readonly #options: QueryServiceOptions;
  readonly #parts: ServiceParts;
  readonly #statements = new StatementCache();
  readonly #queries: QueryList;
  /** Engines on their way back; as many as there are turns. */
  readonly #givenBack = new UnderWay();
  readonly #closed = new AbortController();
  readonly #warmingUp: Promise<void>;
  #isClosed = false;

  private constructor(options: QueryServiceOptions, parts: ServiceParts) {
    this.#options = options;
    this.#parts = parts;
    this.#queries = new QueryList(options.clock);
    this.#warmingUp = warmUp(parts, options, this.#closed.signal);
  }

  static async open(options: QueryServiceOptions): Promise<QueryService> {
    return new QueryService(options, await openParts(options));
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
      freeTurn = await this.#parts.turns.enter(combined);
      const first = records === undefined ? this.#parseOf(request.sql) : undefined;
      const engine = (): Promise<EngineSession> => (session ??= this.#claim(listed, first, combined));
      // Meanwhile the query is pinned.
      if (records?.lastOf === undefined) engine().catch(() => undefined);
      const record = newRunRecord(new StageTimes(() => clock.monotonicMs(), takenMs));
      listed.record = record;
      const named = asOf === undefined ? undefined : await asOfNamed(asOf, this.#parts.handles);
      const context = { ports: this.#runPorts(), engine, records, signal: combined, record };
      const started = await new QueryRun(context, shape).start(request, named, limits, tried);
      combined.addEventListener('abort', onAbort, { once: true });
      const texts = await tokenTexts(encodeToken(started.token), this.#parts.handles);
      if (combined.aborted) throw combined.reason;
      const { stats } = record;
      return {
        columns: started.columns,
        ...texts,
        id: listed.id,
        parts: this.#answered(started.text ?? (await engine()), listed, stats, end, asLakeError),
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
    const claimed = this.#parts.pool.claim(signal, first);
    const watch = (session: EngineSession): void =>
      session.onProgress((percent) => {
        listed.percent = percent;
      });
    // Whoever asks for the engine hears why there is none.
    claimed.then(watch).catch(() => undefined);
    return claimed;
  }

  /** Of an engine's answer, or the one there is. */
  async *#answered(
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
  }

  #runPorts(): RunPorts {
    const { control, reader, limits, clock } = this.#options;
    const { tables, tails, coldReads, notes } = this.#parts;
    return {
      control,
      reader,
      limits,
      tables,
      tails,
      cold: coldReads,
      keyed: notes.keyed,
      remembered: notes.remembered,
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
    return this.#parts.pool.pids;
  }

  /** Resolves when nothing is read or built behind the queries (for tests). */
  async settled(): Promise<void> {
    await this.#parts.footersAhead.settled();
    await this.#parts.notes.settled();
  }

  metricsSnapshot(): QueryMetrics {
    const { turns, tails, cold, notes } = this.#parts;
    return {
      running: turns.running,
      waiting: turns.waiting,
      ...this.#queries.counts,
      tailCacheBytes: tails.bytes,
      tailChunks: tails.chunks,
      tailEncodedChunks: tails.encodedChunks,
      coldCacheBytes: cold.stats.bytes,
      ...notes.sizes,
    };
  }

  /** Cancels what runs, ends the engines and empties the caches. The reader, the workers and the store stay the caller's. */
  async close(): Promise<void> {
    const { tables, footersAhead, notes, pool, tails, cold } = this.#parts;
    this.#isClosed = true;
    this.#closed.abort();
    this.#queries.cancelAll(new LakeError('cancelled', 'the query service is closing'));
    tables.close();
    await this.#warmingUp;
    await footersAhead.close();
    await notes.close();
    await pool.close();
    await this.#givenBack.settled();
    await tails.close();
    await cold.close();
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
