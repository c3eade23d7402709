/**
 * The gate every SQL text passes: DuckDB parses it (`json_serialize_sql`, which does not bind), and this walk over the tree lets
 * through one SELECT that reads topics. It also names the tables, so that only their files are put within reach.
 */
import { LakeError } from '../kernel/index.js';
import { adviceFor } from './error-advice.js';
import { functionRefusal, isFunctionAllowed, isFunctionRepeatable, isTableFunctionAllowed } from './functions.js';
import { isLatestCall, patchLatestCall, topicOfLatest } from './latest.js';
import { expressionOf, type ParameterValue } from './parameters.js';
import { isJsonObject, type JsonObject, type JsonValue } from './scan-plan.js';

/** Schema that stands in for `system`, a name that DuckDB keeps for itself. As long as it, so that positions stay right. */
export const systemSchema = 'thermo';

export interface TableReference {
  readonly name: string;
  readonly isSystem: boolean;
  /** The call `latest(name)`. */
  readonly isLatest?: boolean;
  /** Byte in the SQL text. */
  readonly position: number;
}

export interface Statement {
  /** The text to run: as given, but for the name of the schema `system` and calls of `latest`; as long as it. */
  readonly sql: string;
  readonly tables: readonly TableReference[];
  /** Identifiers of parameters: `1`, `2`, … or names. */
  readonly parameters: readonly string[];
  /** Calls nothing that depends on the time, on chance or on the session. */
  readonly isRepeatable: boolean;
  /** Calls table functions, or reads more than one table. */
  readonly isCompound: boolean;
}

const tableReferenceKinds: ReadonlySet<string> = new Set([
  'BASE_TABLE',
  'SUBQUERY',
  'JOIN',
  'TABLE_FUNCTION',
  'EXPRESSION_LIST',
  'EMPTY',
  'PIVOT',
]);

const onlySelectHint = 'Ask one read-only SELECT over topics.';

function refused(message: string, position?: JsonValue, hint = onlySelectHint): LakeError {
  return new LakeError('query-forbidden', message, {
    hint,
    ...(typeof position === 'number' && position < 2 ** 53 ? { facts: { position } } : {}),
  });
}

/**
 * Checks a serialized statement. Errors: `query-invalid` (does not parse), `query-forbidden` (does more than read topics),
 * `unsupported`.
 */
export function checkStatement(sql: string, serialized: JsonObject): Statement {
  if (serialized['error'] === true) throw syntaxError(serialized);
  const statements = serialized['statements'];
  if (!Array.isArray(statements) || statements.length === 0) {
    throw new LakeError('query-invalid', 'the SQL text holds no statement', { hint: onlySelectHint });
  }
  if (statements.length > 1) throw refused(`the SQL text holds ${statements.length} statements`);
  const walk = new Walk(sql);
  walk.visit((statements as readonly JsonValue[])[0], new Set());
  const { tables, isRepeatable, callsTableFunction } = walk;
  const isCompound = callsTableFunction || tables.length !== 1;
  return { sql: walk.patchedSql(), tables, parameters: [...walk.parameters], isRepeatable, isCompound };
}

function positionOf(node: JsonObject): number | undefined {
  const position = node['query_location'];
  return typeof position === 'number' && position < 2 ** 53 ? position : undefined;
}

function textOf(node: JsonObject, key: string): string {
  const value = node[key];
  return typeof value === 'string' ? value : '';
}

function syntaxError(serialized: JsonObject): LakeError {
  const text = typeof serialized['error_message'] === 'string' ? serialized['error_message'] : 'the SQL cannot be parsed';
  if (serialized['error_type'] === 'not implemented') {
    if (text.startsWith('Only SELECT')) {
      return refused(
        'only SELECT is allowed here',
        undefined,
        `${onlySelectHint} PIVOT needs its values listed: PIVOT … ON column IN (…).`,
      );
    }
    return new LakeError('query-invalid', text);
  }
  const position = Number(serialized['position']);
  const advice = adviceFor({}, text);
  return new LakeError('query-invalid', text, {
    ...(Number.isFinite(position) ? { facts: { position } } : {}),
    ...(advice === undefined ? {} : { hint: advice }),
  });
}

