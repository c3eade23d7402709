/**
 * JSON in which integers keep their digits. Snapshot ids of other writers span 63 bits and `JSON.parse` rounds them, so
 * an integer that a number cannot hold is read as a bigint, and a bigint is written as plain digits.
 */

const longInteger = /\d{16}/;
/** A string, or a number with what follows the digits. Anything else of JSON is left as it is. */
const token = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** As `JSON.parse`, but integers beyond 2^53 become bigints. Throws SyntaxError. */
export function parseJson(text: string): unknown {
  if (!longInteger.test(text)) return JSON.parse(text) as unknown;
  // Every string gets a mark in front, so that none can be taken for a marked integer.
  const marked = text.replace(token, (found) => {
    if (found.startsWith('"')) return `"s${found.slice(1)}`;
    return /^-?\d+$/.test(found) && !Number.isSafeInteger(Number(found)) ? `"i${found}"` : found;
  });
  return unmark(JSON.parse(marked) as unknown);
}

function unmark(value: unknown): unknown {
  if (typeof value === 'string') return value.startsWith('i') ? BigInt(value.slice(1)) : value.slice(1);
  if (Array.isArray(value)) return value.map(unmark);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key.slice(1), unmark(inner)]));
}

/** Compact JSON; keys in the order of the object, members that are undefined left out. */
export function writeJson(value: unknown): string {
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return `[${value.map(writeJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return `{${members.map(([key, inner]) => `${JSON.stringify(key)}:${writeJson(inner)}`).join(',')}}`;
}
