/**
 * Aggregates over ranges of time of a cold log on an S3 server, asked by a service that has nothing cached of it, beside
 * DuckDB on one typed, sorted Parquet file: on the same server, with nothing cached either, and on the local disk.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Figures, shown, table } from './figures.mjs';
import { forget, remember } from './processes.mjs';
import { mustBeSame, openLake, threads } from './sql-lake.mjs';
import { prepareRanges, sizesOf } from './sql-range-questions.mjs';
import { findVersitygw, serviceOn, startVersitygw } from './versitygw.mjs';

export const about = 'aggregates over cold ranges of time on S3 with an empty cache, beside DuckDB on the same server';

const aimTimes = 3;
/** Of a topic that is asked first, so that the service has been to the bucket at all. */
const otherRecords = 2000;
const script = fileURLToPath(new URL('duckdb-s3.py', import.meta.url));

/** DuckDB with httpfs, out of the Python that the environment names; `undefined` where there is none. */
function openS3Peer({ endpoint, credentials }) {
  const python = process.env.THERMOCLINE_TEST_PYTHON;
  if (!python) return undefined;
  const child = spawn(python, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  remember(child.pid);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const s3 = { endpoint, accessKey: credentials.AWS_ACCESS_KEY_ID, secretKey: credentials.AWS_SECRET_ACCESS_KEY };
  return {
    ask: async (sql, views) => {
      child.stdin.write(`${JSON.stringify({ sql, views, threads, s3 })}\n`);
      const { value } = await lines.next();
      const answer = JSON.parse(value);
      if (answer.error !== undefined) throw new Error(`DuckDB on S3: ${answer.error}`);
      return answer;
    },
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', () => {
          forget(child.pid);
          resolve();
        });
        child.stdin.end();
      }),
  };
}

export async function run({ work, quick, rounds, note, gib }) {
  const found = findVersitygw();
  if (found.missing !== undefined) return { tables: [], notes: [], skipped: [`an empty cache on S3: ${found.missing}`], figures: {} };
  const sizes = sizesOf(quick, gib);
  const skipped = [];
  const figures = new Figures();
  const server = await startVersitygw(found, join(work, 's3'), 'bench');
  const peer = openS3Peer(server);
  if (peer === undefined) skipped.push('DuckDB on S3: set THERMOCLINE_TEST_PYTHON to a Python with duckdb and duckdb-extension-httpfs');
  let lake;
  try {
    note('filling a lake on S3');
    lake = await openLake(join(work, 'on-s3'), serviceOn(server));
    const questions = await prepareRanges(lake, join(work, 'on-s3'), sizes, 1);
    await lake.prepareRecords('other', 1, { to: otherRecords }, false);
    await lake.fill('other', 1, 1);
    const views = {};
    mkdirSync(join(work, 's3/bench/peer'), { recursive: true });
    for (const topic of Object.keys(questions)) {
      cpSync(join(work, 'on-s3', `${topic}.parquet`), join(work, 's3/bench/peer', `${topic}.parquet`));
      views[topic] = `${server.url}/peer/${topic}.parquet`;
    }
    for (const [topic, asked] of Object.entries(questions)) {
      for (const { name, sql } of asked.filter((one) => one.name.startsWith('cold') || one.name === 'everything')) {
        const row = `${topic}, ${name}`;
        for (let round = 0; round < rounds; round++) {
          note(`${row}, round ${round + 1} of ${rounds}`);
          await lake.restartEmpty();
          for (let i = 0; i < 3; i++) await lake.ask('SELECT service, count(*), avg(duration_ms) FROM other GROUP BY service');
          const { ours, theirs } = await lake.askBoth(name, sql);
          const { requests, read_bytes: readBytes, plan_ms: planMs } = ours.stats;
          figures.add(row, { ms: ours.ms, planMs, localMs: theirs.ms, requests, readMb: readBytes / 1e6 });
          const remote = await peer?.ask(sql, views);
          if (remote !== undefined) {
            mustBeSame(`${name}, DuckDB on S3`, ours.rows, remote.rows);
            figures.add(row, { s3Ms: remote.ms });
          }
          figures.add(row, { againMs: (await lake.ask(sql)).ms });
        }
      }
    }
  } finally {
    await lake?.stop();
    await peer?.stop();
    await server.stop();
  }
  return report(figures.spreads(), sizes, skipped);
}

function report(spreads, sizes, skipped) {
  const times = (ours, theirs) => (theirs === undefined ? '-' : (ours.median / theirs.median).toFixed(2));
  const rows = Object.entries(spreads).map(([name, row]) => [
    name,
    shown(row.ms),
    shown(row.s3Ms),
    times(row.ms, row.s3Ms),
    shown(row.localMs),
    times(row.ms, row.localMs),
    shown(row.requests),
    shown(row.readMb),
    shown(row.againMs),
  ]);
  const columns = ['aggregate', 'ms', 'DuckDB on S3 ms', '÷', 'DuckDB on disk ms', '÷', 'requests', 'MB read', 'again ms'];
  const title = `${sizes.flights.toLocaleString('en-US')} flights, ${sizes.records.toLocaleString('en-US')} records of 1 KiB, all cold, ${threads} threads; ms at the client, median (min–max)`;
  return {
    tables: [table(title, columns, rows)],
    notes: [
      `aim: within ${aimTimes}× of DuckDB. Each round a service that was just started and has answered questions about another topic. Of this one it has the table and the footers of its newest files, which it loads at its start before anyone asks, and not one page of a column; DuckDB has nothing (a new connection).`,
    ],
    skipped,
    figures: { spreads, sizes, threads, aimTimes },
  };
}
