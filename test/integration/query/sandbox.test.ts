import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';
import { isFunctionAllowed, isFunctionRefused, isTableFunctionAllowed } from '../../../src/query/functions.js';

/** Each is refused; none may read a file, a setting or a secret, or write anything. */
const attacks: readonly string[] = [
  "COPY (SELECT 1) TO '/tmp/x.csv'",
  "COPY flights TO 'lease-0/c0.parquet' (FORMAT csv, use_tmp_file false)",
  "COPY flights FROM '/etc/passwd'",
  "EXPORT DATABASE '/tmp/x'",
  "ATTACH '/tmp/x.db'",
  'INSTALL httpfs',
  "LOAD '/tmp/x.duckdb_extension'",
  'CREATE TABLE x AS SELECT 1',
  'CREATE VIEW x AS SELECT 1',
  'DROP VIEW flights',
  'INSERT INTO flights SELECT * FROM flights',
  'DELETE FROM flights',
  "SET memory_limit = '100GB'",
  'RESET memory_limit',
  'PRAGMA database_list',
  'CALL pragma_version()',
  'BEGIN',
  'COMMIT',
  'CHECKPOINT',
  'VACUUM',
  'EXPLAIN ANALYZE',
  'EXPLAIN (ANALYZE) SELECT 1',
  'EXPLAIN ANALYZE EXPLAIN ANALYZE SELECT 1',
  'EXPLAIN DELETE FROM flights',
  'PREPARE p AS SELECT 1',
  'SELECT 1; SELECT 2',
  "SELECT 1; COPY (SELECT 1) TO '/tmp/x.csv'",
  'DESCRIBE DELETE FROM flights',
  'SUMMARIZE flights',
  'SHOW ALL TABLES',
  'SHOW ALL TABLES',
  'FROM (DESCRIBE flights)',
  'FROM (SHOW TABLES)',
  "SELECT * FROM '/etc/passwd'",
  "SELECT * FROM 'lease-0/t0.parquet'",
  "SELECT * FROM read_parquet('lease-0/*.parquet')",
  "SELECT * FROM read_text('/etc/passwd')",
  "SELECT * FROM read_blob('/etc/passwd')",
  "SELECT * FROM read_csv('/etc/passwd')",
  "SELECT * FROM read_json('/etc/passwd')",
  "SELECT * FROM read_csv_auto('/etc/passwd')",
  "SELECT * FROM sniff_csv('/etc/passwd')",
  "SELECT * FROM parquet_metadata('lease-0/t0.parquet')",
  "SELECT * FROM parquet_schema('lease-0/t0.parquet')",
  "SELECT * FROM glob('/**')",
  "SELECT * FROM main.glob('/**')",
  "SELECT * FROM system.main.glob('/**')",
  "SELECT * FROM query('SELECT 1')",
  "SELECT * FROM query_table('flights')",
  "SELECT * FROM json_execute_serialized_sql('x')",
  'SELECT * FROM duckdb_settings()',
  'SELECT * FROM duckdb_secrets()',
  'SELECT * FROM duckdb_functions()',
  'SELECT * FROM duckdb_logs',
  'SELECT * FROM pragma_user_agent()',
  "SELECT * FROM which_secret('x', 's3')",
  "SELECT * FROM sql_auto_complete('x')",
  'SELECT * FROM test_all_types()',
  'SELECT * FROM seq_scan(flights)',
  "SELECT * FROM histogram('flights', 'a')",
  'SELECT * FROM information_schema.tables',
  'SELECT * FROM information_schema.tables, flights',
  'SELECT * FROM sqlite_master',
  'SELECT * FROM duckdb_tables',
  'SELECT * FROM pg_catalog.pg_class',
  'SELECT * FROM memory.main.flights',
  'SELECT * FROM main.flights',
  'SELECT * FROM temp.flights',
  'SELECT * FROM thermo.topics',
  "SELECT getenv('HOME')",
  "SELECT current_setting('temp_directory')",
  "SELECT main.current_setting('temp_directory')",
  "SELECT list_transform([1], x -> current_setting('temp_directory'))",
  "SELECT getvariable('x')",
  'SELECT current_query()',
  "SELECT json_serialize_sql('SELECT 1')",
  "SELECT nextval('x')",
  "SELECT write_log('x')",
  'SELECT sleep_ms(100000)',
  'SELECT pg_sleep(100)',
  "SELECT * FROM flights WHERE EXISTS (SELECT 1 FROM read_text('/etc/passwd'))",
  "SELECT (SELECT content FROM read_text('/etc/passwd'))",
  "SELECT * FROM flights ORDER BY (SELECT max(content) FROM read_text('/etc/passwd'))",
  "SELECT * FROM flights LIMIT (SELECT count(*) FROM read_text('/etc/passwd'))",
  "SELECT * FROM flights QUALIFY row_number() OVER (ORDER BY getenv('HOME')) = 1",
  "WITH x AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM x",
  "WITH RECURSIVE x AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM x, glob('/*')) SELECT * FROM x",
  'WITH "/etc/passwd" AS (SELECT 1) SELECT * FROM (WITH y AS (SELECT 1) SELECT * FROM y) UNION ALL SELECT * FROM \'/etc/hosts\'',
  "SELECT 1 UNION ALL SELECT content FROM read_text('/etc/passwd')",
  "FROM (PIVOT (SELECT * FROM read_text('/etc/passwd')) ON filename IN ('x') USING count(*))",
  'PIVOT flights ON a USING count(*)',
  "VALUES ((SELECT content FROM read_text('/etc/passwd')))",
  'SELECT * FROM flights AT (VERSION => 1)',
  "SELECT * FROM flights JOIN read_text('/etc/passwd') ON true",
  "SELECT * FROM flights, LATERAL (SELECT * FROM read_text('/etc/passwd'))",
  'SELECT * FROM flights TABLESAMPLE reservoir(1 ROWS), duckdb_settings()',
  "SELECT COLUMNS(*) FROM read_csv('/etc/passwd')",
  "SELECT * FROM read_xlsx('/etc/passwd')",
  "SELECT * FROM read_ndjson_objects('/etc/passwd')",
  "SELECT * FROM read_json_auto('http://127.0.0.1:1/x.json')",
  "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
  "SELECT * FROM parquet_scan('lease-0-0/*')",
  "SELECT * FROM parquet_bloom_probe('lease-0-0/c0.parquet', 'a', 1)",
  "SELECT * FROM parquet_kv_metadata('lease-0-0/c0.parquet')",
  "SELECT * FROM parquet_file_metadata('lease-0-0/c0.parquet')",
  "SELECT * FROM 'https://127.0.0.1:1/x.parquet'",
  "SELECT * FROM '*.parquet'",
  "SELECT * FROM 'lease-*/*.parquet'",
  'SELECT * FROM "lease-0-0/c0.parquet"',
  'SELECT * FROM "../secret.csv"',
  "FROM '/etc/passwd' SELECT *",
  "SELECT * FROM flights, '/etc/passwd'",
  "SELECT * FROM (FROM '/etc/passwd')",
  "SELECT * FROM flights WHERE a IN (FROM '/etc/passwd')",
  "SELECT * FROM flights WHERE a IN (SELECT 1 FROM '/etc/passwd')",
  "SELECT * FROM flights ASOF JOIN '/etc/passwd' x ON flights.a >= x.a",
  "SELECT * FROM flights SEMI JOIN '/etc/passwd' USING (a)",
  "SELECT * FROM flights POSITIONAL JOIN read_csv('/etc/passwd')",
  "SELECT (SELECT * FROM read_text('/etc/passwd') LIMIT 1) FROM flights GROUP BY ALL",
  "SELECT a FROM flights GROUP BY a HAVING max(a) > (SELECT count(*) FROM glob('/*'))",
  "SELECT sum(a) FILTER (WHERE a > (SELECT count(*) FROM glob('/*'))) FROM flights",
  "SELECT sum(a) OVER (ORDER BY (SELECT count(*) FROM glob('/*'))) FROM flights",
  "SELECT list(a ORDER BY getenv('HOME')) FROM flights",
  "SELECT CASE WHEN getenv('HOME') = 'x' THEN 1 END",
  "SELECT getenv('HOME')::VARCHAR COLLATE NOCASE",
  "SELECT [getenv('HOME')]",
  "SELECT {'a': getenv('HOME')}",
  "SELECT MAP {'a': getenv('HOME')}",
  "SELECT [x FOR x IN [1] IF getenv('HOME') = 'x']",
  "SELECT list_transform([1], lambda x: getenv('HOME'))",
  "SELECT list_reduce([1, 2], lambda x, y: getenv('HOME'))",
  "SELECT list_aggregate([1], 'getenv')",
  "SELECT struct_pack(a := getenv('HOME'))",
  "SELECT 'HOME'.getenv()",
  "SELECT * REPLACE (getenv('HOME') AS a) FROM flights",
  "SELECT COLUMNS(c -> getenv('HOME') = c) FROM flights",
  'SELECT a AS x, getenv(x) FROM flights',
  "SELECT GETENV('HOME')",
  `SELECT "getenv"('HOME')`,
  `SELECT "GetEnv"('HOME')`,
  "SELECT system.main.getenv('HOME')",
  "SELECT system.getenv('HOME')",
  "SELECT pg_catalog.getenv('HOME')",
  "SELECT/**/getenv/**/('HOME')",
  "SELECT -- x\n getenv('HOME')",
  "SELECT\u00a0getenv('HOME')",
  "SELECT ｇｅｔｅｎｖ('HOME')",
  "SELECT getenv\u200b('HOME')",
  "SELECT get\u0000env('HOME')",
  'SELECT 1;\u0000 DROP VIEW flights',
  'SELECT 1 /* ; */ ; DROP VIEW flights',
  'SELECT 1; -- x\n SELECT 2',
  ';',
  '-- nothing',
  '/* nothing',
  '$$',
  "SELECT * FROM query('SELECT ' || '1')",
  "SELECT * FROM query_table(['flights'])",
  "FROM query_table('/etc/passwd')",
  "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
  "SELECT json_serialize_plan('SELECT 1')",
  "SELECT json_deserialize_sql('{}')",
  "PRAGMA json_execute_serialized_sql('x')",
  "SELECT * FROM pragma_table_info('flights')",
  "SELECT * FROM pragma_storage_info('flights')",
  'SELECT * FROM pragma_database_size()',
  "SELECT * FROM pragma_show('flights')",
  'SELECT * FROM pragma_collations()',
  ...[
    'columns',
    'constraints',
    'databases',
    'dependencies',
    'extensions',
    'external_file_cache',
    'indexes',
    'keywords',
    'log_contexts',
    'logs',
    'memory',
    'optimizers',
    'prepared_statements',
    'schemas',
    'sequences',
    'temporary_files',
    'types',
    'variables',
    'views',
    'which_secret',
  ].map((name) => `SELECT * FROM duckdb_${name}()`),
  'SELECT * FROM duckdb_columns',
  'SELECT * FROM information_schema.schemata',
  'SELECT * FROM INFORMATION_SCHEMA.COLUMNS',
  'SELECT * FROM "information_schema"."tables"',
  'SELECT * FROM pg_catalog.pg_settings',
  'SELECT * FROM pg_class',
  'SELECT * FROM system.main.duckdb_settings',
  'SELECT * FROM system.information_schema.tables',
  'SELECT * FROM memory.flights',
  'SELECT * FROM "memory"."main"."flights"',
  'SELECT * FROM temp.main.flights',
  "SELECT currval('s')",
  'SELECT setseed(0.5)',
  'SELECT txid_current()',
  'SELECT * FROM checkpoint()',
  'SELECT * FROM force_checkpoint()',
  'SELECT * FROM repeat_row(1, 2, num_rows := 1000)',
  'SELECT * FROM arrow_scan(1, 2, 3)',
  'SELECT * FROM pandas_scan(1)',
  'SELECT * FROM summary((SELECT 1))',
  "SELECT finalize('x'::BLOB)",
  "SELECT variant_bytes_to_variant('x'::BLOB)",
  "INSTALL httpfs FROM 'http://127.0.0.1:1'",
  'FORCE INSTALL spatial',
  'UPDATE EXTENSIONS',
  "CREATE SECRET s (TYPE s3, KEY_ID 'x', SECRET 'y')",
  'DROP SECRET s',
  'CREATE MACRO f(x) AS x',
  "CREATE MACRO t() AS TABLE SELECT * FROM '/etc/passwd'",
  'CREATE OR REPLACE TEMP VIEW flights AS SELECT 1',
  'CREATE SEQUENCE s',
  "CREATE TYPE t AS ENUM ('a')",
  'CREATE SCHEMA x',
  'ALTER TABLE flights ADD COLUMN x INT',
  'TRUNCATE flights',
  'UPDATE flights SET a = 1',
  'MERGE INTO flights USING flights f ON true WHEN MATCHED THEN DELETE',
  'WITH x AS (DELETE FROM flights RETURNING *) SELECT * FROM x',
  'WITH x AS (INSERT INTO flights VALUES (1) RETURNING *) SELECT * FROM x',
  'EXECUTE p',
  'DEALLOCATE p',
  'SET VARIABLE x = 1',
  'SET GLOBAL enable_external_access = true',
  'SET SESSION threads = 100',
  'PRAGMA enable_profiling',
  "PRAGMA profiling_output = '/tmp/x'",
  'USE memory',
  'DETACH memory',
  "IMPORT DATABASE '/tmp/x'",
  'COPY FROM DATABASE memory TO memory',
  "COPY (SELECT 1) TO PROGRAM 'id'",
  'COPY flights TO STDOUT',
  'ROLLBACK',
  'ANALYZE',
  'CALL duckdb_settings()',
  "EXPLAIN COPY (SELECT 1) TO '/tmp/x'",
  'EXPLAIN ANALYZE DELETE FROM flights',
  'DESCRIBE DELETE FROM flights',
  "DESCRIBE SELECT * FROM read_csv('/etc/passwd')",
  "DESCRIBE '/etc/passwd'",
  'SHOW DATABASES',
  'LOAD httpfs',
  'LISTEN x',
];

