// What the benches of time ranges ask, of flights and of records of 1 KiB, and how the two topics and the peer's files are made.
import { join } from 'node:path';
import { recordsFirstMs, recordsStepMs } from './sql-records.mjs';
import { recordsFor, threads, within } from './sql-lake.mjs';

const partitions = 4;

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

export const sizesOf = (quick, gib) => ({ flights: quick ? 100_000 : 3_000_000, records: recordsFor(gib, quick ? 20_000 : 500_000) });

function questionsOf(sql, firstMs, lastMs) {
  const at = (share) => firstMs + Math.round((lastMs - firstMs) * share);
  const ranges = Object.entries(places).map(([name, [from, to]]) => ({ name, sql: sql(within(at(from), at(to))) }));
  return [...ranges, { name: 'everything', sql: sql('') }];
}

/** Fills both topics, so much of each cold; the peer has the same in `flights.parquet` and `records.parquet`. */
export async function prepareRanges(lake, work, sizes, coldShare) {
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
