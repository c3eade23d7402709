// For any cut between hot and cold, every query equals the same query over everything hot; and pruned equals unpruned.
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/kernel/index.js';
import { MemoryStore } from '../../src/objects/index.js';
import { inlineColumnWorkers } from '../support/column-workers.js';
import { QueryWorld, type TestRecord } from '../support/query-world.js';

const t0 = Date.parse('2001-01-01T00:00:00Z');
const partitions = 2;

/** The worked values of the design, and what else values may be: JSON that is none, bytes, nothing. */
const oddValues: readonly (string | Buffer | null)[] = [
  '{"x":1}',
  '{"x":1.0}',
  '{"x":1e3}',
  '{"x":9007199254740993}',
  '{"x":9223372036854775808}',
  '{"x":-0}',
  '{"x":-0.0}',
  '{"x":1,"x":"second"}',
  '{"x":null}',
  '{"x":{"deep":[1,2]}}',
  '{"x":[1,{"a":"b"}]}',
  '{"x":"a\\u0000b"}',
  '{"x":"\\ud800"}',
  '{"a":1,"A":2}',
  '{"_key":"mine","_offset":"x","_partition":3}',
  '{"x__text":"real","x":"text"}',
  '{"":"empty name"}',
  '{"x":true}',
  '{"x":"true"}',
  '{"x":1e400}',
  '  {"x" : "spaced" }  ',
  '{"x":1',
  '[1,2]',
  '"scalar"',
  'null',
  '',
  'not json',
  Buffer.from([0xff, 0xfe, 0x00]),
  Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
  null,
  '{"late":"field","n":7}',
  '{"quote\'s \\"name\\"":"it\'s"}',
];

const record: fc.Arbitrary<TestRecord> = fc.record({
  timestampMs: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 100 }).map((hours) => t0 + hours * 3_600_000) },
    { weight: 1, arbitrary: fc.constantFrom(0, -1, 8_000_000_000_000_000, 253_402_300_799_999, 253_402_300_800_000) },
  ),
  key: fc.constantFrom(null, '', 'k1', 'k2', Buffer.from([0xc3, 0x28])),
  value: fc.oneof(
    fc.constantFrom(...oddValues),
    fc
      .record({ n: fc.integer({ min: -5, max: 5 }), s: fc.constantFrom('a', 'b'), d: fc.constantFrom(0.5, 1.5, 2) })
      .map((value) => JSON.stringify(value)),
  ),
  headers: fc.constantFrom(
    [],
    [{ key: 'h', value: Buffer.from('v') }],
    [
      { key: Buffer.from([0xff]), value: null },
      { key: 'h', value: Buffer.alloc(0) },
    ],
  ),
});

/** Sorted; also longer than a bound in the table may be, which is then rounded up. */
const keys: readonly (Buffer | null)[] = [
  Buffer.alloc(0),
  Buffer.from([0]),
  Buffer.from('a\'\\"b'),
  Buffer.from('a'),
  Buffer.from('aaaaaaaaaaaaaaaaaaaaaaaaaaaa1'),
  Buffer.from('aaaaaaaaaaaaaaaaaaaaaaaaaaaa2'),
  Buffer.from([0xc3, 0x28]),
  Buffer.alloc(20, 0xff),
  null,
];

function blobLiteral(bytes: Buffer): string {
  return `'${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}'::BLOB`;
}

interface Log {
  readonly batches: readonly (readonly TestRecord[])[];
  /** In hundredths of the log's length. */
  readonly cuts: readonly number[];
  readonly fileRows: number;
}

const log: fc.Arbitrary<readonly Log[]> = fc.array(
  fc.record({
    batches: fc.array(fc.array(record, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 6 }),
    cuts: fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 2, maxLength: 2 }),
    fileRows: fc.integer({ min: 3, max: 12 }),
  }),
  { minLength: partitions, maxLength: partitions },
);

/** `TOPIC` stands for the topic's name. The last clause of some can be pruned by. */
const questions: readonly string[] = [
  'SELECT * FROM TOPIC ORDER BY _partition_id, _offset',
  'SELECT count(*), count(_key), count(_value), min(_offset), max(_timestamp) FROM TOPIC',
  "SELECT _partition_id, _offset FROM TOPIC WHERE _timestamp >= '2001-01-02' AND _timestamp < '2001-01-04' ORDER BY ALL",
  "SELECT _partition_id, _offset FROM TOPIC WHERE date_trunc('hour', _timestamp) > '2001-01-02 05:00' AND _timestamp::DATE <= '2001-01-03' ORDER BY ALL",
  "SELECT _partition_id, _offset FROM TOPIC WHERE _timestamp > '9000-01-01' OR _timestamp < '1970-01-01' ORDER BY ALL",
  'SELECT _offset, text(_key), text(_value) FROM TOPIC WHERE _partition_id = 1 ORDER BY _offset',
  'SELECT _partition_id, _offset FROM TOPIC WHERE _offset BETWEEN 3 AND 9 ORDER BY ALL',
  'SELECT _partition_id, _offset FROM TOPIC WHERE _offset IN (0, 5, 11) AND _partition_id IN (0, 1) ORDER BY ALL',
  "SELECT _partition_id, _offset, _key FROM TOPIC WHERE _key = 'k1' ORDER BY ALL",
  'SELECT a._offset, b._offset FROM TOPIC a JOIN TOPIC b USING (_partition_id) WHERE a._offset < 3 AND b._offset >= 4 ORDER BY ALL',
  'SELECT _partition_id, count(*) FROM TOPIC WHERE _offset > (SELECT avg(_offset) FROM TOPIC WHERE _partition_id = 0) GROUP BY ALL ORDER BY ALL',
  'SELECT *, row_number() OVER (PARTITION BY _partition_id ORDER BY _offset DESC) AS r FROM TOPIC QUALIFY r <= 2 ORDER BY _partition_id, _offset',
  "SELECT COLUMNS('^(x|n|s|d|late)$'), _offset, _partition_id FROM TOPIC ORDER BY _partition_id, _offset",
];

