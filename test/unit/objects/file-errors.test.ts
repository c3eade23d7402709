import { describe, expect, it } from 'vitest';
import { LakeError } from '../../../src/kernel/index.js';
import { fileError } from '../../../src/objects/file-errors.js';

const errno = (code: string): Error => Object.assign(new Error(`${code}: it failed`), { code });

describe('an error of the file system', () => {
  it.each([
    ['ENOSPC', 'disk-full'],
    ['EDQUOT', 'disk-full'],
    ['EACCES', 'store-refused'],
    ['EROFS', 'store-refused'],
    ['EPERM', 'store-refused'],
    ['EIO', 'store-unavailable'],
    ['EMFILE', 'store-unavailable'],
  ])('%s is %s', (code, expected) => {
    expect(fileError(errno(code), 'writing a/b')).toMatchObject({
      code: expected,
      message: expect.stringContaining('writing a/b') as string,
    });
  });

  it('passes on what it does not know', () => {
    const own = new LakeError('object-exists', 'a');
    expect(fileError(own, 'x')).toBe(own);
    const other = new TypeError('a');
    expect(fileError(other, 'x')).toBe(other);
  });
});
