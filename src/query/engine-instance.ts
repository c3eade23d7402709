/**
 * One DuckDB instance for one query, inside an engine process: opened in a sandbox, made to parse and plan the query on empty
 * tables, locked, then made to run it on the leased files, all in one transaction, so that `now()` is the same throughout.
 */
import { DuckDBInstance, type DuckDBConnection, type DuckDBResult, type DuckDBType, type DuckDBValue } from '@duckdb/node-api';
import { LakeError, systemClock } from '../kernel/index.js';
import { type AnalyzeOrder, analyzedSql } from './analyzed.js';
import { queryError } from './engine-errors.js';
import { mayReadJson, parseExact, safeReading, writeExact } from './json-reading.js';
import type { AnalyzeQuery, OpenInstance, RunQuery } from './engine-protocol.js';
import { isJsonObject, type JsonObject, type JsonValue, scansOf, type TableScans } from './scan-plan.js';
import { viewError } from './saved-views.js';
import { isRead, isTyped, type Parameters, type ParameterValue, sqlOf, unreadable } from './parameters.js';
import { checkStatement, placeOf, type Statement, withParameters } from './statement.js';

/** Optimizer rules that look at the (empty) tables' contents while the query is analyzed. */
const emptinessOptimizers = 'statistics_propagation,empty_result_pullup,late_materialization';

export interface Analysis {
  readonly scans: ReadonlyMap<string, TableScans> | null;
  readonly error?: LakeError;
}

interface Bound {
  readonly values?: Record<string, DuckDBValue>;
  readonly types?: Record<string, DuckDBType>;
}

const analyzeWords = 'EXPLAIN (ANALYZE, FORMAT json) ';

/** Takes 50 s and 2 GB to plan `SELECT * … ORDER BY … LIMIT` over one row of 1,000 computed columns, where 0.2 s do. */
const wideOptimizers = 'late_materialization';

