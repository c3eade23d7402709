// How many requests a question of a bucket takes: this number decides what the first one costs.
import { rename } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/index.js';
import { MemoryStore } from '../../../src/objects/index.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

describe('a question that nothing is kept for', () => {
  const files = 4;
  let world: QueryWorld;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers, store: new MemoryStore({ clock: systemClock }), coldWholeBytesMax: 0 });
    world.createTopic('log');
    const records = Array.from({ length: files * 20 }, (_, at) => ({
      timestampMs: at,
      key: `k${at % 7}`,
      value: `{"x":${at},"y":"${'abc'.repeat(100)}${at}"}`,
    }));
    world.append('log', 0, records);
    await world.makeCold('log', 0, files * 20, 20);
  });
  afterAll(() => world[Symbol.asyncDispose]());

  it('costs a request for each file, and none for footers: they came when the table was loaded', async () => {
    expect((await world.ask('SELECT count(*) FROM log')).stats).toMatchObject({ metadata_files: files, requests: 0 });
    await world.service.settled();
    const asked = await world.ask('SELECT sum(x) FROM log WHERE _timestamp >= to_timestamp(0)');
    expect(asked.rows).toEqual([[((files * 20 - 1) * files * 20) / 2]]);
    expect(asked.stats).toMatchObject({ cold_files: files, requests: files });
    const again = await world.ask('SELECT sum(x) + 1 FROM log WHERE _timestamp >= to_timestamp(0)');
    expect(again.stats).toMatchObject({ cold_files: files, requests: 0 });
  });

  it('finds those of files that came since as well', async () => {
    const from = world.partition('log', 0).endOffset;
    world.append(
      'log',
      0,
      Array.from({ length: 20 }, (_, at) => ({ timestampMs: from + at, value: `{"x":1,"z":"${'abc'.repeat(100)}"}` })),
    );
    await world.makeCold('log', 0, from + 20);
    await world.ask('SELECT count(*) FROM log');
    await world.service.settled();
    const { rows, stats } = await world.ask(`SELECT sum(x) FROM log WHERE _offset >= ${from}`);
    expect(rows).toEqual([[20]]);
    expect(stats).toMatchObject({ cold_files: 1, requests: 1 });
  });
});

describe('a question of a directory', () => {
  it('says which file is gone, and answers again when it is back', async () => {
    await using world = await QueryWorld.open({ workers: inlineColumnWorkers });
    world.createTopic('log');
    world.append('log', 0, [{ timestampMs: 1, value: '{"x":7}' }]);
    await world.makeCold('log', 0, 1);
    const sql = 'SELECT x FROM log WHERE _offset = 0';
    expect((await world.ask(sql)).rows).toEqual([[7]]);
    const [{ key } = { key: '' }] = (await world.topic('log').table.load()).files;
    const path = world.store.localPath(key) ?? '';
    await rename(path, `${path}.away`);
    await expect(world.ask(sql)).rejects.toMatchObject({ code: 'cold-unavailable', facts: { key } });
    await rename(`${path}.away`, path);
    expect((await world.ask(sql)).rows).toEqual([[7]]);
  });
});
