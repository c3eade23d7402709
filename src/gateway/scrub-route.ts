/** `POST /v1/tier/scrub`: every cold file read again, a line of NDJSON a file as it is done, and at the end `_end` or `_error`. */
import type { ControlPeer, ScrubbedFile } from '../control/index.js';
import { dayMs } from '../kernel/index.js';
import type { Context } from 'hono';
import { count, lines, object, type Operation, shared, text, topicInQuery } from './operation.js';
import { roleProblems } from './route-problems.js';
import { scrubLines } from './scrub-lines.js';
import { describeTopic } from './topics-route.js';

/** Years of log take their time; who has lost patience closes the connection, which ends it. */
const scrubTimeoutMs = 7 * dayMs;

export function scrubRoute(control: Pick<ControlPeer, 'call'>): (c: Context) => Promise<Response> {
  return async (c) => {
    const topic = c.req.query('topic');
    if (topic !== undefined) await describeTopic(control, topic);
    return scrubLines(c, (tell, signal) =>
      control.call('tier.scrub', topic === undefined ? {} : { topic }, {
        signal,
        timeoutMs: scrubTimeoutMs,
        // The daemon goes on with the next file when this one's line is on its way.
        onPart: (facts) => tell(facts as ScrubbedFile),
      }),
    );
  };
}

const scrubLine = {
  oneOf: [
    object(
      { topic: text(), partition: count(), key: text('of the object'), rows: count(), bytes: count() },
      { problem: text('what is wrong with the file'), hint: text('what to do about it') },
    ),
    object({ _end: object({ files: count(), bytes: count(), findings: count('damaged files'), holes: count() }) }),
    object({ _error: shared('Problem') }),
  ],
};

export const scrubOperations: readonly Operation[] = [
  {
    id: 'scrub',
    tag: 'tier',
    method: 'post',
    path: '/v1/tier/scrub',
    summary: 'Read every cold file again',
    description: 'May take long; closing the connection ends it.',
    parameters: [topicInQuery],
    answers: { 200: { description: 'a line a file as it is done, then `_end` or `_error`', content: lines(scrubLine) } },
    problems: ['topic-unknown', ...roleProblems],
  },
];
