/**
 * Which of DuckDB's functions a query may call. Table functions stand on a short list of what is allowed; scalar functions are
 * pure, but for those named here, which look at the process, the catalogue, other queries or SQL itself.
 */

const allowedTableFunctions: ReadonlySet<string> = new Set(['unnest', 'range', 'generate_series', 'json_each', 'json_tree']);

const refusedFunctions: ReadonlySet<string> = new Set([
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
  /^(?:__internal|enable_|disable_|verify_|import_|force_|metadata_|storage_|database_|copy_database$|show|duckdb_|pragma_|read_|scan_|parquet_|sniff_|which_secret|query|sql_|inet_|has_.*_privilege$|(?:col|obj|shobj)_description$|pg_(?!typeof$|size_pretty$))/;

export function isTableFunctionAllowed(name: string): boolean {
  return allowedTableFunctions.has(name.toLowerCase());
}

export function isFunctionAllowed(name: string): boolean {
  const lower = name.toLowerCase();
  return !refusedFunctions.has(lower) && !refusedPattern.test(lower);
}

/** What looks at the clock, at chance or at the session: two plans of one statement need not be the same. */
const unrepeatablePattern =
  /^(?:now|today|ago|age|error|current_|get_current|local|transaction_|session_|user$|random|setseed|uuid|gen_random|pg_)/;

export function isFunctionRepeatable(name: string): boolean {
  return !unrepeatablePattern.test(name.toLowerCase());
}
