/** Which texts may be object keys: what a directory, S3 and an Iceberg location all carry without escaping surprises. */
import { LakeError } from '../kernel/index.js';

/** S3's own bound, in bytes of UTF-8. */
export const keyBytesMax = 1024;

/** Folder of a directory store for files that are not objects yet; no key may lie in it. */
export const hiddenFolder = '.thermocline-tmp';

/** Throws `request-invalid` for a key that is absolute, leaves its root, or has an empty segment. */
export function checkKey(key: string): void {
  const reason = keyProblem(key);
  if (reason === null) return;
  throw new LakeError('request-invalid', `"${key}" cannot be an object key: ${reason}`, {
    hint: 'Use relative, slash-separated keys without "." or ".." segments.',
    facts: { key },
  });
}

/** As `checkKey`, for the beginning of a key: the last segment may be incomplete or empty. */
export function checkPrefix(prefix: string): void {
  const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  if (folder !== '') checkKey(folder.slice(0, -1));
  if (prefix.includes('\0')) checkKey(prefix);
}

function keyProblem(key: string): string | null {
  if (key === '') return 'it is empty';
  if (key.includes('\0') || key.includes('\\')) return 'it has a NUL or a backslash';
  if (Buffer.from(key).toString() !== key) return 'it is not well-formed Unicode';
  if (Buffer.byteLength(key) > keyBytesMax) return `it is longer than ${keyBytesMax} bytes`;
  const segments = key.split('/');
  if (segments.some((segment) => segment === '' || segment === '.' || segment === '..')) return 'a segment is empty, "." or ".."';
  return segments[0] === hiddenFolder ? `"${hiddenFolder}" is the store's own` : null;
}

/** The order of keys in a listing: by the bytes of their UTF-8, as S3 has it. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
