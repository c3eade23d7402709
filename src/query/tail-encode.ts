/**
 * A chunk of the tail with its typed columns computed once: the very job that makes cold files, with columns that are assigned
 * for the chunk alone. The view reads it as it reads a cold file, by the field ids of the chunk's own columns.
 */
import { chmod, stat } from 'node:fs/promises';
import { assignColumns, type ColumnWorkers, type TypedColumn, type ValueFormat } from '../columns/index.js';
import type { TailChunk } from './tail.js';

/** The columns that a raw chunk can be given, at most as many as a table; `undefined` where it is encoded already, or empty. */
function chunkColumns(chunk: TailChunk): readonly TypedColumn[] | undefined {
  return chunk.staged === undefined ? undefined : assignColumns([], chunk.pairs);
}

/** The same chunk with its encoded file at `path`. Errors: those of the column workers, `cancelled`. */
export async function encodeChunk(
  workers: ColumnWorkers,
  chunk: TailChunk,
  valueFormat: ValueFormat,
  path: string,
  signal: AbortSignal,
): Promise<TailChunk> {
  const { staged, ...rest } = chunk;
  const typedColumns = chunkColumns(chunk) ?? [];
  const given = { staged: staged === undefined ? [] : [staged], typedColumns, valueFormat };
  await workers.run({ kind: 'encode', ...given, isForBucket: false, outPath: path }, signal);
  return { ...rest, path, bytes: await sealedBytes(path), typedColumns };
}

/** Chunk files are linked into leases: nobody may write them. */
export async function sealedBytes(path: string): Promise<number> {
  await chmod(path, 0o444);
  return (await stat(path)).size;
}
