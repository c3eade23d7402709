/** `POST /v1/topics/{topic}/scrub`: what is flushed of a topic's hot log read again, every batch and index. */
import type { ControlPeer } from '../control/index.js';
import { hourMs } from '../kernel/index.js';
import type { Context } from 'hono';
import { count, json, list, object, type Operation, text, topicInPath } from './operation.js';
import { roleProblems } from './route-problems.js';

/** 64 MiB a second are 220 GiB an hour; who has lost patience closes the connection, which ends it. */
const scrubTimeoutMs = 12 * hourMs;

export function hotScrubRoute(control: Pick<ControlPeer, 'call'>): (c: Context) => Promise<Response> {
  return async (c) => {
    const topic = c.req.param('topic')!;
    const found = await control.call('broker.scrub', { topic }, { signal: c.req.raw.signal, timeoutMs: scrubTimeoutMs });
    return c.json({ topic, ...found });
  };
}

export const hotScrubOperations: readonly Operation[] = [
  {
    id: 'scrubTopic',
    tag: 'topics',
    method: 'post',
    path: '/v1/topics/{topic}/scrub',
    summary: "Read a topic's hot log again",
    description:
      'All that is flushed: framing and checksum of each batch, and whether the index files agree. A damaged copy of what the table has is dropped, an index is made anew, and any other damage takes the partition offline. May take long; closing the connection ends it.',
    parameters: [topicInPath],
    answers: {
      200: {
        description: 'what was read and found, and which partitions are offline',
        content: json(
          object({
            topic: text(),
            bytes: count('read'),
            findings: count('damaged segments, and indexes that did not agree'),
            partitions: list(object({ partition: count() }, { offline: text('why it takes nothing') })),
          }),
        ),
      },
    },
    problems: ['topic-unknown', ...roleProblems],
  },
];
