// The peer of the queries: DuckDB alone, in a process of its own, on one Parquet file with the columns that the service has.
import { answer } from './load.mjs';
import { flightsRelation, openDuckDb } from './flights.mjs';

let connection;

/** Writes the flights into one Parquet file, as a careful user would: zstd, in date order, default row groups. */
async function prepare({ path, records, threads }) {
  connection = await openDuckDb();
  await connection.run(`SET threads = ${threads}`);
  const quoted = `'${path.replaceAll("'", "''")}'`;
  await connection.run(`
    COPY (SELECT "date"::TIMESTAMPTZ AS _timestamp, strftime("date", '%Y-%m-%dT%H:%M:%S') AS "date", delay, distance, origin, destination
          FROM ${flightsRelation(records)}) TO ${quoted} (FORMAT parquet, COMPRESSION zstd)`);
  await connection.run(`CREATE VIEW flights AS SELECT * FROM read_parquet(${quoted})`);
  return { threads };
}

async function ask({ sql }) {
  const startMs = performance.now();
  const rows = (await connection.runAndReadAll(sql)).getRowsJson();
  return { ms: performance.now() - startMs, rows };
}

answer({ prepare, ask });