export class EngineInstance {
  /** Where the query spills to: a folder of this instance alone. */
  readonly spill: string;
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  /** SQL of what has to be done before the next statement; sent with it, since each turn costs. */
  #due: string[] = ['BEGIN'];
  #hasPrelude = false;
  #run: RunQuery | undefined;
  #bound: Bound | undefined;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection, spill: string) {
    this.spill = spill;
    this.#instance = instance;
    this.#connection = connection;
  }

  /** External access ends here, but for the two directories named; nothing is in them yet. */
  static async open(options: OpenInstance): Promise<EngineInstance> {
    const instance = await DuckDBInstance.create(':memory:', {
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      // More are started with the query, if it is worth them.
      threads: '1',
      memory_limit: `${options.memoryBytes}B`,
    });
    const connection = await instance.connect();
    const settings = [
      "SET TimeZone = 'UTC'",
      `SET temp_directory = ${sqlText(options.spill)}`,
      // Before the directory is set this has no effect.
      `SET max_temp_directory_size = '${options.spillBytes}B'`,
      `SET allowed_directories = [${sqlText(options.lease)}]`,
      'SET enable_external_access = false',
      'SET errors_as_json = true',
      // Counted, never printed.
      'SET enable_progress_bar = true',
      'SET enable_progress_bar_print = false',
      'SET progress_bar_time = 0',
    ];
    await connection.run([...settings, ...options.prelude].join(';\n'));
    return new EngineInstance(instance, connection, options.spill);
  }

  /** Errors: `query-invalid`, `query-forbidden`, `unsupported`. */
  async parse(sql: string): Promise<Statement & { readonly runSql?: string }> {
    const statement = checkStatement(sql, await this.#json(`SELECT json_serialize_sql(${sqlText(sql)})`));
    const runSql = mayReadJson(sql) ? await this.#withSafeReading(statement.sql) : undefined;
    return runSql === undefined ? statement : { ...statement, runSql };
  }

  /** The text in which a value that is no JSON is NULL to what reads JSON; `undefined` where that is the text itself. */
  async #withSafeReading(sql: string): Promise<string | undefined> {
    const tree = parseExact(await this.#value(`SELECT json_serialize_sql(${sqlText(sql)})`));
    const safe = isJsonObject(tree) ? safeReading(tree) : undefined;
    if (safe === undefined) return undefined;
    const frame = safe.unnamed.length === 0 ? undefined : parseExact(await this.#value("SELECT json_serialize_sql('SELECT 1')"));
    for (const { item, name } of safe.unnamed) {
      const text = await this.#written(writeExact(withItem(frame ?? null, item)));
      if (text === undefined) return undefined;
      name(text.slice('SELECT '.length));
    }
    return this.#written(writeExact(safe.tree));
  }

  /** `undefined` where DuckDB cannot read its own tree, as it is with 1e400. */
  async #written(tree: string): Promise<string | undefined> {
    const text = await this.#value(`SELECT coalesce(TRY(json_deserialize_sql(${sqlText(tree)})), '')`);
    return text === '' ? undefined : text;
  }

  /** Plans the query on empty tables of the right columns. A query that cannot be bound has an `error`. */
  async analyze(message: AnalyzeQuery): Promise<Analysis> {
    this.#makePrelude(message.prelude);
    this.#due.push(...message.tables.map((table) => table.create));
    const broken = await this.#makeViews(message);
    if (broken !== undefined) return { scans: null, error: broken };
    const values = new Map(message.parameters);
    await this.#bind(message.parameters);
    const sql = values.size === 0 ? message.sql : await this.#withParameters(message.sql, values);
    this.#due.push(`SET disabled_optimizers = '${emptinessOptimizers}'`);
    const plan = await this.#json(`SELECT json_serialize_plan(${sqlText(sql)}, optimize := true)`);
    const isError = plan['error'] === true;
    const located = isError && values.size > 0 ? await this.#asWritten(message.sql, plan) : plan;
    const made = [...message.tables, ...message.views].reverse();
    this.#due.push('RESET disabled_optimizers', ...made.map((one) => one.drop));
    return isError ? planError(located) : { scans: scansOf(plan) };
  }

  /** One after the other, so that it is known which cannot be made: a statement that fails ends the transaction, and all in it. */
  async #makeViews({ views, prelude }: AnalyzeQuery): Promise<LakeError | undefined> {
    for (const { name, create } of views) {
      try {
        await this.#connection.run([...this.#due.splice(0), create].join(';\n'));
      } catch (error) {
        await this.#connection.run('ROLLBACK');
        this.#due = ['BEGIN', ...prelude];
        return viewError(name, queryError((error as Error).message, error));
      }
    }
    return undefined;
  }

  /** An error of the text that holds the parameters' values: what it names is looked for in the text as given. */
  async #asWritten(sql: string, plan: JsonObject): Promise<JsonObject> {
    const { name } = plan;
    const tree = typeof name === 'string' ? await this.#json(`SELECT json_serialize_sql(${sqlText(sql)})`) : {};
    const position = typeof name === 'string' ? placeOf(tree, name) : undefined;
    return { ...plan, position: position === undefined ? undefined : String(position) };
  }

  /** The text with its parameters' values, so that they prune as constants do. */
  async #withParameters(sql: string, values: ReadonlyMap<string, ParameterValue>): Promise<string> {
    const tree = await this.#json(`SELECT json_serialize_sql(${sqlText(sql)})`);
    return this.#value(`SELECT json_deserialize_sql(${sqlText(JSON.stringify(withParameters(tree, values)))})`);
  }

  /** Locks the configuration, makes the views and starts the query. The result streams; `finish` must follow its end. */
  async run(message: RunQuery): Promise<DuckDBResult> {
    await this.#prepare(message);
    if (message.analyze !== undefined) return await this.#connection.stream(await this.#analyzed(message, message.analyze));
    const sql = message.isDescribed ? `DESCRIBE ${message.sql}` : message.sql;
    const { values, types } = await this.#bind(message.parameters);
    return await this.#connection.stream(sql, values, types);
  }

  /** As `run`, with the rows in a Parquet file; resolves with their number. */
  async copyTo(message: RunQuery, path: string): Promise<number> {
    await this.#prepare(message);
    // Without Bloom filters as cold files are: DuckDB misses equal bytes by them.
    const options = 'FORMAT parquet, COMPRESSION zstd, WRITE_BLOOM_FILTER false';
    const to = (relation: string): string => `COPY (${relation}\n) TO ${sqlText(path)} (${options}${fieldIds})`;
    const fieldIds = message.fieldIds === undefined ? '' : `, FIELD_IDS ${message.fieldIds}`;
    if (message.analyze !== undefined) {
      const told = await this.#analyzed(message, message.analyze);
      return (await this.#connection.run(to(told))).rowsChanged;
    }
    // Written anew: the text may end in a semicolon with a comment behind it.
    const sql = await this.#value(`SELECT json_deserialize_sql(json_serialize_sql(${sqlText(message.sql)}))`);
    const rows = message.isDescribed ? `FROM (DESCRIBE ${sql}\n)` : sql;
    const { values, types } = await this.#bind(message.parameters);
    return (await this.#connection.run(to(rows), values, types)).rowsChanged;
  }

  /** Runs the query, of which no row is kept, and gives a SELECT of what DuckDB says of it. */
  async #analyzed(message: RunQuery, order: AnalyzeOrder): Promise<string> {
    const { values, types } = await this.#bind(message.parameters);
    const startedMs = systemClock.monotonicMs();
    const reader = await this.#connection.runAndReadAll(`${analyzeWords}${message.sql}`, values, types).catch((error: unknown) => {
      throw new Error(withoutFront((error as Error).message, analyzeWords.length), { cause: error });
    });
    const runMs = systemClock.monotonicMs() - startedMs;
    const text = reader.getRowsJson()[0]?.[1];
    const profile = typeof text === 'string' ? parseLenient(text) : undefined;
    if (!isJsonObject(profile)) throw new LakeError('internal', 'DuckDB gave no profile of what it ran');
    return analyzedSql(order, profile, runMs);
  }

  async #prepare(message: RunQuery): Promise<void> {
    this.#makePrelude(message.prelude);
    this.#run = message;
    if (message.threads > 1) this.#due.push(`SET threads = ${message.threads}`);
    if (message.isWide) this.#due.push(`SET disabled_optimizers = '${wideOptimizers}'`);
    this.#due.push('SET lock_configuration = true', ...message.setup);
    await this.#connection.run(this.#takeDue());
  }

  /** The parameters as values of DuckDB's, read by itself where they have a type. Errors: `request-invalid`, naming the parameter. */
  async #bind(parameters: Parameters): Promise<Bound> {
    if (this.#bound !== undefined) return this.#bound;
    if (parameters.length === 0) return {};
    const typed = parameters.flatMap(([name, value]) => (isTyped(value) ? [{ name, value }] : []));
    const values: Record<string, DuckDBValue> = {};
    const types: Record<string, DuckDBType> = {};
    for (const [name, value] of parameters) if (!isTyped(value)) values[name] = value;
    if (typed.length > 0) {
      const select = `SELECT ${typed.map(({ value }, at) => `${sqlOf(value)} AS c${at}`).join(', ')}`;
      const reader = await this.#connection.runAndReadAll([...this.#due.splice(0), select].join(';\n'));
      const [row = []] = reader.getRows();
      for (const [at, { name, value }] of typed.entries()) {
        const read = row[at] ?? null;
        if (!isRead(value, read)) throw unreadable(name, value);
        values[name] = read;
        types[name] = reader.columnType(at);
      }
    }
    this.#bound = { values, types };
    return this.#bound;
  }

  #makePrelude(prelude: readonly string[]): void {
    if (this.#hasPrelude) return;
    this.#hasPrelude = true;
    this.#due.push(...prelude);
  }

  #takeDue(): string {
    const text = this.#due.join(';\n');
    this.#due = [];
    return text;
  }

  /**
   * A stream that fails on its way ends as if it were complete: the C interface gives an empty chunk and keeps the error. But
   * the transaction is aborted then, which the next statement tells. Errors: whatever the query failed with.
   */
  async finish(): Promise<void> {
    try {
      await this.#connection.run('SELECT 1');
    } catch {
      throw await this.#failure();
    }
  }

  /** The error itself is lost, so the query runs once more, in a form that keeps no row. */
  async #failure(): Promise<unknown> {
    const message = this.#run;
    if (message === undefined) throw new LakeError('internal', 'the engine was asked to finish before it ran a query');
    const { sql } = message;
    const { values, types } = await this.#bind(message.parameters);
    try {
      await this.#connection.run('ROLLBACK');
      await this.#connection.run('BEGIN');
      for (const statement of [...message.prelude, ...message.setup]) await this.#connection.run(statement);
      try {
        await this.#connection.run(`SELECT bit_xor(hash(t)) FROM (${sql.replace(/[;\s]+$/, '')}\n) AS t`, values, types);
      } catch (error) {
        if (!/"exception_type":"(?:Binder|Parser|Catalog)"/.test(String(error))) return error;
        await this.#connection.run(sql, values, types);
      }
    } catch (error) {
      return error;
    }
    return new LakeError('worker-died', 'the query failed after its first rows, and did not when it was tried again', {
      hint: 'Ask again.',
    });
  }

  /** Of the query that runs: 0 to 100, or −1 where DuckDB cannot tell. */
  get percent(): number {
    const { percentage } = this.#connection.progress;
    return percentage >= 0 && percentage <= 100 ? percentage : -1;
  }

  /** What it runs is not the text that was asked. */
  get runsRewritten(): boolean {
    return this.#run?.isRewritten === true;
  }

  interrupt(): void {
    this.#connection.interrupt();
  }

  close(): void {
    this.#connection.closeSync();
    this.#instance.closeSync();
  }

  async #value(sql: string): Promise<string> {
    const reader = await this.#connection.runAndReadAll([...this.#due.splice(0), sql].join(';\n'));
    const value = reader.getRowsJson()[0]?.[0];
    if (typeof value !== 'string') throw new LakeError('internal', 'DuckDB did not answer with a text');
    return value;
  }

  async #json(sql: string): Promise<JsonObject> {
    const value = parseLenient(await this.#value(sql));
    if (!isJsonObject(value)) throw new LakeError('internal', 'DuckDB did not answer with a JSON object');
    return value;
  }
}

