import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

describe('the first and last rows', () => {
  let world: QueryWorld;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers });
    world.createTopic('log', 2);
    for (let partition = 0; partition < 2; partition++) {
      for (let batch = 0; batch < 10; batch++) {
        world.append(
          'log',
          partition,
          Array.from({ length: 10 }, (_, at) => ({ timestampMs: 1000 * (batch * 10 + at), value: '{"x":1}' })),
        );
      }
      await world.makeCold('log', partition, 90 + 10 * partition, 10);
    }
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const files = async (sql: string): Promise<number> => (await world.ask(sql)).stats.cold_files;

  it('are read from the files that can hold them', async () => {
    expect(await files('SELECT * FROM log LIMIT 10')).toBe(1);
    expect(await files('SELECT * FROM log LIMIT 15 OFFSET 10')).toBe(3);
    // Partition 0 has its last ten rows in the tail.
    expect(await files('SELECT * FROM log ORDER BY _offset DESC LIMIT 5')).toBe(1);
    expect(await files('SELECT _offset, x + 1 FROM log WHERE _partition_id = 0 ORDER BY _offset DESC LIMIT 10')).toBe(0);
    expect(await files('SELECT * FROM (SELECT x, _timestamp AS t FROM log) ORDER BY t LIMIT 3')).toBe(2);
    expect(await files('SELECT * FROM log ORDER BY _timestamp DESC LIMIT 30')).toBe(3);
  });

  it('are looked for in all files where what is between may drop rows', async () => {
    for (const sql of [
      'SELECT * FROM log WHERE x > 0 LIMIT 10',
      'SELECT DISTINCT x FROM log LIMIT 10',
      'SELECT x FROM log ORDER BY x, _offset LIMIT 10',
      'SELECT x FROM log ORDER BY _offset + 1 DESC LIMIT 10',
      'SELECT count(DISTINCT _offset) FROM log LIMIT 10',
      'SELECT x, sum(x) OVER (ORDER BY _offset) FROM log ORDER BY _offset DESC LIMIT 10',
      'SELECT a.x FROM log a JOIN log b USING (_offset) LIMIT 10',
    ]) {
      expect({ sql, files: await files(sql) }).toEqual({ sql, files: 19 });
    }
  });

  it('are, for records in order, those of the first files', async () => {
    const records = await world.service.records({ topic: 'log', order: 'offset', limit: 12 }, new AbortController().signal);
    let text = '';
    for await (const lines of records.lines) text += lines;
    expect(text.trimEnd().split('\n')).toHaveLength(12);
    expect(records.stats().cold_files).toBe(2);
  });
});
