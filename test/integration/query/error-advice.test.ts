import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LakeError } from '../../../src/kernel/index.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

let world: QueryWorld;
beforeAll(async () => {
  world = await QueryWorld.open({ workers: inlineColumnWorkers });
  world.createTopic('flights');
  const value = JSON.stringify({ origin: 'x', delay: 1, seat: { row: 3 } });
  world.append('flights', 0, [{ timestampMs: 1, value }]);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

async function errorOf(request: Parameters<QueryWorld['ask']>[0]): Promise<LakeError> {
  return world.ask(request).then(
    () => {
      throw new Error('it was answered');
    },
    (error: LakeError) => error,
  );
}

describe('an error of a query', () => {
  it.each([
    ['SELECT orgin FROM flights', 1, 8, 'orgin'],
    ["SELECT '日本', orgin FROM flights", 1, 14, 'orgin'],
    ['SELECT 1,\n  orgin\nFROM flights', 2, 3, 'orgin'],
    ['SELECT count(*)\nFROM flghts', 2, 6, 'flghts'],
    ['SELECT * FROM system.topcs', 1, 15, 'system.topcs'],
    ['DESCRIBE SELECT orgin FROM flights', 1, 17, 'orgin'],
    ['SELECT sum(delay\nFROM flights', 2, 1, 'FROM'],
    ['SELECT * FROM flights WHERE', 1, 28, '* FROM flights WHERE'],
    ["SELECT getenv('HOME')", 1, 8, 'getenv'],
    ['SELECT delay + origin FROM flights', 1, 14, '+'],
  ])('says where it is: %j', async (sql, line, column, near) => {
    const { facts } = await errorOf(sql);
    expect({ line: facts['line'], column: facts['column'] }).toEqual({ line, column });
    expect(String(facts['near'])).toContain(near);
  });

  it('says where it is in the text as given, though parameters were put into it', async () => {
    const error = await errorOf({
      sql: 'SELECT $1, $2 || orgin FROM flights',
      params: ['a long text in the place of two characters', 'x'],
    });
    expect(error.facts).toMatchObject({ line: 1, column: 18, near: 'orgin' });
  });

  it.each([
    ['SELECT orgin FROM flights', 'Did you mean origin?'],
    ['SELECT f.orgin FROM flights f', 'Did you mean origin?'],
    ['SELECT timestamp FROM flights', 'Did you mean _timestamp?'],
    ['SELECT count(*) FROM flghts', 'Did you mean flights?'],
    ['SELECT * FROM system.topcs', 'Did you mean system.topics?'],
    ['SELECT cout(*) FROM flights', 'Did you mean count?'],
    ['SELECT flight.origin FROM flights', 'Did you mean flights?'],
    ['SELECT cast(1 AS strng)', 'Did you mean string?'],
    ['SELECT wind FROM flights', 'DESCRIBE and the name of a topic list its columns: the fields of the values that it keeps.'],
    ['SELECT seat.row FROM flights', "Nested values are kept as JSON text: write seat->>'row'."],
    ['SELECT origin, count(*) FROM flights', 'Add "origin" to GROUP BY, or take any_value("origin").'],
    ['SELECT * FROM flights WHERE delay >', 'The statement ends too early: something is missing, or a bracket is not closed.'],
    ["SELECT * FROM flights WHERE _value LIKE 'a%'", 'The column is bytes: write text(column).'],
    ['SELECT origin::INT FROM flights', 'TRY_CAST(… AS type) gives NULL where a value does not fit.'],
  ])('says what to do: %s', async (sql, hint) => {
    const error = await errorOf(sql);
    expect(error.hint?.replaceAll('"seat"', 'seat')).toBe(hint);
  });

  it('knows a text in double quotes', async () => {
    expect((await errorOf('SELECT * FROM flights WHERE origin = "ORD"')).hint).toContain('A text stands in single quotes');
  });

  it('lists the forms of a function, not all of them', async () => {
    const { hint } = await errorOf("SELECT date_trunc('hour') FROM flights");
    expect(hint).toContain('date_trunc(VARCHAR, DATE) -> TIMESTAMP; ');
    expect((hint ?? '').length).toBeLessThan(400);
  });

  it('tells a column that came after the snapshot from one that is nowhere', async () => {
    const { token } = await world.ask('SELECT count(*) FROM flights');
    world.append('flights', 0, [{ timestampMs: 2, value: '{"gate":"B12"}' }]);
    expect((await world.ask('SELECT gate FROM flights')).rows).toHaveLength(2);
    const error = await errorOf({ sql: 'SELECT Gate FROM flights', asOf: token });
    expect(error.hint).toBe('The column came into flights after the snapshot that as_of names: ask without as_of.');
    expect((await errorOf({ sql: 'SELECT gaet FROM flights' })).hint).toBe('Did you mean gate?');
  });
});
