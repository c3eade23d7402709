/**
 * `POST /v1/topics/{topic}/scrub`: what is flushed of a topic's hot log read again, every batch and index; a line of NDJSON a partition as it
 * is done, with lines of progress between, and at the end `_end` or `_error`.
 */
import type { ControlPeer, HotScrubPart } from '../control/index.js';
import { hourMs } from '../kernel/index.js';
import type { Context } from 'hono';
import { count, lines, object, type Operation, shared, text, topicInPath } from './operation.js';
import { roleProblems } from './route-problems.js';
import { scrubLines } from './scrub-lines.js';
import { describeTopic } from './topics-route.js';

/** 64 MiB a second are 220 GiB an hour; who has lost patience closes the connection, which ends it. */
const scrubTimeoutMs = 12 * hourMs;

export function hotScrubRoute(control: Pick<ControlPeer, 'call'>): (c: Context) => Promise<Response> {
  return async (c) => {
    const topic = c.req.param('topic')!;
    await describeTopic(control, topic);
    return scrubLines(c, (tell, signal) =>
      control.call(
        'broker.scrub',
        { topic },
        { signal, timeoutMs: scrubTimeoutMs, onPart: (facts) => tell(lineOf(facts as HotScrubPart)) },
      ),
    );
  };
}

function lineOf(part: HotScrubPart): unknown {
  return 'soFar' in part ? { _progress: part.soFar } : part;
}

const found = { bytes: count('read'), findings: count('damaged segments, and indexes that did not agree') };

const scrubLine = {
  oneOf: [
    object({ partition: count(), ...found }, { offline: text('why it takes nothing') }),
    object({ _progress: object(found) }),
    object({ _end: object(found) }),
    object({ _error: shared('Problem') }),
  ],
};

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
        description: 'a line a partition as it is done, every few seconds one of progress, then `_end` or `_error`',
        content: lines(scrubLine),
      },
    },
    problems: ['topic-unknown', ...roleProblems],
  },
];
