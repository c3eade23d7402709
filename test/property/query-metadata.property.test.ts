// Aggregates that metadata answers equal the same ones read from the rows, for any files, filters, log start, holes and tokens.
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inlineColumnWorkers } from '../support/column-workers.js';
import { QueryWorld } from '../support/query-world.js';

const t0 = Date.parse('2001-01-01T00:00:00Z');
const partitions = 2;

const timestamp = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 12 }).map((ms) => t0 + ms) },
  { weight: 1, arbitrary: fc.constantFrom(0, -1, 8_000_000_000_000_000, -70_000_000_000_000, 253_402_300_799_999) },
);
const round = fc.record({
  appended: fc.array(fc.array(timestamp, { minLength: 4, maxLength: 16 }), { minLength: partitions, maxLength: partitions }),
  /** Offsets without a row before them. */
  gaps: fc.array(fc.nat(2), { minLength: partitions, maxLength: partitions }),
  cuts: fc.array(fc.integer({ min: 0, max: 100 }), { minLength: partitions, maxLength: partitions }),
  starts: fc.array(fc.integer({ min: 0, max: 60 }), { minLength: partitions, maxLength: partitions }),
  fileRows: fc.integer({ min: 1, max: 7 }),
});

const column = fc.constantFrom('_offset', '_timestamp', '_partition_id');
const aggregate = fc.oneof(
  fc.constantFrom('count(*)', 'count(1)', 'count(*) + 1'),
  fc.tuple(fc.constantFrom('min', 'max', 'count'), column).map(([name, of]) => `${name}(${of})`),
);
const compared = fc.constantFrom('=', '<', '<=', '>', '>=', '<>');
const term = fc.oneof(
  fc.tuple(compared, fc.integer({ min: 0, max: 30 })).map(([operator, value]) => `_offset ${operator} ${value}`),
  fc.tuple(compared, fc.nat(partitions)).map(([operator, value]) => `_partition_id ${operator} ${value}`),
  fc
    .tuple(compared, fc.integer({ min: -1, max: 130 }))
    .map(([operator, tenths]) => `_timestamp ${operator} '2001-01-01 00:00:00.${String(1000 + tenths).slice(1)}5'::TIMESTAMPTZ`),
  fc
    .tuple(compared, fc.integer({ min: 0, max: 12 }))
    .map(([operator, ms]) => `_timestamp ${operator} '2001-01-01 00:00:00.${String(1000 + ms).slice(1)}'::TIMESTAMPTZ`),
  fc.constantFrom(
    '_offset IN (1, 5, 9)',
    '_partition_id IN (0, 1)',
    '_partition_id IN (0, 5)',
    '_offset % 2 = 0',
    '(_offset < 3 OR _offset > 7)',
    '_timestamp IS NOT NULL',
    "_timestamp::DATE = DATE '2001-01-01'",
    "_timestamp < '2200-01-01'",
    "_timestamp > '9999-12-31'",
    '_key IS NULL',
    'octet_length(_value) > 0',
  ),
);
const select = fc.record({
  aggregates: fc.array(aggregate, { minLength: 1, maxLength: 3 }),
  where: fc.array(term, { maxLength: 3 }),
  isGrouped: fc.boolean(),
});

/** With `more` behind what is asked. */
function sqlOf({ aggregates, where, isGrouped }: typeof select extends fc.Arbitrary<infer T> ? T : never, more = ''): string {
  const items = [...(isGrouped ? ['_partition_id'] : []), ...aggregates].join(', ');
  const filter = where.length === 0 ? '' : ` WHERE ${where.join(' AND ')}`;
  return `SELECT ${items}${more} FROM TOPIC${filter}${isGrouped ? ' GROUP BY _partition_id' : ''}`;
}

/** One that metadata answers whole. */
const counts = { aggregates: ['count(*)'], where: [], isGrouped: false };
const coldRound = {
  appended: [
    [t0, t0, t0, t0],
    [t0, t0, t0, t0],
  ],
  gaps: [0, 0],
  cuts: [100, 100],
  starts: [0, 0],
  fileRows: 1,
};
const coldFiles = 8;

