/**
 * Which typed columns of a file hold long texts, by its first values: they are kept apart from the others, so that what is asked of a row
 * group lies together. A guess that is wrong costs a request more, never a wrong row.
 */
import { MiB } from '../kernel/index.js';
import type { ColumnEngine } from './engine.js';
import type { TypedColumn } from './jobs.js';

/** In a smaller file the order does not matter: what lies between two columns is little, or it is compacted soon. */
const fileBytesMin = 32 * MiB;
const valuesRead = 64;
/** Longer values are not looked into. */
const valueCharactersMax = 65_536;
/** Mean characters from which on a text is long: a row group of 1 KiB records has a megabyte of it. */
const longFrom = 64;

/** Field ids. `from` stands behind FROM, for rows with `_value`. Errors: those of DuckDB. */
export async function longTexts(
  from: string,
  rawBytes: number,
  typedColumns: readonly TypedColumn[],
  engine: ColumnEngine,
): Promise<ReadonlySet<number>> {
  const texts = typedColumns.filter(({ kind }) => kind === 'text');
  if (rawBytes < fileBytesMin || texts.length === 0) return new Set();
  const sql = `SELECT TRY(decode(_value)) FROM (SELECT _value FROM ${from} WHERE _value IS NOT NULL LIMIT ${valuesRead})`;
  const rows = await engine.withConnection(async (connection) => (await connection.runAndReadAll(sql)).getRows());
  const objects = rows.flatMap(([value]) => (typeof value === 'string' ? objectIn(value) : []));
  return new Set(texts.flatMap(({ fieldId, name }) => (meanLength(objects, name) >= longFrom ? [fieldId] : [])));
}

function objectIn(text: string): Readonly<Record<string, unknown>>[] {
  if (text.length > valueCharactersMax) return [];
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? [value as Record<string, unknown>] : [];
  } catch {
    return [];
  }
}

/** Of the texts under a name; what is nested counts as JSON. */
function meanLength(objects: readonly Readonly<Record<string, unknown>>[], name: string): number {
  let [characters, values] = [0, 0];
  for (const object of objects) {
    const value = Object.hasOwn(object, name) ? object[name] : undefined;
    if (typeof value !== 'string' && (typeof value !== 'object' || value === null)) continue;
    characters += typeof value === 'string' ? value.length : JSON.stringify(value).length;
    values++;
  }
  return values === 0 ? 0 : characters / values;
}
