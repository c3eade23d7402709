/**
 * Metrics, declared once beside their help. A role gives plain numbers by metric name; this file turns them into
 * Prometheus text. Rooms therefore need no metrics library, and a number nobody declared is a programmer error.
 */
import { invariant } from '../kernel/index.js';
import type { Counter, Gauge } from 'prom-client';

interface MetricSpec {
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  readonly labels: readonly string[];
}

const gauge = (help: string, ...labels: string[]): MetricSpec => ({ type: 'gauge', help, labels });
const counter = (help: string, ...labels: string[]): MetricSpec => ({ type: 'counter', help, labels });

/** Every metric of the service: name (behind `thermocline_`) → what it is. Bytes, ms and counts by the last word. */
export const metricSpecs = {
  up: gauge('1 while the role answers.', 'role'),
  resident_memory_bytes: gauge('Resident memory of a role process.', 'role'),
  cpu_seconds_total: counter('CPU time of a role process, user and system.', 'role'),
  connections: gauge('Kafka connections open.'),
  requests_total: counter('Kafka requests answered.', 'api'),
  request_errors_total: counter('Kafka connections closed for input that cannot be understood.'),
  produced_bytes_total: counter('Bytes of record batches appended.'),
  produced_records_total: counter('Records appended.'),
  fetched_bytes_total: counter('Bytes of record batches sent to consumers, both tiers.'),
  fetch_session_evictions_total: counter('Fetch sessions that were ended to make room for others.'),
  fetch_session_partitions: gauge('Partitions in all fetch sessions.'),
  fetch_sessions: gauge('Fetch sessions of consumers (KIP-227).'),
  fetched_cold_bytes_total: counter('Bytes of record batches sent to consumers out of hydrated chunks.'),
  hydrations_total: counter('Cold ranges hydrated into the chunk cache.'),
  hydration_errors_total: counter('Hydrations that failed.'),
  hydrated_bytes_total: counter('Bytes of record batches that hydrations brought.'),
  hydrations_queued: gauge('Cold ranges that wait for a slot or for room in the chunk cache.'),
  hydration_share: gauge('Share of the time in which cold ranges may be fetched, 0 to 1, so that producers do not feel it.'),
  chunk_cache_bytes: gauge('Disk that hydrated chunks take.'),
  groups: gauge('Consumer groups that have members.'),
  disk_free_bytes: gauge('Free space of the data directory.'),
  partition_log_start_offset: gauge('First offset there is.', 'topic', 'partition'),
  partition_local_start_offset: gauge('First offset on local disk.', 'topic', 'partition'),
  partition_boundary_offset: gauge('First offset served hot.', 'topic', 'partition'),
  partition_high_watermark: gauge('First offset consumers do not see yet.', 'topic', 'partition'),
  partition_hot_bytes: gauge('Bytes of segments on local disk.', 'topic', 'partition'),
  partition_offline: gauge('1 while a partition is offline.', 'topic', 'partition'),
  evicted_bytes_total: counter('Bytes of segments dropped after their commit.'),
  compaction_passes_total: counter('Passes of compaction over partitions of topics with `cleanup.policy=compact`.'),
  compacted_records_total: counter('Records that compaction dropped.'),
  log_scrubbed_bytes_total: counter('Bytes of segments that the scrub of the hot log read again.'),
  log_scrub_findings_total: counter(
    'Segments of the hot log that it found damaged or unreadable, and indexes that did not agree with theirs; the log names each.',
  ),
  log_scrub_last_round_seconds: gauge('When the scrub last had read the whole hot log, seconds since 1970; 0 before.'),
  tier_spool_bytes: gauge('Bytes fetched and not yet committed.'),
  tier_commits_total: counter('Table commits made.'),
  tier_commits_lost_total: counter('Table commits lost to another writer.'),
  tier_committed_rows_total: counter('Rows committed.'),
  tier_committed_raw_bytes_total: counter('Bytes of record batches committed.'),
  tier_committed_file_bytes_total: counter('Bytes of cold files committed.'),
  tier_expired_files_total: counter('Cold files that left a table by retention or deleted records.'),
  tier_expired_file_bytes_total: counter('Their bytes.'),
  tier_errors_total: counter('Cuts that failed and are tried again.', 'topic'),
  tier_cold_bytes: gauge('Bytes of cold files.', 'topic'),
  tier_cold_files: gauge('Cold files.', 'topic'),
  tier_upload_lag_records: gauge('Records acknowledged and not yet committed.', 'topic'),
  tier_cluster_states_total: counter('States of the cluster written to the bucket.'),
  tier_cluster_state_behind_ms: gauge('How long something that `recover` needs has not been in the bucket; 0 while all is there.'),
  tier_stage_cpu_ms_total: counter('CPU spent staging.'),
  tier_encode_cpu_ms_total: counter('CPU spent encoding.'),
  tier_verify_cpu_ms_total: counter('CPU spent verifying.'),
  tier_compact_cpu_ms_total: counter('CPU spent writing cold files anew.'),
  tier_rewrites_total: counter('Commits that put cold files in the place of others: compaction, and heads below the log start.'),
  tier_rewritten_files_total: counter('Cold files that others were put in the place of.'),
  tier_rewritten_bytes_total: counter('Bytes of these.'),
  tier_swept_objects_total: counter('Objects deleted that no snapshot needed any more.'),
  tier_swept_bytes_total: counter('Bytes of these.'),
  tier_scrubbed_files_total: counter('Cold files read again and compared with what was committed.'),
  tier_scrubbed_bytes_total: counter('Bytes of these.'),
  tier_scrub_findings_total: counter('Of these, files that were not what was committed; the log names each.'),
  tier_scrub_last_pass_seconds: gauge('When the background scrub last had read every cold file, seconds since 1970; 0 before.'),
  tier_upkeep_failures_total: counter('Compactions, sweeps and expiries that failed and are tried again, and damaged files met.'),
  object_requests_total: counter(
    'Requests to the bucket, by operation and outcome: HTTP requests on S3, calls on a directory.',
    'role',
    'operation',
    'outcome',
  ),
  object_request_ms_total: counter('Time that requests to the bucket took.', 'role', 'operation', 'outcome'),
  object_requests_running: gauge('Requests to the bucket under way.', 'role'),
  object_sent_bytes_total: counter('Bytes of objects sent to the bucket, those sent again too.', 'role'),
  object_received_bytes_total: counter('Bytes of objects received from the bucket.', 'role'),
  object_retries_total: counter('Requests to the bucket that were sent again.', 'role'),
  object_retries_refused_total: counter('Requests that failed and were not sent again, since the retry budget was used up.', 'role'),
  queries_total: counter('Queries answered.'),
  query_errors_total: counter('Queries refused or failed.', 'code'),
  queries_running: gauge('Queries under way.'),
  query_hot_rows_total: counter('Rows that queries read from the hot tail.'),
  query_staged_rows_total: counter('Rows of the hot tail that were fetched and staged for queries; later queries find them staged.'),
  query_cold_bytes_total: counter('Bytes of cold files that queries opened.'),
  query_cache_bytes: gauge('Disk that staged tails and downloaded files take.'),
  query_key_filter_bytes: gauge('Disk that the key filters of cold files take.'),
  query_last_rows_bytes: gauge('Disk that the last rows of the keys of cold files take.'),
} as const satisfies Record<string, MetricSpec>;

