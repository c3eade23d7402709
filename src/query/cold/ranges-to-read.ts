/** Which byte ranges to ask a bucket for, so that pieces come in few requests with little read along. */
import type { ByteRange } from '../../objects/index.js';
import { KiB, MiB } from '../../kernel/index.js';

/** Read along rather than asked around: on S3 a request costs as long as half a megabyte takes. */
export const gapBytesMax = 256 * KiB;
/** Of one request, unless one piece is larger. Several run at once, so that a large part comes as fast as the line gives. */
export const rangeBytesMax = 4 * MiB;
/** A piece above this is asked for in slices. */
const sliceBytesMax = 4 * MiB;

/** What is wanted of an object, and where it goes. */
export interface Piece extends ByteRange {
  readonly to: number;
}

export interface RangeToRead extends ByteRange {
  readonly pieces: readonly Piece[];
}

/** Pieces in any order, none overlapping another. */
export function rangesToRead(pieces: readonly Piece[]): RangeToRead[] {
  const ranges: { start: number; end: number; pieces: Piece[] }[] = [];
  for (const piece of pieces.flatMap(sliced).sort((a, b) => a.start - b.start)) {
    const last = ranges.at(-1);
    if (last !== undefined && piece.start - last.end <= gapBytesMax && piece.end - last.start <= rangeBytesMax) {
      last.end = Math.max(last.end, piece.end);
      last.pieces.push(piece);
    } else ranges.push({ start: piece.start, end: piece.end, pieces: [piece] });
  }
  return ranges;
}

function sliced(piece: Piece): Piece[] {
  const slices: Piece[] = [];
  for (let start = piece.start; start < piece.end; start += sliceBytesMax) {
    slices.push({ start, end: Math.min(piece.end, start + sliceBytesMax), to: piece.to + start - piece.start });
  }
  return slices;
}
