/**
 * Saved views: `GET /v1/views`, `GET|PUT|DELETE /v1/views/{name}`. The broker keeps them; here they are tried on the present columns, when
 * they are saved and whenever they are listed, so that a view that columns have grown out of says why.
 */
import { type ControlPeer, type SavedView, viewUnknown } from '../control/index.js';
import { isLakeError, LakeError, toLakeError } from '../kernel/index.js';
import type { QueryService } from '../query/index.js';
import type { Context } from 'hono';
import { problemOf } from './problem.js';
import { textOf } from './stream.js';
import { describeBroker } from './topics-route.js';

type Control = Pick<ControlPeer, 'call'>;
type Handler = (c: Context) => Promise<Response>;

/** More than a view's text and description may have. */
export const viewBodyBytesMax = 256 * 1024;
export const viewFields = ['sql', 'description'] as const;
const fieldsOfView: ReadonlySet<string> = new Set(viewFields);

function plainView({ name, sql, description, savedMs }: SavedView): Record<string, unknown> {
  return { name, sql, ...(description === undefined ? {} : { description }), saved: new Date(savedMs).toISOString() };
}

/** The view with its columns, or with what is wrong with it. Errors: of a service that cannot tell now. */
async function triedView(query: QueryService, view: SavedView, signal: AbortSignal): Promise<Record<string, unknown>> {
  try {
    return { ...plainView(view), columns: await query.columnsOfView(view, signal) };
  } catch (error) {
    const { kind } = toLakeError(error);
    if (!isLakeError(error) || kind === 'unavailable' || kind === 'internal' || error.code === 'overloaded') throw error;
    return { ...plainView(view), problem: problemOf(error) };
  }
}

/** All views, one after the other; `?check=false` leaves columns and problems out. */
export function viewsRoute(control: Control, query: QueryService): Handler {
  return async (c) => {
    const { views } = await describeBroker(control);
    if (c.req.query('check') === 'false') return c.json({ views: views.map(plainView) });
    const tried: Record<string, unknown>[] = [];
    for (const view of views) tried.push(await triedView(query, view, c.req.raw.signal));
    return c.json({ views: tried });
  };
}

/** Errors: `view-unknown`. */
export function viewRoute(control: Control, query: QueryService): Handler {
  return async (c) => {
    const name = c.req.param('name')!;
    const { views } = await describeBroker(control);
    const view = views.find((candidate) => candidate.name === name);
    if (view !== undefined) return c.json(await triedView(query, view, c.req.raw.signal));
    throw viewUnknown(name, views);
  };
}

/** Tried before it is saved. Errors: `view-invalid`, `view-exists`, `query-invalid`, `query-forbidden`, and those of a query. */
export function putViewRoute(control: Control, query: QueryService): Handler {
  return async (c) => {
    const name = c.req.param('name')!;
    const fields = fieldsOf(await textOf(c.req.raw, viewBodyBytesMax, 'Split the view into views that build on each other.'));
    const columns = await query.columnsOfView({ name, ...fields, savedMs: 0 }, c.req.raw.signal);
    const { view, isNew } = await control.call('broker.put-view', { name, ...fields }, { signal: c.req.raw.signal });
    return c.json({ ...plainView(view), columns }, isNew ? 201 : 200);
  };
}

/** Views that name it are broken then, and say so. Errors: `view-unknown`. */
export function dropViewRoute(control: Control): Handler {
  return async (c) => {
    await control.call('broker.drop-view', { name: c.req.param('name')! }, { signal: c.req.raw.signal });
    return c.body(null, 204);
  };
}

function fieldsOf(body: string): { readonly sql: string; readonly description?: string } {
  const hint = 'Send {"sql": "SELECT …", "description": "…"}.';
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (cause) {
    throw new LakeError('request-invalid', 'the body is not JSON', { hint, cause });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new LakeError('request-invalid', 'the body is not an object', { hint });
  const unknown = Object.keys(parsed).find((field) => !fieldsOfView.has(field));
  if (unknown !== undefined) throw new LakeError('request-invalid', `"${unknown}" is not a field of a view`, { hint });
  const { sql, description } = parsed as { sql?: unknown; description?: unknown };
  if (typeof sql !== 'string' || sql.trim() === '') throw new LakeError('request-invalid', 'the body has no "sql"', { hint });
  if (description !== undefined && typeof description !== 'string')
    throw new LakeError('request-invalid', '"description" is not a text', { hint });
  return { sql, ...(description === undefined ? {} : { description }) };
}
