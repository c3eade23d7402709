// JSON operators over a field that is an object in one record and something else in the next: no query fails of it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

const t0 = Date.parse('2001-01-01T00:00:00Z');
const values = [
  '{"o":{"a":{"b":[1,2,{"c":"d"}]},"n":9007199254740993,"big":123456789012345678901234567890},"n":1}',
  '{"o":"plain text","n":2}',
  '{"o":[10,20],"n":3}',
  '{"o":5,"n":4}',
  '{"o":true,"n":5}',
  '{"n":6}',
  'no JSON at all',
  '{"o":"","n":8}',
  '{"o":{},"n":9}',
];

describe('JSON functions over mixed values', () => {
  let world: QueryWorld;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers, tailEncodeBytesMin: 1 });
    for (const [topic, cut] of [
      ['hot', 0],
      ['half', 4],
      ['cold', values.length],
    ] as const) {
      world.createTopic(topic);
      world.append(
        topic,
        0,
        values.map((value) => ({ timestampMs: t0, value })),
      );
      await world.makeCold(topic, 0, cut, 2);
    }
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const ask = async (sql: string): Promise<unknown[]> => {
    const [hot, ...others] = await Promise.all(['hot', 'half', 'cold'].map((topic) => world.ask(sql.replaceAll('TOPIC', topic))));
    for (const other of others) {
      expect({ columns: other?.columns, rows: other?.rows }).toEqual({ columns: hot?.columns, rows: hot?.rows });
    }
    return (hot?.rows ?? []).map((row) => (row.length === 1 ? row[0] : row));
  };
  const nulls = (count: number): null[] => Array.from({ length: count }, () => null);

  it.each([
    ["o->>'a'", ['{"b":[1,2,{"c":"d"}]}', ...nulls(8)]],
    ["o->'a'->'b'->2->>'c'", ['d', ...nulls(8)]],
    ["o->'$.a.b[0]'", ['1', ...nulls(8)]],
    ["json_extract(o, '$[1]')", [null, null, '20', ...nulls(6)]],
    ["(o->>'n')::BIGINT", ['9007199254740993', ...nulls(8)]],
    ["o->>'big'", ['123456789012345678901234567890', ...nulls(8)]],
    ['json_array_length(o)', [0, null, 2, 0, 0, null, null, null, 0]],
    ['json_type(o)', ['OBJECT', null, 'ARRAY', 'UBIGINT', 'BOOLEAN', null, null, null, 'OBJECT']],
    ['len(from_json(o, \'["INTEGER"]\'))', [null, null, 2, ...nulls(6)]],
    ["text(_value)->>'n'", ['1', '2', '3', '4', '5', '6', null, '8', '9']],
    ['list_transform([n], x -> x + 1)[1]', [2, 3, 4, 5, 6, 7, null, 9, 10]],
    ["list_transform([o], lambda x: x->>'a')[1]", ['{"b":[1,2,{"c":"d"}]}', ...nulls(8)]],
    ["(SELECT max(i.o->>'n') FROM TOPIC i WHERE i._offset = t._offset)", ['9007199254740993', ...nulls(8)]],
  ])('%s is NULL where there is nothing to read', async (expression, expected) => {
    expect(await ask(`SELECT ${expression} AS e FROM TOPIC t ORDER BY _offset`)).toEqual(expected);
  });

  it('filters, groups and unnests by them', async () => {
    expect(await ask("SELECT n FROM TOPIC WHERE (o->>'a') IS NOT NULL")).toEqual([1]);
    expect(await ask("SELECT n FROM TOPIC WHERE (o->>'n')::BIGINT = 9007199254740993")).toEqual([1]);
    expect(await ask("SELECT n FROM TOPIC WHERE (o->>'n')::BIGINT = 9007199254740992")).toEqual([]);
    expect(await ask("SELECT (o->>'a') IS NULL AS is_null, count(*) FROM TOPIC GROUP BY ALL ORDER BY ALL")).toEqual([
      [false, 1],
      [true, 8],
    ]);
    expect(await ask('SELECT unnest(from_json(o, \'["INTEGER"]\')) AS e FROM TOPIC ORDER BY e')).toEqual([10, 20]);
    expect(await ask("SELECT e.value FROM TOPIC, json_each(o) e WHERE json_type(o) = 'ARRAY' ORDER BY ALL")).toEqual(['10', '20']);
  });

  it('keeps the names of columns, parameters and what is said of mistakes', async () => {
    const { columns } = await world.ask("SELECT o->'a', o->>'a', json_extract(o, 'a'), n FROM half");
    expect(columns.map(({ name }) => name)).toEqual(["(o -> 'a')", "(o ->> 'a')", "json_extract(o, 'a')", 'n']);
    const { rows } = await world.ask({
      sql: 'SELECT o->>$path, $double FROM half ORDER BY _offset LIMIT 1',
      params: { path: 'n', double: 0.5 },
    });
    expect(rows).toEqual([['9007199254740993', 0.5]]);
    await expect(world.ask("SELECT o->>'a', nn FROM half")).rejects.toMatchObject({ facts: { position: 16 } });
    // DuckDB points into the text that ran.
    const conversion = world.ask("SELECT o->>'a', (o->>'$')::BIGINT FROM half");
    await expect(conversion).rejects.toMatchObject({ code: 'query-invalid' });
    const { facts } = (await conversion.catch((error: unknown) => error)) as { facts: object };
    expect(facts).not.toHaveProperty('position');
    await expect(world.ask('SELECT o::JSON FROM half')).rejects.toMatchObject({
      code: 'query-invalid',
      facts: { position: 8 },
      hint: expect.stringContaining('TRY_CAST') as string,
    });
    const answer = await world.ask("SELECT count(*) AS c FROM (SELECT o->>'a' FROM half) AS s WHERE s.\"(o ->> 'a')\" IS NULL");
    expect(answer.rows).toEqual([[8]]);
  });

  it('runs the text as it is where DuckDB cannot write it anew', async () => {
    expect((await world.ask("SELECT o->>'n', 1e400 > 1 FROM half WHERE n = 1")).rows).toEqual([['9007199254740993', true]]);
  });

  it('reads through saved views as well', async () => {
    world.views.push({ name: 'nested', sql: "SELECT _offset, o->>'n' AS number, o->'a' FROM half", savedMs: 1 } as never);
    expect((await world.ask("SELECT number, \"(o -> 'a')\"->>'b' FROM nested ORDER BY _offset LIMIT 2")).rows).toEqual([
      ['9007199254740993', '[1,2,{"c":"d"}]'],
      [null, null],
    ]);
  });
});
