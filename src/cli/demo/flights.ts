/**
 * The demo's input: three million real flights of 2001 (date, delay, distance, origin, destination, in date order) out of the
 * npm package `vega-datasets`, or made-up ones of the same shape. DuckDB reads them; the same file later answers the
 * questions that the service is asked, so that the two can be compared.
 */
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { LakeError, packageRoot } from '../../kernel/index.js';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';

/** Rows of one chunk, column by column. */
export interface FlightChunk {
  /** The flight's date, in ms since the epoch (UTC). */
  readonly timestampsMs: readonly number[];
  readonly origins: readonly string[];
  /** The flight as JSON. */
  readonly values: readonly string[];
}

export interface Flights {
  readonly path: string;
  readonly records: number;
  /** Flights from the `from`-th (0 = first) to before the `to`-th, in date order. */
  chunks(from: number, to: number): AsyncGenerator<FlightChunk>;
  /** Runs a question against the original: table `flights` holds just the flights that are produced. */
  ask(sql: string): Promise<unknown[][]>;
  /** Date of the n-th flight, in ms. */
  dateOf(index: number): Promise<number>;
  close(): void;
}

/** The file in the installed package. Errors: `unsupported` that says how to get it. */
export function findFlightsFile(): string {
  try {
    const require = createRequire(join(packageRoot, 'package.json'));
    // The package exports only its entry, build/index.js; the data lies beside that folder.
    return join(dirname(require.resolve('vega-datasets')), '..', 'data', 'flights-3m.parquet');
  } catch (error) {
    throw new LakeError('unsupported', 'the flights of the npm package vega-datasets are not installed', {
      hint: 'Run `npm install vega-datasets@3.2`, or use --synthetic for made-up flights.',
      cause: error,
    });
  }
}

const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** Made-up flights: the same columns and about the same spread of values, the same for everyone who makes them. */
async function writeSynthetic(connection: DuckDBConnection, path: string, records: number): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  await connection.run(`
    COPY (
      SELECT TIMESTAMP '2001-01-01 00:01:00' + to_minutes((i * 260000) // ${Math.max(1, records)}) AS "date",
             (hash(i) % 180)::BIGINT - 20 AS delay,
             (hash(i + 7) % 2500)::BIGINT + 30 AS distance,
             list_extract(['ATL','ORD','DFW','LAX','PHX','STL','DTW','MSP','LAS','DEN','IAH','SFO','EWR','PHL','CLT'], (hash(i + 13) % 15)::INT + 1) AS origin,
             list_extract(['SAV','LAX','MDW','BOS','SEA','MIA','JFK','SAN','PIT','CLE'], (hash(i + 17) % 10)::INT + 1) AS destination
      FROM range(${records}) t(i)
    ) TO ${quote(path)} (FORMAT parquet, COMPRESSION zstd)`);
}

/** Opens the flights. `limit` takes only the first so many; `syntheticPath` makes them up into that file. */
export async function openFlights(options: { readonly limit?: number; readonly syntheticPath?: string }): Promise<Flights> {
  const instance = await DuckDBInstance.create(':memory:', {
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    threads: '2',
  });
  const connection = await instance.connect();
  await connection.run(`SET TimeZone = 'UTC'`);
  let path: string;
  if (options.syntheticPath === undefined) path = findFlightsFile();
  else {
    path = options.syntheticPath;
    await writeSynthetic(connection, path, options.limit ?? 3_000_000);
  }
  // The order of the file is the order of the log: kept, and made explicit as a row number.
  await connection.run(`CREATE VIEW original AS SELECT * FROM read_parquet(${quote(path)}, file_row_number = true)`);
  const total = await scalar(connection, 'SELECT count(*) FROM original');
  const records = Math.min(options.limit ?? total, total);
  await connection.run(`CREATE VIEW flights AS SELECT * FROM original WHERE file_row_number < ${records}`);

  return {
    path,
    records,
    async *chunks(from, to) {
      const reader = await instance.connect();
      try {
        const result = await reader.stream(`
          SELECT epoch_ms("date"), origin,
                 to_json({'date': strftime("date", '%Y-%m-%dT%H:%M:%S'), 'delay': delay, 'distance': distance,
                          'origin': origin, 'destination': destination})::VARCHAR
          FROM original WHERE file_row_number >= ${from} AND file_row_number < ${Math.min(to, records)}`);
        for (;;) {
          const chunk = await result.fetchChunk();
          if (chunk === null || chunk.rowCount === 0) return;
          const [dates, origins, values] = chunk.getColumns() as [bigint[], string[], string[]];
          yield { timestampsMs: dates.map(Number), origins, values };
        }
      } finally {
        reader.closeSync();
      }
    },
    ask: async (sql) => (await connection.runAndReadAll(sql)).getRowsJson() as unknown[][],
    dateOf: (index) =>
      scalar(connection, `SELECT epoch_ms("date") FROM original WHERE file_row_number = ${Math.max(0, Math.min(index, records - 1))}`),
    close: () => {
      connection.closeSync();
      instance.closeSync();
    },
  };
}

async function scalar(connection: DuckDBConnection, sql: string): Promise<number> {
  const rows = (await connection.runAndReadAll(sql)).getRows();
  return Number(rows[0]![0]);
}
