/** Typed parameters of the command line: `--param name=value`. */
import type { ParameterValue } from '../../query/index.js';
import { usageError } from '../exit.js';

export type Parameters = Readonly<Record<string, ParameterValue>>;

/**
 * What reads as a number, true, false, null or a text in double quotes (JSON) is that; all else is a text as it stands. A whole
 * number that JavaScript cannot hold stays the text it is, and DuckDB reads it as it is compared.
 */
export function parameterValue(text: string): ParameterValue {
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

/** Errors: `usage`. */
export function parametersOf(pairs: readonly string[] | undefined): Parameters {
  return Object.fromEntries(
    (pairs ?? []).map((pair) => {
      const at = pair.indexOf('=');
      const name = pair.slice(0, at).replace(/^\$/, '');
      if (at <= 0 || !/^\w+$/.test(name))
        throw usageError(`--param ${pair} is not NAME=VALUE`, 'Write --param since=2026-01-01 for $since.');
      return [name, parameterValue(pair.slice(at + 1))];
    }),
  );
}

/** Of the values at hand those that the statement mentions: it may have no others. */
export function mentioned(parameters: Parameters, sql: string): Parameters {
  return Object.fromEntries(Object.entries(parameters).filter(([name]) => new RegExp(`\\$${name}(?!\\w)`).test(sql)));
}
