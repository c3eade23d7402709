/**
 * The parameters of a statement as a request gives them: plain JSON values, or `{"type", "value"}` where JSON has no word for the type or
 * its numbers are too small for the value. What is checked here has one form from here on, and each error names its parameter.
 */
import { LakeError } from '../kernel/index.js';
import type { JsonObject, JsonValue } from './scan-plan.js';

/** Texts, which DuckDB reads as `type`: exact whatever their size. A list has its items' type and `[]`. */
export interface TypedValue {
  readonly type: string;
  readonly value: string | null | readonly (string | null)[];
}

export type ParameterValue = string | number | boolean | null | TypedValue;

/** As a request may write it. */
export type GivenParameter = string | number | boolean | null | { readonly type: string; readonly value: unknown };

export type Parameters = readonly (readonly [string, ParameterValue])[];

const parametersMax = 1000;
/** Items of one list. */
const itemsMax = 10_000;

const integers: Readonly<Record<string, { readonly min: bigint; readonly max: bigint }>> = {
  BIGINT: { min: -(2n ** 63n), max: 2n ** 63n - 1n },
  HUGEINT: { min: -(2n ** 127n), max: 2n ** 127n - 1n },
};
/** Type → how its text looks; what a look does not find out (a 30th of February) DuckDB does. */
const looks: Readonly<Record<string, { readonly pattern: RegExp; readonly example: string }>> = {
  DOUBLE: { pattern: /^[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf(?:inity)?|nan)$/i, example: '1.5e-3' },
  BOOLEAN: { pattern: /^(?:true|false)$/, example: 'true' },
  DATE: { pattern: /^[+-]?\d{1,6}-\d{1,2}-\d{1,2}$/, example: '2026-01-31' },
  TIME: { pattern: /^\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?$/, example: '09:30:00' },
  TIMESTAMP: { pattern: /^[+-]?\d{1,6}-\d{1,2}-\d{1,2}(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?$/, example: '2026-01-31T09:30:00' },
  TIMESTAMPTZ: {
    pattern: /^[+-]?\d{1,6}-\d{1,2}-\d{1,2}(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)? ?(?:Z|UTC|[+-]\d{2}(?::?\d{2})?)?$/,
    example: '2026-01-31T09:30:00Z',
  },
  INTERVAL: { pattern: /^[\w+\-. :]{1,200}$/, example: '1 day 2 hours' },
  UUID: { pattern: /^[\da-f]{8}-?(?:[\da-f]{4}-?){3}[\da-f]{12}$/i, example: '123e4567-e89b-12d3-a456-426614174000' },
  BLOB: { pattern: /^(?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}==|[A-Za-z\d+/]{3}=)?$/, example: 'base64: T1JE' },
};
const typesHint =
  'The types are BIGINT, HUGEINT, DOUBLE, DECIMAL(p,s), VARCHAR, BOOLEAN, DATE, TIME, TIMESTAMP, TIMESTAMPTZ, INTERVAL, UUID, BLOB, and lists as BIGINT[].';

export function isTyped(value: ParameterValue): value is TypedValue {
  return typeof value === 'object' && value !== null;
}

function invalid(name: string, what: string, hint: string): LakeError {
  return new LakeError('request-invalid', `the parameter $${name} ${what}`, { hint, facts: { parameter: name } });
}

interface DecimalType {
  readonly width: number;
  readonly scale: number;
}

function decimalOf(type: string): DecimalType | undefined {
  const match = /^DECIMAL\((\d{1,2}),(\d{1,2})\)$/.exec(type);
  if (match === null) return undefined;
  const [width, scale] = [Number(match[1]), Number(match[2])];
  return width >= 1 && width <= 38 && scale <= width ? { width, scale } : undefined;
}

/** The type in its one spelling. Errors: `request-invalid`. */
function typeOf(name: string, written: unknown): { readonly type: string; readonly isList: boolean } {
  if (typeof written !== 'string') throw invalid(name, 'has a "type" that is no text', typesHint);
  const spelled = written
    .toUpperCase()
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/ ?([(),]) ?/g, '$1')
    .trim();
  const isList = spelled.endsWith('[]');
  const bare = isList ? spelled.slice(0, -2).trim() : spelled;
  const type = bare === 'TIMESTAMP WITH TIME ZONE' ? 'TIMESTAMPTZ' : bare;
  if (type !== 'VARCHAR' && !Object.hasOwn(integers, type) && !Object.hasOwn(looks, type) && decimalOf(type) === undefined)
    throw invalid(name, `has the type ${written.slice(0, 60)}, which parameters have not`, typesHint);
  return { type, isList };
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 80);
}

