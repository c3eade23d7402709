// The flights of the development dependency `vega-datasets`, read by DuckDB: as rows for the load generator, as one Parquet
// file for the peer of the queries. Made-up ones of the same shape where the package is missing.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';

/** The file, or undefined. */
export function flightsFile() {
  try {
    const path = join(dirname(createRequire(import.meta.url).resolve('vega-datasets')), '..', 'data', 'flights-3m.parquet');
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

const airports = "['ATL','ORD','DFW','LAX','PHX','STL','DTW','MSP','LAS','DEN','IAH','SFO','EWR','PHL','CLT']";

/** What stands behind FROM: so many flights in date order, with `file_row_number`. */
export function flightsRelation(records) {
  const path = flightsFile();
  if (path !== undefined)
    return `(SELECT * FROM read_parquet('${path.replaceAll("'", "''")}', file_row_number = true) WHERE file_row_number < ${records})`;
  return `(SELECT TIMESTAMP '2001-01-01 00:01:00' + to_minutes((i * 260000) // ${records}) AS "date", (hash(i) % 180)::BIGINT - 20 AS delay,
    (hash(i + 7) % 2500)::BIGINT + 30 AS distance, ${airports}[(hash(i + 13) % 15)::INT + 1] AS origin,
    ${airports}[(hash(i + 17) % 15)::INT + 1] AS destination, i AS file_row_number FROM range(${records}) t(i))`;
}

/** DuckDB in memory, in UTC. */
export async function openDuckDb() {
  const instance = await DuckDBInstance.create(':memory:', { autoinstall_known_extensions: 'false', autoload_known_extensions: 'false' });
  const connection = await instance.connect();
  await connection.run("SET TimeZone = 'UTC'");
  return connection;
}

/** Columns of up to 2,048 flights at a time. */
export async function* flightRows(records) {
  const connection = await openDuckDb();
  const result = await connection.stream(`
    SELECT epoch_ms("date"), origin, to_json({'date': strftime("date", '%Y-%m-%dT%H:%M:%S'), 'delay': delay, 'distance': distance,
           'origin': origin, 'destination': destination})::VARCHAR
    FROM ${flightsRelation(records)}`);
  for (let chunk = await result.fetchChunk(); chunk !== null && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
    const [dates, origins, values] = chunk.getColumns();
    yield { timestampsMs: dates.map(Number), origins, values };
  }
  connection.closeSync();
}

/** Flights into the service as a topic of that name: up to `coldShare` of each partition cold, the rest hot. */
export async function fillBothTiers({ load, service, records, partitions, coldShare }) {
  const bootstrap = service.kafka;
  await load.ask('prepareFlights', { name: 'flights', records, partitions });
  await load.ask('create', { bootstrap, topic: 'flights', partitions });
  await load.ask('produce', { bootstrap, topic: 'flights', name: 'flights', acks: -1, to: coldShare });
  await service.flush('flights');
  await service.evict('flights');
  await load.ask('produce', { bootstrap, topic: 'flights', name: 'flights', acks: -1, from: coldShare });
}
