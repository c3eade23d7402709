/** The errors every adapter shares, so that they read alike whatever the store is. */
import { type ErrorFacts, LakeError } from '../kernel/index.js';

export function objectExists(url: string, key: string): LakeError {
  return new LakeError('object-exists', `${key} is in ${url} already`, { facts: { key, store: url } });
}

export function objectMissing(url: string, key: string, cause?: unknown): LakeError {
  return new LakeError('object-missing', `${key} is not in ${url}`, { facts: { key, store: url }, cause });
}

/** The store may or may not have done what it was asked: nobody knows before looking. */
export function outcomeUnknown(url: string, what: string, cause: unknown, facts: ErrorFacts = {}): LakeError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new LakeError('store-unavailable', `${what} in ${url}: the answer was lost (${reason}), it may have been done`, {
    hint: 'Look whether the object is there before trying again.',
    facts: { ...facts, store: url, outcome: 'unknown' },
    cause,
  });
}

/** Whether an error says that a write may have been applied all the same. */
export function isOutcomeUnknown(error: unknown): boolean {
  return error instanceof LakeError && error.code === 'store-unavailable' && error.facts['outcome'] === 'unknown';
}
