/** `POST /v1/tier/flush` and `/v1/tier/evict`: what the daemon and the broker do by themselves, now. */
import type { ControlPeer } from '../control/index.js';
import type { Context } from 'hono';
import { count, json, list, object, type Operation, text, topicInQuery } from './operation.js';
import { roleProblems, tierProblems } from './route-problems.js';
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

export const tierOperations: readonly Operation[] = [
  {
    id: 'flush',
    tag: 'tier',
    method: 'post',
    path: '/v1/tier/flush',
    summary: 'Cut and commit everything acknowledged so far',
    parameters: [topicInQuery],
    answers: {
      200: {
        description: 'the boundaries: the first offset of each partition that is served hot',
        content: json(
          object({
            topics: list(
              object({
                topic: text(),
                id: text(),
                partitions: list(object({ partition: count(), boundary: count(), log_start_offset: count() })),
              }),
            ),
          }),
        ),
      },
    },
    problems: tierProblems,
  },
  {
    id: 'evict',
    tag: 'tier',
    method: 'post',
    path: '/v1/tier/evict',
    summary: 'Roll the active segment and drop local copies of what is committed',
    parameters: [topicInQuery],
    answers: {
      200: {
        description: 'what was dropped, and where the partitions are',
        content: json(
          object({
            evicted_segments: count(),
            evicted_bytes: count(),
            topics: list(
              object({
                topic: text(),
                partitions: list(object({ partition: count(), local_start_offset: count(), boundary: count(), high_watermark: count() })),
              }),
            ),
          }),
        ),
      },
    },
    problems: ['topic-unknown', 'log-offline', 'disk-full', ...roleProblems],
  },
];