/** The text of one value. Errors: `request-invalid`. */
function textOf(name: string, type: string, value: unknown): string | null {
  if (value === null) return null;
  const refuse = (hint: string): LakeError => invalid(name, `is ${shown(value)}, which is no ${type}`, hint);
  if (type === 'VARCHAR') {
    if (typeof value !== 'string') throw refuse('Give a text.');
    return value;
  }
  if (type === 'BOOLEAN' && typeof value === 'boolean') return String(value);
  const isNumeric = Object.hasOwn(integers, type) || type === 'DOUBLE' || type.startsWith('DECIMAL');
  if (typeof value === 'number' && isNumeric) {
    // What JSON.parse has rounded is not what was meant.
    if (type !== 'DOUBLE' && Math.abs(value) > Number.MAX_SAFE_INTEGER)
      throw refuse('Give numbers beyond 2^53 as texts: JSON rounds them.');
    return textOf(name, type, String(value));
  }
  if (typeof value !== 'string') throw refuse(isNumeric ? 'Give a number, or its digits as a text.' : 'Give a text.');
  const range = integers[type];
  if (range !== undefined) {
    if (!/^[+-]?\d{1,40}$/.test(value)) throw refuse('Give a whole number, or its digits as a text.');
    const number = BigInt(value.replace('+', ''));
    if (number < range.min || number > range.max) throw refuse(`Give a whole number from ${range.min} to ${range.max}.`);
    return String(number);
  }
  const decimal = decimalOf(type);
  if (decimal !== undefined) return decimalText(value, decimal, refuse);
  const look = looks[type];
  if (look === undefined || !look.pattern.test(value)) throw refuse(`Write it as ${look?.example ?? type}.`);
  return value;
}

function decimalText(value: string, { width, scale }: DecimalType, refuse: (hint: string) => LakeError): string {
  const match = /^([+-]?)0*(\d*)(?:\.(\d*?)0*)?$/.exec(value);
  if (match === null || !/\d/.test(value)) throw refuse('Give a decimal number, or its digits as a text.');
  const [, sign = '', whole = '', fraction = ''] = match;
  if (fraction.length > scale || whole.length > width - scale)
    throw refuse(`Give at most ${width - scale} digits before the point and ${scale} behind it: nothing is rounded.`);
  return `${sign}${whole === '' ? '0' : whole}${fraction === '' ? '' : `.${fraction}`}`;
}

function typedValue(name: string, given: Readonly<Record<string, unknown>>): TypedValue {
  const other = Object.keys(given).find((key) => key !== 'type' && key !== 'value');
  if (other !== undefined || given['type'] === undefined || given['value'] === undefined)
    throw invalid(name, 'is an object without exactly "type" and "value"', 'Give {"type": "TIMESTAMP", "value": "2026-01-31T09:30:00"}.');
  const { type, isList } = typeOf(name, given['type']);
  const { value } = given;
  if (!isList || value === null) return { type: isList ? `${type}[]` : type, value: textOf(name, type, value) };
  if (!Array.isArray(value)) throw invalid(name, `is ${shown(value)}, which is no list`, `Give a list of values of the type ${type}.`);
  if (value.length > itemsMax) throw invalid(name, `has ${value.length} items; ${itemsMax} are allowed`, 'Give a shorter list.');
  return { type: `${type}[]`, value: value.map((item: unknown) => textOf(name, type, item)) };
}

/** The values of the parameters a statement has. Errors: `query-invalid`, `request-invalid`. */
export function boundParameters(wanted: readonly string[], params: unknown): (readonly [string, ParameterValue])[] {
  const given: unknown = params ?? [];
  if (typeof given !== 'object' || given === null) {
    throw new LakeError('request-invalid', 'params is neither a list nor an object', {
      hint: 'Give a list for $1, $2, … or ?, or an object for $name.',
    });
  }
  const values = new Map<string, unknown>(
    Array.isArray(given) ? given.map((value, at): [string, unknown] => [String(at + 1), value]) : Object.entries(given),
  );
  if (values.size > parametersMax)
    throw new LakeError('request-invalid', `${values.size} parameters are given; ${parametersMax} are allowed`, { hint: 'Use fewer.' });
  const bound = wanted.map((name): readonly [string, ParameterValue] => {
    const value = values.get(name);
    if (value === undefined)
      throw new LakeError('query-invalid', `no value is given for the parameter $${name}`, { hint: 'Add it to params.' });
    // Beyond 2^53 JSON has rounded it: a double, whatever it stood for.
    if (typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER) return [name, { type: 'DOUBLE', value: String(value) }];
    if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return [name, value];
    if (Array.isArray(value) || typeof value !== 'object')
      throw invalid(name, 'is neither text, number, boolean nor null', 'Give a list with its type: {"type": "BIGINT[]", "value": [1, 2]}.');
    return [name, typedValue(name, value as Readonly<Record<string, unknown>>)];
  });
  for (const name of values.keys()) {
    if (!wanted.includes(name))
      throw new LakeError('query-invalid', `the statement has no parameter $${name}`, { hint: 'Remove it from params.' });
  }
  return bound;
}