/** Reads what no metadata tells, and adds nothing to an answer without it. */
const unanswered = ', count(_headers)';

describe('answers from metadata', () => {
  let world: QueryWorld;
  let serial = 0;
  let answered = 0;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers });
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  it('equal those from the rows', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(round, { minLength: 1, maxLength: 2 }),
        fc.array(select, { minLength: 6, maxLength: 6 }),
        fc.array(fc.tuple(select, select), { minLength: 2, maxLength: 2 }),
        async (rounds, singles, pairs) => {
          const name = `metadata${serial++}`;
          world.createTopic(name, partitions);
          const starts = [0, 0];
          let earlier: { readonly token: string; readonly starts: readonly number[] } | undefined;
          for (const { appended, gaps, cuts, fileRows, starts: percents } of rounds) {
            for (const [partition, times] of appended.entries()) {
              const records = times.map((timestampMs, at) => ({ timestampMs, value: `{"x":${at}}` }));
              world.partition(name, partition).endOffset += gaps[partition] ?? 0;
              world.append(name, partition, records);
            }
            for (const [partition, cut] of cuts.entries()) {
              const { endOffset } = world.partition(name, partition);
              await world.makeCold(name, partition, Math.round((cut * endOffset) / 100), fileRows);
            }
            for (const [partition, percent] of percents.entries()) {
              const state = world.partition(name, partition);
              starts[partition] = Math.max(starts[partition] ?? 0, Math.round((percent * state.boundary) / 100));
              state.logStartOffset = starts[partition] ?? 0;
            }
            const isKept = earlier?.starts.every((start, partition) => start === starts[partition]) === true;
            for (const asOf of isKept && earlier !== undefined ? [undefined, earlier.token] : [undefined]) {
              const ask = (sql: string) => world.ask({ sql: sql.replaceAll('TOPIC', name), ...(asOf === undefined ? {} : { asOf }) });
              for (const one of singles) {
                const short = await ask(`${sqlOf(one)} ORDER BY ALL`);
                const whole = await ask(`${sqlOf(one, unanswered)} ORDER BY ALL`);
                expect(whole.stats.metadata_files).toBe(0);
                expect({ sql: sqlOf(one), rows: short.rows }).toEqual({ sql: sqlOf(one), rows: whole.rows.map((row) => row.slice(0, -1)) });
                answered += short.stats.metadata_files;
              }
              for (const [a, b] of pairs) {
                // Two scans of one topic, with filters of their own.
                const both = await ask(
                  `SELECT 1 AS part, to_json(a) FROM (${sqlOf(a)}) AS a UNION ALL SELECT 2, to_json(b) FROM (${sqlOf(b)}) AS b ORDER BY ALL`,
                );
                const first = await ask(
                  `SELECT 1 AS part, to_json(a) FROM (SELECT * EXCLUDE (h) FROM (${sqlOf(a, `${unanswered} AS h`)})) AS a`,
                );
                const second = await ask(
                  `SELECT 2 AS part, to_json(b) FROM (SELECT * EXCLUDE (h) FROM (${sqlOf(b, `${unanswered} AS h`)})) AS b`,
                );
                const text = (list: readonly (readonly unknown[])[]): string[] => list.map((row) => JSON.stringify(row)).sort();
                expect(text(both.rows)).toEqual(text([...first.rows, ...second.rows]));
                answered += both.stats.metadata_files;
              }
            }
            earlier = { token: (await world.ask(`SELECT count(*) FROM ${name}`)).token, starts: [...starts] };
          }
          world.dropTopic(name);
        },
      ),
      {
        numRuns: 13,
        examples: [
          [
            [coldRound],
            Array.from({ length: 6 }, () => counts),
            [
              [counts, counts],
              [counts, counts],
            ],
          ],
        ],
      },
    );
    // How much of what chance made could be answered so differs tenfold; of the first it is all.
    expect(answered).toBeGreaterThanOrEqual((6 + 2) * coldFiles);
  }, 180_000);
});
