/** Finds a row of a cold file by time. Timestamps are not monotone: `first` is the first offset, not the smallest time. */
import { LakeError } from '../kernel/index.js';
import type { ColumnEngine } from './engine.js';
import type { TimestampJob, TimestampResult } from './jobs.js';
import { baseColumns, quoteText, readSchemaMap, timestampMaxMs, timestampMinMs } from './schema.js';

/** Does a `timestamp` job. Errors: `cold-corrupt`. */
export async function findTimestamp(job: TimestampJob, engine: ColumnEngine): Promise<Omit<TimestampResult, 'cpuMs'>> {
  const from = `read_parquet(${quoteText(job.path)}, schema=${readSchemaMap(baseColumns)})`;
  // Clamping keeps the order, so the clamped column may prune row groups before the exact one decides.
  const clampedMs = Math.min(Math.max(job.timestampMs, timestampMinMs), timestampMaxMs);
  const isLateEnough = `_timestamp >= make_timestamptz(${clampedMs}::BIGINT * 1000) AND t >= ${job.timestampMs}`;
  const [where, order] =
    job.find === 'first'
      ? [`_offset >= ${job.fromOffset} AND ${isLateEnough}`, '_offset']
      : [`_offset >= ${job.fromOffset}`, 't DESC, _offset'];
  const rows = `SELECT _offset, _timestamp, coalesce(_timestamp_raw, epoch_ms(_timestamp)) AS t, coalesce(_leader_epoch, -1) AS e FROM ${from}`;
  try {
    const reader = await engine.withConnection((connection) =>
      connection.runAndReadAll(`SELECT _offset, t, e FROM (${rows}) WHERE ${where} ORDER BY ${order} LIMIT 1`),
    );
    const row = reader.getRows()[0];
    if (row === undefined) return { found: null };
    return { found: { offset: Number(row[0]), timestampMs: Number(row[1]), leaderEpoch: Number(row[2]) } };
  } catch (error) {
    throw new LakeError('cold-corrupt', `${job.path} cannot be searched: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
      facts: { path: job.path },
    });
  }
}
