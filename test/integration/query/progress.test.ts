import { describe, expect, it } from 'vitest';
import type { QueryProgress, WatchedQuery } from '../../../src/query/index.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

const { signal } = new AbortController();

describe('the progress of a query', () => {
  it('tells its phase from its turn on, what is within reach, and its rows, to whoever watches and in the list', async () => {
    await using world = await QueryWorld.open({ workers: inlineColumnWorkers, limits: { concurrency: 1 } });
    world.createTopic('flights', 1);
    const records = Array.from({ length: 4000 }, (_, n) => ({ timestampMs: n * 1000, value: JSON.stringify({ n, text: `text ${n}` }) }));
    world.append('flights', 0, records);
    await world.makeCold('flights', 0, 3000, 3000);
    const { service } = world;
    let watched: WatchedQuery | undefined;
    const seen: QueryProgress[] = [];
    const pending = service.answer({ sql: 'SELECT n FROM flights ORDER BY n', format: 'ndjson' }, signal, (query) => {
      watched = query;
      seen.push(query.progress());
    });
    expect(watched).toBeDefined();
    expect(seen[0]).toMatchObject({ phase: 'queued', rows: 0, bytes: 0, files: 0, percent: -1 });
    expect(service.list().at(-1)).toMatchObject({ id: watched!.id, state: 'running', phase: 'queued' });
    // One at a time: the second has no turn before the first has ended.
    let second: WatchedQuery | undefined;
    const waiting = service.answer({ sql: 'SELECT 1', format: 'ndjson' }, signal, (query) => {
      second = query;
    });
    const answer = await pending;
    expect(watched!.progress()).toMatchObject({ phase: 'running', files: 1 });
    expect(second!.progress().phase).toBe('queued');
    const { cold_bytes, hot_bytes } = answer.stats();
    expect(watched!.progress().bytes).toBe(cold_bytes + hot_bytes);
    expect(cold_bytes).toBeGreaterThan(0);
    for await (const _ of answer.pieces);
    expect(watched!.progress()).toMatchObject({ rows: 4000 });
    expect(service.list().find(({ id }) => id === watched!.id)).toMatchObject({ state: 'done', rows: 4000, files: 1 });
    for await (const _ of (await waiting).pieces);
    expect(second!.progress()).toMatchObject({ phase: 'running', rows: 1 });
  });

  it('says how many per cent are done while DuckDB reads', async () => {
    await using world = await QueryWorld.open({ workers: inlineColumnWorkers });
    world.createTopic('flights', 1);
    const records = Array.from({ length: 20_000 }, (_, n) => ({ timestampMs: n * 1000, value: JSON.stringify({ n }) }));
    world.append('flights', 0, records);
    await world.makeCold('flights', 0, 20_000, 20_000);
    const abort = new AbortController();
    let watched: WatchedQuery | undefined;
    const sql = 'SELECT count(*) FROM flights a, flights b WHERE (a.n * 7 + b.n * 3) % 7919 = 1';
    const pending = world.service.answer({ sql, format: 'ndjson' }, abort.signal, (query) => {
      watched = query;
    });
    const settled = pending.then(
      () => true,
      () => true,
    );
    let percent = -1;
    for (let look = 0; look < 300 && percent <= 0; look++) {
      await Promise.race([settled, new Promise((resolve) => setTimeout(resolve, 50))]);
      ({ percent } = watched!.progress());
    }
    abort.abort();
    await settled;
    expect(percent).toBeGreaterThan(0);
    expect(percent).toBeLessThanOrEqual(100);
  });
});
