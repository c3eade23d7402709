import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LakeError } from '../../../src/kernel/index.js';
import type { QueryRequest } from '../../../src/query/index.js';
import { boundParameters } from '../../../src/query/parameters.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

const { signal } = new AbortController();
let world: QueryWorld;
beforeAll(async () => {
  world = await QueryWorld.open({ workers: inlineColumnWorkers });
  world.createTopic('flights', 2);
  for (const partition of [0, 1]) {
    for (let from = 0; from < 300; from += 100) {
      const records = Array.from({ length: 100 }, (_, n) => ({
        timestampMs: Date.UTC(2026, 0, 1 + from / 100) + n * 1000,
        key: `k${n}`,
        value: `{"n":${from + n},"big":${9007199254740992n + BigInt(from + n)}}`,
      }));
      world.append('flights', partition, records);
      if (from < 200) await world.makeCold('flights', partition, from + 100, 100);
    }
  }
});
afterAll(() => world[Symbol.asyncDispose]());

async function ask(sql: string, params: QueryRequest['params'] = {}) {
  const answer = await world.service.query({ sql, params }, signal);
  const rows: (readonly unknown[])[] = [];
  for await (const chunk of answer.rows) rows.push(...chunk);
  return { rows, columns: answer.columns, stats: answer.stats() };
}

describe('a number without a type', () => {
  it.each([1e300, -1e19, 2 ** 53, 9007199254740991, 2 ** 31, 0.5, -7])('%d is itself, also where it decides what is read', async (x) => {
    const { rows } = await ask('SELECT $x::DOUBLE AS v, count(*) FILTER (n < $x) < count(*) AS s FROM flights WHERE _offset < $x', { x });
    expect(rows[0]?.[0]).toBe(x);
  });
});

describe('a typed parameter', () => {
  it.each([
    ['BIGINT', '9223372036854775807', '9223372036854775807', 'BIGINT'],
    ['bigint', 7, 7, 'BIGINT'],
    ['HUGEINT', '-170141183460469231731687303715884105727', '-170141183460469231731687303715884105727', 'HUGEINT'],
    ['DOUBLE', 1.5, 1.5, 'DOUBLE'],
    ['DOUBLE', '1e300', 1e300, 'DOUBLE'],
    ['DECIMAL(38, 2)', '123456789012345678901234567890.12', '123456789012345678901234567890.12', 'DECIMAL(38,2)'],
    ['VARCHAR', "it's 7; --", "it's 7; --", 'VARCHAR'],
    ['BOOLEAN', true, true, 'BOOLEAN'],
    ['DATE', '2026-01-31', '2026-01-31', 'DATE'],
    ['TIME', '09:30:00', '09:30:00', 'TIME'],
    ['UUID', '123e4567-e89b-12d3-a456-426614174000', '123e4567-e89b-12d3-a456-426614174000', 'UUID'],
    ['BLOB', 'T1JE', 'ORD', 'BLOB'],
    ['BIGINT[]', [1, '9007199254740993', null], [1, '9007199254740993', null], 'BIGINT[]'],
    ['VARCHAR[]', [], [], 'VARCHAR[]'],
  ])('%s %j is that, exactly', async (type, value, expected, columnType) => {
    const sql = 'SELECT $x AS v, typeof($x) AS t';
    const { rows, columns } = await ask(sql, { x: { type, value } });
    expect(columns[0]?.type).toBe(columnType);
    expect(rows).toEqual([[expected, columnType]]);
  });

  it.each([
    ['TIMESTAMP', '2026-01-31 09:30:00.123456', "TIMESTAMP '2026-01-31 09:30:00.123456'"],
    ['TIMESTAMPTZ', '2026-01-31T09:30:00+02:00', "TIMESTAMPTZ '2026-01-31 07:30:00Z'"],
    ['INTERVAL', '1 day 2 hours', "INTERVAL '1 day 2 hours'"],
    ['BLOB[]', ['T1JE', ''], "['ORD'::BLOB, ''::BLOB]"],
    ['DATE[]', ['2026-01-31'], "[DATE '2026-01-31']"],
  ])('%s %j is what SQL calls %s', async (type, value, literal) => {
    const sql = `SELECT $x = ${literal} AS same, typeof($x) = typeof(${literal}) AS alike`;
    expect((await ask(sql, { x: { type, value } })).rows).toEqual([[true, true]]);
  });

  it('compares exactly beyond 2^53, where a JSON number cannot', async () => {
    const sql = 'SELECT count(*) AS c FROM flights WHERE big = $big';
    expect((await ask(sql, { big: { type: 'BIGINT', value: '9007199254740993' } })).rows).toEqual([[2]]);
    expect((await ask(sql, { big: { type: 'HUGEINT', value: '9007199254740994' } })).rows).toEqual([[2]]);
    expect((await ask('SELECT $x IS NULL AS none', { x: { type: 'BIGINT', value: null } })).rows).toEqual([[true]]);
  });

  it('prunes files as a constant does', async () => {
    const where: [string, string, QueryRequest['params']][] = [
      ['_offset >= $x', '_offset >= 200', { x: { type: 'BIGINT', value: '200' } }],
      [
        '_timestamp >= $x',
        "_timestamp >= TIMESTAMPTZ '2026-01-02 00:00:00Z'",
        { x: { type: 'TIMESTAMPTZ', value: '2026-01-02T00:00:00Z' } },
      ],
      ['_partition_id = $x AND _offset < $y', '_partition_id = 1 AND _offset < 100', { x: { type: 'BIGINT', value: 1 }, y: 100 }],
    ];
    for (const [withParameter, written, params] of where) {
      const asked = await ask(`SELECT count(*) AS c FROM flights WHERE ${withParameter}`, params);
      const plain = await ask(`SELECT count(*) AS c FROM flights WHERE ${written}`);
      expect([withParameter, asked.rows, asked.stats.pruned_files]).toEqual([withParameter, plain.rows, plain.stats.pruned_files]);
      expect(plain.stats.pruned_files).toBeGreaterThan(0);
    }
  });

  it('works by position, beside plain ones, and in lists that are searched', async () => {
    const sql = 'SELECT count(*) AS c FROM flights WHERE list_contains($1, n) AND _key = $2';
    const params = [
      { type: 'BIGINT[]', value: [1, 2, '250'] },
      { type: 'BLOB', value: Buffer.from('k1').toString('base64') },
    ];
    expect((await ask(sql, params)).rows).toEqual([[2]]);
  });

  it('is asked again for another value', async () => {
    const sql = 'SELECT count(*) AS c FROM flights WHERE _offset < $x';
    for (const value of [10, 20, 10]) expect((await ask(sql, { x: { type: 'BIGINT', value } })).rows).toEqual([[value * 2]]);
  });

  it.each([
    ['TIMESTAMP', '2026-02-30 00:00:00'],
    ['DATE', '2026-13-01'],
    ['INTERVAL', 'three apples'],
    ['TIME', '25:00:00'],
    ['DATE[]', ['2026-01-01', '2026-02-30']],
  ])('is refused by name where DuckDB cannot read it: %s %j', async (type, value) => {
    for (const sql of ['SELECT $when AS v', 'SELECT n FROM flights WHERE $when IS NOT NULL'])
      await expect(ask(sql, { when: { type, value } })).rejects.toMatchObject({
        code: 'request-invalid',
        message: expect.stringMatching(/^the parameter \$when is .*, which is no /),
      });
  });
});

