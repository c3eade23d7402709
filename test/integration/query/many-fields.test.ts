// Topics whose values have more fields than a table has columns: both tiers show the same ones, in bounded time and memory.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { maxTypedColumns } from '../../../src/columns/index.js';
import { MiB } from '../../../src/kernel/index.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { type Answered, QueryWorld } from '../../support/query-world.js';

const t0 = Date.parse('2001-01-01T00:00:00Z');
const nameOf = (at: number): string => `f${String(at).padStart(5, '0')}`;
const fields = (from: number, count: number): string =>
  `{${Array.from({ length: count }, (_, at) => `"${nameOf(from + at)}":${from + at}`).join(',')}}`;
const records = (values: readonly string[]) => values.map((value) => ({ timestampMs: t0, value }));
const seen = ({ columns, rows }: Answered): unknown => ({ columns, rows });

describe('a topic of 10,000 fields', () => {
  let world: QueryWorld;
  beforeAll(async () => {
    // Half of what a query may have where nothing is configured.
    const limits = { memoryBytes: 512 * MiB };
    world = await QueryWorld.open({ workers: inlineColumnWorkers, tailEncodeBytesMin: Number.POSITIVE_INFINITY, limits });
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const questions = (topic: string): string[] => [
    `SELECT * FROM ${topic} ORDER BY _offset LIMIT 3`,
    `SELECT ${nameOf(999)}, _offset FROM ${topic} ORDER BY _offset`,
    `SELECT _offset FROM ${topic} WHERE ${nameOf(7)} = 7 ORDER BY _offset`,
    `SELECT count(*), sum(${nameOf(1)}) FROM ${topic}`,
    `SELECT max(text(_value)->>'${nameOf(9999)}') FROM ${topic}`,
  ];

  it.each([
    ['in one record', [fields(0, 10_000), '{"zz":1,"f00001":5}']],
    ['over many records', Array.from({ length: 500 }, (_, at) => fields(at * 20, 20))],
  ])('answers the same hot and cold, %s', async (where, values) => {
    const topic = where.replaceAll(' ', '_');
    world.createTopic(topic);
    world.append(topic, 0, records(values));
    const hot = [];
    for (const question of questions(topic)) hot.push(seen(await world.ask(question)));
    const described = (await world.ask(`DESCRIBE ${topic}`)).rows.map(([name]) => name);
    expect(described.slice(0, maxTypedColumns)).toEqual(Array.from({ length: maxTypedColumns }, (_, at) => nameOf(at)));
    await world.makeCold(topic, 0, values.length);
    for (const [at, question] of questions(topic).entries()) {
      expect({ question, answer: seen(await world.ask(question)) }).toEqual({ question, answer: hot[at] });
    }
    expect((await world.ask(`DESCRIBE ${topic}`)).rows.map(([name]) => name)).toEqual(described);
  });

  it('says how to read a field that became no column', async () => {
    const refusal = world.ask('SELECT zz FROM in_one_record');
    await expect(refusal).rejects.toMatchObject({ code: 'query-invalid' });
    const { hint } = (await refusal.catch((error: unknown) => error)) as { hint: string };
    expect(hint).toContain(`the ${maxTypedColumns} that become columns`);
    const expression = /text\(.*'/.exec(hint)?.[0] ?? '';
    expect((await world.ask(`SELECT ${expression} FROM in_one_record ORDER BY _offset`)).rows).toEqual([[null], ['1']]);
  });

  it('keeps the columns of a token that the table had no room for', async () => {
    world.createTopic('crowded');
    world.append('crowded', 0, records(['{"zz":7}', '{"zz":8}']));
    const { rows, token } = await world.ask('SELECT * FROM crowded ORDER BY _offset');
    world.append('crowded', 0, records([fields(0, maxTypedColumns)]));
    const topic = world.topic('crowded');
    const pairs = Array.from({ length: maxTypedColumns }, (_, at) => ({ name: nameOf(at), kind: 'long' as const }));
    world.fillColumns('crowded', pairs);
    await world.makeCold('crowded', 0, 3);
    expect(topic.columns.some(({ name }) => name === 'zz')).toBe(false);
    expect((await world.ask({ sql: 'SELECT * FROM crowded ORDER BY _offset', asOf: token })).rows).toEqual(rows);
    expect((await world.ask({ sql: 'SELECT _offset FROM crowded WHERE zz = 8', asOf: token })).rows).toEqual([[1]]);
  });

  it('encodes chunks of the tail with as many columns as a table, and computes the others', async () => {
    await using encoding = await QueryWorld.open({ workers: inlineColumnWorkers, tailEncodeBytesMin: 1 });
    encoding.createTopic('wide');
    encoding.append('wide', 0, records(['{"zz":1}']));
    await encoding.makeCold('wide', 0, 1);
    // The table has a column that the chunk, which takes its first fields, leaves out.
    encoding.append('wide', 0, records([`{"zz":3,${fields(0, 1500).slice(1)}`, '{"zz":4}']));
    const question = `SELECT zz, ${nameOf(3)}, _offset FROM wide ORDER BY _offset`;
    const raw = await encoding.ask(question);
    expect(raw.rows).toEqual([
      [1, null, 0],
      [3, 3, 1],
      [4, null, 2],
    ]);
    await encoding.encoded();
    expect(seen(await encoding.ask(question))).toEqual(seen(raw));
    expect(encoding.service.metricsSnapshot()).toMatchObject({ tailChunks: 1, tailEncodedChunks: 1 });
  });
});
