/**
 * The NDJSON answer of a scrub: it begins at once, has a line for each thing that was read, and ends with `_end` or `_error`. May take
 * hours; closing the connection ends it. Errors before it begins are problem documents.
 */
import type { Context } from 'hono';
import { problemOf } from './problem.js';

export type TellLine = (line: unknown) => Promise<void>;

/** `scrub` tells lines, each once the one before is on its way, and answers what `_end` says. */
export function scrubLines(c: Context, scrub: (tell: TellLine, signal: AbortSignal) => Promise<unknown>): Response {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const encoder = new TextEncoder();
  const tell: TellLine = (line) => writer.write(encoder.encode(`${JSON.stringify(line)}\n`));
  const gone = new AbortController();
  writer.closed.catch(() => gone.abort());
  const run = async (): Promise<void> => {
    try {
      await tell({ _end: await scrub(tell, AbortSignal.any([c.req.raw.signal, gone.signal])) });
    } catch (error) {
      if (!gone.signal.aborted) await tell({ _error: problemOf(error) });
    }
    await writer.close();
  };
  // Where the client is gone nobody is left to be told.
  run().catch(() => gone.abort());
  return new Response(readable, { headers: { 'content-type': 'application/x-ndjson' } });
}
