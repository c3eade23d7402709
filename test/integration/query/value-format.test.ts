// `lake.value.format` changed on a living topic: cold records keep the columns they were tiered with, hot ones go by the format of now.
import { expect, it } from 'vitest';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

const t0 = Date.parse('2001-01-01T00:00:00Z');

it('never ends a query, whatever it was and becomes, nor one over several topics', async () => {
  await using world = await QueryWorld.open({ workers: inlineColumnWorkers });
  const config: Record<string, string> = {};
  world.createTopic('turns', 1, config);
  world.createTopic('steady');
  world.append('steady', 0, [{ timestampMs: t0, value: '{"n":1,"x":"other"}' }]);
  const rows = async (): Promise<unknown> => (await world.ask('SELECT n, x, _offset FROM turns ORDER BY _offset')).rows;
  const add = (value: string): void => world.append('turns', 0, [{ timestampMs: t0, value }]);

  add('{"n":1,"x":2}');
  expect(await rows()).toEqual([[1, 2, 0]]);
  await world.makeCold('turns', 0, 1);
  config['lake.value.format'] = 'string';
  add('{"n":2,"x":"text"}');
  expect(await rows()).toEqual([
    [1, 2, 0],
    [null, null, 1],
  ]);
  await world.makeCold('turns', 0, 2);
  config['lake.value.format'] = 'bytes';
  add('{"n":3}');
  config['lake.value.format'] = 'json';
  add('{"n":4,"x":"text","late":true}');
  // What was hot all the time goes by the format of now.
  const now = [
    [1, '2', 0],
    [null, null, 1],
    [3, null, 2],
    [4, 'text', 3],
  ];
  expect(await rows()).toEqual(now);
  await world.makeCold('turns', 0, 4);
  expect(await rows()).toEqual(now);
  config['lake.value.format'] = 'bytes';
  expect(await rows()).toEqual(now);
  const described = (await world.ask('DESCRIBE turns')).rows;
  expect(described.slice(0, 3).map(([name, type, , , kinds]) => [name, type, kinds])).toEqual([
    ['late', 'BOOLEAN', 'bool'],
    ['n', 'BIGINT', 'long'],
    ['x', 'VARCHAR', 'long, text'],
  ]);
  const joined = await world.ask('SELECT t._offset, t.x, s.x FROM turns t JOIN steady s ON t.n = s.n');
  expect(joined.rows).toEqual([[0, '2', 'other']]);
});

it('is for a token what it was when the answer was given', async () => {
  await using world = await QueryWorld.open({ workers: inlineColumnWorkers, lastRowsFileBytesMin: 0 });
  const config: Record<string, string> = {};
  world.createTopic('repeated', 1, config);
  const add = (n: number): void =>
    world.append('repeated', 0, [{ timestampMs: t0, key: `k${n}`, value: n === 3 ? '{"x":3}' : `{"n":${n}}` }]);
  for (let n = 0; n < 4; n++) add(n);
  await world.makeCold('repeated', 0, 1);
  const whole = 'SELECT n, x, _offset FROM repeated ORDER BY _offset';
  const latest = 'SELECT text(_key), n FROM latest(repeated) ORDER BY 1';
  const ask = async (sql: string, asOf?: string) => {
    const { rows, columns, token } = await world.ask({ sql, ...(asOf === undefined ? {} : { asOf }) });
    return { rows, columns, token };
  };
  const typed = [await ask(whole), await ask(latest)];
  expect(typed[0]!.rows).toEqual([
    [0, null, 0],
    [1, null, 1],
    [2, null, 2],
    [null, 3, 3],
  ]);
  config['lake.value.format'] = 'string';
  const untyped = [await ask('SELECT n, _offset FROM repeated ORDER BY _offset'), await ask(latest)];
  expect(untyped[0]!.rows).toEqual([
    [0, 0],
    [null, 1],
    [null, 2],
    [null, 3],
  ]);
  const repeat = async (): Promise<void> => {
    for (const [at, sql] of [whole, latest].entries()) expect(await ask(sql, typed[at]!.token)).toEqual(typed[at]);
    for (const [at, sql] of ['SELECT n, _offset FROM repeated ORDER BY _offset', latest].entries())
      expect(await ask(sql, untyped[at]!.token)).toEqual(untyped[at]);
    await world.service.settled();
  };
  await repeat();
  // Some are stored without columns, some with; then both in one file; and hot ones go by either format.
  await world.makeCold('repeated', 0, 2);
  await repeat();
  config['lake.value.format'] = 'auto';
  await repeat();
  await world.makeCold('repeated', 0, 4, 1);
  await repeat();
  await repeat();
  expect(await world.compact('repeated', 0, 4)).toBe(true);
  // A service that knows the table as it is now.
  await world.reopen();
  await repeat();
  await repeat();
  // What is asked now is as it is stored.
  expect((await ask(whole)).rows.map(([n, x]) => [n, x])).toEqual([
    [0, null],
    [null, null],
    [2, null],
    [null, 3],
  ]);
});
