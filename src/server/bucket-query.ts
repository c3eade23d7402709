/**
 * SQL over a bucket with no service running: the gateway's routes and the query service in this process, on a store that nothing is
 * written to. What is hot is not in the bucket, so answers end where the tables do. Caches lie in a temporary folder.
 */
import { rmSync } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { LogReader } from '../client/index.js';
import { openColumnWorkers } from '../columns/index.js';
import { parseHostPort, placesOf, type ServerConfig } from '../config/index.js';
import type { BrokerState, ControlMethod, ControlParams, ControlResult } from '../control/index.js';
import { gatewayApp, ownHeader } from '../gateway/index.js';
import { LakeError, systemClock, systemRandom, type TimestampMs } from '../kernel/index.js';
import { openObjectStore, parseBucketUrl } from '../objects/index.js';
import { type ControlPort, openQueryService } from '../query/index.js';
import type { Logger } from '../telemetry/index.js';
import { BucketState } from './bucket-state.js';
import { queryLimitsOf } from './query-limits.js';
import { closeAll, storeOptions } from './role.js';

export interface BucketQueryOptions {
  /** `bucket.*` and `query.*`. */
  readonly config: ServerConfig;
  /** Queries at once, and engines that are started for them. */
  readonly concurrency: number;
  readonly logger: Logger;
}

export interface BucketQuery {
  readonly url: string;
  /** When the service noted its state in the bucket last, as known by the questions so far. */
  notedAtMs(): Promise<TimestampMs | undefined>;
  /** Answers what the gateway would; what needs a running service is refused with `unsupported`. */
  fetch(path: string, init?: { method?: string; body?: string; headers?: Record<string, string>; signal?: AbortSignal }): Promise<Response>;
  /** Ends the engines and removes the caches. */
  close(): Promise<void>;
}

/** Never listened on. */
const nowhere = 'http://127.0.0.1';

/** Errors: `config-invalid-value`, `object-missing` where there is no such directory. Whether a bucket on S3 is there the first question finds. */
export async function openBucketQuery(options: BucketQueryOptions): Promise<BucketQuery> {
  const { config, concurrency, logger } = options;
  const { bucketUrl } = placesOf(config);
  await requireDirectory(bucketUrl);
  const store = await openObjectStore(bucketUrl, { ...storeOptions(config), isReadOnly: true });
  const folder = await mkdtemp(join(tmpdir(), 'thermocline-sql-'));
  // Also where the process ends in the middle of an answer: a reader of its output that has seen enough.
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', removeFolder);
  const state = new BucketState(store, config);
  const control: ControlPort = { call: async (method, params) => answered(method, params, state) };
  const workers = openColumnWorkers({ count: 1, tempDir: join(folder, 'workers') });
  const query = await openQueryService({
    store,
    reader: noHotLog,
    control,
    workers,
    cacheDir: folder,
    clock: systemClock,
    random: systemRandom,
    logger,
    hasTail: false,
    limits: queryLimitsOf(config, concurrency),
  });
  const app = gatewayApp({
    listen: parseHostPort('http.listen', '127.0.0.1:0'),
    query,
    control,
    records: { send: async () => Promise.reject(needsService('producing')) },
    samples: () => [],
    catalog: { store, access: null, clock: systemClock, random: systemRandom },
    logger,
  });
  return {
    url: store.url,
    notedAtMs: async () => {
      await state.describe();
      return state.notedAtMs;
    },
    fetch: async (path, init = {}) =>
      app.fetch(new Request(new URL(path, nowhere), { ...init, headers: { ...init.headers, host: '127.0.0.1', [ownHeader]: '1' } })),
    close: () =>
      closeAll(
        () => query.close(),
        () => workers.close(),
        () => store.close(),
        () => rm(folder, { recursive: true, force: true }),
        () => void process.removeListener('exit', removeFolder),
      ),
  };
}

async function answered<M extends ControlMethod>(method: M, params: ControlParams<M>, state: BucketState): Promise<ControlResult<M>> {
  switch (method) {
    case 'broker.describe':
      return (await state.describe()) satisfies BrokerState as ControlResult<M>;
    case 'broker.flush':
      // Nothing is hot, so no partition's end moves.
      return { partitions: [] } as unknown as ControlResult<M>;
    case 'broker.as-of':
      return asOfTables(params as ControlParams<'broker.as-of'>) as ControlResult<M>;
    case 'tier.status':
      throw new LakeError('cold-unavailable', 'no tier daemon runs: system.cold_files tells of the cold side', {
        hint: 'Ask SELECT * FROM system.cold_files.',
      });
    default:
      throw needsService(method);
  }
}

/** No broker remembers anything: the tables say all that is known of a time. Errors: `as-of-future`. */
function asOfTables({ topicIds, atMs }: ControlParams<'broker.as-of'>): ControlResult<'broker.as-of'> {
  if (atMs > systemClock.nowMs())
    throw new LakeError('as-of-future', 'the time of as_of has not come yet', {
      hint: 'Leave as_of out to ask as of now.',
      facts: { atMs },
    });
  return { topics: topicIds.map((topicId) => ({ topicId, sinceMs: Number.MAX_SAFE_INTEGER })) };
}

function needsService(what: string): LakeError {
  return new LakeError('unsupported', `${what} needs a running service; here only a bucket is read`, {
    hint: 'Start `thermocline serve`, and leave out --bucket.',
  });
}

const noHotLog: LogReader = {
  topics: async () => [],
  fetch: async () => Promise.reject(needsService('reading the hot log')),
  listOffsets: async () => Promise.reject(needsService('reading the hot log')),
  close: async () => undefined,
};

/** Errors: `object-missing`. */
async function requireDirectory(bucketUrl: string): Promise<void> {
  const place = parseBucketUrl(bucketUrl);
  if (place.kind !== 'directory') return;
  const found = await stat(resolve(place.path)).catch(() => undefined);
  if (found?.isDirectory() === true) return;
  throw new LakeError('object-missing', `there is no bucket at ${bucketUrl}`, {
    hint: 'Name the bucket URL the service ran with, with its prefix.',
    facts: { url: bucketUrl },
  });
}
