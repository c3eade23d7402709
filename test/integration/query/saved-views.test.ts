import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SavedView } from '../../../src/control/index.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

const t0 = Date.parse('2001-01-01T00:00:00Z');
const never = new AbortController().signal;

function view(name: string, sql: string): SavedView {
  return { name, sql, savedMs: t0 };
}

describe('a saved view', () => {
  let world: QueryWorld;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers });
    world.createTopic('flights', 2);
    for (let partition = 0; partition < 2; partition++) {
      world.append(
        'flights',
        partition,
        Array.from({ length: 40 }, (_, n) => ({
          timestampMs: t0 + n * 3_600_000,
          key: `k${n % 5}`,
          value: JSON.stringify({ n, delay: n % 7 }),
        })),
      );
      await world.makeCold('flights', partition, 30, 10);
    }
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });
  const save = (...views: readonly SavedView[]): void => {
    world.views.splice(0, world.views.length, ...views);
  };

  it('answers as its text would, over both tiers, also through another view and joined with a topic', async () => {
    save(
      view('late', 'SELECT *, n * 2 AS twice FROM flights WHERE delay > 3;  -- comment at the end'),
      view('later', 'WITH l AS (SELECT * FROM "LATE") SELECT _partition_id, _offset, twice FROM l WHERE n > 20'),
    );
    const plain = await world.ask('SELECT _partition_id, _offset, n * 2 AS twice FROM flights WHERE delay > 3 AND n > 20 ORDER BY ALL');
    const viewed = await world.ask('SELECT * FROM Later ORDER BY ALL');
    expect(viewed.rows).toEqual(plain.rows);
    expect(viewed.columns).toEqual(plain.columns);
    expect(viewed.rows.length).toBeGreaterThan(5);
    const joined = await world.ask('SELECT count(*) FROM later JOIN flights USING (_partition_id, _offset)');
    expect(joined.rows).toEqual([[plain.rows.length]]);
  });

  it('is pruned as its text would be', async () => {
    save(view('recent', "SELECT * FROM flights WHERE _timestamp >= '2001-01-01T00:00:00Z'"));
    const { rows, stats } = await world.ask('SELECT count(*) FROM recent WHERE _offset < 10 AND _partition_id = 1');
    expect(rows).toEqual([[10]]);
    expect(stats).toMatchObject({ cold_files: 0, metadata_files: 1, pruned_files: 5 });
    const bound = await world.ask({ sql: 'SELECT count(*) FROM recent WHERE _offset < $1', params: [10] });
    expect(bound.rows).toEqual([[20]]);
    expect(bound.stats).toMatchObject({ cold_files: 0, metadata_files: 2, pruned_files: 4 });
  });

  it('is covered by the token', async () => {
    save(view('counted', 'SELECT count(*) AS records FROM flights'));
    const first = await world.ask('SELECT * FROM counted');
    world.append('flights', 0, [{ timestampMs: t0, key: 'k', value: '{}' }]);
    expect((await world.ask('SELECT * FROM counted')).rows).toEqual([[Number(first.rows[0]?.[0]) + 1]]);
    expect((await world.ask({ sql: 'SELECT * FROM counted', asOf: first.token })).rows).toEqual(first.rows);
  });

  it('may read the tables of the service, which list it', async () => {
    save(view('topics', 'SELECT topic, partitions FROM system.topics'));
    expect((await world.ask('SELECT * FROM topics')).rows).toEqual([['flights', 2]]);
    expect((await world.ask('SELECT view, sql, saved FROM system.views')).rows).toMatchObject([
      ['topics', 'SELECT topic, partitions FROM system.topics', expect.stringContaining('2001-01-01')],
    ]);
  });

  it('tells its columns without reading a file, and they grow with those of its topic', async () => {
    save();
    world.createTopic('grows');
    const sql = 'SELECT * FROM grows';
    world.append('grows', 0, [{ timestampMs: t0, value: '{"a":1}' }]);
    const names = async (): Promise<string[]> => (await world.service.columnsOfView(view('g', sql), never)).map(({ name }) => name);
    expect(await names()).toEqual(['a', '_key', '_timestamp', '_partition_id', '_offset', '_headers', '_value']);
    world.append('grows', 0, [{ timestampMs: t0, value: '{"b":"text"}' }]);
    expect((await names()).slice(0, 2)).toEqual(['a', 'b']);
    expect(world.service.list().at(-1)).toMatchObject({ state: 'done', rows: 0 });
  });

  it('that columns have grown out of says why', async () => {
    world.createTopic('clash');
    world.append('clash', 0, [{ timestampMs: t0, value: '{"a":1}' }]);
    const using = view('using', 'SELECT l.b FROM clash JOIN (SELECT 1 AS b) AS l ON true WHERE b = 1');
    save(using);
    expect((await world.ask('SELECT * FROM "using"')).rows).toEqual([[1]]);
    world.append('clash', 0, [{ timestampMs: t0, value: '{"b":2}' }]);
    const failure = {
      code: 'view-invalid',
      message: expect.stringMatching(/the view using cannot be used: .*Ambiguous/s),
      facts: { view: 'using' },
    };
    await expect(world.ask('SELECT * FROM "using"')).rejects.toMatchObject(failure);
    await expect(world.service.columnsOfView(using, never)).rejects.toMatchObject(failure);
    // The engine is none the worse for it.
    expect((await world.ask('SELECT count(*) FROM clash')).rows).toEqual([[2]]);
  });

  it.each([
    ['a file', "SELECT * FROM read_csv('/etc/passwd')", /read_csv is not allowed/, 'query-forbidden'],
    ['a file by its name', "SELECT * FROM '/etc/passwd'", /neither a topic nor a view \/etc\/passwd/, 'view-invalid'],
    ['a function of the service', "SELECT getenv('HOME')", /getenv is not allowed/, 'query-forbidden'],
    ['another statement', 'DROP TABLE flights', /only SELECT/, 'query-forbidden'],
    ['several statements', 'SELECT 1; SELECT 2', /2 statements/, 'query-forbidden'],
    ['a parameter', 'SELECT * FROM flights WHERE n = $1', /it has parameters/, 'view-invalid'],
    ['a table that is not there', 'SELECT * FROM flight', /neither a topic nor a view flight; did you mean flights/, 'view-invalid'],
    ['itself', 'SELECT * FROM tried', /in a circle \(tried → tried\)/, 'view-invalid'],
    ['latest of a view', 'SELECT * FROM latest(fine)', /latest takes a topic/, 'view-invalid'],
    ['a column that is not there', 'SELECT nothing FROM fine', /Referenced column "nothing" not found/, 'view-invalid'],
  ])('is refused where it reads %s', async (_, sql, message, code) => {
    save(view('fine', 'SELECT * FROM flights'));
    await expect(world.service.columnsOfView(view('tried', sql), never)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('is refused in a circle, too deep, and where views name views too often', async () => {
    save(view('a', 'SELECT * FROM b'), view('b', 'SELECT * FROM c'));
    await expect(world.service.columnsOfView(view('c', 'SELECT * FROM a'), never)).rejects.toMatchObject({
      message: expect.stringContaining('c → a → b → c'),
    });
    const chain = (length: number, sql: (below: string) => string): SavedView[] =>
      Array.from({ length }, (_, at) => view(`v${at}`, at === 0 ? 'SELECT 1 AS x' : sql(`v${at - 1}`)));
    save(...chain(16, (below) => `SELECT * FROM ${below}`));
    expect((await world.ask('SELECT * FROM v15')).rows).toEqual([[1]]);
    save(...chain(17, (below) => `SELECT * FROM ${below}`));
    await expect(world.ask('SELECT * FROM v16')).rejects.toMatchObject({
      code: 'view-invalid',
      message: expect.stringContaining('16 deep'),
    });
    save(...chain(12, (below) => `SELECT a.x FROM ${below} a, ${below} b`));
    await expect(world.ask('SELECT * FROM v11')).rejects.toMatchObject({ code: 'query-too-large' });
  });
});
