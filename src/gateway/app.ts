/** The gateway's routes on one page, each with the file that answers it. */
import type { HostPort } from '../config/index.js';
import { formatHostPort } from '../config/index.js';
import type { ControlPeer } from '../control/index.js';
import { isLakeError, LakeError, packageVersion } from '../kernel/index.js';
import type { QueryService } from '../query/index.js';
import type { Logger, MetricSample } from '../telemetry/index.js';
import { type ServerType, serve } from '@hono/node-server';
import { Hono } from 'hono';
import { bearer } from './bearer.js';
import { catalogErrorResponse, catalogRoutes } from './catalog-routes.js';
import { catalogPath, guard } from './guard.js';
import { docsFileRoute, docsPageRoute, docsPath } from './docs-route.js';
import { livezRoute, metricsRoute, readyzRoute } from './health-route.js';
import { keyRoute } from './key-route.js';
import { openapiDocument } from './openapi.js';
import { openapiPath, openapiRoute } from './openapi-route.js';
import { problemResponse } from './problem.js';
import { cancelQueryRoute, queriesRoute } from './queries-route.js';
import { queryRoute } from './query-route.js';
import { produceRecordsRoute, readRecordsRoute, type RecordSink } from './records-route.js';
import { type CatalogOptions, TableCatalog } from './table-catalog.js';
import { hotScrubRoute } from './hot-scrub-route.js';
import { scrubRoute } from './scrub-route.js';
import { evictRoute, flushRoute } from './tier-route.js';
import { storageRoute, topicRoute, topicsRoute } from './topics-route.js';
import { dropViewRoute, putViewRoute, viewRoute, viewsRoute } from './view-routes.js';

export interface GatewayOptions {
  readonly listen: HostPort;
  readonly query: QueryService;
  readonly control: Pick<ControlPeer, 'call'>;
  readonly records: RecordSink;
  /** Numbers of the query side. */
  readonly samples: () => readonly MetricSample[];
  /** Where the tables are, for the Iceberg catalog. */
  readonly catalog: CatalogOptions;
  /** What every caller must show; left out, none need show anything. */
  readonly token?: string;
  readonly logger: Logger;
}

export interface Gateway {
  /** Base URL, with the port that was taken. */
  readonly url: string;
  close(): Promise<void>;
}

/** The application without its socket, so that tests can call it directly. */
export function gatewayApp(options: GatewayOptions): Hono {
  const { query, control, logger } = options;
  const app = new Hono();
  app.onError((error, c) => {
    if (!isLakeError(error)) logger.error('request failed', { error });
    return c.req.path.startsWith(`${catalogPath}/`) ? catalogErrorResponse(error) : problemResponse(error);
  });
  app.notFound((c) =>
    problemResponse(
      new LakeError('route-unknown', `there is no ${c.req.method} ${c.req.path}`, {
        hint: `The routes are listed at ${openapiPath}.`,
      }),
    ),
  );
  if (options.token !== undefined) app.use(bearer(options.token));
  app.use(guard(options.listen.host));
  app.use(async (c, next) => {
    await next();
    // Hono answers HEAD by GET's route and drops the body: whatever would have filled it is told.
    if (c.req.method === 'HEAD') await c.res.body?.cancel();
  });
  app.get('/livez', livezRoute());
  app.get('/readyz', readyzRoute(control));
  app.get('/metrics', metricsRoute(control, options.samples));
  app.post('/v1/query', queryRoute(query, options.catalog.clock));
  app.get('/v1/queries', queriesRoute(query));
  app.delete('/v1/queries/:id', cancelQueryRoute(query));
  app.get('/v1/topics', topicsRoute(control));
  app.get('/v1/topics/:topic', topicRoute(control));
  app.get('/v1/topics/:topic/storage', storageRoute(control));
  app.get('/v1/topics/:topic/records', readRecordsRoute(query));
  app.post('/v1/topics/:topic/records', produceRecordsRoute(options.records));
  app.post('/v1/topics/:topic/scrub', hotScrubRoute(control));
  app.get('/v1/topics/:topic/keys/:key', keyRoute(query));
  // The empty key.
  app.get('/v1/topics/:topic/keys/', keyRoute(query));
  app.get('/v1/views', viewsRoute(control, query));
  app.get('/v1/views/:name', viewRoute(control, query));
  app.put('/v1/views/:name', putViewRoute(control, query));
  app.delete('/v1/views/:name', dropViewRoute(control));
  app.post('/v1/tier/flush', flushRoute(control));
  app.post('/v1/tier/evict', evictRoute(control));
  app.post('/v1/tier/scrub', scrubRoute(control));
  app.get(openapiPath, openapiRoute(openapiDocument(packageVersion())));
  app.get(docsPath, docsPageRoute());
  app.get(`${docsPath}/:file`, docsFileRoute());
  app.route(catalogPath, catalogRoutes(new TableCatalog(control, options.catalog)));
  return app;
}

/** Listens and answers. Errors: `address-in-use`. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const app = gatewayApp(options);
  const { host, port } = options.listen;
  const server = await new Promise<ServerType>((resolve, reject) => {
    const listening = serve({ fetch: app.fetch, hostname: host, port }, () => resolve(listening));
    listening.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new LakeError('address-in-use', `${formatHostPort(options.listen)} is taken by another process`, {
              hint: 'Choose another http.listen, or port 0 for a free one.',
            })
          : error,
      );
    });
  });
  const address = server.address();
  const taken = typeof address === 'object' && address !== null ? address.port : port;
  return {
    url: `http://${formatHostPort({ host, port: taken })}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        // Streams that are under way are cut after the grace that the supervisor gives.
        if ('closeIdleConnections' in server) server.closeIdleConnections();
        setTimeout(() => {
          if ('closeAllConnections' in server) server.closeAllConnections();
        }, closeGraceMs).unref();
      }),
  };
}

/** How long running answers may go on after a stop was asked for. */
const closeGraceMs = 3000;
