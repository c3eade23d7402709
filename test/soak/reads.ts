// What is read besides answers in rows: the records route, and exports of whole topics as streams, each record held against the
// model as it comes.
import { tableFromIPC } from 'apache-arrow';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { type Lake, Refusal } from '../support/lake.js';
import type { Seeded } from '../support/seed.js';
import { type Content, contentOf } from './content.js';
import { BrokenOff } from './excuses.js';
import type { Ledger } from './ledger.js';

interface RouteRecord {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp?: string | number;
  readonly key: string | null;
  readonly value: unknown;
}

async function* linesOf(response: Response): AsyncGenerator<string> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body!) {
    const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split('\n');
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== '') yield rest;
}

/** Lines until the one that ends the stream. Throws the late error's `Refusal`. */
async function* rowsOf(response: Response): AsyncGenerator<Record<string, unknown>> {
  for await (const line of linesOf(response)) {
    const row = JSON.parse(line) as Record<string, unknown>;
    if (row['_error'] !== undefined) throw new Refusal(row['_error'] as Refusal['problem']);
    if (row['_end'] !== undefined || row['_progress'] !== undefined) continue;
    yield row;
  }
}

/** The value of a record as the route gives it: JSON as it is, text else. */
function isValue(found: unknown, { value }: Content): boolean {
  if (found === null || value === null) return found === value;
  return (typeof found === 'string' ? found : JSON.stringify(found)) === value;
}

/** Some records by offset; says what is wrong. */
export async function readRecords(lake: Lake, ledger: Ledger, random: Seeded): Promise<string | undefined> {
  const { name, partitions } = ledger.plan;
  const partition = random.whole(0, partitions);
  const acked = ledger.acked()[partition]!;
  const offset = random.whole(0, acked);
  const limit = random.pick([1, 10, 300]);
  const path = `/v1/topics/${name}/records?partition=${partition}&offset=${offset}&limit=${limit}`;
  let next = offset;
  for await (const row of rowsOf(await lake.http(path))) {
    const record = row as unknown as RouteRecord;
    await ledger.until(ledger.acked().map((_end, at) => ({ start: 0, end: at === partition ? record.offset + 1 : 0 })));
    const content = contentOf(ledger.plan, ledger.numberAt(partition, record.offset));
    if (record.offset !== next++ || record.partition !== partition || record.key !== content.key || !isValue(record.value, content))
      return `${path}: at ${next - 1} came ${JSON.stringify(record)}, due was ${JSON.stringify(content)}`;
  }
  const due = Math.min(limit, acked - offset);
  return next - offset < due ? `${path}: ${next - offset} records came, ${due} were acknowledged` : undefined;
}

/** Looks a key up, its last record or its history; says what is wrong. */
export async function readKey(lake: Lake, ledger: Ledger, random: Seeded): Promise<string | undefined> {
  const { name, keys } = ledger.plan;
  const key = `k${random.whole(0, keys + 1)}`;
  const acked = ledger.acked();
  const due = acked.flatMap((end, partition) => ledger.offsetsOf(key, partition, end).map((offset) => ({ partition, offset })));
  const path = `/v1/topics/${name}/keys/${key}`;
  if (random.float() < 0.5) {
    const found: RouteRecord[] = [];
    for await (const row of rowsOf(await lake.http(`${path}?history=true`))) found.push(row as unknown as RouteRecord);
    const missing = due.find(({ partition, offset }, at) => found[at]?.partition !== partition || found[at].offset !== offset);
    if (missing !== undefined) return `${path}?history=true: misses ${JSON.stringify(missing)}, has ${found.length} of ${due.length}`;
    return firstWrong(path, ledger, key, found);
  }
  const last = due.at(-1);
  try {
    const record = await lake.json<RouteRecord>(path);
    if (last !== undefined && record.offset < last.offset) return `${path}: ${record.offset} came, ${last.offset} was acknowledged`;
    return await firstWrong(path, ledger, key, [record]);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { code } = error.problem;
    if (code === 'key-unknown' && last === undefined) return undefined;
    if (code !== 'key-deleted') throw error;
    const [, offset, partition] = /offset (\d+) of \S+-(\d+)/.exec(error.problem.detail)!.map(Number) as [number, number, number];
    await ledger.until(acked.map((_end, at) => ({ start: 0, end: at === partition ? offset + 1 : 0 })));
    return contentOf(ledger.plan, ledger.numberAt(partition, offset)).value === null ? undefined : `${path}: ${error.problem.detail}`;
  }
}

