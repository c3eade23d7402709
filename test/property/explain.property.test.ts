/**
 * EXPLAIN is held against what was then read: for random logs, filters and earlier answers, files kept and left out, bytes, requests and
 * hot rows are what the statistics of the query say afterwards, whatever earlier queries have left in the caches.
 */
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sum, systemClock } from '../../src/kernel/index.js';
import { MemoryStore } from '../../src/objects/index.js';
import type { QueryStats } from '../../src/query/index.js';
import { inlineColumnWorkers } from '../support/column-workers.js';
import { stream } from '../support/seed.js';
import { QueryWorld, type TestRecord } from '../support/query-world.js';

const t0 = Date.parse('2001-01-01T00:00:00Z');
const partitions = 2;
const big = 'big';

const log = fc.record({
  batches: fc.array(fc.array(fc.nat(12), { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 6 }),
  cut: fc.integer({ min: 0, max: 100 }),
  fileRows: fc.integer({ min: 2, max: 9 }),
  start: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 50 })),
});

const compared = fc.constantFrom('=', '<', '<=', '>', '>=');
/** Offsets and hours in hundredths of what there is. */
const term = fc.oneof(
  fc.tuple(compared, fc.nat(100)).map(([operator, at]) => `_offset ${operator} OFFSET(${at})`),
  fc.tuple(compared, fc.nat(100)).map(([operator, at]) => `_timestamp ${operator} TIME(${at})`),
  fc.tuple(compared, fc.nat(2)).map(([operator, at]) => `_partition_id ${operator} ${at}`),
  fc.constantFrom(
    "_key IN ('k1', 'k5')",
    "_key = 'k3'",
    'x > 3',
    'x < 20',
    'x IS NOT NULL',
    '_key IS NULL',
    'octet_length(_value) > 2',
    "s = 'none'",
  ),
);
const question = fc
  .record({
    shape: fc.constantFrom(
      'SELECT * FROM TOPIC WHERE',
      'SELECT _offset FROM TOPIC WHERE',
      'SELECT sum(x) FROM TOPIC WHERE',
      'SELECT count(*) FROM TOPIC WHERE',
      'SELECT count(*), max(_timestamp), min(_offset) FROM TOPIC WHERE',
      'SELECT _key, _offset FROM latest(TOPIC) WHERE',
      'SELECT _key, x FROM latest(TOPIC) WHERE',
      'SELECT a.x, b.s FROM TOPIC a JOIN TOPIC b USING (_partition_id, _offset) WHERE',
    ),
    where: fc.array(term, { maxLength: 2 }),
    joined: fc.constantFrom(' AND ', ' AND ', ' OR '),
    head: fc.constantFrom('', '', 'LIMIT 3', 'ORDER BY _offset DESC LIMIT 4', 'ORDER BY _timestamp LIMIT 5'),
    isBig: fc.nat(3).map((n) => n === 0),
    isAsOf: fc.boolean(),
  })
  .map(({ shape, where, joined, head, ...rest }) => {
    const isPlain = shape.startsWith('SELECT *') || shape.startsWith('SELECT _offset');
    const isJoined = shape.includes('JOIN');
    const terms = isJoined ? where.map((one) => one.replace(/^(octet_length\()?(_key|_value|_timestamp|x|s)\b/, '$1a.$2')) : where;
    return { sql: `${shape} ${terms.length === 0 ? 'true' : terms.join(joined)} ${isPlain ? head : ''}`, ...rest };
  });

type Row = Readonly<Record<string, string | number | null>>;

/** What EXPLAIN says, in the words of the statistics. */
function told(rows: readonly Row[]): Partial<QueryStats> {
  const total = (tier: string, column: string): number =>
    sum(rows.filter((row) => row['tier'] === tier).map((row) => Number(row[column] ?? 0)));
  const pruned = new Map<string, number>();
  for (const { tier, pruned_by: by } of rows) {
    for (const [, reason, count] of tier === 'cold' ? String(by ?? '').matchAll(/([a-z ]+) (\d+)/g) : []) {
      pruned.set(reason!.trim(), (pruned.get(reason!.trim()) ?? 0) + Number(count));
    }
  }
  const [answered, remembered] = [pruned.get('answered from metadata') ?? 0, pruned.get('last rows kept') ?? 0];
  expect(sum([...pruned.values()])).toBe(total('cold', 'pruned'));
  return {
    cold_files: total('cold', 'files'),
    pruned_files: total('cold', 'pruned') - answered - remembered,
    metadata_files: answered,
    remembered_files: remembered,
    cold_bytes: total('cold', 'bytes'),
    read_bytes: total('cold', 'fetch_bytes'),
    requests: total('cold', 'requests'),
    hot_rows: total('hot', 'rows'),
    hot_bytes: total('hot', 'bytes'),
  };
}

const worlds: QueryWorld[] = [];
const counts = { cold_files: 0, pruned_files: 0, metadata_files: 0, remembered_files: 0, requests: 0, hot_rows: 0 };

beforeAll(async () => {
  // Files that are linked where they lie, and a raw tail.
  worlds.push(await QueryWorld.open({ workers: inlineColumnWorkers, tailEncodeBytesMin: Number.POSITIVE_INFINITY }));
  // Parts of files and an encoded tail; kept last rows, which want files whole, or none.
  for (const lastRowsFileBytesMin of [0, Number.POSITIVE_INFINITY]) {
    const store = new MemoryStore({ clock: systemClock });
    const sizes = { coldWholeBytesMax: 0, tailEncodeBytesMin: 1, lastRowsFileBytesMin };
    worlds.push(await QueryWorld.open({ workers: inlineColumnWorkers, store, ...sizes }));
  }
  const random = stream(7);
  const text = (): string => Array.from({ length: 40 }, () => random.whole(0, 36).toString(36)).join('');
  const records = Array.from({ length: 9000 }, (_, at): TestRecord => {
    const value = JSON.stringify({ x: at, s: text(), more: text() });
    return { timestampMs: t0 + at * 4000, key: `k${Math.floor(at / 1000)}`, value };
  });
  for (const world of worlds) {
    world.createTopic(big, 1);
    for (let at = 0; at < records.length; at += 500) world.append(big, 0, records.slice(at, at + 500));
    // Row groups have 2,048 rows at least.
    await world.makeCold(big, 0, 8500, 5000);
  }
});
afterAll(async () => {
  for (const world of worlds) await world[Symbol.asyncDispose]();
});

it('says before what the statistics say afterwards', async () => {
  let serial = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(log, { minLength: partitions, maxLength: partitions }),
      fc.array(question, { minLength: 8, maxLength: 8 }),
      fc.nat(worlds.length - 1),
      async (logs, questions, place) => {
        const world = worlds[place]!;
        const name = `explained${serial++}`;
        world.createTopic(name, partitions);
        let token: string | undefined;
        const fill = async (part: number): Promise<void> => {
          for (const [partition, { batches, cut, fileRows }] of logs.entries()) {
            for (const hours of batches) {
              const base = world.partition(name, partition).endOffset;
              const record = (hour: number, at: number): TestRecord => ({
                timestampMs: t0 + hour * 3_600_000,
                key: hour === 12 ? null : `k${hour % 4}`,
                value: hour === 11 ? null : JSON.stringify({ x: base + at, s: 'text' }),
              });
              world.append(name, partition, hours.map(record));
            }
            const end = world.partition(name, partition).endOffset;
            await world.makeCold(name, partition, Math.round((cut * part * end) / 100), fileRows);
          }
        };
        await fill(0.7);
        token = (await world.ask(`SELECT count(*) FROM ${name}`)).token;
        await fill(1);
        const bigToken = (await world.ask(`SELECT count(*) FROM ${big}`)).token;
        const isKept = logs.every(({ start }) => start === 0);
        for (const [partition, { start }] of logs.entries()) {
          const own = world.partition(name, partition);
          own.logStartOffset = Math.round((start * own.boundary) / 100);
        }
        for (const { sql: text, isBig, isAsOf } of questions) {
          const topic = isBig ? big : name;
          const [rows, hours] = isBig ? [9000, 10] : [30, 12];
          const sql = text
            .replaceAll('TOPIC', topic)
            .replaceAll(/OFFSET\((\d+)\)/g, (_, at: string) => String(Math.round((Number(at) * rows) / 100)))
            .replaceAll(/TIME\((\d+)\)/g, (_, at: string) => `TIMESTAMPTZ '${new Date(t0 + Number(at) * hours * 36_000).toISOString()}'`);
          const asOf = isAsOf && (isBig || isKept) ? { asOf: isBig ? bigToken : token } : {};
          // What earlier queries have begun behind them is done.
          await world.ask({ sql: `SELECT count(*) FROM ${sql.includes('latest(') ? `latest(${topic})` : topic}`, ...asOf });
          if (place > 0) await world.encoded();
          await world.service.settled();
          const explained = await world.ask({ sql: `EXPLAIN ${sql}`, ...asOf });
          const named = explained.rows.map((row) => Object.fromEntries(explained.columns.map((column, at) => [column.name, row[at]])));
          const before = told(named as Row[]);
          const { stats } = await world.ask({ sql, ...asOf });
          const after = Object.fromEntries(Object.keys(before).map((key) => [key, stats[key as keyof QueryStats]]));
          expect({ sql, ...after }).toEqual({ sql, ...before });
          const coldRows = sum(named.filter((row) => row['tier'] === 'cold').map((row) => Number(row['rows'])));
          expect(coldRows).toBeLessThanOrEqual(stats.cold_rows);
          for (const key of Object.keys(counts) as (keyof typeof counts)[]) counts[key] += stats[key];
        }
        world.dropTopic(name);
      },
    ),
    { numRuns: Number(process.env['THERMOCLINE_RUNS'] ?? 6), seed: Number(process.env['THERMOCLINE_TEST_SEED'] ?? 1) },
  );
  for (const [what, count] of Object.entries(counts)) expect({ what, isMet: count > 3 }).toEqual({ what, isMet: true });
}, 600_000);
