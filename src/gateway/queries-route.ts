/** `GET /v1/queries` and `DELETE /v1/queries/{id}`: what the service is asked at the moment and was lately, and the end of it. */
import { LakeError } from '../kernel/index.js';
import type { QueryService, QuerySummary } from '../query/index.js';
import type { Context } from 'hono';
import { count, inPath, json, list, object, type Operation, query as inQuery, text } from './operation.js';
import { percent, phase } from './query-operations.js';

const states: readonly string[] = ['running', 'done', 'failed', 'cancelled'] satisfies QuerySummary['state'][];

/** Oldest first; with `?state=running` only those. */
export function queriesRoute(query: Pick<QueryService, 'list'>): (c: Context) => Promise<Response> {
  return async (c) => {
    const state = c.req.query('state');
    if (state !== undefined && !states.includes(state))
      throw new LakeError('request-invalid', `state=${state} is not known`, { hint: `The states are ${states.join(', ')}.` });
    const listed = query.list().filter((one) => state === undefined || one.state === state);
    return c.json({
      queries: listed.map(({ id, sql, state: now, startedMs, elapsedMs, rows, phase, bytes, files, percent, error }) => ({
        id,
        sql,
        state: now,
        started: new Date(startedMs).toISOString(),
        elapsed_ms: Math.round(elapsedMs),
        rows,
        bytes,
        files,
        ...(now === 'running' ? { phase, percent } : {}),
        ...(error === undefined ? {} : { error }),
      })),
    });
  };
}

/** Whoever asked it gets `cancelled`. Errors: `query-unknown` where none of that id runs. */
export function cancelQueryRoute(query: Pick<QueryService, 'cancel'>): (c: Context) => Promise<Response> {
  return async (c) => {
    const id = c.req.param('id')!;
    if (query.cancel(id)) return c.body(null, 204);
    throw new LakeError('query-unknown', `no query ${id} is running`, { hint: 'GET /v1/queries lists what is.', facts: { id } });
  };
}

const queryInList = object(
  {
    id: text(),
    sql: text(),
    state: text(undefined, { enum: states }),
    started: text(undefined, { format: 'date-time' }),
    elapsed_ms: count(),
    rows: count('of the answer so far'),
    bytes: count('within reach so far'),
    files: count('cold ones, within reach so far'),
  },
  { phase, percent, error: text('why it failed') },
);

export const queriesOperations: readonly Operation[] = [
  {
    id: 'listQueries',
    tag: 'query',
    method: 'get',
    path: '/v1/queries',
    summary: 'What is asked now and was lately, oldest first',
    parameters: [inQuery('state', 'only those', text(undefined, { enum: states }))],
    answers: { 200: { description: 'the queries', content: json(object({ queries: list(queryInList) })) } },
  },
  {
    id: 'cancelQuery',
    tag: 'query',
    method: 'delete',
    path: '/v1/queries/{id}',
    summary: 'End a query: whoever asked it gets `cancelled`',
    parameters: [inPath('id', 'as the list has it, and the header X-Thermocline-Query-Id of its answer', '1')],
    answers: { 204: { description: 'it is ended' } },
    problems: ['query-unknown'],
  },
];
