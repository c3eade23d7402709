/** The gateway's one mapping of errors: RFC 9457 problem+json with our stable `code` and `hint`. */
import { challenge } from './bearer.js';
import { object, flag, type Schema, text } from './operation.js';
import { errorCatalogue, type ErrorFacts, LakeError, toLakeError } from '../kernel/index.js';

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly retriable: boolean;
  readonly hint?: string;
  readonly facts?: ErrorFacts;
}

/** Anything thrown as a problem document. What is not a `LakeError` is `internal`, and its text stays in the log. */
export function problemOf(error: unknown): Problem {
  const known = error instanceof LakeError;
  const e = toLakeError(error);
  return {
    type: `urn:thermocline:error:${e.code}`,
    title: errorCatalogue[e.code].sentence,
    status: e.httpStatus,
    detail: known ? e.message : 'The service met something unforeseen; its log says what.',
    code: e.code,
    retriable: e.retriable,
    ...(e.hint === undefined ? {} : { hint: e.hint }),
    ...(Object.keys(e.facts).length === 0 ? {} : { facts: plainFacts(e.facts) }),
  };
}

function plainFacts(facts: ErrorFacts): ErrorFacts {
  return Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, typeof value === 'bigint' ? value.toString() : value]));
}

export function problemResponse(error: unknown): Response {
  const problem = problemOf(error);
  const headers: Record<string, string> = { 'content-type': 'application/problem+json' };
  if (problem.status === 401) Object.assign(headers, challenge);
  if (problem.status === 429 || problem.status === 503) {
    const { retryAfterMs } = problem.facts ?? {};
    headers['retry-after'] = String(typeof retryAfterMs === 'number' ? Math.ceil(retryAfterMs / 1000) : 1);
  }
  return new Response(`${JSON.stringify(problem)}\n`, { status: problem.status, headers });
}

/** RFC 9457. */
export const problemSchema: Schema = object(
  {
    type: text('`urn:thermocline:error:` and the code'),
    title: text('what the code means'),
    status: { type: 'integer', minimum: 400, maximum: 599 },
    detail: text('what happened'),
    code: text('stable', { enum: Object.keys(errorCatalogue).sort() }),
    retriable: flag('whether a later try may succeed'),
  } satisfies Record<keyof Omit<Problem, 'hint' | 'facts'>, Schema>,
  {
    hint: text('what to do'),
    facts: { type: 'object', description: 'ids, names and numbers; of SQL that points to a place `line`, `column` (from 1) and `near`' },
  },
);
