// The peer of the queries: DuckDB alone, in a process of its own, on one Parquet file with the columns that the service has.
import { rmSync } from 'node:fs';
import { answer } from './load.mjs';
import { flightsRelation, openDuckDb } from './flights.mjs';
import { recordsRelation } from './sql-records.mjs';

let connection;

/** Writes the flights into one Parquet file, as a careful user would: zstd, in date order, default row groups. */
async function prepare({ path, records, threads }) {
  connection ??= await openDuckDb();
  await connection.run(`SET threads = ${threads}`);
  const quoted = `'${path.replaceAll("'", "''")}'`;
  await connection.run(`
    COPY (SELECT "date"::TIMESTAMPTZ AS _timestamp, strftime("date", '%Y-%m-%dT%H:%M:%S') AS "date", delay, distance, origin, destination
          FROM ${flightsRelation(records)}) TO ${quoted} (FORMAT parquet, COMPRESSION zstd)`);
  await connection.run(`CREATE VIEW flights AS SELECT * FROM read_parquet(${quoted})`);
  return { threads };
}

/** Records of `sql-records.mjs` as one Parquet file in order of time, typed, zstd, and a view of it. */
async function prepareRecords({ name, path, threads, memoryBytes, ...records }) {
  connection ??= await openDuckDb();
  await connection.run(`SET threads = ${threads}`);
  await connection.run(`SET memory_limit = '${memoryBytes}B'`);
  const quoted = `'${path.replaceAll("'", "''")}'`;
  const sorted = `SELECT * REPLACE (_key::BLOB AS _key) FROM ${recordsRelation(records)}`;
  await connection.run(`COPY (${sorted}) TO ${quoted} (FORMAT parquet, COMPRESSION zstd)`);
  await connection.run(`CREATE OR REPLACE VIEW ${name} AS SELECT * FROM read_parquet(${quoted})`);
}

async function ask({ sql }) {
  const startMs = performance.now();
  const rows = (await connection.runAndReadAll(sql)).getRowsJson();
  return { ms: performance.now() - startMs, rows };
}

const typeOf = { INT64: 'BIGINT', DOUBLE: 'DOUBLE', BOOLEAN: 'BOOLEAN', BYTE_ARRAY: 'VARCHAR' };

/**
 * CPU seconds of what nobody can do without: one thread's COPY of the same offsets, times, keys and values into zstd Parquet as DuckDB
 * does by default, and of the same typed columns by `from_json` with the types given. It reads them from an uncompressed file.
 */
async function bareCopy({ files, folder }) {
  connection ??= await openDuckDb();
  await connection.run('SET threads = 1');
  const [plain, out] = [`'${folder}/plain.parquet'`, `'${folder}/bare.parquet'`];
  // A column that is null everywhere is not in our files.
  const has = await connection.runAndReadAll(`SELECT count(*) FROM parquet_schema('${files}') WHERE name = '_key'`);
  const base = Number(has.getRows()[0][0]) > 0 ? '_offset, _timestamp, _key, _value' : '_offset, _timestamp, _value';
  await connection.run(
    `COPY (SELECT ${base} FROM read_parquet('${files}', union_by_name = true)) TO ${plain} (FORMAT parquet, COMPRESSION uncompressed)`,
  );
  const schema = await connection.runAndReadAll(
    `SELECT DISTINCT name, type FROM parquet_schema('${files}') WHERE field_id >= 100 ORDER BY name`,
  );
  const columns = schema.getRows();
  const fields = `{${columns.map(([name, type]) => `"${name}":"${typeOf[type]}"`).join(',')}}`;
  const typed = columns.length === 0 ? '' : ', unnest(s)';
  const parsed = columns.length === 0 ? '' : `, from_json(decode(_value), '${fields}') AS s`;
  const select = `SELECT ${base}${typed} FROM (SELECT *${parsed} FROM ${plain})`;
  const before = process.cpuUsage();
  await connection.run(`COPY (${select}) TO ${out} (FORMAT parquet, COMPRESSION zstd)`);
  const { user, system } = process.cpuUsage(before);
  for (const path of [plain, out]) rmSync(path.slice(1, -1));
  return { cpuSeconds: (user + system) / 1e6, columns: columns.length };
}

answer({ prepare, prepareRecords, ask, bareCopy });
