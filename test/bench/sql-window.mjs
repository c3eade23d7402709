/**
 * One hour out of a log a hundred times as long beside the same hour alone in a log; the first row of LIMIT 10, and the last 100
 * records; of few cold files and of a thousand.
 */
import { Figures, shown, table } from './figures.mjs';
import { recordsFirstMs } from './sql-records.mjs';
import { mustBeSame, openLake, recordsFor, within } from './sql-lake.mjs';

export const about = 'one hour of a log 100× as long beside that hour alone, LIMIT 10, the last 100 records';

const partitions = 10;
const hourMs = 3_600_000;
const factor = 100;
/** The hour that is asked for. */
const place = 40;
const aim = { times: 2, limitMs: 50, lastMs: 50 };

export async function run({ work, quick, rounds, note, gib }) {
  const records = recordsFor(gib, quick ? 20_000 : 400_000);
  const hour = Math.floor(records / factor);
  const stepMs = hourMs / hour;
  const files = quick ? 50 : 1000;
  const figures = new Figures();
  const lake = await openLake(work);
  try {
    note(`filling logs of one hour and of ${factor}, the latter also in ${files} cold files`);
    await lake.prepareRecords('hours', partitions, { to: hour * factor, stepMs }, false);
    await lake.fill('hours', partitions, 0.97);
    await lake.prepareRecords('hour', partitions, { from: hour * place, to: hour * (place + 1), stepMs });
    await lake.fill('hour', partitions, 1);
    await lake.prepareRecords('files', partitions, { to: hour * factor, stepMs, batchRecords: Math.floor((hour * factor) / files) }, false);
    const cold = await lake.fillFiles('files', partitions, files);
    const fromMs = recordsFirstMs + place * hourMs;
    const aggregate = (topic) =>
      `SELECT service, count(*) AS n, avg(duration_ms) AS mean FROM ${topic}${within(fromMs, fromMs + hourMs)} GROUP BY service ORDER BY service`;
    for (let time = -2; time < Math.max(5, rounds); time++) {
      note(`time ${time}`);
      const { ours: alone, theirs } = await lake.askBoth('one hour', aggregate('hour'));
      if (time >= 0) figures.add('that hour alone', { windowMs: alone.ms, duckDbMs: theirs.ms, files: alone.stats.cold_files });
      for (const topic of ['hours', 'files']) {
        const window = await lake.ask(aggregate(topic));
        mustBeSame(topic, window.rows, theirs.rows);
        const limit = await firstRow(lake.service, `SELECT id, service FROM ${topic} LIMIT 10`);
        const last = await lake.ask(`SELECT _partition_id, _offset FROM ${topic} WHERE _partition_id = 0 ORDER BY _offset DESC LIMIT 100`);
        const end = await lake.service.storage(topic);
        const highest = end.partitions.find(({ partition }) => partition === 0).high_watermark - 1;
        mustBeSame(
          `${topic}, last`,
          last.rows,
          Array.from({ length: 100 }, (_, at) => [0, highest - at]),
        );
        if (time < 0) continue;
        const name =
          topic === 'hours'
            ? `${factor}×, ${window.stats.cold_files + window.stats.pruned_files} cold files`
            : `${factor}×, ${cold} cold files`;
        const { cold_files: read } = window.stats;
        figures.add(name, { windowMs: window.ms, ratio: window.ms / alone.ms, files: read, limitMs: limit, lastMs: last.ms });
      }
    }
  } finally {
    await lake.stop();
  }
  return report(figures.spreads(), { records, hour, files });
}

/** ms until the first line of rows has come. */
async function firstRow(service, sql) {
  const startMs = performance.now();
  const headers = { 'content-type': 'application/json', 'x-thermocline': '1' };
  const response = await fetch(new URL('/v1/query', service.http), {
    method: 'POST',
    headers,
    body: JSON.stringify({ sql, format: 'ndjson' }),
  });
  let [text, ms] = ['', undefined];
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (ms === undefined && text.includes('"service"')) ms = performance.now() - startMs;
  }
  const rows = text.split('\n').filter((line) => line.includes('"service"'));
  if (rows.length !== 10 || ms === undefined) throw new Error(`${sql} gave ${text.slice(0, 500)}`);
  return ms;
}

function report(spreads, setting) {
  const rows = Object.entries(spreads).map(([name, row]) => [
    name,
    ...['windowMs', 'ratio', 'files', 'limitMs', 'lastMs', 'duckDbMs'].map((one) => shown(row[one])),
  ]);
  const columns = ['log', 'one hour ms', '÷ alone', 'files read', 'first of LIMIT 10 ms', 'last 100 ms', 'DuckDB ms'];
  return {
    tables: [table(`${setting.hour.toLocaleString('en-US')} records of 1 KiB an hour; ms at the client, median (min–max)`, columns, rows)],
    notes: [
      `aims: one hour within ${aim.times}× of the hour alone, first row of LIMIT 10 ≤ ${aim.limitMs} ms, last 100 ≤ ${aim.lastMs} ms. Rows compared.`,
    ],
    skipped: [],
    figures: { spreads, setting, aim },
  };
}