export type MetricName = keyof typeof metricSpecs;

/** One number of one metric. */
export interface MetricSample {
  readonly name: MetricName;
  readonly value: number;
  readonly labels?: Readonly<Record<string, string>>;
}

const prefix = 'thermocline_';

/** Prometheus text format of the samples of all roles. The library is loaded at the first question: no start waits for it. */
export async function renderMetrics(samples: readonly MetricSample[]): Promise<string> {
  const prometheus = await import('prom-client');
  const registry = new prometheus.Registry();
  const made = new Map<MetricName, Gauge | Counter>();
  for (const sample of samples) {
    const spec: MetricSpec = metricSpecs[sample.name];
    invariant(spec !== undefined, 'metric is not declared', { name: sample.name });
    let metric = made.get(sample.name);
    if (metric === undefined) {
      const settings = { name: prefix + sample.name, help: spec.help, labelNames: [...spec.labels], registers: [registry] };
      metric = spec.type === 'gauge' ? new prometheus.Gauge(settings) : new prometheus.Counter(settings);
      made.set(sample.name, metric);
    }
    if (metric instanceof prometheus.Gauge) metric.set(sample.labels ?? {}, sample.value);
    else metric.inc(sample.labels ?? {}, sample.value);
  }
  return registry.metrics();
}

/** What every role process says of itself. */
export function processSamples(role: string): MetricSample[] {
  const cpu = process.cpuUsage();
  return [
    { name: 'up', value: 1, labels: { role } },
    { name: 'resident_memory_bytes', value: process.memoryUsage.rss(), labels: { role } },
    { name: 'cpu_seconds_total', value: (cpu.user + cpu.system) / 1e6, labels: { role } },
  ];
}
