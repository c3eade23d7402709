/**
 * One DuckDB instance for one query, inside an engine process: opened in a sandbox, made to parse and plan the query on empty
 * tables, locked, then made to run it on the leased files, all in one transaction, so that `now()` is the same throughout.
 */
import { DuckDBInstance, type DuckDBConnection, type DuckDBResult } from '@duckdb/node-api';
import { LakeError } from '../kernel/index.js';
import { queryError } from './engine-errors.js';
import type { AnalyzeQuery, OpenInstance, RunQuery } from './engine-protocol.js';
import { isJsonObject, type JsonObject, type JsonValue, scansOf, type TableScans } from './scan-plan.js';
import { checkStatement, type ParameterValue, type Statement, withParameters } from './statement.js';

/** Optimizer rules that look at the (empty) tables' contents while the query is analyzed. */
const emptinessOptimizers = 'statistics_propagation,empty_result_pullup,late_materialization';

export interface Analysis {
  readonly scans: ReadonlyMap<string, TableScans> | null;
  readonly error?: LakeError;
}

export class EngineInstance {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  #statement: Statement | undefined;
  #prelude: readonly string[] | undefined;
  #run: RunQuery | undefined;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection) {
    this.#instance = instance;
    this.#connection = connection;
  }

  /** External access ends here, but for the two directories named; nothing is in them yet. */
  static async open(options: OpenInstance): Promise<EngineInstance> {
    const instance = await DuckDBInstance.create(':memory:', {
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      threads: String(options.threads),
      memory_limit: `${options.memoryBytes}B`,
    });
    const connection = await instance.connect();
    for (const sql of [
      "SET TimeZone = 'UTC'",
      `SET temp_directory = ${sqlText(options.spill)}`,
      // Before the directory is set this has no effect.
      `SET max_temp_directory_size = '${options.spillBytes}B'`,
      `SET allowed_directories = [${sqlText(options.lease)}]`,
      'SET enable_external_access = false',
      'SET errors_as_json = true',
    ]) {
      await connection.run(sql);
    }
    return new EngineInstance(instance, connection);
  }

  /** Errors: `query-invalid`, `query-forbidden`, `unsupported`. */
  async parse(sql: string): Promise<Statement> {
    await this.#connection.run('BEGIN');
    const serialized = await this.#json(`SELECT json_serialize_sql(${sqlText(sql)})`);
    this.#statement = checkStatement(sql, serialized);
    return this.#statement;
  }

  /** Plans the query on empty tables of the right columns. A query that cannot be bound has an `error`. */
  async analyze(message: AnalyzeQuery): Promise<Analysis> {
    const statement = this.#parsed();
    if (this.#prelude === undefined) {
      this.#prelude = message.prelude;
      for (const sql of message.prelude) await this.#connection.run(sql);
    }
    for (const table of message.tables) await this.#connection.run(table.create);
    await this.#connection.run(`SET disabled_optimizers = '${emptinessOptimizers}'`);
    try {
      const values = new Map(message.parameters);
      const sql = values.size === 0 ? statement.sql : await this.#deserialize(statement, values);
      const plan = await this.#json(`SELECT json_serialize_plan(${sqlText(sql)}, optimize := true)`);
      if (plan['error'] === true) return planError(plan);
      return { scans: scansOf(plan) };
    } finally {
      await this.#connection.run('RESET disabled_optimizers');
      for (const table of message.tables) await this.#connection.run(table.drop);
    }
  }

  /** The syntax tree is of the text as given, so the schema of system tables is renamed after it. */
  async #deserialize(statement: Statement, values: ReadonlyMap<string, ParameterValue>): Promise<string> {
    const renamed = await this.#json(`SELECT json_serialize_sql(${sqlText(statement.sql)})`);
    const text = await this.#value(`SELECT json_deserialize_sql(${sqlText(JSON.stringify(withParameters(renamed, values)))})`);
    return text;
  }

  /** Locks the configuration, makes the views and starts the query. The result streams; `finish` must follow its end. */
  async run(message: RunQuery): Promise<DuckDBResult> {
    const statement = this.#parsed();
    this.#run = message;
    await this.#connection.run('SET lock_configuration = true');
    for (const sql of message.setup) await this.#connection.run(sql);
    const sql = message.isDescribed ? `DESCRIBE ${statement.sql}` : statement.sql;
    return await this.#connection.stream(sql, parametersOf(message));
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
    const { sql } = this.#parsed();
    const message = this.#run;
    if (message === undefined) throw new LakeError('internal', 'the engine was asked to finish before it ran a query');
    const parameters = parametersOf(message);
    try {
      await this.#connection.run('ROLLBACK');
      await this.#connection.run('BEGIN');
      for (const statement of [...(this.#prelude ?? []), ...message.setup]) await this.#connection.run(statement);
      try {
        await this.#connection.run(`SELECT bit_xor(hash(t)) FROM (${sql.replace(/[;\s]+$/, '')}\n) AS t`, parameters);
      } catch (error) {
        if (!/"exception_type":"(?:Binder|Parser|Catalog)"/.test(String(error))) return error;
        await this.#connection.run(sql, parameters);
      }
    } catch (error) {
      return error;
    }
    return new LakeError('worker-died', 'the query failed after its first rows, and did not when it was tried again', {
      hint: 'Ask again.',
    });
  }

  interrupt(): void {
    this.#connection.interrupt();
  }

  close(): void {
    this.#connection.closeSync();
    this.#instance.closeSync();
  }

  #parsed(): Statement {
    if (this.#statement === undefined) throw new LakeError('internal', 'the engine was asked to go on before it had parsed a query');
    return this.#statement;
  }

  async #value(sql: string): Promise<string> {
    const reader = await this.#connection.runAndReadAll(sql);
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

/** DuckDB writes constants that JSON has no word for as `NaN` and `Infinity`; nothing here looks at them. */
function parseLenient(text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    return JSON.parse(text.replace(/:(?:-?Infinity|-?NaN)(?=[,}\]])/gi, ':null')) as JsonValue;
  }
}

/** Binding and catalogue errors are the user's; anything else only means that this plan cannot be read as JSON. */
function planError(plan: JsonObject): Analysis {
  const kind = plan['error_type'];
  if (kind !== 'binder' && kind !== 'catalog' && kind !== 'parser') return { scans: null };
  return { scans: null, error: queryError(JSON.stringify({ ...plan, exception_type: kind, exception_message: plan['error_message'] })) };
}

function parametersOf(message: RunQuery): Record<string, ParameterValue> | undefined {
  return message.parameters.length === 0 ? undefined : Object.fromEntries(message.parameters);
}

/** A string literal. */
export function sqlText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
