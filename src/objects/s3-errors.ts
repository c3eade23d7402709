/** What an S3 server or the SDK says when it fails, in our words: what happened, whether a write may have been applied, what to do. */
import { LakeError, retryAfterFact, secondMs } from '../kernel/index.js';
import { objectExists, objectMissing, outcomeUnknown } from './errors.js';
import type { RequestOutcome } from './request-counters.js';

export interface S3Call {
  /** `s3://bucket/prefix`. */
  readonly url: string;
  /** In words, for the message: `writing a/b`. */
  readonly what: string;
  readonly key: string;
  readonly isWrite: boolean;
}

/** Codes after which the operator must act, with what to do. */
const hints: Readonly<Record<string, string>> = {
  NoSuchBucket: 'Create the bucket (`thermocline bucket init`), or correct the bucket name in bucket.url.',
  AccessDenied: 'Give the credentials the rights to list, get, put and delete below the prefix.',
  Forbidden: 'Give the credentials the rights to list, get, put and delete below the prefix.',
  InvalidAccessKeyId: 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or correct the profile.',
  SignatureDoesNotMatch: 'Correct AWS_SECRET_ACCESS_KEY.',
  ExpiredToken: 'Renew the session credentials.',
  CredentialsProviderError: 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or an instance role.',
  PermanentRedirect: "Set bucket.region to the bucket's own region.",
  AuthorizationHeaderMalformed: "Set bucket.region to the bucket's own region.",
  RequestTimeTooSkewed: "Set this machine's clock.",
  NotImplemented: 'Use an object store that implements conditional writes and multipart uploads.',
  EntityTooLarge: 'Lower lake.file.bytes.',
  InvalidBucketName: 'Correct the bucket name in bucket.url.',
};

/** The server asks for fewer requests; it has not done this one. */
const throttles = new Set([
  'SlowDown',
  'SlowDownRead',
  'SlowDownWrite',
  'TooManyRequests',
  'TooManyRequestsException',
  'Throttling',
  'ThrottlingException',
  'RequestLimitExceeded',
  'BandwidthLimitExceeded',
]);
/** Another write of the key is under way; this one was not done. */
const conflicts = new Set(['ConditionalRequestConflict', 'OperationAborted']);
/** What arrived is not what was sent; the server has thrown it away. */
const damages = new Set([
  'BadDigest',
  'InvalidDigest',
  'IncompleteBody',
  'RequestTimeout',
  'XAmzContentSHA256Mismatch',
  'XAmzContentChecksumMismatch',
]);
/** The request never reached a server. */
const neverSent = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);
const localDisk = new Set(['ENOSPC', 'EDQUOT']);
const localFile = new Set(['EEXIST', 'EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR', 'EISDIR', 'EMFILE']);
/** A server that wants a longer pause is asked again after this all the same. */
const retryAfterMaxMs = 60 * secondMs;

/** A request that got no answer in its time, or moved too slowly. */
export class SlowAnswer extends Error {
  override readonly name = 'SlowAnswer';
}

export function s3Error(error: unknown, call: S3Call): LakeError {
  if (error instanceof LakeError) return error;
  const { url, what, key } = call;
  const name = nameOf(error);
  const reason = error instanceof Error ? error.message : String(error);
  const code = errnoOf(error);
  const status = statusOf(error);
  const facts = { key, store: url, s3: name, status };
  if (code !== null && localDisk.has(code)) {
    return new LakeError('disk-full', `${what} from ${url}: the local disk is full`, {
      hint: 'Free space on the local disk.',
      cause: error,
    });
  }
  if (code !== null && localFile.has(code)) {
    return new LakeError('internal', `${what} from ${url}: ${reason}`, { facts: { key }, cause: error });
  }
  if (name === 'NoSuchKey' || (status === 404 && !(name in hints) && name !== 'NoSuchUpload')) return objectMissing(url, key, error);
  if (status === 412 || name === 'PreconditionFailed') return objectExists(url, key);
  const hint = hints[name] ?? (status === 401 || status === 403 ? hints['AccessDenied'] : undefined);
  if (hint !== undefined) return new LakeError('store-refused', `${what} in ${url}: ${name}: ${reason}`, { hint, facts, cause: error });
  if (/region is missing/i.test(reason)) {
    return new LakeError('store-refused', `${what} in ${url}: no region is configured`, {
      hint: 'Set bucket.region or AWS_REGION.',
      facts,
      cause: error,
    });
  }
  const isClear =
    throttles.has(name) ||
    conflicts.has(name) ||
    damages.has(name) ||
    status === 409 ||
    status === 429 ||
    (code !== null && neverSent.has(code));
  if (status !== undefined && status >= 400 && status < 500 && !isClear && status !== 408) {
    return new LakeError('store-refused', `${what} in ${url}: ${name}: ${reason}`, {
      hint: "Look the error up in the object store's manual.",
      facts,
      cause: error,
    });
  }
  const waitMs = retryAfterMs(error);
  const more = { ...facts, ...(waitMs === undefined ? {} : { [retryAfterFact]: waitMs }) };
  if (call.isWrite && !isClear) return outcomeUnknown(url, what, error, more);
  return new LakeError('store-unavailable', `${what} in ${url}: ${reason === '' ? name : reason}`, {
    hint: 'Check that the object store is up and that bucket.endpoint is right.',
    facts: more,
    cause: error,
  });
}

/** How a request ended, for the counters. */
export function outcomeOf(error: unknown): RequestOutcome {
  const name = nameOf(error);
  const status = statusOf(error);
  if (name === 'SlowAnswer') return 'timeout';
  if (isThrottle(error)) return 'throttled';
  if (status === 412 || name === 'PreconditionFailed') return 'exists';
  if (status === 409 || conflicts.has(name)) return 'conflict';
  if (name === 'NoSuchKey' || (status === 404 && !(name in hints))) return 'missing';
  if (damages.has(name) || status === undefined || status >= 500) return 'failed';
  // A range behind the object's end is an answer like any other.
  return status === 416 ? 'ok' : 'refused';
}

/** Whether the server wants fewer requests, this one or others. */
export function isThrottle(error: unknown): boolean {
  const status = statusOf(error);
  return throttles.has(nameOf(error)) || status === 429 || status === 503;
}

/** The pause a server asks for by `Retry-After` (RFC 9110: seconds, or a date held against its own `Date`), at most a minute. */
export function retryAfterMs(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('$response' in error)) return undefined;
  const { headers } = (error.$response ?? {}) as { readonly headers?: Readonly<Record<string, string>> };
  const text = headers?.['retry-after']?.trim();
  if (text === undefined || text === '') return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * secondMs : Date.parse(text) - Date.parse(headers?.['date'] ?? '');
  return Number.isFinite(ms) && ms >= 0 ? Math.min(ms, retryAfterMaxMs) : undefined;
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined;
  return (error.$metadata as { readonly httpStatusCode?: number } | undefined)?.httpStatusCode;
}

/** The operating system's code, also of a cause or of the first of several attempts. */
function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  if ('code' in error && typeof error.code === 'string') return error.code;
  if (error instanceof AggregateError && error.errors.length > 0) return errnoOf(error.errors[0]);
  return error.cause === undefined ? null : errnoOf(error.cause);
}