class Walk {
  readonly tables: TableReference[] = [];
  readonly parameters = new Set<string>();
  isRepeatable = true;
  callsTableFunction = false;
  readonly #sql: string;
  readonly #systemAt: number[] = [];
  readonly #latestAt: number[] = [];

  constructor(sql: string) {
    this.#sql = sql;
  }

  /** `scope`: names, in lower case, that common table expressions give here. */
  visit(value: JsonValue | undefined, scope: ReadonlySet<string>): void {
    if (Array.isArray(value)) {
      for (const item of value as readonly JsonValue[]) this.visit(item, scope);
    } else if (isJsonObject(value)) {
      this.#visitObject(value, scope);
    }
  }

  #visitObject(node: JsonObject, outer: ReadonlySet<string>): void {
    if (typeof node['class'] === 'string') this.#checkExpression(node);
    else if ('sample' in node && 'alias' in node && typeof node['type'] === 'string') this.#checkTableReference(node, outer);

    const scope = this.#scopeOf(node, outer);
    for (const [key, child] of Object.entries(node)) {
      // A table function's own call was checked against the list of table functions; its arguments are expressions.
      if (key === 'function' && node['type'] === 'TABLE_FUNCTION' && isJsonObject(child)) this.visit(child['children'], scope);
      else if (key !== 'cte_map') this.visit(child, scope);
    }
  }

  /** Common table expressions see those before them; a recursive one also sees itself. */
  #scopeOf(node: JsonObject, outer: ReadonlySet<string>): ReadonlySet<string> {
    const scope = new Set(outer);
    if (node['type'] === 'RECURSIVE_CTE_NODE' && typeof node['cte_name'] === 'string') scope.add(node['cte_name'].toLowerCase());
    const cteMap = node['cte_map'];
    const entries = isJsonObject(cteMap) && Array.isArray(cteMap['map']) ? (cteMap['map'] as readonly JsonValue[]) : [];
    for (const entry of entries) {
      if (!isJsonObject(entry) || typeof entry['key'] !== 'string') continue;
      this.visit(entry['value'], scope);
      scope.add(entry['key'].toLowerCase());
    }
    return scope;
  }

  #checkExpression(node: JsonObject): void {
    const name = node['function_name'];
    if (typeof name === 'string' && !isFunctionAllowed(name)) {
      throw functionRefusal(name, 'function', positionOf(node));
    }
    if (typeof name === 'string' && !isFunctionRepeatable(name)) this.isRepeatable = false;
    if (node['class'] === 'PARAMETER' && typeof node['identifier'] === 'string') this.parameters.add(node['identifier']);
    const names = node['column_names'];
    if (node['class'] !== 'COLUMN_REF' || !Array.isArray(names)) return;
    const [first] = names as readonly JsonValue[];
    if (names.length > 2) this.#noteSystem(first ?? null, node);
    // `current_date` and its like are written as columns.
    if (names.length === 1 && typeof first === 'string' && !isFunctionRepeatable(first)) this.isRepeatable = false;
  }

  #checkTableReference(node: JsonObject, scope: ReadonlySet<string>): void {
    const kind = textOf(node, 'type');
    if (!tableReferenceKinds.has(kind)) {
      throw refused(`${kind === 'SHOW_REF' ? 'DESCRIBE, SHOW and SUMMARIZE are' : `${kind} is`} not allowed here`, node['query_location']);
    }
    if (kind === 'TABLE_FUNCTION') {
      this.callsTableFunction = true;
      this.#checkTableFunction(node);
    }
    if (kind === 'BASE_TABLE') this.#checkBaseTable(node, scope);
  }

  #checkTableFunction(node: JsonObject): void {
    const call = node['function'];
    const name = isJsonObject(call) && typeof call['function_name'] === 'string' ? call['function_name'] : '';
    if (isLatestCall(name)) {
      const { name: topic, position } = topicOfLatest(node);
      this.#latestAt.push(position);
      this.tables.push({ name: topic, isSystem: false, isLatest: true, position });
      return;
    }
    if (!isTableFunctionAllowed(name)) {
      throw functionRefusal(name, 'table function', positionOf(node));
    }
  }

  #checkBaseTable(node: JsonObject, scope: ReadonlySet<string>): void {
    const name = textOf(node, 'table_name');
    const schema = textOf(node, 'schema_name').toLowerCase();
    const position = typeof node['query_location'] === 'number' ? node['query_location'] : 0;
    if (node['at_clause'] !== null && node['at_clause'] !== undefined) {
      throw new LakeError('unsupported', 'AT (…) is not supported', { hint: 'Pass a snapshot token as as_of.', facts: { position } });
    }
    if (textOf(node, 'catalog_name') !== '' || (schema !== '' && schema !== 'system')) {
      throw refused(
        `the table ${[textOf(node, 'catalog_name'), schema, name].filter((part) => part !== '').join('.')} is not a topic`,
        position,
        'Name a topic.',
      );
    }
    if (schema === '' && scope.has(name.toLowerCase())) return;
    if (schema === 'system') this.#noteSystem('system', node);
    this.tables.push({ name, isSystem: schema === 'system', position });
  }

  #noteSystem(schema: JsonValue, node: JsonObject): void {
    if (typeof schema === 'string' && schema.toLowerCase() === 'system' && typeof node['query_location'] === 'number') {
      this.#systemAt.push(node['query_location']);
    }
  }

  patchedSql(): string {
    if (this.#systemAt.length === 0 && this.#latestAt.length === 0) return this.#sql;
    const bytes = Buffer.from(this.#sql);
    for (const position of this.#systemAt) {
      const at = bytes[position] === 0x22 ? position + 1 : position;
      if (bytes.toString('latin1', at, at + systemSchema.length).toLowerCase() === 'system') bytes.write(systemSchema, at, 'latin1');
    }
    for (const position of this.#latestAt) patchLatestCall(bytes, position);
    return bytes.toString();
  }
}

/** Where a column or function of that name is written first: byte in the text that the tree is of. */
export function placeOf(tree: JsonValue | undefined, name: string): number | undefined {
  if (Array.isArray(tree)) return firstOf(tree as readonly JsonValue[], name);
  if (!isJsonObject(tree)) return undefined;
  const names = tree['column_names'];
  const last = Array.isArray(names) ? (names as readonly JsonValue[]).at(-1) : tree['function_name'];
  const isNamed = typeof last === 'string' && last.toLowerCase() === name.toLowerCase();
  if (isNamed && typeof tree['query_location'] === 'number') return tree['query_location'];
  return firstOf(Object.values(tree), name);
}

function firstOf(values: readonly (JsonValue | undefined)[], name: string): number | undefined {
  for (const value of values) {
    const place = placeOf(value, name);
    if (place !== undefined) return place;
  }
  return undefined;
}

/** The tree with each parameter replaced by its value, so that bounds given as parameters prune as constants do. */
export function withParameters(tree: JsonObject, values: ReadonlyMap<string, ParameterValue>): JsonObject {
  const replace = (value: JsonValue | undefined): JsonValue | undefined => {
    if (Array.isArray(value)) return (value as readonly JsonValue[]).map((item) => replace(item) ?? null);
    if (!isJsonObject(value)) return value;
    if (value['class'] === 'PARAMETER' && typeof value['identifier'] === 'string' && values.has(value['identifier'])) {
      return expressionOf(values.get(value['identifier']) ?? null);
    }
    return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, memberOf(key, child) ?? replace(child)]));
  };
  return replace(tree) as JsonObject;
}

/** What must not go back as it came: "nowhere" is 2^64 − 1, which a double rounds to a number that DuckDB cannot read. */
function memberOf(key: string, child: JsonValue | undefined): JsonValue | undefined {
  if (key === 'named_param_map') return [];
  return key === 'query_location' && !Number.isSafeInteger(child) ? 0 : undefined;
}