async function firstWrong(path: string, ledger: Ledger, key: string, records: readonly RouteRecord[]): Promise<string | undefined> {
  for (const record of records) {
    await ledger.until(ledger.acked().map((_end, at) => ({ start: 0, end: at === record.partition ? record.offset + 1 : 0 })));
    const content = contentOf(ledger.plan, ledger.numberAt(record.partition, record.offset));
    if (content.key !== key || record.key !== key || !isValue(record.value, content))
      return `${path}: ${JSON.stringify(record)} came, there is ${JSON.stringify(content)}`;
  }
  return undefined;
}

/** One question in two formats and with one token; says where they differ. */
export async function compareFormats(lake: Lake, ledger: Ledger, random: Seeded): Promise<string | undefined> {
  const sql = `SELECT _partition_id, _offset, n, amount, region FROM ${ledger.plan.name} ORDER BY ALL LIMIT ${random.pick([1, 500, 20_000])}`;
  const { rows, snapshot } = await lake.ask(sql);
  const due = rows.map((row) => row.map((cell) => (cell === null ? null : String(cell as string | number))));
  const format = random.pick(['csv', 'arrow', 'parquet'] as const);
  const response = await lake.http('/v1/query', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sql, format, as_of: snapshot }),
  });
  const whole = response.arrayBuffer().catch((cause: unknown) => {
    throw new BrokenOff('an answer ended before its end', { cause });
  });
  const found = await cellsOf(format, Buffer.from(await whole));
  if (JSON.stringify(found) === JSON.stringify(due)) return undefined;
  const differs = due.findIndex((row, at) => JSON.stringify(found[at]) !== JSON.stringify(row));
  return `${sql} as ${format}: ${found.length} rows, due ${due.length}; row ${differs} is ${JSON.stringify(found[differs])}, due ${JSON.stringify(due[differs])}`;
}

type Cells = readonly (readonly (string | null)[])[];

async function cellsOf(format: 'csv' | 'arrow' | 'parquet', bytes: Buffer): Promise<Cells> {
  const text = (cell: unknown): string | null => (cell === null || cell === undefined ? null : String(cell as string | number | bigint));
  switch (format) {
    case 'csv':
      return bytes
        .toString()
        .split('\r\n')
        .slice(1, -1)
        .map((line) => line.split(',').map((cell) => (cell === '' ? null : cell)));
    case 'arrow': {
      const table = tableFromIPC(bytes);
      return (table.toArray() as Iterable<readonly [string, unknown]>[]).map((row) => [...row].map(([, cell]) => text(cell)));
    }
    case 'parquet': {
      const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
      return (await parquetReadObjects({ file, compressors })).map((row) => Object.values(row).map(text));
    }
  }
}

/** Every record of a topic, by partition and offset; says what is wrong. */
export async function exportAll(lake: Lake, ledger: Ledger): Promise<string | undefined> {
  const { name } = ledger.plan;
  const acked = ledger.acked();
  const sql = `SELECT _partition_id AS p, _offset AS o, text(_key) AS k, text(_value) AS v, epoch_ms(_timestamp) AS t FROM ${name} ORDER BY p, o`;
  const response = await lake.http('/v1/query', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sql, format: 'ndjson' }),
  });
  const next = acked.map(() => 0);
  for await (const { p, o, k, v, t } of rowsOf(response)) {
    const [partition, offset] = [Number(p), Number(o)];
    if (offset >= ledger.acked()[partition]!)
      await ledger.until(acked.map((_end, at) => ({ start: 0, end: at === partition ? offset + 1 : 0 })));
    const content = contentOf(ledger.plan, ledger.numberAt(partition, offset));
    if (offset !== next[partition]!++ || k !== content.key || v !== content.value || Number(t) !== content.timestampMs)
      return `export of ${name}: after ${partition}/${next[partition]! - 2} came ${JSON.stringify({ p, o, k, v, t })}, at ${offset} is ${JSON.stringify(content)}`;
  }
  const short = acked.findIndex((end, partition) => next[partition]! < end);
  return short < 0 ? undefined : `export of ${name}: partition ${short} ended at ${next[short]}, ${acked[short]} were acknowledged`;
}
