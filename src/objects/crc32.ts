/**
 * CRC-32 (ISO 3309, the one of zlib) of bytes, as S3 carries it, and of a whole out of those of its parts: parts are read and sent
 * in any order, and the checksum of the object is known all the same (zlib's `crc32_combine`).
 */
import { crc32 } from 'node:zlib';

export { crc32 };

/** Four bytes, most significant first, in base64: the header `x-amz-checksum-crc32`. */
export function crc32Header(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc >>> 0);
  return bytes.toString('base64');
}

/** A linear map of 32 bits: the image of each bit. */
type BitMatrix = Uint32Array;

/** Reversed polynomial of CRC-32. */
const polynomial = 0xedb88320;

function apply(matrix: BitMatrix, bits: number): number {
  let image = 0;
  for (let at = 0, left = bits >>> 0; left !== 0; at++, left >>>= 1) if ((left & 1) === 1) image ^= matrix[at]!;
  return image >>> 0;
}

const squared = (matrix: BitMatrix): BitMatrix => matrix.map((image) => apply(matrix, image));

/** What one zero bit behind the data does to its checksum. */
const oneZeroBit: BitMatrix = Uint32Array.from({ length: 32 }, (_, bit) => (bit === 0 ? polynomial : 2 ** (bit - 1)));

/** The checksum of `a` followed by `b`, of their checksums and the length of `b` in bytes. */
export function combineCrc32(a: number, b: number, bytesOfB: number): number {
  let zeros = squared(squared(squared(oneZeroBit)));
  let shifted = a >>> 0;
  for (let left = bytesOfB; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) shifted = apply(zeros, shifted);
    zeros = squared(zeros);
  }
  return (shifted ^ b) >>> 0;
}
