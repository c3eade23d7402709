import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isFunctionRepeatable } from '../../../src/query/functions.js';
import { scansKey, StatementCache } from '../../../src/query/statement-cache.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

const statement = (sql: string) => ({ sql, tables: [], parameters: [], isRepeatable: true, isCompound: false });

describe('the cache of statements', () => {
  it('forgets the least recently used, and keeps nothing that is very long', () => {
    const cache = new StatementCache();
    const texts = Array.from({ length: 200 }, (_, n) => `SELECT ${n} ${'x'.repeat(10_000)}`);
    for (const [n, text] of texts.entries()) {
      cache.keepParsed(text, statement(text));
      expect(cache.chars).toBeLessThanOrEqual(2 * 1024 * 1024);
      if (n >= 50) expect(cache.parsed(texts[0]!)).toEqual(statement(texts[0]!));
    }
    expect(cache.parsed(texts[0]!)).toBeDefined();
    expect(cache.parsed(texts[1]!)).toBeUndefined();
    const long = 'x'.repeat(100_000);
    cache.keepParsed(long, statement(long));
    expect(cache.parsed(long)).toBeUndefined();
  });

  it('tells plans apart by text, parameters and columns', () => {
    const table = (create: string) => [{ create }];
    const keys = [
      scansKey('a', [], table('c')),
      scansKey('b', [], table('c')),
      scansKey('a', [], table('d')),
      scansKey('a', [['1', 1]], table('c')),
      scansKey('a', [['1', '1']], table('c')),
      scansKey('a', [['1', null]], table('c')),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('counts as repeatable no function that DuckDB says is not', async () => {
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    const reader = await connection.runAndReadAll(
      "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT' OR macro_definition ILIKE '%current_%'",
    );
    const names = (reader.getRowsJson() as [string][]).map(([name]) => name);
    connection.closeSync();
    instance.closeSync();
    expect(names).toContain('now');
    // These are not allowed at all.
    const refused = ['nextval', 'currval', 'write_log', 'sleep_ms', 'stats', 'in_search_path', 'txid_current', 'ago'];
    expect(names.filter((name) => isFunctionRepeatable(name) && !refused.includes(name))).toEqual([]);
    for (const name of ['current_date', 'CURRENT_TIMESTAMP', 'localtime', 'age']) expect(isFunctionRepeatable(name)).toBe(false);
  });
});

describe('a question asked again', () => {
  let world: QueryWorld;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers });
    world.createTopic('flights', 2);
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  const append = (partition: number, values: readonly object[]): void =>
    world.append(
      'flights',
      partition,
      values.map((value, n) => ({ timestampMs: n, value: JSON.stringify(value) })),
    );

  it('sees columns and rows that came meanwhile, and prunes by the parameters of now', async () => {
    append(0, [{ a: 1 }, { a: 2 }]);
    append(1, [{ a: 3 }]);
    const all = 'SELECT * EXCLUDE (_key, _timestamp, _headers, _value) FROM flights ORDER BY _partition_id, _offset';
    expect((await world.ask(all)).rows).toEqual([
      [1, 0, 0],
      [2, 0, 1],
      [3, 1, 0],
    ]);
    append(1, [{ a: 4, b: 'new' }]);
    expect((await world.ask(all)).rows).toEqual([
      [1, null, 0, 0],
      [2, null, 0, 1],
      [3, null, 1, 0],
      [4, 'new', 1, 1],
    ]);
    const one = 'SELECT a FROM flights WHERE _partition_id = $1 ORDER BY a';
    for (const [partition, rows] of [
      [0, [[1], [2]]],
      [1, [[3], [4]]],
      [0, [[1], [2]]],
    ] as const) {
      const answer = await world.ask({ sql: one, params: [partition] });
      expect(answer.rows).toEqual(rows);
      expect(answer.stats.hot_rows).toBe(2);
    }
  });

  it('has the time of now, not of when it was planned', async () => {
    const sql = "SELECT count(*) FROM flights WHERE _timestamp < now() AND _timestamp > now() - INTERVAL '2 seconds'";
    expect((await world.ask(sql)).rows).toEqual([[0]]);
    world.append('flights', 0, [{ timestampMs: Date.now() - 1, value: '{"a":9}' }]);
    expect((await world.ask(sql)).rows).toEqual([[1]]);
  });
});
