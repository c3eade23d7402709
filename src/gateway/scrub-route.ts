/** `POST /v1/tier/scrub`: every cold file read again, a line of NDJSON a file as it is done, and at the end `_end` or `_error`. */
import type { ControlPeer, ScrubbedFile } from '../control/index.js';
import { dayMs } from '../kernel/index.js';
import type { Context } from 'hono';
import { count, lines, object, type Operation, shared, text, topicInQuery } from './operation.js';
import { problemOf } from './problem.js';
import { roleProblems } from './route-problems.js';
import { describeTopic } from './topics-route.js';

/** Years of log take their time; who has lost patience closes the connection, which ends it. */
const scrubTimeoutMs = 7 * dayMs;

/** Errors before the first line are problem documents. */
export function scrubRoute(control: Pick<ControlPeer, 'call'>): (c: Context) => Promise<Response> {
  return async (c) => {
    const topic = c.req.query('topic');
    if (topic !== undefined) await describeTopic(control, topic);
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const encoder = new TextEncoder();
    const line = (value: unknown): Promise<void> => writer.write(encoder.encode(`${JSON.stringify(value)}\n`));
    const gone = new AbortController();
    writer.closed.catch(() => gone.abort());
    const run = async (): Promise<void> => {
      try {
        const total = await control.call('tier.scrub', topic === undefined ? {} : { topic }, {
          signal: AbortSignal.any([c.req.raw.signal, gone.signal]),
          timeoutMs: scrubTimeoutMs,
          // The daemon goes on with the next file when this one's line is on its way.
          onPart: (facts) => line(facts as ScrubbedFile),
        });
        await line({ _end: total });
      } catch (error) {
        if (!gone.signal.aborted) await line({ _error: problemOf(error) });
      }
      await writer.close();
    };
    // Where the client is gone nobody is left to be told.
    run().catch(() => gone.abort());
    return new Response(readable, { headers: { 'content-type': 'application/x-ndjson' } });
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
