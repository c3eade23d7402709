/** One configuration key: its type, default, bounds and sentence, and how its text is read. */
import { LakeError } from '../kernel/index.js';

export type KeyType = 'boolean' | 'int' | 'long' | 'double' | 'string' | 'list' | 'enum';

export interface KeySpec<Value = unknown> {
  readonly type: KeyType;
  /** As it would stand in a file. */
  readonly defaultText: string;
  readonly doc: string;
  readonly min?: number;
  readonly max?: number;
  readonly values?: readonly string[];
  /** What the text of a list must look like. */
  readonly pattern?: RegExp;
  readonly isSecret?: boolean;
  /** Only in the type system: what `parse` gives. */
  readonly valueType?: Value;
}

interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

export const bool = (byDefault: boolean, doc: string): KeySpec<boolean> => ({ type: 'boolean', defaultText: String(byDefault), doc });

/** 32-bit. */
export const int = (byDefault: number, doc: string, bounds: Bounds = {}): KeySpec<number> => ({
  type: 'int',
  defaultText: String(byDefault),
  doc,
  min: bounds.min ?? -2147483648,
  max: bounds.max ?? 2147483647,
});

/** 64-bit; values beyond 2^53 are for comparing only ("never"), and keep their text. */
export const long = (byDefault: number | string, doc: string, bounds: Bounds = {}): KeySpec<number> => ({
  type: 'long',
  defaultText: String(byDefault),
  doc,
  ...bounds,
});

export const double = (byDefault: number, doc: string, bounds: Bounds = {}): KeySpec<number> => ({
  type: 'double',
  defaultText: String(byDefault),
  doc,
  ...bounds,
});

export const text = (byDefault: string, doc: string): KeySpec<string> => ({ type: 'string', defaultText: byDefault, doc });

/** A text that is shown nowhere. */
export const secret = (doc: string): KeySpec<string> => ({ type: 'string', defaultText: '', doc, isSecret: true });

export const list = (byDefault: string, values: readonly string[], doc: string): KeySpec<readonly string[]> => ({
  type: 'list',
  defaultText: byDefault,
  values,
  doc,
});

/** A list of items that are not words of a few; empty by default. */
export const listLike = (pattern: RegExp, doc: string): KeySpec<readonly string[]> => ({ type: 'list', defaultText: '', pattern, doc });

export const oneOf = <const V extends readonly string[]>(values: V, byDefault: V[number], doc: string): KeySpec<V[number]> => ({
  type: 'enum',
  defaultText: byDefault,
  values,
  doc,
});

const integerPattern = /^[+-]?\d{1,19}$/;
const decimalPattern = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,3})?$/i;

function isInt64(digits: string): boolean {
  const whole = BigInt(digits.replace(/^\+/, ''));
  return BigInt.asIntN(64, whole) === whole;
}

/** A valid value's text as Kafka answers it: `TRUE` is `true`, ` +05` is `5`; what a number cannot hold exactly keeps its digits. */
export function canonicalText(spec: KeySpec, written: string): string {
  const value = written.trim();
  switch (spec.type) {
    case 'boolean':
      return value.toLowerCase();
    case 'int':
    case 'long':
      return String(BigInt(value.replace(/^\+/, '')));
    case 'double':
      return decimalText(Number(value));
    default:
      return written;
  }
}

/** A number as Java's `Double.toString` writes it. */
function decimalText(value: number): string {
  const isPlain = value === 0 || (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e7);
  const [digits = '', exponent] = (isPlain ? String(value) : value.toExponential()).split('e');
  const withPoint = digits.includes('.') ? digits : `${digits}.0`;
  return exponent === undefined ? withPoint : `${withPoint}E${Number(exponent)}`;
}

/** Reads a value; throws `config-invalid-value` naming key, value and what would be right. */
export function parseValue(name: string, spec: KeySpec, written: string): unknown {
  const value = written.trim();
  const refuse = (expected: string): LakeError =>
    new LakeError('config-invalid-value', `${name}: "${written}" is not ${expected}`, {
      hint: `Set ${name} to ${expected}; its default is ${spec.defaultText === '' ? 'empty' : spec.defaultText}.`,
      facts: { key: name, value: written },
    });
  switch (spec.type) {
    case 'boolean':
      if (/^(true|false)$/i.test(value)) return value.toLowerCase() === 'true';
      throw refuse('true or false');
    case 'int':
    case 'long':
    case 'double': {
      const number = Number(value);
      const min = spec.min ?? Number.NEGATIVE_INFINITY;
      const max = spec.max ?? Number.POSITIVE_INFINITY;
      const pattern = spec.type === 'double' ? decimalPattern : integerPattern;
      const isNumber = pattern.test(value) && (spec.type === 'double' || isInt64(value));
      if (isNumber && number >= min && number <= max) return number;
      const range = `${Number.isFinite(min) ? ` from ${min}` : ''}${Number.isFinite(max) ? ` to ${max}` : ''}`;
      throw refuse(`a ${spec.type === 'double' ? '' : 'whole '}number${range}`);
    }
    case 'string':
      return value;
    case 'enum':
      if (spec.values?.includes(value) === true) return value;
      throw refuse(`one of ${(spec.values ?? []).join(', ')}`);
    case 'list': {
      const items = value === '' ? [] : value.split(',').map((item) => item.trim());
      if (spec.pattern?.test(items.join(',')) === false) throw refuse(`a list like ${spec.pattern.source}`);
      if (items.every((item) => spec.values?.includes(item) !== false)) return items;
      throw refuse(`a list of ${(spec.values ?? []).join(', ')}`);
    }
    default:
      throw refuse('a known type');
  }
}
