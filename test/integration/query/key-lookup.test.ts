import { cp, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LogReader } from '../../../src/client/index.js';
import { MiB, systemClock, systemRandom } from '../../../src/kernel/index.js';
import { MemoryStore } from '../../../src/objects/index.js';
import { type KeyRequest, openQueryService } from '../../../src/query/index.js';
import { hashOfKey, KeyFilter } from '../../../src/query/keys/key-filter.js';
import { silentLogger } from '../../../src/telemetry/index.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

const files = 8;
/** Waits no longer for filters. */
const looksMax = 2000;
const limits = {
  tailMaxBytes: 64 * MiB,
  memoryBytes: 256 * MiB,
  cacheBytes: 256 * MiB,
  parquetBytesMax: 256 * MiB,
  snapshotUsableMs: 1_800_000,
};

describe.each([
  ['linked where they lie', false],
  ['fetched in parts', true],
])('key filters of cold files %s', (_, isFetched) => {
  let world: QueryWorld;
  beforeAll(async () => {
    const places = isFetched ? { store: new MemoryStore({ clock: systemClock }), coldWholeBytesMax: 0 } : {};
    world = await QueryWorld.open({ workers: inlineColumnWorkers, ...places });
    world.createTopic('log');
    // Of every file the bounds are alike: only a filter can tell which has a key.
    for (let file = 0; file < files; file++) {
      const keys = ['a', `key ${file}`, 'z', null, ''];
      world.append(
        'log',
        0,
        keys.map((key, at) => ({ timestampMs: file * 10 + at, key, value: `{"n":${file}}` })),
      );
    }
    await world.makeCold('log', 0, files * 5, 5);
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const built = async (count: number): Promise<void> => {
    for (let look = 0; world.service.metricsSnapshot().keyFilterFiles < count; look++) {
      if (look > looksMax) throw new Error(`no ${count} filters`);
      await systemClock.sleep(5);
    }
  };
  const lookUp = async (request: Partial<KeyRequest>) => {
    const all = { topic: 'log', key: Buffer.from('key 3'), isHistory: false, ...request };
    const answer = await world.service.keyRecords(all, new AbortController().signal);
    let text = '';
    for await (const lines of answer.lines) text += lines;
    return { text, stats: answer.stats() };
  };
  const explained = async (sql: string) => {
    const { columns, rows } = await world.ask(`EXPLAIN ${sql}`);
    return Object.fromEntries(columns.map(({ name }, at) => [name, rows[0]![at]]));
  };

  it('are built behind the first question for a key, and then leave files out, which EXPLAIN tells', async () => {
    const sql = "SELECT n FROM log WHERE _key = 'key 3'";
    expect(await explained(sql)).toMatchObject({ files, pruned_by: null });
    expect(world.service.metricsSnapshot().keyFilterFiles).toBe(0);
    const first = await world.ask(sql);
    expect([first.rows, first.stats.pruned_files]).toEqual([[[3]], 0]);
    await built(files);
    const second = await world.ask(sql);
    expect([second.rows, second.stats.cold_files, second.stats.pruned_files]).toEqual([[[3]], 1, files - 1]);
    expect(await explained(sql)).toMatchObject({ files: 1, pruned: files - 1, pruned_by: `key ${files - 1}` });
    const both = await world.ask("SELECT n FROM log WHERE _key IN ('key 1', 'key 5', 'key 77') ORDER BY n");
    expect([both.rows, both.stats.cold_files]).toEqual([[[1], [5]], 2]);
    const none = await world.ask("SELECT count(*) FROM log WHERE _key = 'key 77'");
    expect([none.rows, none.stats.cold_files]).toEqual([[[0]], 0]);
  });

  it('take no part where another condition lets rows through', async () => {
    const { rows } = await world.ask("SELECT count(*) FROM log WHERE _key = 'key 77' OR _key IS NULL");
    expect(rows).toEqual([[files]]);
    const twice = await world.ask("SELECT (SELECT count(*) FROM log WHERE _key = 'key 77') + (SELECT count(*) FROM log)");
    expect(twice.rows).toEqual([[files * 5]]);
  });

  it('serve the lookup, of the empty key too', async () => {
    await built(files);
    const one = await lookUp({});
    expect(JSON.parse(one.text)).toMatchObject({ key: 'key 3', offset: 16, value: '{"n":3}' });
    expect([one.stats.cold_files, one.stats.pruned_files]).toEqual([1, files - 1]);
    expect(JSON.parse((await lookUp({ key: Buffer.alloc(0) })).text)).toMatchObject({ key: '', offset: files * 5 - 1 });
    expect((await lookUp({ key: Buffer.from([255, 0]) })).text).toBe('');
    const history = await lookUp({ key: Buffer.from('z'), isHistory: true, order: 'newest', limit: 3 });
    expect(history.text.split('\n').flatMap((line) => (line === '' ? [] : (JSON.parse(line) as { offset: number }).offset))).toEqual([
      37, 32, 27,
    ]);
  });

  it('outlive the service; damaged ones change no answer and are built again', async () => {
    await built(files);
    const cacheDir = join(world.directory, 'later');
    const directory = join(cacheDir, 'key-filters');
    await cp(join(world.directory, 'cache', 'key-filters'), directory, { recursive: true });
    const names = await readdir(directory);
    for (const name of names.slice(0, 3)) await writeFile(join(directory, name), Buffer.alloc(48));
    const later = await openQueryService({
      store: world.store,
      control: world.control,
      workers: world.workers,
      cacheDir,
      hasTail: false,
      reader: {} as LogReader,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      limits: { ...limits, concurrency: 1, timeoutMs: 30_000 },
    });
    try {
      const ask = async () => {
        const answer = await later.query({ sql: "SELECT count(*) FROM log WHERE _key = 'key 77'" }, new AbortController().signal);
        for await (const rows of answer.rows) expect(rows).toEqual([[0]]);
        return answer.stats().cold_files;
      };
      expect(await ask()).toBe(3);
      for (let look = 0; later.metricsSnapshot().keyFilterFiles < files && look < looksMax; look++) await systemClock.sleep(5);
      expect(await ask()).toBe(0);
    } finally {
      await later.close();
    }
  });

  it('let the last record be looked for in the newest file first, and in the others where it is not there', async () => {
    await built(files);
    const last = await lookUp({ key: Buffer.from('a') });
    expect(JSON.parse(last.text)).toMatchObject({ offset: (files - 1) * 5 });
    expect([last.stats.cold_files, last.stats.pruned_files]).toEqual([1, files - 1]);
    expect((await lookUp({ key: Buffer.from('a'), isHistory: true })).stats.cold_files).toBe(files);

    const keys = Array.from({ length: 20 }, (_, at) => `newer ${at}`);
    const hashOf = (key: string) => hashOfKey(Buffer.from(key).toString('hex'));
    const filter = KeyFilter.of(keys.map(hashOf), keys.length);
    // Between the bounds of both files.
    const wrong = Array.from({ length: 100_000 }, (_, at) => `newer 1${at}x`).find((key) => filter.mayHold(hashOf(key)))!;
    world.createTopic('misled', 2);
    const fill = async (partition: number, firstMs: number, filled: readonly string[]): Promise<void> => {
      world.append(
        'misled',
        partition,
        filled.map((key, at) => ({ timestampMs: firstMs + at, key, value: `${firstMs}` })),
      );
      await world.makeCold('misled', partition, world.partition('misled', partition).endOffset);
    };
    await fill(0, 1000, ['a', wrong, 'z']);
    await fill(0, 2000, keys);
    await fill(1, 500, ['a', wrong, 'z']);
    await lookUp({ topic: 'misled', key: Buffer.from(wrong) });
    await world.service.settled();
    const found = await lookUp({ topic: 'misled', key: Buffer.from(wrong) });
    expect(JSON.parse(found.text)).toMatchObject({ partition: 0, offset: 1, value: '1000' });
    expect(found.stats.cold_files).toBe(3);
    expect(found.text.split('\n')).toHaveLength(2);
  });

  it('find the last record as SQL does, wherever it lies and whatever is in it', async () => {
    const records = [
      { key: 'k', value: 'one', headers: [{ key: 'h', value: Buffer.from('1') }] },
      { key: Buffer.from([255, 0]), value: Buffer.from([254]), headers: [{ key: Buffer.from([250]), value: null }] },
      { key: 'base64:', value: 'base64:', headers: [{ key: 'h', value: Buffer.from('base64:') }] },
      { key: 'k', value: '', headers: [] },
      { key: 'other', value: null, headers: [] },
      {
        key: '',
        value: '\u{FEFF}é',
        headers: [
          { key: '', value: Buffer.alloc(0) },
          { key: 'h', value: null },
        ],
      },
    ].map((record, at) => ({ ...record, timestampMs: at % 2 === 0 ? at * 1000 : 5e15 - at }));
    world.createTopic('kinds', 2);
    const ask = async (key: Buffer) => {
      const last = await lookUp({ topic: 'kinds', key });
      expect(last.text.split('\n')[0]).toBe(
        (await lookUp({ topic: 'kinds', key, isHistory: true, order: 'newest', limit: 1 })).text.trim(),
      );
      return last;
    };
    const askAll = async () => {
      for (const { key } of records) await ask(Buffer.from(key as string));
      expect((await ask(Buffer.from('nobody'))).text).toBe('');
    };
    for (let round = 0; round < 2; round++) {
      for (const partition of [0, 1]) world.append('kinds', partition, records.slice(partition, records.length - round));
      await askAll();
      await world.makeCold('kinds', 1, world.partition('kinds', 1).endOffset, 4);
      await askAll();
      await world.service.settled();
      await askAll();
      await world.makeCold('kinds', 0, world.partition('kinds', 0).endOffset - 2, 3);
      await askAll();
      await world.service.settled();
      await askAll();
    }
  });

  it('ask an engine where one row group is large', async () => {
    const value = 'v'.repeat(33 * MiB);
    world.createTopic('large');
    world.append('large', 0, [{ timestampMs: 1, key: 'k', value }]);
    for (const coldFiles of [0, 1]) {
      await world.makeCold('large', 0, coldFiles);
      await lookUp({ topic: 'large', key: Buffer.from('k') });
      await world.service.settled();
      const { text, stats } = await lookUp({ topic: 'large', key: Buffer.from('k') });
      expect((JSON.parse(text) as { value: string }).value === value).toBe(true);
      expect([stats.cold_files, stats.hot_rows]).toEqual([coldFiles, 1 - coldFiles]);
    }
  });
});
