// What is read besides answers in rows: the records route, and exports of whole topics as streams, each record held against the
// model as it comes.
import { type Lake, Refusal } from '../support/lake.js';
import type { Seeded } from '../support/seed.js';
import { type Content, contentOf } from './content.js';
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
