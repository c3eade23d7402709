import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

const hourMs = 3_600_000;

describe('what metadata answers', () => {
  let world: QueryWorld;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers });
    world.createTopic('log', 2);
    for (let partition = 0; partition < 2; partition++) {
      for (let batch = 0; batch < 6; batch++) {
        const records = Array.from({ length: 10 }, (_, at) => ({ timestampMs: hourMs * (batch * 10 + at), key: 'k', value: '{"x":1}' }));
        world.append('log', partition, records);
      }
      await world.makeCold('log', partition, 50, 10);
    }
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const asked = async (sql: string) => {
    const { rows, stats } = await world.ask(sql);
    return [rows, stats.metadata_files, stats.cold_files];
  };

  it('is not read again: numbers of rows, and the smallest and largest offset, time and partition', async () => {
    expect(await asked('SELECT count(*) FROM log')).toEqual([[[120]], 10, 0]);
    expect(await asked('SELECT count(1), count(_offset), count(_timestamp) FROM log')).toEqual([[[120, 120, 120]], 10, 0]);
    expect(await asked('SELECT min(_offset), max(_offset), epoch_ms(min(_timestamp)), epoch_ms(max(_timestamp)) FROM log')).toEqual([
      [[0, 59, 0, 59 * hourMs]],
      10,
      0,
    ]);
    expect(await asked('SELECT _partition_id AS p, count(*), max(_offset) FROM log GROUP BY p HAVING count(*) > 1 ORDER BY p')).toEqual([
      [
        [0, 60, 59],
        [1, 60, 59],
      ],
      10,
      0,
    ]);
    expect(await asked('SELECT (SELECT count(*) FROM log), (SELECT max(_offset) + 1 FROM log WHERE _partition_id = 1)')).toEqual([
      [[120, 60]],
      10,
      0,
    ]);
  });

  it('is of files that count whole: the others, and the tail, are read', async () => {
    expect(await asked('SELECT count(*) FROM log WHERE _offset >= 15 AND _partition_id IN (0, 1)')).toEqual([[[90]], 6, 2]);
    expect(await asked("SELECT count(*) FROM log WHERE _timestamp >= '1970-01-01 10:00' AND _timestamp < '1970-01-02 11:00'")).toEqual([
      [[50]],
      4,
      2,
    ]);
    expect(await asked("SELECT count(*) FROM log WHERE _timestamp > '1970-01-01 09:00:00.0005'")).toEqual([[[100]], 8, 2]);
    expect(await asked('SELECT count(*) FROM log WHERE _offset > 10 AND _offset < 49 AND _partition_id = 0')).toEqual([[[38]], 2, 2]);
    const { token } = await world.ask('SELECT count(*) FROM log');
    const state = world.partition('log', 0);
    state.logStartOffset = 25;
    try {
      expect(await asked('SELECT count(*), min(_offset) FROM log WHERE _partition_id = 0')).toEqual([[[35, 25]], 2, 1]);
    } finally {
      state.logStartOffset = 0;
    }
    expect((await world.ask({ sql: 'SELECT count(*) FROM log', asOf: token })).stats.metadata_files).toBe(10);
  });

  it('is nothing where the rows themselves are looked at', async () => {
    for (const sql of [
      'SELECT count(DISTINCT _offset) FROM log',
      'SELECT count(*) FILTER (WHERE _offset > 3) FROM log',
      'SELECT count(*) FROM log WHERE _offset % 2 = 0',
      "SELECT count(*) FROM log WHERE _key = 'k'",
      'SELECT count(*) FROM log WHERE x = 1',
      'SELECT count(_key) FROM log',
      'SELECT sum(_offset) FROM log',
      'SELECT max(_offset + 1) FROM log',
      'SELECT _offset, count(*) FROM log GROUP BY _offset',
      'SELECT count(*) FROM log TABLESAMPLE 50 ROWS',
      'SELECT count(*) FROM (SELECT * FROM log LIMIT 30)',
      'SELECT count(*) FROM log a JOIN log b USING (_offset)',
      'SELECT max(_offset) FROM log UNION ALL SELECT x FROM log',
      'SELECT count(*) OVER () FROM log',
    ]) {
      const { stats } = await world.ask(sql);
      expect({ sql, files: stats.metadata_files }).toEqual({ sql, files: 0 });
    }
  });

  it('knows rows by their own offsets where a file stands for more', async () => {
    world.createTopic('gaps');
    world.partition('gaps', 0).endOffset = 3;
    world.append('gaps', 0, [{ timestampMs: 1 }, { timestampMs: 2 }]);
    world.partition('gaps', 0).endOffset = 9;
    world.append('gaps', 0, [{ timestampMs: 3 }]);
    await world.makeCold('gaps', 0, 8);
    expect(await asked('SELECT count(*), min(_offset) FROM gaps')).toEqual([[[3, 3]], 1, 0]);
    expect(await asked('SELECT max(_offset) FROM gaps WHERE _offset < 6')).toEqual([[[4]], 1, 0]);
  });

  it('counts clamped times as the column has them', async () => {
    world.createTopic('far');
    world.append('far', 0, [{ timestampMs: -70_000_000_000_000 }, { timestampMs: 5 }]);
    await world.makeCold('far', 0, 2);
    const [rows, answered] = await asked('SELECT min(_timestamp)::VARCHAR, max(_timestamp)::VARCHAR FROM far');
    const [read] = await asked('SELECT min(_timestamp)::VARCHAR, max(_timestamp)::VARCHAR FROM far WHERE octet_length(_value) IS NULL');
    expect(rows).toEqual(read);
    expect(answered).toBeLessThanOrEqual(1);
  });

  it('is told by EXPLAIN', async () => {
    const { columns, rows } = await world.ask('EXPLAIN SELECT count(*) FROM log WHERE _offset >= 15');
    const names = columns.map(({ name }) => name);
    const cold = rows.find((row) => row[names.indexOf('tier')] === 'cold');
    const at = (name: string): unknown => cold?.[names.indexOf(name)];
    expect([at('files'), at('pruned'), at('pruned_by')]).toEqual([1, 4, 'offset 1, answered from metadata 3']);
  });
});