describe('the check of parameters', () => {
  const refusal = (value: unknown): string => {
    try {
      boundParameters(['x'], { x: value });
    } catch (error) {
      if (error instanceof LakeError) return `${error.code}: ${error.message} (${error.hint})`;
      throw error;
    }
    return 'taken';
  };

  it.each([
    [{ type: 'BIGINT', value: '9223372036854775808' }, /is no BIGINT \(Give a whole number from -9223372036854775808/],
    [{ type: 'BIGINT', value: 9007199254740994 }, /beyond 2\^53 as texts/],
    [{ type: 'BIGINT', value: '1.5' }, /is no BIGINT/],
    [{ type: 'BIGINT', value: 1.5 }, /is no BIGINT/],
    [{ type: 'DECIMAL(4,2)', value: '123.45' }, /at most 2 digits before the point and 2 behind/],
    [{ type: 'DECIMAL(4,2)', value: '1.234' }, /nothing is rounded/],
    [{ type: 'DECIMAL(39,2)', value: '1' }, /has the type DECIMAL\(39,2\), which parameters have not/],
    [{ type: 'BOOLEAN', value: 'yes' }, /is no BOOLEAN/],
    [{ type: 'BLOB', value: 'not base64!' }, /is no BLOB/],
    [{ type: 'UUID', value: '123' }, /is no UUID/],
    [{ type: 'VARCHAR', value: 7 }, /is no VARCHAR/],
    [{ type: 'BIGINT', value: [1] }, /is no BIGINT/],
    [{ type: 'BIGINT[]', value: 1 }, /is no list/],
    [{ type: 'BIGINT[]', value: [1, 'x'] }, /is "x", which is no BIGINT/],
    [{ type: 'BIGINT[][]', value: [] }, /which parameters have not/],
    [{ type: 'STRUCT(a INTEGER)', value: {} }, /which parameters have not/],
    [{ type: 'BIGINT); DROP TABLE x; --', value: 1 }, /which parameters have not/],
    [{ type: 'constructor', value: 1 }, /which parameters have not/],
    [{ type: 7, value: 1 }, /no text/],
    [{ type: 'BIGINT' }, /exactly "type" and "value"/],
    [{ value: 1 }, /exactly "type" and "value"/],
    [{ type: 'BIGINT', value: 1, more: 2 }, /exactly "type" and "value"/],
    [[1, 2], /Give a list with its type/],
  ])('refuses %j, and names the parameter', (value, expected) => {
    expect(refusal(value)).toMatch(/^request-invalid: the parameter \$x /);
    expect(refusal(value)).toMatch(expected);
  });

  it('takes plain values as they are, and types in any case', () => {
    expect(boundParameters(['a', 'b', 'c'], { a: 1, b: null, c: { type: 'timestamp  with time zone', value: '2026-01-01' } })).toEqual([
      ['a', 1],
      ['b', null],
      ['c', { type: 'TIMESTAMPTZ', value: '2026-01-01' }],
    ]);
  });
});
