import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ServiceLimits } from '../../../src/query/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

const sql = 'SELECT text(_key), x, late, text(_value), len(_headers), _offset, _timestamp FROM latest(log) ORDER BY ALL';

describe('the last rows of cold files', () => {
  let world: QueryWorld;
  let warnings: string[];
  const open = async (limits: Partial<ServiceLimits> = {}): Promise<void> => {
    warnings = [];
    world = await QueryWorld.open({
      workers: inlineColumnWorkers,
      lastRowsFileBytesMin: 0,
      limits,
      logger: { ...silentLogger, warn: (message: string) => void warnings.push(message) },
    });
    world.createTopic('log');
    append(6);
    await world.makeCold('log', 0, 300, 50);
  };
  /** Five keys, ten versions of each in a batch, the last one of `k4` a tombstone; of each second batch with a column of its own. */
  const append = (batches: number): void => {
    for (let batch = 0; batch < batches; batch++) {
      const records = Array.from({ length: 50 }, (_, at) => ({
        timestampMs: 1000 * at,
        key: at % 7 === 6 ? null : `k${at % 5}`,
        value: at === 49 ? null : JSON.stringify({ x: at, ...(batch % 2 === 1 ? { late: `${batch}` } : {}) }),
        headers: [{ key: 'h', value: Buffer.from('v') }],
      }));
      world.append('log', 0, records);
    }
  };
  beforeEach(() => open());
  afterEach(() => world[Symbol.asyncDispose]());

  const directory = (): string => join(world.directory, 'cache', 'last-rows');
  /** The answer, and how many files of it were kept rows, read and left out. */
  const asked = async (text = sql, asOf?: string) => {
    const { rows, stats, token } = await world.ask({ sql: text, ...(asOf === undefined ? {} : { asOf }) });
    return { rows, token, files: [stats.remembered_files, stats.cold_files, stats.pruned_files] };
  };
  const built = async () => {
    const first = await asked();
    await world.service.settled();
    return first;
  };

  it('are built behind the first question, and read instead of the files from then on', async () => {
    const first = await built();
    expect(first.files).toEqual([0, 6, 0]);
    expect(first.rows).toHaveLength(4);
    const second = await asked();
    expect(second).toEqual({ ...first, token: second.token, files: [6, 0, 0] });
    expect(world.service.metricsSnapshot().lastRowsFiles).toBe(6);
    const { columns, rows } = await world.ask(`EXPLAIN ${sql}`);
    expect(rows[0]?.[columns.findIndex(({ name }) => name === 'pruned_by')]).toBe('last rows kept 6');
  });

  it('do not stand for the log, nor for a file of which only some offsets count', async () => {
    await built();
    const { token, ...now } = await asked();
    expect((await asked('SELECT count(*), count(_key) FROM log')).files).toEqual([0, 6, 0]);
    expect((await asked('SELECT (SELECT count(*) FROM latest(log)), (SELECT count(_key) FROM log)')).files).toEqual([0, 6, 0]);
    append(1);
    await world.makeCold('log', 0, 340);
    const again = await asked(sql, token);
    expect(again).toEqual({ rows: now.rows, token, files: [6, 0, 1] });
    world.partition('log', 0).logStartOffset = 75;
    expect((await asked()).files).toEqual([4, 2, 1]);
  });

  it('are not kept where nearly every row has a key of its own, and are not tried again', async () => {
    world.createTopic('keys');
    world.append(
      'keys',
      0,
      Array.from({ length: 50 }, (_, at) => ({ timestampMs: at, key: `${at % 40}`, value: '{}' })),
    );
    await world.makeCold('keys', 0, 50);
    for (let time = 0; time < 2; time++) {
      expect((await asked('SELECT count(*) FROM latest(keys)')).files).toEqual([0, 1, 0]);
      await world.service.settled();
      expect(await readdir(directory())).toHaveLength(1);
    }
    expect(warnings).toEqual([]);
  });

  it('leave out files without a key', async () => {
    world.createTopic('keyless');
    world.append('keyless', 0, [{ timestampMs: 1, value: '{}' }]);
    await world.makeCold('keyless', 0, 1);
    expect((await asked('SELECT count(*) FROM latest(keyless)')).files).toEqual([0, 0, 1]);
  });

  it('outlive the service; what is damaged, half written or gone changes no answer and is built again', async () => {
    const { rows } = await built();
    const names = await readdir(directory());
    const [damaged, short, gone, ...whole] = names.map((name) => join(directory(), name));
    const bytes = await readFile(damaged!);
    bytes[bytes.length >> 1]! ^= 1;
    await rm(damaged!);
    await writeFile(damaged!, bytes);
    await rm(short!);
    await writeFile(short!, bytes.subarray(0, 100));
    await writeFile(`${whole[0]}.0`, bytes.subarray(0, 100));
    await world.reopen();
    expect(await readdir(directory())).toHaveLength(6);
    await rm(gone!);
    expect(await asked()).toMatchObject({ rows, files: [3, 3, 0] });
    await world.service.settled();
    await rm(whole[0]!);
    // Known to this service, and gone.
    expect(await asked()).toMatchObject({ rows, files: [5, 1, 0] });
    await asked();
    await world.service.settled();
    expect(await asked()).toMatchObject({ rows, files: [6, 0, 0] });
  });

  it('are done without where the disk takes none, with a warning', async () => {
    await rm(directory(), { recursive: true });
    await writeFile(directory(), '');
    const { rows } = await built();
    expect(await asked()).toMatchObject({ rows, files: [0, 6, 0] });
    await world.service.settled();
    expect(warnings).toContain('the last rows of the keys of cold files could not be kept; latest(topic) reads whole files');
    await rm(directory());
    await mkdir(directory());
    await built();
    await built();
    expect(await asked()).toMatchObject({ rows, files: [6, 0, 0] });
  });

  it('take no more of the disk than they may', async () => {
    await built();
    const one = world.service.metricsSnapshot().lastRowsBytes / 6;
    await world[Symbol.asyncDispose]();
    await open({ cacheBytes: 4 * Math.round(2.5 * one) });
    await built();
    await built();
    const { lastRowsFiles, lastRowsBytes } = world.service.metricsSnapshot();
    expect([lastRowsFiles, lastRowsBytes <= 2.5 * one + 1]).toEqual([2, true]);
    const kept = await readdir(directory());
    const { files } = await asked();
    expect(files).toEqual([2, 4, 0]);
    await world.service.settled();
    // Nothing that is in use goes for what is not there.
    expect(await readdir(directory())).toEqual(kept);
  });
});

