/**
 * Small questions over a small topic, part of it cold, through POST /v1/query with connections kept alive: how many a second, how
 * long one takes, and what it takes more than DuckDB alone on one Parquet file of the same rows. CPU is that of the service.
 */
import http from 'node:http';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Figures, shown, table } from './figures.mjs';
import { fillBothTiers } from './flights.mjs';
import { openChild } from './load.mjs';
import { memoryMiB, namedProcesses, treeCpuSeconds } from './processes.mjs';
import { startService } from './service.mjs';

export const about = 'small queries a second through HTTP, and the fixed cost of one beside DuckDB';

const partitions = 2;
const records = 10_000;
const coldShare = 0.7;
const clientCounts = [1, 2, 4];
const aim = { perSecond: 50, moreMs: 30 };

/** Each as a function of the number of the question, so that no two texts need be the same. */
function questionsOf({ partition, boundary, high_watermark: end }) {
  const point = (from, to) => ({
    sql: (n) => `SELECT origin, delay FROM flights WHERE _partition_id = ${partition} AND _offset = ${from + (n % (to - from))}`,
    peer: (n) => `SELECT origin, delay FROM flights LIMIT 1 OFFSET ${from + (n % (to - from))}`,
  });
  return [
    { name: 'count(*)', sql: () => 'SELECT count(*) FROM flights' },
    { name: 'point read, cold', ...point(0, boundary) },
    { name: 'point read, hot', ...point(boundary, end) },
  ];
}

/** POST /v1/query over one connection; answers the rows. */
class Client {
  #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  #url;

  constructor(base) {
    this.#url = new URL('/v1/query', base);
  }

  ask(sql) {
    const body = JSON.stringify({ sql });
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      const request = http.request(this.#url, { method: 'POST', agent: this.#agent, headers }, (response) => {
        const parts = [];
        response.on('data', (part) => parts.push(part));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(parts).toString();
          if (response.statusCode !== 200) reject(new Error(`${sql}: ${response.statusCode} ${text}`));
          else resolve(JSON.parse(text).rows);
        });
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  close() {
    this.#agent.destroy();
  }
}

/** `count` clients, each asking one question after another for so long. */
async function askFor(base, count, durationMs, sqlOf) {
  const clients = Array.from({ length: count }, () => new Client(base));
  const latencies = [];
  const startMs = performance.now();
  let serial = 0;
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() - startMs < durationMs) {
        const askedMs = performance.now();
        const rows = await client.ask(sqlOf(serial++));
        if (rows.length !== 1) throw new Error(`a small question gave ${rows.length} rows`);
        latencies.push(performance.now() - askedMs);
      }
    }),
  );
  const seconds = (performance.now() - startMs) / 1000;
  for (const client of clients) client.close();
  latencies.sort((a, b) => a - b);
  const at = (share) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))];
  return { queries: latencies.length, perSecond: latencies.length / seconds, medianMs: at(0.5), p99Ms: at(0.99) };
}

export async function run({ work, quick, rounds, note }) {
  const load = openChild('load-child.mjs');
  const peer = openChild('duckdb-child.mjs');
  const service = await startService({ dataDir: join(work, 'data') });
  const durationMs = quick ? 1000 : 3000;
  try {
    await peer.ask('prepare', { path: join(work, 'flights.parquet'), records, threads: availableParallelism() });
    await fillBothTiers({ load, service, records, partitions, coldShare });
    const { partitions: states } = await service.storage('flights');
    const questions = questionsOf(states.find((state) => state.boundary > 0 && state.high_watermark > state.boundary));
    for (const { sql } of questions) await askFor(service.http, 2, 500, sql);

    const figures = new Figures();
    let [asked, cpu] = [0, 0];
    const residentOf = () =>
      namedProcesses(service.pid)
        .map(({ pid }) => memoryMiB(pid).resident)
        .reduce((a, b) => a + b, 0);
    const before = residentOf();
    for (let round = 0; round < rounds; round++) {
      note(`round ${round + 1} of ${rounds}`);
      for (const { name, sql, peer: peerSql = sql } of questions) {
        for (const clients of clientCounts) {
          const cpuBefore = treeCpuSeconds(service.pid);
          const found = await askFor(service.http, clients, durationMs, sql);
          const cpuMs = ((treeCpuSeconds(service.pid) - cpuBefore) / found.queries) * 1000;
          asked += found.queries;
          cpu += cpuMs;
          figures.add(`${name}, ${clients} client${clients > 1 ? 's' : ''}`, { ...found, cpuMs });
        }
        for (let n = 0; n < 20; n++) figures.add(`${name}, DuckDB alone`, { medianMs: (await peer.ask('ask', { sql: peerSql(n) })).ms });
      }
    }
    const memory = { beforeMiB: before, afterMiB: residentOf(), asked };
    return report(figures.spreads(), memory);
  } finally {
    await Promise.all([load.close(), peer.close()]);
    await service.stop();
  }
}

function report(spreads, memory) {
  const rows = Object.entries(spreads).map(([name, row]) => [
    name,
    shown(row.perSecond),
    shown(row.medianMs),
    shown(row.p99Ms),
    shown(row.cpuMs),
  ]);
  const tables = [
    table(
      `${records.toLocaleString('en-US')} flights, ${coldShare * 100} % of them cold; median (min–max) of the rounds`,
      ['', 'a second', 'ms', 'p99 ms', 'CPU ms'],
      rows,
    ),
  ];
  const notes = [
    `aim: ${aim.perSecond} a second, and no more than ${aim.moreMs} ms above DuckDB alone, on two cores.`,
    `resident memory of the service before and after ${memory.asked} queries: ${Math.round(memory.beforeMiB)} and ${Math.round(memory.afterMiB)} MiB.`,
  ];
  return { tables, notes, skipped: [], figures: { spreads, memory, aim } };
}
