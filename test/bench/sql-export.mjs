/** Many rows out of both tiers as ndjson, arrow and parquet: rows and MB a second, and resident memory of gateway and engines while it streams. */
import { Figures, shown, table } from './figures.mjs';
import { memoryMiB, namedProcesses } from './processes.mjs';
import { openLake, recordsFor } from './sql-lake.mjs';

export const about = 'exports of many rows as ndjson, arrow and parquet, with memory of gateway and engines over time';

const partitions = 4;
/** So many the data set has. */
const flightsMax = 3_000_000;
const formats = ['ndjson', 'arrow', 'parquet'];
const sampleMs = 250;
const sql = 'SELECT origin, destination, delay, distance, _timestamp, _offset FROM flights';

/** MiB resident of the gateway and of all its children. */
function memoryOf(service) {
  const sums = { gatewayMiB: 0, enginesMiB: 0 };
  for (const { pid, name } of namedProcesses(service.pid)) {
    if (name === 'gateway') sums.gatewayMiB += memoryMiB(pid).resident;
    if (name === 'gateway child') sums.enginesMiB += memoryMiB(pid).resident;
  }
  return sums;
}

/** Reads an export to its end, counting bytes (and lines of ndjson). */
async function read(service, format) {
  const headers = { 'content-type': 'application/json', 'x-thermocline': '1' };
  const response = await fetch(new URL('/v1/query', service.http), { method: 'POST', headers, body: JSON.stringify({ sql, format }) });
  if (!response.ok) throw new Error(`${format}: ${response.status} ${await response.text()}`);
  let [bytes, lines, tail] = [0, 0, Buffer.alloc(0)];
  for await (const part of response.body) {
    bytes += part.length;
    if (format === 'ndjson') for (let at = part.indexOf(10); at >= 0; at = part.indexOf(10, at + 1)) lines++;
    tail = Buffer.concat([tail, part]).subarray(-4096);
  }
  return { bytes, lines, tail: tail.toString('latin1') };
}

export async function run({ work, quick, rounds, note, gib }) {
  const prepared = quick ? 50_000 : flightsMax;
  const wanted = gib === undefined ? prepared : recordsFor(gib) * 8;
  /** The same flights come again until there are enough. */
  const turns = Math.max(1, Math.round(wanted / prepared));
  const records = turns * prepared;
  const figures = new Figures();
  const series = {};
  const lake = await openLake(work);
  try {
    await lake.load.ask('prepareFlights', { name: 'flights', records: prepared, partitions });
    await lake.create('flights', partitions);
    for (let turn = 1; turn < turns; turn++) {
      note(`filling, turn ${turn} of ${turns}`);
      await lake.produce('flights', 0, 1);
      await lake.cool('flights');
    }
    await lake.produce('flights', 0, 0.85);
    await lake.cool('flights');
    await lake.produce('flights', 0.85, 1);
    for (let round = 0; round < rounds; round++) {
      for (const format of formats) {
        note(`round ${round + 1} of ${rounds}: ${format}`);
        const samples = [{ ms: 0, ...memoryOf(lake.service) }];
        const startMs = performance.now();
        const timer = setInterval(() => samples.push({ ms: Math.round(performance.now() - startMs), ...memoryOf(lake.service) }), sampleMs);
        const done = await read(lake.service, format).finally(() => clearInterval(timer));
        const seconds = (performance.now() - startMs) / 1000;
        mustBeWhole(format, done);
        series[format] = samples;
        const most = (name) => Math.max(...samples.map((sample) => sample[name]));
        figures.add(format, {
          rowsPerSecond: records / seconds,
          mbPerSecond: done.bytes / 1e6 / seconds,
          gatewayMiB: most('gatewayMiB'),
          enginesMiB: most('enginesMiB'),
        });
      }
    }
    const [[counted]] = (await lake.ask('SELECT count(*) FROM flights')).rows;
    if (Number(counted) !== records) throw new Error(`${counted} of ${records} rows are there`);
  } finally {
    await lake.stop();
  }
  const spreads = figures.spreads();
  const shownOf = ['rowsPerSecond', 'mbPerSecond', 'gatewayMiB', 'enginesMiB'];
  const rows = Object.entries(spreads).map(([name, row]) => [name, ...shownOf.map((one) => shown(row[one]))]);
  const columns = ['format', 'rows/s', 'MB/s', 'gateway MiB, most', 'engines MiB, most'];
  return {
    tables: [table(`${records.toLocaleString('en-US')} flights, six columns; median (min–max)`, columns, rows)],
    notes: ['The figures hold a sample of resident memory each quarter of a second, of the last round.'],
    skipped: [],
    figures: { spreads, series, records },
  };

  /** ndjson has its closing line and a line for each row; a parquet file ends with its mark. */
  function mustBeWhole(format, { lines, tail }) {
    const last = tail.trimEnd().split('\n').at(-1);
    if (format === 'ndjson' && (!last.includes('"_end"') || lines < records + 1))
      throw new Error(`ndjson: ${lines} lines, the last ${last}`);
    if (format === 'parquet' && !tail.endsWith('PAR1')) throw new Error('parquet: the file has no end');
  }
}
