/** What the operating system says of files, in our words. */
import { isErrno, LakeError, toLakeError } from '../kernel/index.js';

/** The `LakeError` for a failed file operation of a directory store; what is no such failure comes back as it is. */
export function fileError(error: unknown, what: string): unknown {
  if (error instanceof LakeError || !(error instanceof Error) || !('code' in error) || error.name === 'AbortError') return error;
  if (isErrno(error, 'ENOSPC', 'EDQUOT')) {
    return new LakeError('disk-full', `${what}: the disk of the bucket directory is full`, {
      hint: "Free space on the bucket's file system or raise its quota.",
      cause: error,
    });
  }
  if (isErrno(error, 'EACCES', 'EPERM', 'EROFS', 'ENAMETOOLONG', 'ENOTDIR', 'EISDIR', 'ELOOP', 'EINVAL')) {
    return new LakeError('store-refused', `${what}: ${error.message}`, {
      hint: "Give the service's user the right to read and write the bucket directory, on a file system with hard links.",
      cause: error,
    });
  }
  return toLakeError(error, 'store-unavailable', what);
}
