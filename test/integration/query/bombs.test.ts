import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MiB } from '../../../src/kernel/index.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

const times = (text: string, count: number): string => text.repeat(count);
const numbers = (count: number): string => Array.from({ length: count }, (_, n) => n).join(',');

/** Each is small to write and large to do; what ends it is a limit, of DuckDB's or of ours, and nobody else notices. */
const bombs: Readonly<Record<string, string>> = {
  'brackets': `SELECT ${times('(', 20_000)}1${times(')', 20_000)}`,
  'a long sum': `SELECT 1${times('+1', 100_000)}`,
  'signs': `SELECT ${times('- ', 100_000)}1`,
  'negations': `SELECT ${times('NOT ', 100_000)}true`,
  'subqueries': `SELECT ${times('(SELECT ', 5000)}1${times(')', 5000)}`,
  'tables of tables': `SELECT * FROM ${times('(SELECT * FROM ', 5000)}flights${times(')', 5000)}`,
  'lists of lists': `SELECT ${times('[', 20_000)}1${times(']', 20_000)}`,
  'calls of calls': `SELECT ${times('abs(', 20_000)}1${times(')', 20_000)}`,
  'cases': `SELECT ${times('CASE WHEN true THEN ', 10_000)}1${times(' END', 10_000)}`,
  'lambdas': `SELECT ${times('list_transform([1], lambda x: ', 3000)}1${times(')', 3000)}`,
  'casts': `SELECT 1${times('::INT', 30_000)}`,
  'types of types': `SELECT NULL::${times('STRUCT(a ', 5000)}INT${times(')', 5000)}`,
  'unions': `SELECT 1${times(' UNION ALL SELECT 1', 20_000)}`,
  'open comments': `${times('/*', 100_000)} SELECT 1`,
  'tables that double': `WITH ${Array.from(
    { length: 30 },
    (_, n) => `c${n} AS NOT MATERIALIZED (SELECT * FROM ${n === 0 ? 'flights' : `c${n - 1} UNION ALL SELECT * FROM c${n - 1}`})`,
  ).join(', ')} SELECT count(*) FROM c29`,
  'a join of 300': `SELECT count(*) FROM flights f0${Array.from({ length: 300 }, (_, n) => `, flights f${n + 1}`).join('')}`,
  'a cube': `SELECT count(*) FROM flights GROUP BY CUBE(${Array.from({ length: 25 }, (_, n) => `a + ${n}`).join(', ')})`,
  'a pivot': `PIVOT flights ON a IN (${numbers(50_000)}) USING count(*)`,
  'recursion': 'WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM t) SELECT count(*) FROM t',
  'recursion that grows': 'WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT a FROM t, range(10)) SELECT count(*) FROM t',
  'a series': 'SELECT count(*) FROM generate_series(1, 1000000000000) s(i) WHERE i % 7 = 3',
  'rows without end': 'SELECT * FROM range(1000000000000)',
  'a long list': 'SELECT list_distinct(range(1000000000))',
  'a gathered list': 'SELECT length(array_agg(i)) FROM range(1000000000) t(i)',
  'a gathered text': "SELECT string_agg(i, ',') FROM range(1000000000) t(i)",
  'a repeated text': "SELECT length(repeat(repeat('x', 100000), 40000))",
  'a padded text': "SELECT length(lpad('x', 2000000000, 'y'))",
  'a formatted text': "SELECT length(printf('%2000000000d', 1))",
  'a large array': 'SELECT [1]::INT[100000]',
  'a pattern': "SELECT regexp_replace(repeat('a', 100000), '(a?){1000}', 'x', 'g')",
  'an edit distance': "SELECT levenshtein(repeat('a', 300000), repeat('b', 300000))",
};

describe('a query made to be too much', () => {
  let world: QueryWorld;
  beforeAll(async () => {
    const limits = { memoryBytes: 128 * MiB, spillBytes: 64 * MiB };
    world = await QueryWorld.open({ workers: inlineColumnWorkers, limits });
    world.createTopic('flights');
    world.append(
      'flights',
      0,
      Array.from({ length: 10 }, (_, n) => ({ timestampMs: n, value: JSON.stringify({ a: n }) })),
    );
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  it.each(Object.keys(bombs))('is ended, and the next one is answered: %s', async (name) => {
    const outcome = await world.ask({ sql: bombs[name] ?? '', limits: { timeout_ms: 300 } }).then(
      ({ rows }) => `answered ${rows.length} rows`,
      (error: { code: string }) => error.code,
    );
    expect(outcome).toMatch(/^(?:query-invalid|query-too-large|timeout)$/);
    expect((await world.ask('SELECT count(*) FROM flights')).rows).toEqual([[10]]);
  });

  it('may be long where it is not too much', async () => {
    expect((await world.ask(`SELECT count(*) FROM flights WHERE a IN (${numbers(5000)})`)).rows).toEqual([[10]]);
    expect((await world.ask(`SELECT ${times('(', 400)}1${times(')', 400)}`)).rows).toEqual([[1]]);
    expect((await world.ask(`SELECT 1${times(' UNION ALL SELECT 1', 99)}`)).rows).toHaveLength(100);
  });
});

describe('a function that makes more than DuckDB counts', () => {
  it('ends with its engine before the machine has no memory left', async () => {
    await using world = await QueryWorld.open({ workers: inlineColumnWorkers, limits: { memoryBytes: 64 * MiB } });
    await expect(world.ask("SELECT length(lpad('x', 2000000000, 'y'))")).rejects.toMatchObject({
      code: 'query-too-large',
      hint: expect.stringContaining('query.memory.bytes') as string,
    });
    expect((await world.ask('SELECT 1')).rows).toEqual([[1]]);
  });
});