describe('sandbox of query engines', () => {
  let world: QueryWorld;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers });
    world.createTopic('flights');
    world.append(
      'flights',
      0,
      Array.from({ length: 10 }, (_, n) => ({ timestampMs: n, value: JSON.stringify({ a: n }) })),
    );
    await world.makeCold('flights', 0, 5);
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  it.each(attacks)('refuses %s', async (sql) => {
    const outcome = await world.ask(sql).then(
      (answer) => ({ code: 'answered', rows: answer.rows }),
      (error: { code: string; hint?: string; message: string }) => error,
    );
    expect(['query-forbidden', 'query-invalid', 'topic-unknown', 'unsupported']).toContain(outcome.code);
    expect(outcome).not.toHaveProperty('rows');
  });

  it('still answers what only reads topics, in every clause SQL has', async () => {
    const questions: readonly [string, number][] = [
      ['WITH flights AS (SELECT 1 AS x) SELECT * FROM flights', 1],
      ['WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM t WHERE a < 5) SELECT * FROM t', 5],
      ['FROM flights SELECT a QUALIFY row_number() OVER (ORDER BY a) <= 2', 2],
      ['SELECT unnest([1, 2, 3])', 3],
      ['SELECT * FROM generate_series(1, 4)', 4],
      ['SELECT * FROM json_each(\'{"a":1}\')', 1],
      ['PIVOT flights ON a IN (1, 2) USING count(*) GROUP BY _partition_id', 1],
      ['UNPIVOT (SELECT a, _offset FROM flights) ON a, _offset', 20],
      ['SELECT * FROM flights f POSITIONAL JOIN flights g', 10],
      ['SELECT * FROM flights f ASOF JOIN flights g ON f.a >= g.a', 10],
      ['SELECT * FROM "FLIGHTS" WHERE a IN (SELECT max(a) FROM flights)', 1],
      ["SELECT COLUMNS('^a$') FROM flights USING SAMPLE 100%", 10],
      ['SELECT 1e400::DOUBLE', 1],
    ];
    for (const [sql, rows] of questions) expect([sql, (await world.ask(sql)).rows.length]).toEqual([sql, rows]);
  });

  it('lets nothing of DuckDB be called that reads files, settings, other queries or SQL', async () => {
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    const reader = await connection.runAndReadAll(
      "SELECT DISTINCT function_name, function_type IN ('table', 'table_macro') FROM duckdb_functions() WHERE function_type <> 'pragma'",
    );
    const names = reader.getRowsJson() as [string, boolean][];
    connection.closeSync();
    instance.closeSync();
    const tableFunctions = names.filter(([name, isTable]) => isTable && isTableFunctionAllowed(name)).map(([name]) => name);
    expect(tableFunctions.sort()).toEqual(['generate_series', 'json_each', 'json_tree', 'range', 'unnest']);
    // Of every other function it was decided whether it is one of values: a new one has to be read before it may be called.
    const undecided = names.filter(([name, isTable]) => !isTable && isFunctionAllowed(name) === isFunctionRefused(name));
    expect(undecided.map(([name]) => name)).toEqual([]);
    const suspicious =
      /read|file|glob|env|setting|secret|query|duck|prag|log$|log_|variable|sql|plan|exec|write|sleep|val$|load|import|meta|catalog|schema|sequence|setseed/;
    const harmless = new Set(['log', 'parse_filename', 'isfinite', 'json_valid', 'hash', 'normalized_interval']);
    const left = names.filter(([name, isTable]) => !isTable && suspicious.test(name) && isFunctionAllowed(name) && !harmless.has(name));
    expect(left.map(([name]) => name)).toEqual([]);
    expect(isFunctionAllowed('a_function_of_tomorrow')).toBe(false);
  });

  it('lets nobody reach more through parameters', async () => {
    const ask = (sql: string, ...params: string[]) => world.ask({ sql, params });
    for (const text of [
      '/etc/passwd',
      "x'; DROP VIEW flights; --",
      "' || getenv('HOME') || '",
      '$1',
      '?',
      '${HOME}',
      'lease-0-0/c0.parquet',
    ]) {
      expect((await ask('SELECT $1', text)).rows).toEqual([[text]]);
      expect((await ask('SELECT count(*) FROM flights WHERE text(_value) = $1', text)).rows).toEqual([[0]]);
    }
    for (const sql of [
      'SELECT * FROM $1',
      'SELECT * FROM read_text($1)',
      'SELECT getenv($1)',
      'SELECT * FROM query($1)',
      'SELECT * FROM query_table($1)',
    ]) {
      await expect(ask(sql, '/etc/passwd'), sql).rejects.toMatchObject({
        code: expect.stringMatching(/^query-(?:forbidden|invalid)$/) as string,
      });
    }
    expect((await world.ask('SELECT count(*) FROM flights')).rows).toEqual([[10]]);
  });

  it('tells with the words that look like columns nothing but constants', async () => {
    const { rows } = await world.ask('SELECT current_user, session_user, current_role, current_catalog, current_schema');
    expect(rows).toEqual([['duckdb', 'duckdb', 'duckdb', 'memory', 'main']]);
  });
});

