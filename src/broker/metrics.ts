/** The broker in numbers, as samples of the metrics that telemetry declares. */
import { secondMs } from '../kernel/index.js';
import { processSamples, type MetricName, type MetricSample } from '../telemetry/index.js';
import type { ChunkCache } from './cold/chunk-cache.js';
import type { BrokerCore } from './core.js';
import type { Listener } from './net/listener.js';

export function brokerMetrics(core: BrokerCore, listener: Listener, cache: ChunkCache): MetricSample[] {
  const { counters, cold } = core;
  const samples = processSamples('broker');
  const add = (name: MetricName, value: number, labels?: Readonly<Record<string, string>>): void => {
    samples.push(labels === undefined ? { name, value } : { name, value, labels });
  };
  add('connections', listener.connectionCount);
  for (const [api, count] of listener.answered) add('requests_total', count, { api });
  add('request_errors_total', listener.refused);
  add('produced_bytes_total', counters.producedBytes);
  add('produced_records_total', counters.producedRecords);
  add('fetched_bytes_total', counters.fetchedBytes);
  add('fetched_cold_bytes_total', counters.fetchedColdBytes);
  add('fetch_sessions', core.fetchSessions.size);
  add('fetch_session_partitions', core.fetchSessions.partitions);
  add('fetch_session_evictions_total', core.fetchSessions.evictions);
  add('hydrations_total', cold.counts.ended);
  add('hydration_errors_total', cold.counts.errors);
  add('hydrated_bytes_total', cold.counts.bytes);
  add('hydrations_queued', cold.counts.queued);
  add('hydration_share', core.pace?.share ?? 1);
  add('chunk_cache_bytes', cache.bytes);
  add('groups', core.groups.activeCount);
  add('disk_free_bytes', core.disk.freeBytes);
  add('evicted_bytes_total', counters.evictedBytes);
  add('compaction_passes_total', counters.compactionPasses);
  add('compacted_records_total', counters.compactedRecords);
  add('log_scrubbed_bytes_total', core.log.scrubbed.bytes);
  add('log_scrub_findings_total', core.log.scrubbed.findings);
  add('log_scrub_last_round_seconds', Math.floor(core.log.scrubbed.lastRoundMs / secondMs));
  for (const { record, partitions } of core.topics.all) {
    if (record.isInternal) continue;
    for (const log of partitions.values()) {
      const labels = { topic: record.name, partition: String(log.partition) };
      add('partition_log_start_offset', log.logStartOffset, labels);
      add('partition_local_start_offset', log.localStartOffset, labels);
      add('partition_boundary_offset', log.boundary, labels);
      add('partition_high_watermark', log.highWatermark, labels);
      add('partition_hot_bytes', log.hotBytes, labels);
      add('partition_offline', log.offline === undefined ? 0 : 1, labels);
    }
  }
  return samples;
}
