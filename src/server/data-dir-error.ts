/** What the operating system refuses of the data directory, in words that say what to do. */
import { isAbsolute, relative } from 'node:path';
import { LakeError } from '../kernel/index.js';

const inTheWay = new Set(['EEXIST', 'ENOTDIR']);
const notPermitted = new Set(['EACCES', 'EPERM', 'EROFS']);

/** The `LakeError` (`data-dir-unusable`) for an operation that failed at or below the data directory; anything else comes back as it is. */
export function dataDirError(error: unknown, dataDir: string): unknown {
  if (!(error instanceof Error) || error instanceof LakeError) return error;
  const { code = '', path = '' } = error as NodeJS.ErrnoException;
  const below = relative(dataDir, path);
  if (path === '' || below.startsWith('..') || isAbsolute(below)) return error;
  const facts = { path, dataDir };
  if (inTheWay.has(code)) {
    return new LakeError('data-dir-unusable', `${path} is in the way of a folder of that name: ${error.message}`, {
      hint: 'Look at what it is and move it away, or name another directory with --data-dir.',
      facts,
      cause: error,
    });
  }
  if (notPermitted.has(code)) {
    return new LakeError('data-dir-unusable', `${path} may not be used: ${error.message}`, {
      hint: "Give the service's user the right to read and write there, or name another directory with --data-dir.",
      facts,
      cause: error,
    });
  }
  return error;
}
