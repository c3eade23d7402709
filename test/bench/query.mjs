/**
 * SQL over both tiers beside DuckDB alone on one Parquet file with the same typed columns, with the same number of threads:
 * the demo's aggregate over a week and over everything, and small questions. Warm, by turns; times are those of the client.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Figures, shown, table } from './figures.mjs';
import { fillBothTiers, flightsFile } from './flights.mjs';
import { openChild } from './load.mjs';
import { startService } from './service.mjs';

export const about = "the demo's aggregate and small queries over both tiers, beside DuckDB on one Parquet file";

const partitions = 6;
/** As in the demo: the rest stays hot. */
const coldShare = 0.85;
const warmUps = 2;
/** The aim: within twice the peer's time, or this much above it, whichever is larger. */
const aim = { times: 2, moreMs: 50 };

const aggregate = (where) =>
  `SELECT origin, count(*) AS flights, avg(delay) AS mean_delay FROM flights${where} GROUP BY origin ORDER BY flights DESC, origin`;
const within = (from, to) => ` WHERE _timestamp >= TIMESTAMPTZ '${from}Z' AND _timestamp < TIMESTAMPTZ '${to}Z'`;

/** Bounds by share of the time that the flights span. */
function questionsOf(firstMs, lastMs) {
  const at = (share) => new Date(firstMs + (lastMs - firstMs) * share).toISOString().slice(0, 19);
  return [
    { name: 'aggregate, a week that lies cold', sql: aggregate(within(at(0.4), at(0.44))) },
    { name: 'aggregate, a week that spans the boundary', sql: aggregate(within(at(0.83), at(0.87))) },
    { name: 'aggregate, a week that lies hot', sql: aggregate(within(at(0.93), at(0.97))) },
    { name: 'aggregate, everything', sql: aggregate('') },
    {
      name: 'count(*), one cold hour',
      sql: `SELECT count(*) FROM flights${within(at(0.4), new Date(Date.parse(`${at(0.4)}Z`) + 3_600_000).toISOString().slice(0, 19))}`,
    },
    { name: 'LIMIT 10', sql: 'SELECT origin, destination, delay FROM flights LIMIT 10', isAnyRows: true },
  ];
}

/** Numbers may come as text from either side. */
const isSame = (ours, theirs) =>
  ours.length === theirs.length &&
  ours.every((row, r) => row.every((cell, c) => String(cell) === String(theirs[r][c]) || Number(cell) === Number(theirs[r][c])));

export async function run({ work, quick, rounds, note }) {
  const skipped = flightsFile() === undefined ? ['real flights: vega-datasets is not installed; made-up ones were used'] : [];
  const records = quick ? 300_000 : 3_000_000;
  const times = quick ? 3 : Math.max(5, rounds);
  const load = openChild('load-child.mjs');
  const peer = openChild('duckdb-child.mjs');
  const service = await startService({ dataDir: join(work, 'data') });
  try {
    note(`putting ${records.toLocaleString('en-US')} flights into the service and into one Parquet file`);
    const { threads } = await peer.ask('prepare', { path: join(work, 'flights.parquet'), records, threads: availableParallelism() });
    await fillBothTiers({ load, service, records, partitions, coldShare });
    const bounds = await peer.ask('ask', { sql: 'SELECT epoch_ms(min(_timestamp)), epoch_ms(max(_timestamp)) FROM flights' });
    const questions = questionsOf(...bounds.rows[0].map(Number));

    note('asking');
    const figures = new Figures();
    const stats = {};
    for (const { name, sql, isAnyRows } of questions) {
      for (let time = -warmUps; time < times; time++) {
        const startMs = performance.now();
        const ours = await service.sql(sql);
        const oursMs = performance.now() - startMs;
        const theirs = await peer.ask('ask', { sql });
        if (isAnyRows !== true && !isSame(ours.rows, theirs.rows))
          throw new Error(`${name}: the service and DuckDB do not give the same rows`);
        if (time < 0) continue;
        figures.add(name, { thermoclineMs: oursMs, elapsedMs: ours.stats.elapsed_ms, duckDbMs: theirs.ms });
        stats[name] = ours.stats;
      }
    }
    return report(figures.spreads(), stats, { records, threads, coldShare }, skipped);
  } finally {
    await Promise.all([load.close(), peer.close()]);
    await service.stop();
  }
}

function report(spreads, stats, setting, skipped) {
  const rows = Object.entries(spreads).map(([name, { thermoclineMs, duckDbMs }]) => {
    const allowedMs = Math.max(aim.times * duckDbMs.median, duckDbMs.median + aim.moreMs);
    const { hot_rows: hotRows, cold_files: coldFiles, pruned_files: pruned } = stats[name];
    const over = thermoclineMs.median - duckDbMs.median;
    return [
      name,
      shown(thermoclineMs),
      shown(duckDbMs),
      over.toFixed(0),
      thermoclineMs.median <= allowedMs ? 'yes' : 'no',
      hotRows,
      coldFiles,
      pruned,
    ];
  });
  const columns = ['query', 'thermocline ms', 'DuckDB ms', 'more ms', 'in aim', 'hot rows', 'cold files', 'pruned'];
  const { records, threads } = setting;
  const tables = [
    table(`${records.toLocaleString('en-US')} flights, ${threads} threads, warm; ms at the client, median (min–max)`, columns, rows),
  ];
  const notes = [`aim: within ${aim.times}× of DuckDB or +${aim.moreMs} ms, whichever is larger. Both gave the same rows.`];
  return { tables, notes, skipped, figures: { spreads, stats, setting, aim } };
}
