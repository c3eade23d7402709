/**
 * Which of DuckDB's functions a query may call: those that stand on a list, table functions and others. What is known and left out, and
 * why, stands here as well, so that a refusal can be told from a misspelt name.
 */
import { LakeError, nearestName } from '../kernel/index.js';
import { allowedFunctions } from './allowed-functions.js';

const allowedTableFunctions: ReadonlySet<string> = new Set(['unnest', 'range', 'generate_series', 'json_each', 'json_tree']);

/** They look at the process, the catalogue, other queries or SQL itself, or take bytes for something inside of DuckDB. */
const refusedFunctions: ReadonlySet<string> = new Set([
  'can_cast_implicitly',
  'cast_to_type',
  'combine',
  'constant_or_null',
  'create_sort_key',
  'current_role',
  'current_user',
  'error',
  'finalize',
  'format_pg_type',
  'format_type',
  'get_type',
  'make_type',
  'map_to_pg_oid',
  'remap_struct',
  'replace_type',
  'session_user',
  'timetz_byte_comparable',
  'user',
  'vector_type',
  'current_catalog',
  'current_connection_id',
  'current_database',
  'current_query',
  'current_query_id',
  'current_schema',
  'current_schemas',
  'current_setting',
  'current_transaction_id',
  'currval',
  'get_block_size',
  'getenv',
  'getvariable',
  'in_search_path',
  'json_deserialize_sql',
  'json_execute_serialized_sql',
  'json_serialize_plan',
  'json_serialize_sql',
  'nextval',
  'parse_duckdb_log_message',
  'pg_sleep',
  'setseed',
  'sleep_ms',
  'stats',
  'txid_current',
  'write_log',
]);

/** Families by their prefix: PostgreSQL's catalogue, DuckDB's own tables, readers, pragmas and internals. */
const refusedPattern =
  /^(?:__internal|icu_|st_|variant_(?!extract$|typeof$)|enable_|disable_|verify_|import_|force_|metadata_|storage_|database_|copy_database$|show|duckdb_|pragma_|read_|scan_|parquet_|sniff_|which_secret|query|sql_|inet_|has_.*_privilege$|(?:col|obj|shobj)_description$|pg_(?!typeof$|size_pretty$))/;

export function isTableFunctionAllowed(name: string): boolean {
  return allowedTableFunctions.has(name.toLowerCase());
}

export function isFunctionAllowed(name: string): boolean {
  return allowedFunctions.has(name.toLowerCase());
}

/** Left out on purpose; any other name that is not allowed is none that we know. */
export function isFunctionRefused(name: string): boolean {
  const lower = name.toLowerCase();
  return refusedFunctions.has(lower) || refusedPattern.test(lower) || lower.startsWith('copy_');
}

/** Why a function is not allowed. */
export function functionRefusal(name: string, kind: 'function' | 'table function', position: number | undefined): LakeError {
  const facts = position === undefined ? {} : { position };
  if (isFunctionRefused(name)) {
    const hint = kind === 'function' ? 'Use functions of values only.' : 'Name a topic instead.';
    return new LakeError('query-forbidden', `the ${kind} ${name} is not allowed here`, { hint, facts });
  }
  const near = nearestName(name, kind === 'function' ? allowedFunctions : allowedTableFunctions);
  const hint = near === undefined ? 'Functions of values are allowed, as DuckDB has them.' : `Did you mean ${near}?`;
  return new LakeError('query-invalid', `there is no ${kind} ${name} here`, { hint, facts });
}

/** What looks at the clock, at chance or at the session: two plans of one statement need not be the same. */
const unrepeatablePattern =
  /^(?:now|today|ago|age|error|current_|get_current|local|transaction_|session_|user$|random|setseed|uuid|gen_random|pg_)/;

export function isFunctionRepeatable(name: string): boolean {
  return !unrepeatablePattern.test(name.toLowerCase());
}
