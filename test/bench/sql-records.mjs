// Records of about 1 KiB, one a second, made by DuckDB from their number alone: so the service gets them as JSON and the peer as typed columns.
import { openDuckDb } from './flights.mjs';

export const recordsFirstMs = Date.UTC(2021, 0, 1);
/** How far apart two records are by default, and how many different keys there are. */
export const recordsStepMs = 1000;
export const recordKeys = 5000;

/** What stands behind FROM: records from one number to another, with `_timestamp` and `_key` as text. */
export function recordsRelation({ from = 0, to, stepMs = recordsStepMs, keys = recordKeys, valueBytes = 1024 }) {
  const repeats = Math.max(1, Math.round((valueBytes - 190) / 32));
  const text = Array.from({ length: repeats }, (_, at) => `md5((i * 31 + ${at})::VARCHAR)`).join(' || ');
  return `(SELECT make_timestamptz((${recordsFirstMs} + i * ${stepMs}) * 1000) AS _timestamp, 'key-' || (hash(i) % ${keys}) AS _key, i AS id,
    'service-' || (hash(i + 1) % 30) AS service, (hash(i + 2) % 5)::BIGINT * 100 + 100 AS status, (hash(i + 3) % 100000)::DOUBLE / 8 AS duration_ms,
    (hash(i + 4) % 400000)::BIGINT AS bytes_out, 'host-' || (hash(i + 5) % 200) AS host, ${text} AS message FROM range(${from}, ${to}) t(i))`;
}

const fields = ['id', 'service', 'status', 'duration_ms', 'bytes_out', 'host', 'message'];

/** Columns of up to 2,048 records at a time. */
export async function* recordRows(options) {
  const connection = await openDuckDb();
  const struct = fields.map((field) => `'${field}': ${field}`).join(', ');
  const sql = `SELECT epoch_ms(_timestamp), _key, to_json({${struct}})::VARCHAR FROM ${recordsRelation(options)}`;
  const result = await connection.stream(sql);
  for (let chunk = await result.fetchChunk(); chunk !== null && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
    const [times, keys, values] = chunk.getColumns();
    yield { timestampsMs: times.map(Number), keys, values };
  }
  connection.closeSync();
}