/** What DuckDB finds wrong with a text that looks right. */
export function unreadable(name: string, { type, value }: TypedValue): LakeError {
  return invalid(name, `is ${shown(value)}, which is no ${type}`, 'Correct it.');
}

const node = (more: JsonObject): JsonObject => ({ alias: '', query_location: 0, ...more });

/** A call as a syntax tree has it. */
function call(name: string, children: readonly JsonValue[]): JsonObject {
  const order_bys = { type: 'ORDER_MODIFIER', orders: [] };
  const rest = { filter: null, order_bys, distinct: false, is_operator: false, export_state: false, catalog: '' };
  return node({ class: 'FUNCTION', type: 'FUNCTION', function_name: name, schema: '', children, ...rest });
}

function typeNode(type: string): JsonObject {
  const info = (kind: string, more: JsonObject): JsonObject => ({ type: kind, alias: '', extension_info: null, ...more });
  if (type.endsWith('[]')) return { id: 'LIST', type_info: info('LIST_TYPE_INFO', { child_type: typeNode(type.slice(0, -2)) }) };
  const decimal = decimalOf(type);
  if (decimal !== undefined) return { id: 'DECIMAL', type_info: info('DECIMAL_TYPE_INFO', { width: decimal.width, scale: decimal.scale }) };
  return { id: type === 'TIMESTAMPTZ' ? 'TIMESTAMP WITH TIME ZONE' : type, type_info: null };
}

/** A cast as a syntax tree has it. */
export function castNode(child: JsonObject, castType: JsonObject, isTry = false): JsonObject {
  return node({ class: 'CAST', type: 'OPERATOR_CAST', child, cast_type: castType, try_cast: isTry });
}

function cast(child: JsonObject, type: string): JsonObject {
  return castNode(child, typeNode(type));
}

function constant(value: ParameterValue): JsonObject {
  const of = (id: string, more: JsonObject): JsonObject =>
    node({ class: 'CONSTANT', type: 'VALUE_CONSTANT', value: { type: { id, type_info: null }, ...more } });
  if (value === null || isTyped(value)) return of('NULL', { is_null: true });
  if (typeof value === 'boolean') return of('BOOLEAN', { is_null: false, value });
  if (typeof value === 'string') return of('VARCHAR', { is_null: false, value });
  const id = !Number.isInteger(value) ? 'DOUBLE' : Math.abs(value) < 2 ** 31 ? 'INTEGER' : 'BIGINT';
  return of(id, { is_null: false, value });
}

/** An expression of constants, which DuckDB folds into one of the type. */
export function expressionOf(value: ParameterValue): JsonObject {
  if (!isTyped(value)) return constant(value);
  const item = (text: string | null, type: string): JsonObject =>
    cast(type === 'BLOB' && text !== null ? call('from_base64', [constant(text)]) : constant(text), type);
  if (value.value === null || typeof value.value === 'string') return item(value.value, value.type);
  const type = value.type.slice(0, -2);
  return cast(
    call(
      'list_value',
      value.value.map((text) => item(text, type)),
    ),
    value.type,
  );
}

/** SQL that gives the value; null where DuckDB cannot read a text as the type. */
export function sqlOf({ type, value }: TypedValue): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;
  const item = (text: string | null, of: string): string => {
    if (text === null) return `NULL::${of}`;
    return of === 'BLOB' ? `from_base64(${quoted(text)})` : `TRY_CAST(${quoted(text)} AS ${of})`;
  };
  if (value === null || typeof value === 'string') return item(value, type);
  return `[${value.map((text) => item(text, type.slice(0, -2))).join(', ')}]::${type}`;
}

/** Whether what DuckDB has read (`null` where it could not) is all of it. */
export function isRead({ value }: TypedValue, read: unknown): boolean {
  if (value === null) return true;
  if (typeof value === 'string') return read !== null;
  const items = (read as { readonly items?: readonly unknown[] } | null)?.items ?? [];
  return value.every((text, at) => text === null || (items[at] ?? null) !== null);
}
