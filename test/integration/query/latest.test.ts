import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

const t0 = Date.parse('2001-01-01T00:00:00Z');

describe('latest', () => {
  let world: QueryWorld;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers });
    for (const name of ['flights', 'my-topic']) {
      world.createTopic(name, 2);
      world.append(name, 0, [
        { timestampMs: t0, key: 'a', value: '{"n":1}' },
        { timestampMs: t0 + 9, key: 'b', value: '{"n":2}' },
        { timestampMs: t0 + 5, key: 'c', value: '{"n":3}' },
        { timestampMs: t0 + 6, key: null, value: '{"n":4}' },
        { timestampMs: t0 + 1, key: 'b', value: '{"n":5}' },
      ]);
      world.append(name, 1, [
        { timestampMs: t0 + 5, key: 'c', value: '{"n":6}' },
        { timestampMs: t0 + 6, key: 'a', value: null },
        { timestampMs: t0 + 7, key: '', value: '{"n":8}' },
      ]);
      await world.makeCold(name, 0, 3, 2);
    }
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });
  const ask = async (sql: string): Promise<readonly unknown[]> => (await world.ask(sql)).rows;

  // b: offset 4 is last although offset 1 has a later time; c: at the same time the higher partition; a: deleted in partition 1.
  const expected = [
    ['', 8],
    ['b', 5],
    ['c', 6],
  ];

  it.each([
    'latest(flights)',
    'LATEST ( "flights" )',
    'latest("my-topic")',
    "latest('my-topic')",
    '"latest"(flights) AS l(n)',
    'latest(/* a ( comment */ flights)',
  ])('by offset in a partition and by time between them, without tombstones: %s', async (call) => {
    expect(await ask(`SELECT text(_key) AS k, n FROM ${call} ORDER BY k`)).toEqual(expected);
  });

  it('has the columns of the topic', async () => {
    const { columns } = await world.ask('SELECT * FROM latest(flights)');
    expect(columns).toEqual((await world.ask('SELECT * FROM flights LIMIT 0')).columns);
  });

  it('stands several times in a statement, with others', async () => {
    expect(
      await ask(
        'WITH l AS (SELECT n FROM latest(flights)) SELECT (SELECT count(*) FROM l), (SELECT count(*) FROM flights), count(*), sum(b.n) ' +
          'FROM latest(flights) a JOIN latest("my-topic") AS b USING (_key) JOIN system.topics t ON t.topic = \'flights\'',
      ),
    ).toEqual([[3, 8, 3, 19]]);
  });

  it('stands in a saved view', async () => {
    world.views.push({ name: 'now', sql: "SELECT n, 'ä' AS u FROM latest(flights) f WHERE f.n > 5", savedMs: t0 });
    expect(await ask('SELECT n FROM now ORDER BY n')).toEqual([[6], [8]]);
  });

  it('takes filters on the key down to every file, and no others', async () => {
    // At offset 1 the key had another value: that it is filtered out must not bring it back.
    expect(await ask("SELECT n FROM latest(flights) WHERE _timestamp >= TIMESTAMPTZ '2001-01-01T00:00:00.004Z' AND _key = 'b'")).toEqual(
      [],
    );
    expect(await ask("SELECT n FROM latest(flights) WHERE _key = 'b' AND _partition_id = 0")).toEqual([[5]]);
    expect(await ask("SELECT n FROM latest(flights) WHERE _key = 'a' AND _partition_id = 0")).toEqual([]);
    expect(await ask('SELECT n FROM latest(flights) WHERE _offset < 2 ORDER BY n')).toEqual([[6]]);
  });

  it('keeps the places of errors, and refuses what is no topic', async () => {
    const sql = 'SELECT n, ä, nothing FROM (SELECT n, 1 AS ä FROM latest( flights )) x';
    await expect(world.ask(sql)).rejects.toMatchObject({
      code: 'query-invalid',
      facts: { position: Buffer.from(sql).indexOf('nothing') },
    });
    for (const call of [
      'latest()',
      'latest(a, b)',
      'latest(a.b)',
      'latest(1 + 1)',
      "latest(x := 'a')",
      'latest(flights) WITH ORDINALITY',
    ]) {
      await expect(world.ask(`SELECT * FROM ${call}`), call).rejects.toMatchObject({ code: 'query-invalid' });
    }
    await expect(world.ask('SELECT * FROM latest(flight)')).rejects.toMatchObject({ code: 'topic-unknown', hint: 'Did you mean flights?' });
    await expect(world.ask('SELECT * FROM latest.flights')).rejects.toMatchObject({ code: 'query-forbidden' });
  });

  it('of a token stays as it was', async () => {
    const sql = 'SELECT text(_key) AS k, n FROM latest(flights) ORDER BY k';
    const { token } = await world.ask(sql);
    world.append('flights', 1, [
      { timestampMs: t0 + 10, key: 'b', value: null },
      { timestampMs: t0 + 10, key: 'c', value: '{"n":9}' },
    ]);
    expect(await ask(sql)).toEqual([
      ['', 8],
      ['c', 9],
    ]);
    expect((await world.ask({ sql, asOf: token })).rows).toEqual(expected);
    await world.makeCold('flights', 0, 5);
    await world.makeCold('flights', 1, 5, 4);
    expect((await world.ask({ sql, asOf: token })).rows).toEqual(expected);
  });
});
