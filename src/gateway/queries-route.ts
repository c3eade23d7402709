/** `GET /v1/queries` and `DELETE /v1/queries/{id}`: what the service is asked at the moment and was lately, and the end of it. */
import { LakeError } from '../kernel/index.js';
import type { QueryService } from '../query/index.js';
import type { Context } from 'hono';

const states = ['running', 'done', 'failed', 'cancelled'];

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