describe('an engine whose gate has failed', () => {
  // The second wall: what DuckDB and the operating system refuse, should a statement ever get past the walk over its tree.
  it('cannot write through a lease, read outside of it, or change its settings', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'thermocline-sandbox-'));
    try {
      const { fork } = await import('node:child_process');
      const { entryPath } = await import('../../../src/kernel/index.js');
      const leases = join(directory, 'leases');
      await mkdir(join(leases, 'lease-0'), { recursive: true, mode: 0o755 });
      await mkdir(join(leases, 'spill-0'), { mode: 0o777 });
      const { chmod, link } = await import('node:fs/promises');
      await chmod(leases, 0o755);
      await chmod(join(leases, 'spill-0'), 0o777);
      const stored = join(directory, 'stored.parquet');
      const secret = join(directory, 'secret.txt');
      await writeFile(stored, 'the only copy');
      await writeFile(secret, 'secret');
      await chmod(secret, 0o444);
      await chmod(stored, 0o444);
      await link(stored, join(leases, 'lease-0', 'c0.parquet'));
      const isRoot = process.getuid?.() === 0;
      const args = { directory: leases, ...(isRoot ? { dropTo: { uid: 65534, gid: 65534 } } : {}) };
      const child = fork(entryPath('query/engine-main'), [JSON.stringify(args)], { serialization: 'advanced', execArgv: [] });
      const ask = (message: object): Promise<{ type: string; error?: { code: string; message: string } }> =>
        new Promise((resolve) => {
          child.once('message', (answer) => resolve(answer as { type: string }));
          child.send(message);
        });
      try {
        const open = { type: 'open', slot: 0, lease: 'lease-0', spill: 'spill-0', memoryBytes: 2 ** 28, spillBytes: 2 ** 24, prelude: [] };
        const run = async (setup: string): Promise<{ type: string; error?: { code: string; message: string } }> => {
          await ask(open);
          await ask({ type: 'claim', slot: 0 });
          await ask({ type: 'parse', sql: 'SELECT 1' });
          // What the service sends as set-up runs without the walk: an attacker's statement in its place.
          const run = {
            type: 'run',
            isWide: false,
            sql: 'SELECT 1',
            prelude: [],
            threads: 1,
            setup: [setup],
            isDescribed: false,
            parameters: [],
            credits: 4,
            maxRows: 10,
          };
          const answer = await ask(run);
          if (answer.type === 'columns') await new Promise((resolve) => setTimeout(resolve, 50));
          await ask({ type: 'discard' });
          return answer;
        };
        for (const sql of [
          "COPY (SELECT 'gone') TO 'lease-0/c0.parquet' (FORMAT csv, use_tmp_file false)",
          "COPY (SELECT 'gone') TO 'lease-0/c0.parquet' (FORMAT csv)",
          "COPY (SELECT 'gone') TO 'lease-0/new.csv' (FORMAT csv, use_tmp_file false)",
          "CREATE TABLE t AS SELECT * FROM read_text('../secret.txt')",
          `CREATE TABLE t AS SELECT * FROM read_text('${secret}')`,
          `CREATE TABLE t AS SELECT * FROM read_text('lease-0/../../secret.txt')`,
          `ATTACH '${join(directory, 'x.db')}'`,
          "SET allowed_directories = ['/']",
          'SET enable_external_access = true',
        ]) {
          const answer = await run(sql);
          expect([sql, answer.type]).toEqual([sql, 'failed']);
        }
        expect(readFileSync(stored, 'utf8')).toBe('the only copy');
        expect(existsSync(join(leases, 'lease-0', 'new.csv'))).toBe(false);
        expect(statSync(stored).mode & 0o777).toBe(0o444);
      } finally {
        const ended = new Promise((resolve) => child.once('exit', resolve));
        child.disconnect();
        await ended;
      }
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
