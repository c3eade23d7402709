/** What a plan's filter on `_key` says of the keys: constants compared with it, as bytes. Anything else widens, as in `scan-plan.ts`. */
import type { KeyBounds } from './ranges.js';
import { isJsonObject, type JsonObject, type JsonValue } from './scan-plan.js';

/** A list longer than this is as good as its bounds. */
const listMax = 1000;

/** `undefined` where the filter may let a row without a key through, or bounds none. */
export function keyBoundsOf(filter: JsonObject): KeyBounds | undefined {
  switch (filter['filter_type']) {
    case 'CONSTANT_COMPARISON':
      return comparison(filter['comparison_type'], blobOf(filter['constant']));
    case 'IN_FILTER': {
      const values = Array.isArray(filter['values']) ? (filter['values'] as readonly JsonValue[]) : [];
      const keys = values.flatMap((value) => blobOf(value) ?? []);
      return keys.length === 0 || keys.length < values.length ? undefined : ofList(keys);
    }
    case 'OPTIONAL_FILTER':
      return isJsonObject(filter['child_filter']) ? keyBoundsOf(filter['child_filter']) : undefined;
    case 'CONJUNCTION_AND':
      return children(filter).reduce<KeyBounds | undefined>(
        (all, one) => (all === undefined ? one : one === undefined ? all : both(all, one)),
        undefined,
      );
    case 'CONJUNCTION_OR': {
      const [first, ...rest] = children(filter);
      return rest.reduce((all, one) => (all === undefined || one === undefined ? undefined : either(all, one)), first);
    }
    default:
      return undefined;
  }
}

function children(filter: JsonObject): (KeyBounds | undefined)[] {
  const list = filter['child_filters'];
  if (!Array.isArray(list)) return [];
  return (list as readonly JsonValue[]).map((child) => (isJsonObject(child) ? keyBoundsOf(child) : undefined));
}

function comparison(operator: JsonValue | undefined, key: string | undefined): KeyBounds | undefined {
  if (key === undefined) return undefined;
  switch (operator) {
    case 'COMPARE_EQUAL':
      return ofList([key]);
    case 'COMPARE_GREATERTHAN':
    case 'COMPARE_GREATERTHANOREQUALTO':
      return { min: key, max: null };
    case 'COMPARE_LESSTHAN':
    case 'COMPARE_LESSTHANOREQUALTO':
      return { min: null, max: key };
    default:
      return undefined;
  }
}

function ofList(keys: readonly string[]): KeyBounds {
  const list = [...new Set(keys)].sort();
  const bounds = { min: list[0] ?? null, max: list.at(-1) ?? null };
  return list.length > listMax ? bounds : { ...bounds, list };
}

function both(a: KeyBounds, b: KeyBounds): KeyBounds {
  const min = a.min === null || (b.min !== null && b.min > a.min) ? b.min : a.min;
  const max = a.max === null || (b.max !== null && b.max < a.max) ? b.max : a.max;
  const list = a.list ?? b.list;
  return list === undefined
    ? { min, max }
    : { min, max, list: list.filter((key) => (min === null || key >= min) && (max === null || key <= max)) };
}

function either(a: KeyBounds, b: KeyBounds): KeyBounds | undefined {
  if (a.list !== undefined && b.list !== undefined) return ofList([...a.list, ...b.list]);
  const min = a.min === null || b.min === null ? null : a.min < b.min ? a.min : b.min;
  const max = a.max === null || b.max === null ? null : a.max > b.max ? a.max : b.max;
  return min === null && max === null ? undefined : { min, max };
}

/** Hexadecimal digits of a constant. DuckDB writes printable ASCII as it is and any other byte as `\xHH`. */
function blobOf(value: JsonValue | undefined): string | undefined {
  if (!isJsonObject(value) || value['is_null'] !== false || typeof value['value'] !== 'string') return undefined;
  const type = value['type'];
  if (!isJsonObject(type) || type['id'] !== 'BLOB') return undefined;
  const text = value['value'];
  let hex = '';
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '\\') {
      const digits = text.slice(at + 2, at + 4);
      if (text[at + 1] !== 'x' || !/^[\dA-Fa-f]{2}$/.test(digits)) return undefined;
      hex += digits.toLowerCase();
      at += 3;
    } else {
      const code = text.charCodeAt(at);
      if (code < 0x20 || code > 0x7e) return undefined;
      hex += code.toString(16);
    }
  }
  return hex;
}
