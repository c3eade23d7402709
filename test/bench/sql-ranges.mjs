/**
 * Aggregates over ranges of time, most of the log cold, the end hot, beside DuckDB on one typed, sorted Parquet file with the same
 * threads and memory: the first run, then warm; and out of an S3 server with an empty cache, with requests and bytes.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Figures, shown, table } from './figures.mjs';
import { recordsFirstMs, recordsStepMs } from './sql-records.mjs';
import { memoryBytes, openLake, recordsFor, threads, within } from './sql-lake.mjs';
import { findVersitygw, serviceOn, startVersitygw } from './versitygw.mjs';

export const about = 'aggregates over ranges of time over both tiers, warm and with an empty cache on S3, beside DuckDB';

const partitions = 4;
const coldShare = 0.85;
const aim = { times: 1.3, moreMs: 30, emptyCacheTimes: 3 };

const flightsSql = (where) =>
  `SELECT origin, count(*) AS n, avg(delay) AS mean FROM flights${where} GROUP BY origin ORDER BY n DESC, origin`;
const recordsSql = (where) =>
  `SELECT service, count(*) AS n, avg(duration_ms) AS mean, sum(bytes_out) AS bytes FROM records${where} GROUP BY service ORDER BY n DESC, service`;
const places = {
  'cold, a tenth': [0.4, 0.5],
  'cold, a hundredth': [0.4, 0.41],
  'across the boundary': [0.8, 0.9],
  'hot tail': [0.93, 0.97],
};

function questionsOf(sql, firstMs, lastMs) {
  const at = (share) => firstMs + Math.round((lastMs - firstMs) * share);
  const ranges = Object.entries(places).map(([name, [from, to]]) => ({ name, sql: sql(within(at(from), at(to))) }));
  return [...ranges, { name: 'everything', sql: sql('') }];
}

async function prepare(lake, work, sizes) {
  await lake.peer.ask('prepare', { path: join(work, 'flights.parquet'), records: sizes.flights, threads });
  await lake.load.ask('prepareFlights', { name: 'flights', records: sizes.flights, partitions });
  await lake.prepareRecords('records', partitions, { to: sizes.records });
  for (const topic of ['flights', 'records']) await lake.fill(topic, partitions, coldShare);
  const { rows } = await lake.peer.ask('ask', { sql: 'SELECT epoch_ms(min(_timestamp)), epoch_ms(max(_timestamp)) FROM flights' });
  return {
    flights: questionsOf(flightsSql, ...rows[0].map(Number)),
    records: questionsOf(recordsSql, recordsFirstMs, recordsFirstMs + sizes.records * recordsStepMs),
  };
}

export async function run({ work, quick, rounds, note, gib }) {
  const sizes = { flights: quick ? 100_000 : 3_000_000, records: recordsFor(gib, quick ? 20_000 : 500_000) };
  const figures = new Figures();
  const stats = {};
  note('filling a lake in a directory');
  let lake = await openLake(work);
  try {
    const questions = await prepare(lake, work, sizes);
    for (const [topic, asked] of Object.entries(questions)) {
      for (const { name, sql } of asked) {
        note(`${topic}, ${name}`);
        for (let time = 0; time <= Math.max(5, rounds); time++) {
          const { ours, theirs } = await lake.askBoth(name, sql);
          const row = `${topic}, ${name}`;
          if (time === 0) figures.add(row, { firstMs: ours.ms });
          else figures.add(row, { warmMs: ours.ms, duckDbMs: theirs.ms, ...(time === 1 ? { secondMs: ours.ms } : {}) });
          stats[row] = ours.stats;
        }
      }
    }
  } finally {
    await lake.stop();
  }
  const skipped = [];
  const found = findVersitygw();
  if (found.missing !== undefined) skipped.push(`an empty cache on S3: ${found.missing}`);
  else {
    note('filling a lake on S3');
    const server = await startVersitygw(found, join(work, 's3'), 'bench');
    const s3Work = join(work, 'on-s3');
    try {
      rmSync(join(work, 'data'), { recursive: true, force: true });
      lake = await openLake(s3Work, serviceOn(server));
      const questions = await prepare(lake, work, sizes);
      // Nothing has been asked of this service yet, so nothing is cached: each question is asked once.
      for (const [topic, asked] of Object.entries(questions)) {
        for (const { name, sql } of asked.filter((one) => one.name.startsWith('cold') || one.name === 'everything')) {
          const { ours, theirs } = await lake.askBoth(name, sql);
          const { requests, read_bytes: readBytes } = ours.stats;
          figures.add(`${topic}, ${name}`, { emptyCacheMs: ours.ms, emptyCachePeerMs: theirs.ms, requests, readMb: readBytes / 1e6 });
        }
      }
    } finally {
      await lake.stop();
      await server.stop();
    }
  }
  return report(figures.spreads(), stats, sizes, skipped);
}

function report(spreads, stats, sizes, skipped) {
  const rows = Object.entries(spreads).map(([name, row]) => {
    const allowed = Math.max(aim.times * row.duckDbMs.median, row.duckDbMs.median + aim.moreMs);
    return [
      name,
      shown(row.firstMs),
      shown(row.secondMs),
      shown(row.warmMs),
      shown(row.duckDbMs),
      row.secondMs.median <= allowed ? 'yes' : 'no',
      stats[name].hot_rows,
      shown(row.emptyCacheMs),
      row.emptyCacheMs === undefined ? '-' : (row.emptyCacheMs.median / row.emptyCachePeerMs.median).toFixed(2),
      shown(row.requests),
      shown(row.readMb),
    ];
  });
  const columns = [
    'aggregate',
    'first ms',
    'second ms',
    'warm ms',
    'DuckDB ms',
    'in aim',
    'hot rows',
    'S3 ms',
    '÷ DuckDB',
    'requests',
    'MB read',
  ];
  const title = `${sizes.flights.toLocaleString('en-US')} flights, ${sizes.records.toLocaleString('en-US')} records of 1 KiB, ${threads} threads; ms at the client, median (min–max)`;
  return {
    tables: [table(title, columns, rows)],
    notes: [
      `aims: second run within ${aim.times}× of DuckDB or +${aim.moreMs} ms, the larger; S3 with nothing of the range cached within ${aim.emptyCacheTimes}×. Same rows on both sides.`,
      'S3: each range once, in the order above; `everything` comes after the ranges and finds their parts cached.',
    ],
    skipped,
    figures: { spreads, stats, sizes, threads, memoryBytes, aim },
  };
}