describe('the last rows of a topic put together', () => {
  let world: QueryWorld;
  const open = (limits: Partial<ServiceLimits> = {}) =>
    QueryWorld.open({ workers: inlineColumnWorkers, lastRowsFileBytesMin: 0, mergedFilesMin: 3, limits });
  beforeEach(async () => {
    world = await open();
    world.createTopic('log', 2);
  });
  afterEach(() => world[Symbol.asyncDispose]());

  /** Batches of ten records of five keys, in one file each. */
  const fill = async (files: number, partition = 0, keyOf = (at: number): string => `k${at % 5}`) => {
    for (let file = 0; file < files; file++) {
      world.append(
        'log',
        partition,
        Array.from({ length: 10 }, (_, at) => ({ timestampMs: 1000 + at, key: keyOf(at), value: JSON.stringify({ file, at }) })),
      );
      await world.makeCold('log', partition, world.partition('log', partition).endOffset, 10);
    }
  };
  const asked = async (question: Parameters<typeof world.ask>[0] = { sql: 'FROM latest(log) ORDER BY _key' }) => {
    const { rows, stats, token } = await world.ask(question);
    await world.service.settled();
    return { rows, token, files: [stats.remembered_files, stats.cold_files, stats.pruned_files] };
  };
  const folder = (): Promise<string[]> => readdir(join(world.directory, 'cache', 'merged-rows'));

  it('stand for all files, then for the older ones, until there are so many new ones that they are put together anew', async () => {
    await fill(4);
    const first = await asked();
    expect([first.rows.length, first.files]).toEqual([5, [0, 4, 0]]);
    expect([await folder(), world.service.metricsSnapshot().lastRowsFiles]).toEqual([['0.parquet'], 0]);
    const second = await asked();
    expect(second).toEqual({ ...first, token: second.token, files: [4, 0, 0] });
    const { columns, rows } = await world.ask('EXPLAIN FROM latest(log)');
    expect(rows[0]?.[columns.findIndex(({ name }) => name === 'pruned_by')]).toBe('last rows kept 4');
    await fill(2, 1);
    expect((await asked()).files).toEqual([4, 2, 0]);
    expect(await folder()).toEqual(['0.parquet']);
    await fill(1, 1);
    expect((await asked()).files).toEqual([6, 1, 0]);
    expect(await folder()).toEqual(['1.parquet']);
    const all = await asked();
    expect([all.rows.map((row) => row[4]), all.files]).toEqual([
      [1, 1, 1, 1, 1],
      [7, 0, 0],
    ]);
    // What a token was given for ends before what is put together.
    expect((await asked({ sql: 'FROM latest(log) ORDER BY _key', asOf: first.token })).rows).toEqual(first.rows);
  });

  it('count from the log start on, and leave out what is gone when they are put together anew', async () => {
    await fill(3, 0, (at) => `old${at % 5}`);
    await fill(3);
    await asked();
    expect((await asked()).rows).toHaveLength(10);
    world.partition('log', 0).logStartOffset = 28;
    const { rows, files } = await asked();
    expect([rows.map((row) => row[5]), files]).toEqual([
      [55, 56, 57, 58, 59, 28, 29],
      [4, 0, 2],
    ]);
    const bytes = world.service.metricsSnapshot().lastRowsBytes;
    world.partition('log', 0).logStartOffset = 35;
    await fill(3);
    await asked();
    expect((await asked()).rows).toHaveLength(5);
    expect(world.service.metricsSnapshot().lastRowsBytes).toBeLessThan(bytes);
  });

  it('are made anew where they have gone, and not tried again soon where there are too many keys', async () => {
    await fill(3);
    await asked();
    await rm(join(world.directory, 'cache', 'merged-rows', '0.parquet'));
    const again = await asked();
    expect([again.rows.length, again.files]).toEqual([5, [0, 3, 0]]);
    await asked();
    expect((await asked()).files).toEqual([3, 0, 0]);
    world.dropTopic('log');
    world.createTopic('log');
    let serial = 0;
    await fill(4, 0, () => `${serial++}`);
    for (const round of [0, 1]) {
      expect((await asked()).files, `${round}`).toEqual([0, 4, 0]);
      // Then those of each file are tried.
      expect([await folder(), world.service.metricsSnapshot().lastRowsFiles]).toEqual([['1.parquet'], round * 4]);
    }
  });

  it('take no more of the disk than they may', async () => {
    await fill(3);
    await asked();
    const { lastRowsBytes } = world.service.metricsSnapshot();
    await world[Symbol.asyncDispose]();
    world = await open({ cacheBytes: 8 * lastRowsBytes });
    for (const _ of [0, 1]) {
      world.createTopic('log');
      await fill(3);
      await asked();
      expect((await asked()).files).toEqual([3, 0, 0]);
      world.dropTopic('log');
    }
    expect(await folder()).toEqual(['1.parquet']);
  });
});
