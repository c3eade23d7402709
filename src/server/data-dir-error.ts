/** What the operating system refuses of the data directory, in words that say what to do. */
import { isAbsolute, relative } from 'node:path';
import { isErrno, LakeError } from '../kernel/index.js';

const elsewhere = 'or name another directory with --data-dir.';
const refusals = [
  {
    codes: ['EEXIST', 'ENOTDIR'],
    what: 'is in the way of a folder of that name',
    hint: `Look at what it is and move it away, ${elsewhere}`,
  },
  {
    codes: ['EACCES', 'EPERM', 'EROFS'],
    what: 'may not be used',
    hint: `Give the service's user the right to read and write there, ${elsewhere}`,
  },
];

/** The `LakeError` (`data-dir-unusable`) for an operation that failed at or below the data directory; anything else comes back as it is. */
export function dataDirError(error: unknown, dataDir: string): unknown {
  if (!(error instanceof Error) || error instanceof LakeError) return error;
  const { path = '' } = error as NodeJS.ErrnoException;
  const below = relative(dataDir, path);
  const refusal = refusals.find(({ codes }) => isErrno(error, ...codes));
  if (refusal === undefined || path === '' || below.startsWith('..') || isAbsolute(below)) return error;
  return new LakeError('data-dir-unusable', `${path} ${refusal.what}: ${error.message}`, {
    hint: refusal.hint,
    facts: { path, dataDir },
    cause: error,
  });
}
