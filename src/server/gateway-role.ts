/** The gateway with its connections: the query service, a producer for posted records, the broker's control socket. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openProducer, type Producer } from '../client/index.js';
import { openColumnWorkers } from '../columns/index.js';
import { parseHostPort, placesOf, type ServerConfig } from '../config/index.js';
import { type RecordSink, startGateway } from '../gateway/index.js';
import { LakeError, systemClock, systemRandom } from '../kernel/index.js';
import { lockDirectory } from '../log/index.js';
import { openObjectStore, parseBucketUrl, RequestCounters, type S3Address, s3Address } from '../objects/index.js';
import { openQueryService, type QueryService } from '../query/index.js';
import type { Logger, MetricSample } from '../telemetry/index.js';
import { connectToBroker } from './broker-connection.js';
import { httpTokenOf, warnOfOpenGateway } from './http-token.js';
import { queryLimitsOf } from './query-limits.js';
import { closeAll, type RunningRole, storeOptions, workerNiceness } from './role.js';

/** Column workers of the query side: one may encode a chunk of the tail behind the queries while the other stages for one. */
const tailWorkers = 2;
/** Posted records come in small numbers; the producer need not buffer like a loader. */
const producerBufferBytes = 32 * 1024 * 1024;
/** Whoever posts records waits for the answer: a broker that is away or full is told of sooner than a loader would want. */
const producerTimeoutMs = 15_000;

export async function startGatewayRole(config: ServerConfig, logger: Logger): Promise<RunningRole> {
  const places = placesOf(config);
  const token = httpTokenOf(config);
  warnOfOpenGateway(config, token, logger);
  await mkdir(places.queryDir, { recursive: true });
  // A second gateway would clear the caches that the first one's queries read from.
  const lock = await lockDirectory(places.queryDir, { clock: systemClock, random: systemRandom });
  const counters = new RequestCounters();
  const store = await openObjectStore(places.bucketUrl, { ...storeOptions(config), counters });
  const { link, reader, bootstrap, failed } = await connectToBroker('gateway', config, logger, {});
  const workers = openColumnWorkers({
    count: tailWorkers,
    tempDir: join(places.queryDir, 'workers'),
    memoryBytes: config.get('tier.worker.memory.bytes'),
    niceness: workerNiceness,
  });
  const producer = openProducer({
    bootstrap,
    clientId: 'thermocline-gateway',
    bufferBytes: producerBufferBytes,
    deliveryTimeoutMs: producerTimeoutMs,
    compression: 'lz4',
  });
  const query = await openQueryService({
    store,
    reader,
    control: link,
    workers,
    cacheDir: places.queryDir,
    tokenDir: join(places.queryDir, 'tokens'),
    clock: systemClock,
    random: systemRandom,
    logger,
    limits: queryLimitsOf(config),
  });
  const closeConnections = (): Promise<void> =>
    closeAll(
      () => query.close(),
      () => workers.close(),
      () => producer.close(),
      () => reader.close(),
      () => link.close(),
      () => store.close(),
      () => lock.release(),
    );
  const gateway = await startGateway({
    listen: parseHostPort('http.listen', config.get('http.listen')),
    query,
    control: link,
    records: recordSink(producer),
    samples: () => [...querySamples(query), ...counters.samples('gateway')],
    catalog: { store, access: storageAccess(config), clock: systemClock, random: systemRandom },
    ...(token === undefined ? {} : { token }),
    logger,
  }).catch(async (error: unknown) => {
    await closeConnections();
    throw error;
  });
  return {
    addresses: { kafka: bootstrap, http: gateway.url },
    failed: failed.promise,
    close: () => closeAll(() => gateway.close(), closeConnections),
  };
}

/** How a reader elsewhere reaches the objects, as the service itself does; `null` for a directory. Credentials are the reader's own. */
function storageAccess(config: ServerConfig): S3Address | null {
  return parseBucketUrl(placesOf(config).bucketUrl).kind === 's3' ? s3Address(storeOptions(config)) : null;
}

/** Posted records, each answered with where it went. */
function recordSink(producer: Producer): RecordSink {
  return {
    send: async (topic, records) => {
      const { partitions } = await producer.topic(topic);
      for (const [at, { partition }] of records.entries()) {
        if (partition !== undefined && partition >= partitions) {
          throw new LakeError('partition-unknown', `record ${at}: ${topic} has no partition ${partition}`, {
            hint: `It has the partitions 0 to ${partitions - 1}.`,
          });
        }
      }
      return Promise.all(records.map((record) => producer.send(topic, record)));
    },
  };
}

function querySamples(query: QueryService): MetricSample[] {
  const { running, done, errors, hotRows, stagedRows, coldBytes, tailCacheBytes, coldCacheBytes, keyFilterBytes, lastRowsBytes } =
    query.metricsSnapshot();
  return [
    { name: 'queries_running', value: running },
    { name: 'queries_total', value: done },
    ...Object.entries(errors).map(([code, value]): MetricSample => ({ name: 'query_errors_total', value, labels: { code } })),
    { name: 'query_hot_rows_total', value: hotRows },
    { name: 'query_staged_rows_total', value: stagedRows },
    { name: 'query_cold_bytes_total', value: coldBytes },
    { name: 'query_cache_bytes', value: tailCacheBytes + coldCacheBytes },
    { name: 'query_key_filter_bytes', value: keyFilterBytes },
    { name: 'query_last_rows_bytes', value: lastRowsBytes },
  ];
}
