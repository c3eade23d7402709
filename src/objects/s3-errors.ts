/** What an S3 server or the SDK says when it fails, in our words: what happened, whether a write may have been applied, what to do. */
import { LakeError } from '../kernel/index.js';
import { objectExists, objectMissing, outcomeUnknown } from './errors.js';

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
  NoSuchBucket: 'Create the bucket, or correct the bucket name in bucket.url.',
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

/** The server said no before it did anything. */
const neverApplied = new Set(['SlowDown', 'TooManyRequests', 'ThrottlingException', 'ConditionalRequestConflict', 'OperationAborted']);
/** The request never reached a server. */
const neverSent = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);
const localDisk = new Set(['ENOSPC', 'EDQUOT']);
const localFile = new Set(['EEXIST', 'EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR', 'EISDIR', 'EMFILE']);

export function s3Error(error: unknown, call: S3Call): LakeError {
  if (error instanceof LakeError) return error;
  const { url, what, key } = call;
  const name = error instanceof Error ? error.name : '';
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
  const isClear = neverApplied.has(name) || status === 429 || (code !== null && neverSent.has(code));
  const isFinal = status !== undefined && status >= 400 && status < 500 && !isClear && status !== 408 && status !== 409;
  if (isFinal) {
    return new LakeError('store-refused', `${what} in ${url}: ${name}: ${reason}`, {
      hint: "Look the error up in the object store's manual.",
      facts,
      cause: error,
    });
  }
  if (call.isWrite && !isClear && status !== 409) return outcomeUnknown(url, what, error);
  return new LakeError('store-unavailable', `${what} in ${url}: ${reason === '' ? name : reason}`, {
    hint: 'Check that the object store is up and that bucket.endpoint is right.',
    facts,
    cause: error,
  });
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
