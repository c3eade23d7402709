import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/index.js';
import { MemoryStore } from '../../../src/objects/index.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

describe('EXPLAIN', () => {
  let world: QueryWorld;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers, store: new MemoryStore({ clock: systemClock }), coldWholeBytesMax: 0 });
    world.createTopic('log', 2);
    for (let partition = 0; partition < 2; partition++) {
      for (let batch = 0; batch < 5; batch++) {
        const records = Array.from({ length: 10 }, (_, at) => ({
          timestampMs: 3_600_000 * (batch * 10 + at),
          key: `k${batch}`,
          value: `{"x":${at},"long":"${'abc'.repeat(100)}${at}"}`,
        }));
        world.append('log', partition, records);
      }
      await world.makeCold('log', partition, 40, 10);
    }
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const explain = async (sql: string) => {
    const { columns, rows, stats } = await world.ask(`EXPLAIN ${sql}`);
    const named = rows.map((row) => Object.fromEntries(columns.map(({ name }, at) => [name, row[at]])));
    return { rows: named as Record<string, string | number | null>[], stats };
  };
  const cold = async (sql: string, partition = 0) =>
    (await explain(sql)).rows.find((row) => row['tier'] === 'cold' && row['partition'] === partition)!;

  it('tells files kept and pruned, and why, of each tier and partition', async () => {
    const { rows, stats } = await explain("SELECT sum(x) FROM log WHERE _partition_id = 0 AND _timestamp >= '1970-01-02 06:00:00'");
    expect(rows.map(({ topic, tier, partition, files, pruned, pruned_by: by }) => [topic, tier, partition, files, pruned, by])).toEqual([
      ['log', 'cold', 0, 1, 3, 'time 3'],
      ['log', 'hot', 0, 1, 0, null],
      ['log', 'cold', 1, 0, 4, 'partition 4'],
      ['log', 'hot', 1, 0, 1, null],
    ]);
    expect(rows[0]).toMatchObject({ rows: 10, row_groups: 1, columns: '_partition_id, _timestamp, x' });
    expect(stats.cold_files).toBe(0);
  });

  it('tells what has to come from the bucket, and afterwards that it is here', async () => {
    const sql = "SELECT sum(x) FROM log WHERE _key = 'k2' AND _partition_id = 1";
    const before = await cold(sql, 1);
    expect(before).toMatchObject({ files: 1, pruned: 3, pruned_by: 'key 3', cached_bytes: 0 });
    const { stats } = await world.ask(sql);
    expect(stats.read_bytes).toBe(before['fetch_bytes']);
    expect(stats.requests).toBe(before['requests']);
    expect(stats.cold_bytes).toBe(before['bytes']);
    expect(await cold(sql, 1)).toMatchObject({ fetch_bytes: 0, requests: 0, bytes: stats.cold_bytes, cached_bytes: stats.cold_bytes });
  });

  it('tells of rows that a LIMIT, the log start or a token leave out', async () => {
    expect(await cold('SELECT * FROM log ORDER BY _offset DESC LIMIT 5')).toMatchObject({ files: 0, pruned_by: 'limit 4' });
    world.createTopic('short');
    world.append('short', 0, [{ timestampMs: 1 }, { timestampMs: 2 }]);
    await world.makeCold('short', 0, 2, 1);
    const { token } = await world.ask('SELECT count(*) FROM short');
    world.append('short', 0, [{ timestampMs: 3 }]);
    await world.makeCold('short', 0, 3, 1);
    world.partition('short', 0).logStartOffset = 1;
    expect(await cold('SELECT * FROM short')).toMatchObject({ files: 2, pruned_by: 'log start 1' });
    world.partition('short', 0).logStartOffset = 0;
    const { rows } = await world.ask({ sql: 'EXPLAIN SELECT * FROM short', asOf: token });
    expect(rows[0]?.[5]).toBe('as of 1');
  });

  it('passes the gate that a SELECT passes, and has no rows where no topic is read', async () => {
    expect((await explain('SELECT 1')).rows).toEqual([]);
    await expect(explain("SELECT * FROM read_text('/etc/passwd')")).rejects.toMatchObject({ code: 'query-forbidden' });
    await expect(explain('SELECT * FROM nothing')).rejects.toMatchObject({ code: 'topic-unknown' });
    await expect(explain('DELETE FROM log')).rejects.toMatchObject({ code: 'query-forbidden' });
  });
});
