/**
 * The problems that routes may answer with, by what a route does to get its answer. Each operation names what it does; the document tells
 * each of its statuses with the codes it may have.
 */
import { type ErrorCode, errorCatalogue, LakeError } from '../kernel/index.js';
import type { Answer, Operation, Schema } from './operation.js';
import { shared, text } from './operation.js';

/** Of a role that is asked for something and does not give it. */
export const roleProblems = ['peer-gone', 'peer-refused', 'timeout', 'overloaded', 'cancelled'] as const satisfies ErrorCode[];

/** Of records that come or go by Kafka's protocol. */
const kafkaProblems = [
  ...roleProblems,
  'frame-invalid',
  'unsupported',
  'unsupported-version',
  'log-offline',
] as const satisfies ErrorCode[];

/** Of reading tables and files in the bucket. */
const bucketProblems = [
  'store-unavailable',
  'store-refused',
  'object-missing',
  'table-corrupt',
  'cold-unavailable',
  'cold-corrupt',
  'disk-full',
  'overloaded',
  'cancelled',
] as const satisfies ErrorCode[];

/** What a query may fail with, in any of its forms. A saved view takes the place of a topic in all of them. */
export const queryProblems = [
  ...kafkaProblems,
  ...bucketProblems,
  'topic-unknown',
  'partition-unknown',
  'offset-out-of-range',
  'batch-corrupt',
  'record-invalid',
  'view-invalid',
  'query-invalid',
  'query-forbidden',
  'query-too-large',
  'worker-died',
  'token-invalid',
  'token-gone',
  'as-of-future',
  'as-of-unknown',
  'as-of-gone',
] as const satisfies ErrorCode[];

/** Of records that are produced. */
export const produceProblems = [
  ...kafkaProblems,
  'topic-unknown',
  'topic-name-invalid',
  'partition-unknown',
  'batch-corrupt',
  'compression-unsupported',
  'record-invalid',
  'disk-full',
] as const satisfies ErrorCode[];

/** Of work that the tier daemon does for a call. */
export const tierProblems = [
  ...roleProblems,
  ...bucketProblems,
  'topic-unknown',
  'commit-lost',
  'commit-stale',
  'verify-failed',
  'worker-died',
  'batch-corrupt',
  'log-offline',
] as const satisfies ErrorCode[];

/** Every code that an operation may answer with as a problem document, those of what stands before every route included. */
export function problemsOf({ isPublic, method, parameters = [], body, problems = [] }: Operation): readonly ErrorCode[] {
  const readsValues = body !== undefined || parameters.some((parameter) => parameter.in === 'query');
  return [
    ...new Set<ErrorCode>([
      ...(isPublic === true ? [] : ['unauthenticated' as const]),
      'request-forbidden',
      ...(method === 'get' ? [] : ['media-type-unsupported' as const]),
      ...(body === undefined ? [] : ['request-too-large' as const]),
      ...(readsValues ? ['request-invalid' as const] : []),
      ...problems,
      'internal',
    ]),
  ];
}

const retryAfter = { 'Retry-After': { description: 'seconds', schema: { type: 'integer', minimum: 1 } } } as const;
const headersByStatus: Readonly<Record<number, NonNullable<Answer['headers']>>> = {
  401: { 'WWW-Authenticate': { description: 'what is wanted (RFC 6750)', schema: text() } },
  429: retryAfter,
  503: retryAfter,
};

function headersOf(status: number): Pick<Answer, 'headers'> {
  const headers = headersByStatus[status];
  return headers === undefined ? {} : { headers };
}

/** An answer for each status that the codes have, which says which codes; its schema lets no others through. */
export function problemAnswers(codes: readonly ErrorCode[]): Readonly<Record<string, Answer>> {
  const byStatus: Record<number, ErrorCode[]> = {};
  for (const code of codes) (byStatus[new LakeError(code, '').httpStatus] ??= []).push(code);
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, some]): [string, Answer] => {
      const schema: Schema = { allOf: [shared('Problem'), { properties: { code: { enum: some } } }] };
      const description = some.map((code) => `\`${code}\`: ${errorCatalogue[code].sentence}`).join('\n\n');
      return [status, { description, ...headersOf(Number(status)), content: { 'application/problem+json': { schema } } }];
    }),
  );
}

const refusalSentences = {
  400: 'the request cannot be understood, or the table is none of a kind that is read here',
  401: 'the request has not the token that the service wants',
  403: 'the request may not come from there, or the bucket refused the service',
  404: 'there is no such namespace, table or view',
  500: 'the table or the service is not as it should be',
  503: 'broker or bucket do not answer, or too much is under way',
} as const;

/** Refusals in the form of the Iceberg catalog: of the statuses given, and of those that every route of it may answer. */
export function catalogRefusals(...statuses: readonly (keyof typeof refusalSentences)[]): Readonly<Record<string, Answer>> {
  const content = { 'application/json': { schema: shared('IcebergError') } };
  const all = [401, 403, 500, ...statuses] as const;
  return Object.fromEntries(
    all.map((status): [string, Answer] => [String(status), { description: refusalSentences[status], ...headersOf(status), content }]),
  );
}
