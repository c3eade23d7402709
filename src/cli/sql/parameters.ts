/** Parameters of the command line: `--param name=value`, and `--param name:TYPE=value` for a type that JSON has no word for. */
import type { GivenParameter } from '../../query/index.js';
import { usageError } from '../exit.js';

export type Parameters = Readonly<Record<string, GivenParameter>>;

/**
 * What reads as a number, true, false, null or a text in double quotes (JSON) is that; all else is a text as it stands. A whole
 * number that JavaScript cannot hold stays the text it is, and DuckDB reads it as it is compared.
 */
export function parameterValue(text: string): GivenParameter {
  if (text === 'true') return true;
  if (text === 'false') return false;
  if (text === 'null') return null;
  if (/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text)) {
    const value = Number(text);
    return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value)) ? value : text;
  }
  if (text.length >= 2 && text.startsWith('"') && text.endsWith('"')) {
    try {
      return JSON.parse(text) as string;
    } catch {
      return text;
    }
  }
  return text;
}

const pairPattern = /^\$?(?<name>\w+)(?::(?<type>[^=]+))?=(?<text>.*)$/s;

/** A list is written as JSON; any other value is the text as it stands. */
function typedValue(type: string, text: string): GivenParameter {
  if (text === 'null') return { type, value: null };
  if (!type.trim().endsWith('[]')) return { type, value: type.trim().toUpperCase() === 'BOOLEAN' ? text.toLowerCase() : text };
  let items: unknown;
  try {
    items = JSON.parse(text);
  } catch {
    throw usageError(`${text} is no list`, 'Write a list as JSON: --param \'ids:BIGINT[]=[1, 2, "9007199254740993"]\'.');
  }
  return { type, value: items };
}

/** Errors: `usage`. */
export function parametersOf(pairs: readonly string[] | undefined): Parameters {
  return Object.fromEntries(
    (pairs ?? []).map((pair) => {
      const { name, type, text = '' } = pairPattern.exec(pair)?.groups ?? {};
      if (name === undefined)
        throw usageError(`--param ${pair} is not NAME=VALUE`, 'Write --param since=2026-01-01 for $since, or since:DATE=2026-01-01.');
      return [name, type === undefined ? parameterValue(text) : typedValue(type, text)];
    }),
  );
}

/** Of the values at hand those that the statement mentions: it may have no others. */
export function mentioned(parameters: Parameters, sql: string): Parameters {
  return Object.fromEntries(Object.entries(parameters).filter(([name]) => new RegExp(`\\$${name}(?!\\w)`).test(sql)));
}
