// Every kind of question the soak asks, each with what the model says to it. A question is drawn once and may be asked again:
// what it expects depends on nothing but the extents that its answer saw.
import type { Seeded } from '../support/seed.js';
import { bigOf } from './content.js';
import type { View } from './ledger.js';

export interface Question {
  readonly kind: string;
  readonly topics: readonly string[];
  readonly sql: string;
  readonly params?: readonly unknown[];
  /** Views in the order of `topics`. */
  expected(views: readonly View[]): readonly (readonly unknown[])[];
}

interface Sums {
  rows: number;
  values: number;
  objects: number;
  n: number;
  xor: number;
  amount: number;
  big: bigint;
}

const noSums = (): Sums => ({ rows: 0, values: 0, objects: 0, n: 0, xor: 0, amount: 0, big: 0n });

function add(sums: Sums, view: View, n: number): void {
  sums.rows++;
  if (n % 23 !== 7) sums.values++;
  const fields = view.fields(n);
  if (fields === undefined) return;
  sums.objects++;
  sums.n += n;
  sums.xor ^= n;
  sums.amount += fields.amount;
  sums.big += bigOf(n);
}

const orNull = (sums: Sums, value: unknown): unknown => (sums.objects === 0 ? null : value);

/** Says of itself which rows it is about, so it can be held against the model without its token. */
export function totals(topic: string): Question {
  return {
    kind: 'totals',
    topics: [topic],
    sql: `SELECT _partition_id, min(_offset), max(_offset) + 1, count(*), count(_value), count(mixed), sum(n), bit_xor(n), sum(amount), sum(big) FROM ${topic} GROUP BY 1 ORDER BY 1`,
    expected: ([view]) =>
      view!.extents.flatMap(({ start, end }, partition) => {
        if (end <= start) return [];
        const sums = noSums();
        for (const row of view!.last(partition, end - start)) add(sums, view!, row.n);
        const { rows, values, objects, n, xor, amount, big } = sums;
        return [[partition, start, end, rows, values, objects, ...[n, xor, amount, big].map((one) => orNull(sums, one))]];
      }),
  };
}

function timeRange(view: { firstMs: number; nowMs: number }, topic: string, random: Seeded): Question {
  const span = Math.max(1000, view.nowMs - view.firstMs);
  const from = Math.floor(view.firstMs + random.float() * span);
  const to = from + random.pick([500, 2000, 10_000, span]);
  const at = (ms: number): string => `TIMESTAMPTZ '${new Date(ms).toISOString()}'`;
  return {
    kind: 'time range',
    topics: [topic],
    sql: `SELECT count(*), sum(n), sum(amount) FROM ${topic} WHERE _timestamp >= ${at(from)} AND _timestamp < ${at(to)}`,
    expected: ([seen]) => {
      const sums = noSums();
      for (const { n } of seen!.rows()) {
        const ms = seen!.timestampMs(n);
        if (ms >= from && ms < to) add(sums, seen!, n);
      }
      return [[sums.rows, orNull(sums, sums.n), orNull(sums, sums.amount)]];
    },
  };
}

function lastRows(topic: string, partition: number, random: Seeded): Question {
  const limit = random.pick([1, 10, 100]);
  return {
    kind: 'last rows',
    topics: [topic],
    sql: `SELECT _offset, text(_key), text(_value) FROM ${topic} WHERE _partition_id = ${partition} ORDER BY _offset DESC LIMIT ${limit}`,
    expected: ([view]) => view!.last(partition, limit).map(({ offset, n }) => [offset, view!.content(n).key, view!.content(n).value]),
  };
}

function newest(topic: string, random: Seeded): Question {
  const limit = random.whole(1, 30);
  return {
    kind: 'order by time limit',
    topics: [topic],
    sql: `SELECT epoch_ms(_timestamp), _partition_id, _offset FROM ${topic} ORDER BY _timestamp DESC, _partition_id, _offset LIMIT ${limit}`,
    expected: ([view]) =>
      [...view!.rows()]
        .map(({ n, partition, offset }) => [view!.timestampMs(n), partition, offset] as const)
        .sort((a, b) => b[0] - a[0] || a[1] - b[1] || a[2] - b[2])
        .slice(0, limit),
  };
}

function keyFilter(topic: string, keys: number, random: Seeded): Question {
  const key = `k${random.whole(0, keys + 2)}`;
  const isBound = random.whole(0, 2) === 0;
  return {
    kind: 'key filter',
    topics: [topic],
    sql: `SELECT count(*), sum(n), max(_offset) FROM ${topic} WHERE ${isBound ? 'text(_key) = $1' : `_key = '${key}'`}`,
    ...(isBound ? { params: [key] } : {}),
    expected: ([view]) => {
      const sums = noSums();
      let last: number | null = null;
      for (const { n, offset } of view!.rows()) {
        if (view!.key(n) !== key) continue;
        add(sums, view!, n);
        last = offset;
      }
      return [[sums.rows, orNull(sums, sums.n), last]];
    },
  };
}

const regionColumns = 'region, count(*) AS records, sum(amount) AS amount, min(n) AS first, max(n) AS last';

const viewOf = (topic: string): string => `regions_of_${topic}`;

/** Name and SELECT of the views that questions use. */
export function savedViews(topics: readonly string[]): (readonly [name: string, sql: string])[] {
  return topics.map((topic) => [viewOf(topic), `SELECT ${regionColumns} FROM ${topic} WHERE region IS NOT NULL GROUP BY region`]);
}

