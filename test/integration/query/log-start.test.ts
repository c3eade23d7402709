import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { QueryRecord } from '../../../src/query/index.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

describe('the log start, for SQL and records', () => {
  let world: QueryWorld;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers, limits: { concurrency: 2 } });
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  /** 100 records in batches of ten, below `cold` in files of 20. */
  async function topic(name: string, cold: number): Promise<void> {
    world.createTopic(name);
    for (let batch = 0; batch < 10; batch++) {
      const records = Array.from({ length: 10 }, (_, at) => ({ timestampMs: 1000 + batch * 10 + at, value: `{"n":${batch * 10 + at}}` }));
      world.append(name, 0, records);
    }
    await world.makeCold(name, 0, cold, 20);
  }

  async function offsets(name: string): Promise<unknown> {
    const { rows } = await world.ask(`SELECT min(_offset), min(n), count(*), count(n) FROM ${name}`);
    return rows[0]?.map(Number);
  }

  async function firstRecord(name: string): Promise<number> {
    const { lines } = await world.service.records({ topic: name, order: 'offset', limit: 1 }, new AbortController().signal);
    let text = '';
    for await (const line of lines) text += line;
    return (JSON.parse(text) as QueryRecord).offset;
  }

  it('hides rows at once wherever it falls: between files, into a file, at the boundary, into the tail', async () => {
    await topic('walk', 60);
    for (const start of [20, 31, 60, 75, 99]) {
      world.partition('walk', 0).logStartOffset = start;
      expect(await offsets('walk')).toEqual([start, start, 100 - start, 100 - start]);
      expect(await firstRecord('walk')).toBe(start);
      const { rows } = await world.ask(`SELECT log_start FROM system.partitions WHERE topic = 'walk'`);
      expect(rows.map(([value]) => Number(value))).toEqual([start]);
    }
  });

  it('is the table’s where that is the higher one, and the broker has not heard yet', async () => {
    await topic('ahead', 60);
    expect(await offsets('ahead')).toEqual([0, 0, 100, 100]);
    await world.raiseLogStart('ahead', 0, 47);
    // The snapshot that is known stays usable; a newer one is asked for when the boundary moves.
    await world.makeCold('ahead', 0, 80, 20);
    expect(await offsets('ahead')).toEqual([47, 47, 53, 53]);
    expect(await firstRecord('ahead')).toBe(47);
    const { rows } = await world.ask(`SELECT log_start FROM system.partitions WHERE topic = 'ahead'`);
    expect(Number(rows[0]?.[0])).toBe(47);
  });

  it('does not ask the bucket again and again where it lies above the table’s boundary', async () => {
    await topic('above', 20);
    await offsets('above');
    const partition = world.partition('above', 0);
    partition.logStartOffset = 50;
    partition.boundary = 50;
    partition.localStartOffset = 50;
    await world.raiseLogStart('above', 0, 20);
    expect(await offsets('above')).toEqual([50, 50, 50, 50]);
    // Looked at again, because the table listed a file that lies wholly below.
    const { rows } = await world.ask(`SELECT count(*) FROM system.cold_files WHERE topic = 'above'`);
    expect(Number(rows[0]?.[0])).toBe(0);
    const list = world.store.list.bind(world.store);
    let lists = 0;
    Object.assign(world.store, {
      list: (...asked: Parameters<typeof list>) => {
        lists++;
        return list(...asked);
      },
    });
    try {
      expect(await offsets('above')).toEqual([50, 50, 50, 50]);
      expect(lists).toBe(0);
    } finally {
      Object.assign(world.store, { list });
    }
  });

  it('may move while a query stages what it was told is there: then it answers from the new one', async () => {
    await topic('overtaken', 20);
    let deletions = 2;
    const push = world.fetches.push.bind(world.fetches);
    Object.assign(world.fetches, {
      push: (...fetched: Parameters<typeof push>) => {
        if (deletions-- > 0) world.partition('overtaken', 0).logStartOffset += 30;
        return push(...fetched);
      },
    });
    try {
      expect(await offsets('overtaken')).toEqual([60, 60, 40, 40]);
    } finally {
      delete (world.fetches as { push?: unknown }).push;
    }
  });

  it('may move past a token while its query stages the tail: the error names what is lost as well', async () => {
    await topic('late', 20);
    const { token } = await world.ask('SELECT count(*) FROM late');
    // Nothing of the tail is staged.
    await world.reopen();
    const push = world.fetches.push.bind(world.fetches);
    Object.assign(world.fetches, {
      push: (...fetched: Parameters<typeof push>) => {
        world.partition('late', 0).logStartOffset = 30;
        return push(...fetched);
      },
    });
    try {
      await expect(world.ask({ sql: 'SELECT sum(n) FROM late', asOf: token })).rejects.toMatchObject({
        code: 'token-gone',
        message: expect.stringContaining('late-0 [0, 30)'),
      });
    } finally {
      delete (world.fetches as { push?: unknown }).push;
    }
  });

  it('that has moved past a token ends it, and the error names what is lost', async () => {
    await topic('told', 60);
    const { token } = await world.ask('SELECT count(*) FROM told');
    world.partition('told', 0).logStartOffset = 33;
    await expect(world.ask({ sql: 'SELECT count(*) FROM told', asOf: token })).rejects.toMatchObject({
      code: 'token-gone',
      message: expect.stringContaining('told-0 [0, 33)'),
    });
    const later = await world.ask('SELECT count(*) FROM told');
    expect((await world.ask({ sql: 'SELECT min(_offset) FROM told', asOf: later.token })).rows.map(([value]) => Number(value))).toEqual([
      33,
    ]);
  });
});
