/**
 * `/iceberg/v1/…`: a read-only Iceberg REST catalog, so that other engines find the tables by the names of their topics. One
 * namespace, one table a topic; what is served is listed in `GET /iceberg/v1/config`. Whatever would change something is
 * refused with 406; engines read the data files themselves, with credentials of their own.
 */
import {
  catalogNamespace,
  configDocument,
  type CatalogError,
  errorDocument,
  namespaceDocument,
  namespacesDocument,
  tablesDocument,
} from '../iceberg/index.js';
import { type ErrorKind, LakeError, messageWithHint, MiB, toLakeError } from '../kernel/index.js';
import { type Context, Hono } from 'hono';
import { challenge } from './bearer.js';
import { textOf } from './stream.js';
import { type SnapshotMode, snapshotModes, type TableCatalog } from './table-catalog.js';

/** A scan's report has a filter and the names of the columns read. */
const reportBytesMax = MiB;
/** Levels of a namespace are joined by this character. */
const levelSeparator = '\u001f';

/** A refusal whose exception no error code of ours tells. */
class CatalogRefusal extends LakeError {
  readonly refusal: CatalogError;
  constructor(refusal: CatalogError) {
    super('request-invalid', refusal.message);
    this.refusal = refusal;
  }
}

const errorTypes: Readonly<Record<ErrorKind, readonly [type: string, code: number]>> = {
  'invalid': ['BadRequestException', 400],
  'unauthenticated': ['NotAuthorizedException', 401],
  'forbidden': ['ForbiddenException', 403],
  'not-found': ['NotFoundException', 404],
  'conflict': ['ServiceFailureException', 500],
  'unavailable': ['ServiceUnavailableException', 503],
  'exhausted': ['SlowDownException', 503],
  'corrupt': ['ServiceFailureException', 500],
  'internal': ['ServiceFailureException', 500],
};

/** The catalog's one mapping of errors, also for what is refused before its routes are reached. */
export function catalogErrorResponse(thrown: unknown): Response {
  const error = catalogError(thrown);
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (error.code === 401) Object.assign(headers, challenge);
  if (error.code === 503) headers['retry-after'] = '1';
  return new Response(`${JSON.stringify(errorDocument(error))}\n`, { status: error.code, headers });
}

function catalogError(thrown: unknown): CatalogError {
  if (thrown instanceof CatalogRefusal) return thrown.refusal;
  const error = toLakeError(thrown);
  const [type, code] = error.code === 'topic-unknown' ? ['NoSuchTableException', 404] : errorTypes[error.kind];
  const isKnown = thrown instanceof LakeError;
  const message = isKnown ? error.message : 'The service met something unforeseen; its log says what.';
  return { type, code, message: messageWithHint({ message, hint: error.hint }) } as CatalogError;
}

export function catalogRoutes(catalog: TableCatalog): Hono {
  const app = new Hono();
  app.get('/v1/config', (c) => c.json(configDocument(catalog.access)));
  app.get('/v1/namespaces', (c) => {
    const parent = c.req.query('parent') ?? '';
    if (parent !== '') requireNamespace(parent);
    return c.json(namespacesDocument(parent === '' ? [] : parent.split(levelSeparator)));
  });
  app.use('/v1/namespaces/:namespace/*', async (c, next) => {
    requireNamespace(c.req.param('namespace'));
    await next();
  });
  app.get('/v1/namespaces/:namespace', (c) => {
    requireNamespace(c.req.param('namespace'));
    return isHead(c) ? c.body(null, 204) : c.json(namespaceDocument());
  });
  app.get('/v1/namespaces/:namespace/tables', async (c) => {
    const size = c.req.query('pageSize');
    return c.json(
      tablesDocument(await catalog.names(), { token: c.req.query('pageToken'), ...(size === undefined ? {} : { size: Number(size) }) }),
    );
  });
  app.get('/v1/namespaces/:namespace/tables/:table', tableRoute(catalog));
  app.get('/v1/namespaces/:namespace/tables/:table/credentials', async (c) => {
    await catalog.requireTable(c.req.param('table'));
    return c.json({ 'storage-credentials': [] });
  });
  app.post('/v1/namespaces/:namespace/tables/:table/metrics', async (c) => {
    await catalog.requireTable(c.req.param('table'));
    // What a reader measured of its own scan is of no use here, and not to be taken would be an error in its log.
    await textOf(c.req.raw, reportBytesMax, 'Leave the metrics reporter off.');
    return c.body(null, 204);
  });
  app.get('/v1/namespaces/:namespace/views', (c) => c.json({ identifiers: [] }));
  app.get('/v1/namespaces/:namespace/views/:view', (c) => {
    throw new CatalogRefusal({
      type: 'NoSuchViewException',
      code: 404,
      message: `there is no view ${c.req.param('view')}: topics are tables`,
    });
  });
  app.all('/*', (c) => {
    const isRead = c.req.method === 'GET' || c.req.method === 'HEAD';
    throw isRead
      ? new LakeError('route-unknown', `the catalog has no ${c.req.path}`, { hint: 'GET /iceberg/v1/config lists what it has.' })
      : new CatalogRefusal({
          type: 'UnsupportedOperationException',
          code: 406,
          message: `the catalog is read only: ${c.req.method} ${c.req.path} is not supported. Produce to the topic instead`,
        });
  });
  return app;
}

/** Reads nothing for HEAD; answers 304 where the reader's copy is still the table. */
function tableRoute(catalog: TableCatalog): (c: Context) => Promise<Response> {
  return async (c) => {
    const name = c.req.param('table')!;
    if (isHead(c)) {
      await catalog.requireTable(name);
      return c.body(null, 204);
    }
    const mode = c.req.query('snapshots') ?? 'all';
    if (!isSnapshotMode(mode)) {
      throw new LakeError('request-invalid', `snapshots=${mode} is not known`, { hint: 'Ask for snapshots=all or snapshots=refs.' });
    }
    const etags = (c.req.header('if-none-match') ?? '').split(',').map((etag) => etag.trim().replace(/^W\//, ''));
    const { etag, parts } = await catalog.load(name, mode, etags, c.req.raw.signal);
    if (parts === null) return c.body(null, 304, { etag });
    return new Response(streamOf(parts), {
      headers: {
        'content-type': 'application/json',
        'content-length': String(parts.reduce((sum, part) => sum + part.length, 0)),
        etag,
      },
    });
  };
}

function isSnapshotMode(text: string): text is SnapshotMode {
  return snapshotModes.some((mode) => mode === text);
}

function streamOf(parts: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        const part = parts[at++];
        if (part === undefined) controller.close();
        else controller.enqueue(part);
      },
    },
    { highWaterMark: 1 },
  );
}

/** Hono answers HEAD by GET's route. */
function isHead(c: Context): boolean {
  return c.req.method === 'HEAD';
}

function requireNamespace(namespace: string): void {
  if (namespace === catalogNamespace) return;
  throw new CatalogRefusal({
    type: 'NoSuchNamespaceException',
    code: 404,
    message: `there is no namespace ${namespace.split(levelSeparator).join('.')}; the one there is is ${catalogNamespace}`,
  });
}
