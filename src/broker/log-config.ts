/** A topic's configuration as the hot log understands it. */
import type { TopicConfig } from '../config/index.js';
import type { LogConfig } from '../log/index.js';

/** Kafka's −2 of `local.retention.*`: as long or as much as the whole. */
const sameAsTotal = -2;
const noBound = -1;

/** Internal topics are state, not history: they are never cut by retention. */
export function logConfigOf(config: TopicConfig, isInternal: boolean): LogConfig {
  const policy = config.get('cleanup.policy');
  const isKept = isInternal || !policy.includes('delete');
  const maxLagMs = config.get('max.compaction.lag.ms');
  const compaction = policy.includes('compact')
    ? {
        deleteRetentionMs: config.get('delete.retention.ms'),
        minLagMs: config.get('min.compaction.lag.ms'),
        maxLagMs,
        minDirtyRatio: config.get('min.cleanable.dirty.ratio'),
      }
    : undefined;
  const retentionMs = isKept ? noBound : config.get('retention.ms');
  const retentionBytes = isKept ? noBound : config.get('retention.bytes');
  const localMs = config.get('local.retention.ms');
  const localBytes = config.get('local.retention.bytes');
  return {
    segmentBytes: config.get('segment.bytes'),
    // What is written is never compacted: it is rolled in time for the longest lag (KIP-354).
    segmentMs: compaction === undefined ? config.get('segment.ms') : Math.min(config.get('segment.ms'), maxLagMs),
    indexIntervalBytes: config.get('index.interval.bytes'),
    maxMessageBytes: config.get('max.message.bytes'),
    retentionMs,
    retentionBytes,
    localRetentionMs: localMs === sameAsTotal ? retentionMs : localMs,
    localRetentionBytes: localBytes === sameAsTotal ? retentionBytes : localBytes,
    isTiered: !isInternal && config.get('remote.storage.enable'),
    compaction,
    timestampBeforeMaxMs: config.get('message.timestamp.before.max.ms'),
    timestampAfterMaxMs: config.get('message.timestamp.after.max.ms'),
  };
}
