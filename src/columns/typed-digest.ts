/**
 * A digest of all typed columns of some files' rows, by offset: what a compaction carries over must be the same in its output.
 * It needs no look at the values, so it holds too where files of different value formats, or from above the cap on columns,
 * come together.
 */
import { LakeError, type Offset } from '../kernel/index.js';
import type { ColumnEngine } from './engine.js';
import type { TypedColumn } from './jobs.js';
import { baseColumns, plainNameOf, quoteText, readSchemaMap, tableColumns } from './schema.js';

/** Of the rows at or above an offset; a column that a file lacks is null there. Errors: `cold-corrupt`. */
export async function typedDigest(
  paths: readonly string[],
  typedColumns: readonly TypedColumn[],
  fromOffset: Offset,
  engine: ColumnEngine,
): Promise<string> {
  const offset = baseColumns.filter((column) => column.name === '_offset');
  const typed = tableColumns(typedColumns).slice(baseColumns.length);
  const from = `read_parquet([${paths.map(quoteText).join(', ')}], schema=${readSchemaMap([...offset, ...typed], plainNameOf)})`;
  // Offsets are unique, so no two rows take each other out. A hash of a null is a value of its own.
  const sql = `SELECT bit_xor(hash(${['_offset', ...typed.map(plainNameOf)].join(', ')})) FROM ${from} WHERE _offset >= ${fromOffset}`;
  try {
    const reader = await engine.withConnection((connection) => connection.runAndReadAll(sql));
    return `x1:${BigInt.asUintN(64, (reader.getRows()[0]?.[0] as bigint | null) ?? 0n)
      .toString(16)
      .padStart(16, '0')}`;
  } catch (error) {
    throw new LakeError('cold-corrupt', `the typed columns cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
      facts: { paths: paths.length, first: paths[0] ?? '' },
    });
  }
}
