/** What there is to ask of, for `.tables` and completion: read when it is needed, kept for a while. */
import { isLakeError, minuteMs, systemClock } from '../../kernel/index.js';
import { askRows } from './ask.js';
import type { SqlSource } from './source.js';

export interface CatalogTable {
  readonly name: string;
  readonly kind: 'topic' | 'view';
  readonly partitions?: number;
  readonly records?: number;
}

interface TopicsAnswer {
  readonly topics: readonly { readonly name: string; readonly internal: boolean; readonly partitions: number; readonly records: number }[];
}

interface ViewsAnswer {
  readonly views: readonly { readonly name: string }[];
}

/** Tables whose columns are kept. */
const tablesKept = 200;

export class Catalog {
  readonly #source: SqlSource;
  readonly #columns = new Map<string, { readonly names: Promise<readonly string[]>; readonly atMs: number }>();
  #known: { readonly tables: Promise<readonly CatalogTable[]>; readonly atMs: number } | undefined;

  constructor(source: SqlSource) {
    this.#source = source;
  }

  /** Topics and views, by name, as they are now. Errors: those of the source. */
  async tables(signal: AbortSignal): Promise<readonly CatalogTable[]> {
    const [{ topics }, views] = await Promise.all([
      this.#get<TopicsAnswer>('/v1/topics', signal),
      this.#get<ViewsAnswer>('/v1/views?check=false', signal).catch((error: unknown) => {
        // A gateway without them.
        if (isLakeError(error, 'route-unknown')) return { views: [] };
        throw error;
      }),
    ]);
    return [
      ...topics
        .filter(({ internal }) => !internal)
        .map(({ name, partitions, records }): CatalogTable => ({ name, kind: 'topic', partitions, records })),
      ...views.views.map(({ name }): CatalogTable => ({ name, kind: 'view' })),
    ].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Names as of lately, for completion. Errors: as `tables`. */
  async names(signal: AbortSignal): Promise<readonly string[]> {
    const nowMs = systemClock.monotonicMs();
    if (this.#known === undefined || nowMs - this.#known.atMs > minuteMs) {
      const tables = this.tables(signal);
      this.#known = { tables, atMs: nowMs };
      tables.catch(() => {
        this.#known = undefined;
      });
    }
    return (await this.#known.tables).map(({ name }) => name);
  }

  /** Columns of a table as of lately, in their order. Errors: those of a query. */
  columns(table: string, signal: AbortSignal): Promise<readonly string[]> {
    const key = table.toLowerCase();
    const nowMs = systemClock.monotonicMs();
    const known = this.#columns.get(key);
    if (known !== undefined && nowMs - known.atMs < minuteMs) return known.names;
    const names = this.#describe(table, signal);
    names.catch(() => this.#columns.delete(key));
    if (this.#columns.size >= tablesKept) this.#columns.clear();
    this.#columns.set(key, { names, atMs: nowMs });
    return names;
  }

  async #describe(table: string, signal: AbortSignal): Promise<readonly string[]> {
    const answer = await askRows(this.#source, { sql: `DESCRIBE ${table}` }, signal);
    const names: string[] = [];
    for await (const rows of answer.rows) names.push(...rows.map((row) => String(row[0])));
    return names;
  }

  async #get<T>(path: string, signal: AbortSignal): Promise<T> {
    return (await (await this.#source.call(path, { signal })).json()) as T;
  }
}
