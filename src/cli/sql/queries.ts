/** The queries of a service, as it lists them. */
import type { SqlSource } from './source.js';

export interface ListedQuery {
  readonly id: string;
  readonly sql: string;
  readonly state: string;
  readonly started: string;
  readonly elapsed_ms: number;
  readonly rows: number;
  readonly error?: string;
}

/** Oldest first. Errors: those of the source. */
export async function listedQueries(
  source: SqlSource,
  state: 'running' | undefined,
  signal?: AbortSignal,
): Promise<readonly ListedQuery[]> {
  const path = state === undefined ? '/v1/queries' : `/v1/queries?state=${state}`;
  const response = await source.call(path, signal === undefined ? {} : { signal });
  return ((await response.json()) as { readonly queries: readonly ListedQuery[] }).queries;
}

/** Errors: `query-unknown` where none of that id runs. */
export async function killQuery(source: SqlSource, id: string, signal?: AbortSignal): Promise<void> {
  await source.call(`/v1/queries/${encodeURIComponent(id)}`, { method: 'DELETE', ...(signal === undefined ? {} : { signal }) });
}