function byRegion(topic: string, isSaved: boolean): Question {
  return {
    kind: isSaved ? 'saved view' : 'group by',
    topics: [topic],
    sql: isSaved
      ? `SELECT * FROM ${viewOf(topic)} ORDER BY region`
      : `SELECT ${regionColumns} FROM ${topic} WHERE region IS NOT NULL GROUP BY region ORDER BY region`,
    expected: ([view]) => {
      const groups = new Map<string, number[]>();
      for (const { n } of view!.rows()) {
        const fields = view!.fields(n);
        if (fields === undefined) continue;
        const [count = 0, amount = 0, min = n, max = n] = groups.get(fields.region) ?? [];
        groups.set(fields.region, [count + 1, amount + fields.amount, Math.min(min, n), Math.max(max, n)]);
      }
      return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([region, sums]) => [region, ...sums]);
    },
  };
}

function join(left: string, right: string): Question {
  return {
    kind: 'join',
    topics: [left, right],
    sql: `WITH named AS (SELECT _key, max(n) AS newest FROM ${right} WHERE _key IS NOT NULL GROUP BY 1)
      SELECT count(*), sum(l.amount), sum(named.newest) FROM ${left} l JOIN named USING (_key)`,
    expected: ([one, other]) => {
      const newestOf = new Map<string, number | null>();
      for (const { n } of other!.rows()) {
        const key = other!.key(n);
        if (key === null) continue;
        const known = newestOf.get(key) ?? null;
        newestOf.set(key, other!.fields(n) === undefined ? known : Math.max(known ?? n, n));
      }
      let [count, amount, sum, hasAmount, hasSum] = [0, 0, 0, false, false];
      for (const { n } of one!.rows()) {
        const newestN = newestOf.get(one!.key(n) ?? '');
        if (newestN === undefined) continue;
        count++;
        const fields = one!.fields(n);
        if (fields !== undefined) [amount, hasAmount] = [amount + fields.amount, true];
        if (newestN !== null) [sum, hasSum] = [sum + newestN, true];
      }
      return [[count, hasAmount ? amount : null, hasSum ? sum : null]];
    },
  };
}

function lastByKey(kind: string, topic: string, from: string): Question {
  return {
    kind,
    topics: [topic],
    sql: `SELECT count(*), sum(n), sum(_offset) FROM ${from}`,
    expected: ([view]) => {
      const sums = noSums();
      let offsets = 0;
      for (const { n, offset } of view!.lastByKey().values()) {
        if (n % 23 === 7) continue;
        add(sums, view!, n);
        offsets += offset;
      }
      return [[sums.rows, orNull(sums, sums.n), sums.rows === 0 ? null : offsets]];
    },
  };
}

function windowed(topic: string): Question {
  const numbered = `SELECT n, _offset, _value, row_number() OVER (PARTITION BY _key ORDER BY _offset DESC) AS place FROM ${topic} WHERE _key IS NOT NULL`;
  return lastByKey('window', topic, `(${numbered}) WHERE place = 1 AND _value IS NOT NULL`);
}

function latest(topic: string): Question {
  return lastByKey('latest', topic, `latest(${topic})`);
}

function latestOfKey(topic: string, keys: number, random: Seeded): Question {
  const key = `k${random.whole(0, keys + 2)}`;
  return {
    kind: 'latest of a key',
    topics: [topic],
    sql: `SELECT _partition_id, _offset, text(_value) FROM latest(${topic}) WHERE _key = '${key}'`,
    expected: ([view]) => {
      const row = view!.lastByKey().get(key);
      const value = row === undefined ? null : view!.content(row.n).value;
      return row === undefined || value === null ? [] : [[row.partition, row.offset, value]];
    },
  };
}

function ends(topic: string): Question {
  return {
    kind: 'min max count',
    topics: [topic],
    sql: `SELECT count(*), min(_offset), max(_offset), epoch_ms(min(_timestamp)), epoch_ms(max(_timestamp)) FROM ${topic}`,
    expected: ([view]) => {
      let [count, min, max, first, last] = [0, Infinity, -1, Infinity, -Infinity];
      for (const { n, offset } of view!.rows()) {
        const ms = view!.timestampMs(n);
        [count, min, max, first, last] = [count + 1, Math.min(min, offset), Math.max(max, offset), Math.min(first, ms), Math.max(last, ms)];
      }
      return [[count, min, max, first, last]];
    },
  };
}

function order(topic: string): Question {
  return {
    kind: 'lag',
    topics: [topic],
    sql: `SELECT count(*) FROM (SELECT n, lag(n) OVER (PARTITION BY _partition_id ORDER BY _offset) AS before FROM ${topic} WHERE n IS NOT NULL) WHERE before >= n`,
    expected: () => [[0]],
  };
}

export interface Drawn {
  readonly topic: string;
  readonly keys: number;
  readonly partitions: number;
  readonly other: string;
  readonly firstMs: number;
  readonly nowMs: number;
}

/** One question of any kind. */
export function drawQuestion(about: Drawn, random: Seeded): Question {
  const { topic, keys, partitions, other } = about;
  return random.pick([
    () => totals(topic),
    () => timeRange(about, topic, random),
    () => timeRange(about, topic, random),
    () => lastRows(topic, random.whole(0, partitions), random),
    () => newest(topic, random),
    () => keyFilter(topic, keys, random),
    () => byRegion(topic, false),
    () => byRegion(topic, true),
    () => latest(topic),
    () => latestOfKey(topic, keys, random),
    () => join(topic, other),
    () => windowed(topic),
    () => ends(topic),
    () => order(topic),
  ])();
}

/** As text, so that 1, "1" and 1.0 are one. */
export function normal(rows: readonly (readonly unknown[])[]): string {
  return JSON.stringify(
    rows.map((row) => row.map((cell) => (cell === null || cell === undefined ? null : String(cell as string | number | boolean | bigint)))),
  );
}
