/** The limits of queries as the configuration has them: one meaning for the gateway and for a bucket with no service. */
import type { ServerConfig } from '../config/index.js';
import type { ServiceLimits } from '../query/index.js';

export function queryLimitsOf(config: ServerConfig, concurrency = config.get('query.concurrency')): ServiceLimits {
  return {
    tailMaxBytes: config.get('query.tail.max.bytes'),
    memoryBytes: config.get('query.memory.bytes'),
    timeoutMs: config.get('query.timeout.ms'),
    concurrency,
    niceness: config.get('query.niceness'),
    cacheBytes: config.get('query.cache.bytes'),
    parquetBytesMax: config.get('query.parquet.bytes'),
    // The other half is for the load itself.
    snapshotUsableMs: config.get('tier.sweep.grace.ms') / 2,
    spillBytes: config.get('query.spill.max.bytes'),
    queueMax: config.get('query.queue.max'),
    queueWaitMs: config.get('query.queue.wait.ms'),
    ...(config.get('query.scan.max.bytes') < 0 ? {} : { scanMaxBytes: config.get('query.scan.max.bytes') }),
    ...(config.get('query.rows.max') < 0 ? {} : { maxRows: config.get('query.rows.max') }),
  };
}