describe('a query over hot and cold', () => {
  /** Chunks of the tail stay as they were staged, and typed columns come from JSON at each query. */
  let raw: QueryWorld;
  /** Chunks of the tail are encoded behind the queries, however small. */
  let world: QueryWorld;
  let serial = 0;
  beforeAll(async () => {
    const options = { workers: inlineColumnWorkers, limits: { concurrency: 1 } };
    raw = await QueryWorld.open({ ...options, tailEncodeBytesMin: Number.POSITIVE_INFINITY });
    // And of cold files only parts are read.
    const store = new MemoryStore({ clock: systemClock });
    world = await QueryWorld.open({ ...options, store, tailEncodeBytesMin: 1, coldWholeBytesMax: 0 });
  });
  afterAll(async () => {
    await raw[Symbol.asyncDispose]();
    await world[Symbol.asyncDispose]();
  });

  const outcome = async (world: QueryWorld, sql: string): Promise<unknown> => {
    try {
      const { columns, rows } = await world.ask(sql);
      return { columns, rows };
    } catch (error) {
      return { code: (error as { code: string }).code, message: (error as Error).message.replaceAll(/topic\d+/g, 'topic') };
    }
  };

  it('equals the same query over everything hot, for any cut and any form of the tail', async () => {
    await fc.assert(
      fc.asyncProperty(log, fc.array(record, { minLength: 1, maxLength: 2 }), async (logs, last) => {
        const name = `topic${serial++}`;
        for (const each of [raw, world]) {
          each.createTopic(name, partitions);
          for (const [partition, { batches }] of logs.entries()) for (const batch of batches) each.append(name, partition, batch);
        }
        // Chunks staged now hold records that will lie below the boundary.
        await world.ask(`SELECT count(*) FROM ${name}`);
        for (let round = 0; round < 3; round++) {
          // Raw chunks in the first round, encoded ones in the second, both in the third.
          if (round > 0) await world.encoded();
          if (round === 2) for (const each of [raw, world]) each.append(name, 1, last);
          for (const [partition, { cuts, fileRows }] of logs.entries()) {
            const end = world.partition(name, partition).endOffset;
            await world.makeCold(name, partition, Math.round(((cuts[round] ?? 0) * end) / 100), fileRows);
          }
          for (const question of questions) {
            const expected = await outcome(raw, question.replaceAll('TOPIC', name));
            const actual = await outcome(world, question.replaceAll('TOPIC', name));
            expect({ question, round, actual }).toEqual({ question, round, actual: expected });
          }
        }
        for (const each of [raw, world]) each.dropTopic(name);
      }),
      { numRuns: 4 },
    );
  }, 120_000);

  it('equals itself without pruning', async () => {
    const bound = fc.record({
      column: fc.constantFrom('_offset', '_timestamp', '_partition_id', '_key', '_key', '_timestamp::DATE'),
      operator: fc.constantFrom('<', '<=', '=', '>=', '>', '<>', 'IS DISTINCT FROM', 'IN', 'IS NULL OR'),
      at: fc.integer({ min: -1, max: 13 }),
    });
    const name = `pruned${serial++}`;
    world.createTopic(name, partitions);
    for (let partition = 0; partition < partitions; partition++) {
      for (let batch = 0; batch < 4; batch++) {
        world.append(
          name,
          partition,
          Array.from({ length: 3 }, (_, at) => ({
            timestampMs: t0 + ((batch * 7 + at * 5 + partition) % 12) * 7_200_000,
            key: keys[(batch * 2 + at + partition) % 9] as Buffer | null,
            value: '{}',
          })),
        );
      }
      await world.makeCold(name, partition, 6 + partition, 2);
    }
    const term = ({ column, operator, at }: { column: string; operator: string; at: number }, isPlain: boolean): string => {
      const value =
        column === '_timestamp'
          ? `TIMESTAMPTZ '${new Date(t0 + at * 7_200_000).toISOString()}'`
          : column === '_timestamp::DATE'
            ? `DATE '2001-01-0${1 + (Math.max(at, 0) % 3)}'`
            : column === '_key'
              ? blobLiteral(keys[Math.max(at, 0) % keys.length] ?? Buffer.from('a'))
              : String(at);
      const literal = operator === 'IN' ? `(${value}, ${column === '_key' ? "'b'::BLOB" : value})` : value;
      const cast = column === '_timestamp::DATE' ? '::DATE' : '';
      // A scalar subquery over a volatile value is nothing a plan can prune by.
      const left = isPlain ? column : `CASE WHEN random() >= 0 THEN ${column.replace('::DATE', '')} END${cast}`;
      return operator === 'IS NULL OR' ? `(${left} IS NULL OR ${left} = ${value})` : `${left} ${operator} ${literal}`;
    };
    await fc.assert(
      fc.asyncProperty(fc.array(bound, { minLength: 1, maxLength: 3 }), fc.constantFrom(' AND ', ' OR '), async (bounds, joined) => {
        const where = (isPlain: boolean): string => bounds.map((one) => term(one, isPlain)).join(joined);
        const ask = (isPlain: boolean) => world.ask(`SELECT _partition_id, _offset FROM ${name} WHERE ${where(isPlain)} ORDER BY ALL`);
        const [pruned, whole] = [await ask(true), await ask(false)];
        expect(whole.stats.pruned_files).toBe(0);
        expect(pruned.rows).toEqual(whole.rows);
      }),
      { numRuns: 60 },
    );
  }, 120_000);

  it('finds the first and last rows in the files that can hold them', async () => {
    const partitionLog = fc.record({
      batches: fc.array(fc.array(record, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 8 }),
      cut: fc.integer({ min: 0, max: 100 }),
      logStart: fc.integer({ min: 0, max: 60 }),
    });
    const question = fc.record({
      order: fc.constantFrom('_offset', '_offset DESC', '_timestamp', '_timestamp DESC', '_timestamp DESC NULLS FIRST', undefined),
      partition: fc.constantFrom(undefined, 0, 1, 7),
      limit: fc.integer({ min: 0, max: 25 }),
      offset: fc.integer({ min: 0, max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(partitionLog, { minLength: partitions, maxLength: partitions }),
        fc.array(question, { minLength: 6, maxLength: 6 }),
        async (logs, asked) => {
          const name = `head${serial++}`;
          world.createTopic(name, partitions);
          for (const [partition, { batches, cut, logStart }] of logs.entries()) {
            for (const batch of batches) world.append(name, partition, batch);
            const stored = world.partition(name, partition);
            await world.makeCold(name, partition, Math.round((cut * stored.endOffset) / 100), 4);
            stored.logStartOffset = Math.round((logStart * stored.endOffset) / 100);
          }
          for (const { order, partition, limit, offset } of asked) {
            const where = partition === undefined ? '' : `WHERE _partition_id = ${partition}`;
            // No plan can tell which rows these are, so all files are read.
            const hidden = order?.replace(/^(_\w+)/, 'CASE WHEN random() >= 0 THEN $1 END');
            const by = (column: string | undefined): string =>
              column === undefined ? '' : `ORDER BY ${column}, _partition_id, _offset DESC`;
            const ask = async (column: string | undefined) =>
              world.ask(`SELECT _partition_id, _offset, _timestamp FROM ${name} ${where} ${by(column)} LIMIT ${limit} OFFSET ${offset}`);
            const all = await world.ask(`SELECT _partition_id, _offset, _timestamp FROM ${name} ${where} ${by(hidden)}`);
            const head = await ask(order);
            const facts = { order, partition, limit, offset };
            if (order !== undefined) expect({ facts, rows: head.rows }).toEqual({ facts, rows: all.rows.slice(offset, offset + limit) });
            else {
              expect({ facts, rows: head.rows.length }).toEqual({ facts, rows: Math.max(0, Math.min(limit, all.rows.length - offset)) });
              const texts = new Set(all.rows.map((row) => JSON.stringify(row)));
              expect(new Set(head.rows.map((row) => JSON.stringify(row))).size).toBe(head.rows.length);
              expect(head.rows.filter((row) => !texts.has(JSON.stringify(row)))).toEqual([]);
            }
          }
          for (const order of ['offset', 'time'] as const) {
            const records = async (limit: number | undefined): Promise<string[]> => {
              const fromMs = t0 + 20 * 3_600_000;
              const answer = await world.service.records(
                { topic: name, fromMs, order, ...(limit === undefined ? {} : { limit }) },
                new AbortController().signal,
              );
              let text = '';
              for await (const lines of answer.lines) text += lines;
              return text.split('\n').filter((line) => line !== '');
            };
            const all = await records(undefined);
            for (const limit of [1, 4, 9]) expect(await records(limit)).toEqual(all.slice(0, limit));
          }
          world.dropTopic(name);
        },
      ),
      { numRuns: 12 },
    );
  }, 120_000);
});
