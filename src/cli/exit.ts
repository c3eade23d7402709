/** The command line's mapping of errors: a message, a hint, an exit code. */
import { isLakeError, LakeError } from '../kernel/index.js';

export const exitCodes = { ok: 0, failed: 1, usage: 2, notFound: 3, conflict: 4, unhealthy: 10 } as const;

export function exitCodeOf(error: unknown): number {
  if (!isLakeError(error)) return exitCodes.failed;
  if (error.code === 'usage' || error.code === 'config-unknown-key' || error.code === 'config-invalid-value') return exitCodes.usage;
  if (error.kind === 'not-found') return exitCodes.notFound;
  if (error.kind === 'conflict') return exitCodes.conflict;
  return exitCodes.failed;
}

/** Writes what went wrong to stderr and gives the exit code for it. What is not an operating error shows its stack. */
export function reportError(error: unknown): number {
  if (isLakeError(error)) {
    process.stderr.write(`error: ${error.message}\n`);
    if (error.hint !== undefined) process.stderr.write(`hint: ${error.hint}\n`);
  } else {
    process.stderr.write(`error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  }
  return exitCodeOf(error);
}

export function usageError(message: string, hint: string): LakeError {
  return new LakeError('usage', message, { hint });
}
