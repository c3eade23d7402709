/**
 * JSON operators over columns whose shape may change. DuckDB ends a whole query where one value is no JSON; but a field that holds an
 * object in a million records may hold a plain text in the next one, and what has no fields simply gives NULL. So each value that a JSON
 * function reads is cast with TRY_CAST first. The tree is DuckDB's own, of `json_serialize_sql`, and goes back to a text through
 * `json_deserialize_sql`: no SQL is parsed here.
 *
 *     nested->'a'->>'b'      becomes      TRY_CAST(nested AS JSON)->'a'->>'b'
 */
import { castNode } from './parameters.js';
import { isJsonObject, type JsonObject, type JsonValue } from './scan-plan.js';

/** Functions that read a JSON value as their first argument. Casts and strict functions are left to fail as they are asked to. */
const readers: ReadonlySet<string> = new Set([
  '->>',
  'from_json',
  'json_array_length',
  'json_contains',
  'json_each',
  'json_exists',
  'json_extract',
  'json_extract_path',
  'json_extract_path_text',
  'json_extract_string',
  'json_keys',
  'json_structure',
  'json_transform',
  'json_tree',
  'json_type',
  'json_value',
]);

/** What takes a lambda, which looks as the operator `->` does. */
const lambdaTakers: ReadonlySet<string> = new Set([
  'apply',
  'array_apply',
  'array_filter',
  'array_reduce',
  'array_transform',
  'filter',
  'list_apply',
  'list_filter',
  'list_reduce',
  'list_transform',
  'reduce',
]);

/** Whether a text may hold any of them: most do not, and need no second look. */
export function mayReadJson(sql: string): boolean {
  return /->|json/i.test(sql);
}

/** Numbers of a serialized tree, as they stand there: constants may have more digits than a double. */
const numberMark = '\u0000number:';

/** `undefined` where the text is no JSON: DuckDB writes NaN and Infinity as they are. */
export function parseExact(text: string): JsonValue | undefined {
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) =>
    token.startsWith('"') ? token : JSON.stringify(`${numberMark}${token}`),
  );
  try {
    return JSON.parse(marked) as JsonValue;
  } catch {
    return undefined;
  }
}

export function writeExact(tree: JsonValue): string {
  return JSON.stringify(tree).replaceAll(/"\\u0000number:([^"]*)"/g, '$1');
}

export interface SafeReading {
  readonly tree: JsonObject;
  /** Result columns that have no name but their own text, as trees that give it, in the order of `unnamed`. */
  readonly unnamed: readonly { readonly item: JsonObject; readonly name: (text: string) => void }[];
}

/** `undefined` where nothing reads JSON from anything but a constant. */
export function safeReading(tree: JsonObject): SafeReading | undefined {
  const unnamed: { readonly item: JsonObject; readonly name: (text: string) => void }[] = [];
  let count = 0;

  const wrapped = (value: JsonValue | undefined): JsonValue | undefined => {
    if (!isJsonObject(value) || isJson(value)) return value;
    count++;
    return tryCast(value);
  };

  const rewrite = (value: JsonValue | undefined): JsonValue | undefined => {
    if (Array.isArray(value)) return (value as readonly JsonValue[]).map((item) => rewrite(item) ?? null);
    if (!isJsonObject(value)) return value;
    const node = rewriteMembers(value);
    if (node['class'] === 'LAMBDA') return { ...node, lhs: wrapped(node['lhs']) ?? null };
    const children = node['children'];
    if (!readers.has(nameOf(node)) || !Array.isArray(children) || children.length === 0) return node;
    const [first, ...rest] = children as readonly JsonValue[];
    return { ...node, children: [wrapped(first) ?? null, ...rest] };
  };

  const rewriteMembers = (value: JsonObject): JsonObject => {
    const takesLambda = lambdaTakers.has(nameOf(value));
    const members = Object.entries(value).map(([key, child]): [string, JsonValue] => {
      if (key === 'select_list' && Array.isArray(child)) return [key, (child as readonly JsonValue[]).map(rewriteItem)];
      if (key !== 'children' || !takesLambda || !Array.isArray(child)) return [key, rewrite(child) ?? null];
      return [key, (child as readonly JsonValue[]).map((argument, at) => (at === 0 ? rewrite(argument) : rewriteLambda(argument)) ?? null)];
    });
    return Object.fromEntries(members);
  };

  const rewriteLambda = (value: JsonValue): JsonValue | undefined =>
    isJsonObject(value) && value['class'] === 'LAMBDA' ? rewriteMembers(value) : rewrite(value);

  const rewriteItem = (item: JsonValue): JsonValue => {
    const before = count;
    const written = rewrite(item) ?? null;
    if (count === before || !isJsonObject(item) || !isJsonObject(written) || item['alias'] !== '') return written;
    const named: Record<string, JsonValue | undefined> = { ...written };
    unnamed.push({
      item,
      name: (text) => {
        named['alias'] = text;
      },
    });
    return named;
  };

  const written = rewrite(tree);
  return count === 0 || !isJsonObject(written) ? undefined : { tree: written, unnamed };
}

/** Results of JSON functions need no second look, and what is written in the text itself may fail. */
function isJson(node: JsonObject): boolean {
  const { class: kind } = node;
  return kind === 'CONSTANT' || kind === 'LAMBDA' || (kind === 'CAST' && isJsonType(node['cast_type']));
}

function isJsonType(type: JsonValue | undefined): boolean {
  const info = isJsonObject(type) ? type['type_info'] : undefined;
  return isJsonObject(info) && (info['name'] === 'JSON' || info['alias'] === 'JSON');
}

function nameOf(node: JsonObject): string {
  return typeof node['function_name'] === 'string' ? node['function_name'].toLowerCase() : '';
}

/** As DuckDB's own tree has `TRY_CAST(… AS JSON)`. */
const jsonType: JsonObject = {
  id: 'UNBOUND',
  type_info: {
    type: 'UNBOUND_TYPE_INFO',
    alias: '',
    extension_info: null,
    name: 'JSON',
    catalog: '',
    schema: '',
    user_type_modifiers: [],
  },
};

function tryCast(child: JsonObject): JsonObject {
  return { ...castNode(child, jsonType, true), query_location: child['query_location'] ?? 0 };
}
