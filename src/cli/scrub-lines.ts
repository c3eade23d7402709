/** The answer of a scrub as the gateway streams it, which its commands share: lines of NDJSON, then `_end` or `_error`. */
import { LakeError } from '../kernel/index.js';
import { callGateway, errorOfProblem } from './client-options.js';

interface LastLine<End> {
  readonly _end?: End;
  readonly _error?: { readonly status?: number };
}

/** Answers what `_end` says. Errors: those of the gateway, of `_error`, and `peer-gone` where the answer ends before the scrub does. */
export async function runScrub<End>(server: string, path: string, onLine: (line: unknown) => void): Promise<End> {
  const response = await callGateway(server, path, { method: 'POST' });
  for await (const line of linesOf(response)) {
    const { _end: end, _error: problem } = line as LastLine<End>;
    if (problem !== undefined) throw errorOfProblem(JSON.stringify(problem), problem.status ?? 500);
    if (end !== undefined) return end;
    onLine(line);
  }
  throw new LakeError('peer-gone', 'the answer ended before the scrub did', { hint: 'Look at the log of the service, and scrub again.' });
}

async function* linesOf(response: Response): AsyncGenerator {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of response.body ?? []) {
    const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield JSON.parse(line) as unknown;
  }
}
