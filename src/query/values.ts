/**
 * How DuckDB's values look in JSON: int64 beyond 2^53 as text, timestamps as ISO 8601 in UTC, bytes as text where they are
 * UTF-8 and else as `base64:…` (also where the text itself begins so, which keeps the mark unambiguous).
 */
import {
  DuckDBBlobValue,
  type DuckDBDataChunk,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBArrayValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBUnionValue,
  type DuckDBValue,
} from '@duckdb/node-api';
import { blobText } from './blob-mark.js';

export type AnswerValue = string | number | boolean | null | AnswerValue[] | { [key: string]: AnswerValue };

const maxDateMicros = 8_640_000_000_000_000_000n;
/** Decimal digits that a double keeps. */
const exactDigits = 15;

/** Rows of a chunk, ready for JSON. */
export function answerRows(chunk: DuckDBDataChunk): AnswerValue[][] {
  const rows: AnswerValue[][] = Array.from({ length: chunk.rowCount }, () => []);
  for (let column = 0; column < chunk.columnCount; column++) {
    const values = chunk.getColumnValues(column);
    for (let row = 0; row < values.length; row++) rows[row]?.push(answerValue(values[row] ?? null));
  }
  return rows;
}

export function answerValue(value: DuckDBValue): AnswerValue {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value === 'bigint') return integerValue(value);
  if (value instanceof DuckDBBlobValue) return blobText(value.bytes);
  if (value instanceof DuckDBTimestampTZValue) return isoText(value.micros, 'Z') ?? value.toString();
  if (value instanceof DuckDBTimestampValue) return isoText(value.micros, '') ?? value.toString();
  if (value instanceof DuckDBDecimalValue) return decimalValue(value.toString());
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue) return value.items.map(answerValue);
  if (value instanceof DuckDBStructValue) {
    return Object.fromEntries(Object.entries(value.entries).map(([key, item]) => [key, answerValue(item)]));
  }
  if (value instanceof DuckDBMapValue) {
    return value.entries.map((entry) => ({ key: answerValue(entry.key), value: answerValue(entry.value) }));
  }
  if (value instanceof DuckDBUnionValue) return answerValue(value.value);
  return value.toString();
}

function integerValue(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}

function decimalValue(text: string): number | string {
  return text.replace(/\D/g, '').length <= exactDigits ? Number(text) : text;
}

/** `undefined` outside of what a JavaScript date spans. */
function isoText(micros: bigint, zone: string): string | undefined {
  if (micros > maxDateMicros || micros < -maxDateMicros) return undefined;
  const rest = ((micros % 1000n) + 1000n) % 1000n;
  const text = new Date(Number((micros - rest) / 1000n)).toISOString().slice(0, -1);
  return `${text}${rest === 0n ? '' : rest.toString().padStart(3, '0')}${zone}`;
}
