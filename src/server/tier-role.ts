/** The tier daemon with its connections: the broker's control socket, its Kafka port, the bucket, the column workers. */
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { openBatchRebuilder, openColumnWorkers } from '../columns/index.js';
import { placesOf, type ServerConfig } from '../config/index.js';
import { type ControlHandlers, tierCallsAtStart } from '../control/index.js';
import { systemClock, systemRandom } from '../kernel/index.js';
import { openObjectStore, RequestCounters } from '../objects/index.js';
import { type Logger, processSamples } from '../telemetry/index.js';
import { startTier } from '../tier/index.js';
import { connectToBroker } from './broker-connection.js';
import { closeAll, type RunningRole, storeOptions, workerNiceness } from './role.js';

export async function startTierRole(config: ServerConfig, logger: Logger): Promise<RunningRole> {
  const places = placesOf(config);
  await mkdir(places.spoolDir, { recursive: true });
  const counters = new RequestCounters();
  const store = await openObjectStore(places.bucketUrl, { ...storeOptions(config), counters });
  const handlers: { -readonly [M in keyof ControlHandlers]: ControlHandlers[M] } = tierCallsAtStart();
  const { link, reader, bootstrap, failed } = await connectToBroker('tier', config, logger, handlers);
  const workers = openColumnWorkers({
    count: config.get('tier.workers'),
    tempDir: join(places.spoolDir, 'workers'),
    memoryBytes: config.get('tier.worker.memory.bytes'),
    niceness: workerNiceness,
  });
  // Nicer still: whoever reads years of log waits for the commits, not they for him. A second thread inflates the next row group
  // while the first sends the last one; more would only be in each other's way, as one reader has few ranges ahead.
  const rebuilder = openBatchRebuilder({ count: Math.min(2, availableParallelism()), niceness: 10 });
  const closeConnections = (): Promise<void> =>
    closeAll(
      () => workers.close(),
      () => rebuilder.close(),
      () => reader.close(),
      () => link.close(),
      () => store.close(),
    );
  const daemon = await startTier({
    store,
    reader,
    broker: link,
    workers,
    rebuilder,
    spoolDir: places.spoolDir,
    clock: systemClock,
    random: systemRandom,
    logger,
    settings: {
      spoolBytesMax: config.get('tier.spool.bytes'),
      upkeepIntervalMs: config.get('tier.upkeep.interval.ms'),
      rewriteBytesPerRound: config.get('tier.upkeep.bytes'),
      sweepIntervalMs: config.get('tier.sweep.interval.ms'),
      sweepMinAgeMs: config.get('tier.sweep.min.age.ms'),
      scrubBytesPerSecond: config.get('tier.scrub.bytes.per.second'),
      // A query may begin on a snapshot for so long after it was replaced, and go on until its time limit.
      sweepGraceMs: config.get('tier.sweep.grace.ms') + config.get('query.timeout.ms'),
      retentionCheckMs: config.get('log.retention.check.interval.ms'),
    },
  }).catch(async (error: unknown) => {
    await closeConnections();
    throw error;
  });
  Object.assign(handlers, daemon.controlHandlers, {
    'tier.metrics': async () => ({ samples: [...processSamples('tier'), ...daemon.metricsSnapshot(), ...counters.samples('tier')] }),
  } satisfies ControlHandlers);
  void daemon.failed.then(failed.reject);
  return {
    addresses: { kafka: bootstrap },
    failed: failed.promise,
    close: () => closeAll(() => daemon.close(), closeConnections),
  };
}