/** A serialized SELECT with another item in the place of its own. */
function withItem(value: JsonValue, item: JsonObject): JsonValue {
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map((one) => withItem(one, item));
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, child]) => [key, key === 'select_list' ? [item] : withItem(child ?? null, item)]),
  );
}

/** DuckDB writes constants that JSON has no word for as `NaN` and `Infinity`; nothing here looks at them. */
function parseLenient(text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    return JSON.parse(text.replace(/:(?:-?Infinity|-?NaN)(?=[,}\]])/gi, ':null')) as JsonValue;
  }
}

/** An error of DuckDB's whose place is in the text as it was without the words in front. */
function withoutFront(text: string, chars: number): string {
  return text.replace(/"position":"(\d+)"/, (_, position: string) => `"position":"${Math.max(0, Number(position) - chars)}"`);
}

/** Binding and catalogue errors are the user's; anything else only means that this plan cannot be read as JSON. */
function planError(plan: JsonObject): Analysis {
  const kind = plan['error_type'];
  if (kind !== 'binder' && kind !== 'catalog' && kind !== 'parser') return { scans: null };
  return { scans: null, error: queryError(JSON.stringify({ ...plan, exception_type: kind, exception_message: plan['error_message'] })) };
}

/** A string literal. */
export function sqlText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
