/** `POST /v1/tier/flush` and `/v1/tier/evict`: what the daemon and the broker do by themselves, now. */
import type { ControlPeer } from '../control/index.js';
import type { Context } from 'hono';
import { describeTopic } from './topics-route.js';

type Control = Pick<ControlPeer, 'call'>;
/** A flush of a large backlog reads, encodes, uploads and verifies all of it. */
const flushTimeoutMs = 30 * 60_000;

/** Cuts and commits everything acknowledged so far and answers the boundary. */
export function flushRoute(control: Control): (c: Context) => Promise<Response> {
  return async (c) => {
    const topic = c.req.query('topic');
    if (topic !== undefined) await describeTopic(control, topic);
    const { topics } = await control.call('tier.flush', topic === undefined ? {} : { topic }, {
      signal: c.req.raw.signal,
      timeoutMs: flushTimeoutMs,
    });
    return c.json({
      topics: topics.map((flushed) => ({
        topic: flushed.topic,
        id: flushed.topicId,
        partitions: flushed.partitions.map((p) => ({ partition: p.partition, boundary: p.boundary, log_start_offset: p.logStartOffset })),
      })),
    });
  };
}

/** Rolls the active segment and drops local copies of what is committed. */
export function evictRoute(control: Control): (c: Context) => Promise<Response> {
  return async (c) => {
    const topic = c.req.query('topic');
    if (topic !== undefined) await describeTopic(control, topic);
    const evicted = await control.call('broker.evict', topic === undefined ? {} : { topic }, { signal: c.req.raw.signal });
    return c.json({
      evicted_segments: evicted.evictedSegments,
      evicted_bytes: evicted.evictedBytes,
      topics: evicted.topics.map((state) => ({
        topic: state.name,
        partitions: state.partitions.map((p) => ({
          partition: p.partition,
          local_start_offset: p.localStartOffset,
          boundary: p.boundary,
          high_watermark: p.highWatermark,
        })),
      })),
    });
  };
}
