/**
 * The answer as one Parquet file, which DuckDB writes itself: into a folder that is made for it below the instance's spill folder, under a
 * name nobody can guess, and gone before the instance is. SQL of a user cannot name files in the first place.
 */
import { createReadStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { formatBytes, LakeError, systemRandom } from '../../kernel/index.js';
import { pieceBytes } from './format.js';

/** How often the size of a growing file is looked at. */
const lookMs = 100;

export interface ParquetSource {
  /** Writes the answer into the file; resolves with the number of rows. */
  copyTo(path: string): Promise<number>;
  interrupt(): void;
}

export interface ParquetAnswer {
  readonly rows: number;
  /** To be read to its end or left by `return`; then the file is gone. */
  readonly pieces: AsyncIterable<Uint8Array>;
}

/** Resolves when the file is whole. Errors: those of the query, `query-too-large` above `bytesMax`. */
export async function writeParquet(source: ParquetSource, spill: string, bytesMax: number): Promise<ParquetAnswer> {
  const folder = join(spill, `answer-${systemRandom.bytes(16).toString('hex')}`);
  const path = join(folder, 'answer.parquet');
  await mkdir(folder, { mode: 0o700 });
  let isTooLarge = false;
  const watch = setInterval(() => {
    stat(path).then(
      ({ size }) => {
        if (size <= bytesMax) return;
        isTooLarge = true;
        source.interrupt();
      },
      () => undefined,
    );
  }, lookMs);
  try {
    const rows = await source.copyTo(path);
    if ((await stat(path)).size > bytesMax) isTooLarge = true;
    if (isTooLarge) throw tooLarge(bytesMax);
    return { rows, pieces: piecesOf(path, folder) };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw isTooLarge ? tooLarge(bytesMax) : error;
  } finally {
    clearInterval(watch);
  }
}

async function* piecesOf(path: string, folder: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { highWaterMark: pieceBytes });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function tooLarge(bytesMax: number): LakeError {
  return new LakeError('query-too-large', `the Parquet file would be larger than ${formatBytes(bytesMax)}`, {
    hint: 'Ask for less at once, raise query.parquet.bytes, or take arrow or csv, which have no such bound.',
    facts: { bytesMax },
  });
}
