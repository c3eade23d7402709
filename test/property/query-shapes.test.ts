// Values of any shape, cut anywhere: each column is what a plain reader of JSON says it must be, hot and cold, and no query fails of it.
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ColumnKind, presentColumns } from '../../src/columns/index.js';
import { systemClock } from '../../src/kernel/index.js';
import { MemoryStore } from '../../src/objects/index.js';
import { inlineColumnWorkers } from '../support/column-workers.js';
import { type OracleField, oracleFields } from '../support/json-oracle.js';
import { QueryWorld } from '../support/query-world.js';

const t0 = Date.parse('2001-01-01T00:00:00Z');
const names = [
  'x',
  'X',
  'y',
  '',
  '_',
  'a.b',
  'q"q',
  "it's",
  'n\nl',
  'nul\0',
  '😀',
  'select',
  '_offset',
  '_KEY',
  '_timestamp',
  '_offset__2',
  'x__text',
  'x__2',
  'constructor',
  'p0',
  'n'.repeat(255),
  'n'.repeat(256),
];
/** As they stand in the text: no double may round them before they are sent. */
const scalars = [
  '1',
  '-0',
  '1.0',
  '-0.0',
  '1e3',
  '2.5',
  '9007199254740993',
  '-9223372036854775808',
  '9223372036854775808',
  '1e400',
  '5e-324',
  'true',
  'false',
  'null',
  '""',
  '"text"',
  '"5"',
  '"2024-02-29T12:00:00Z"',
  '"{\\"a\\":1}"',
  '"\\u0000"',
  '"\\ud83d\\ude00 é"',
];
const nested = ['{}', '[]', '{"a":1}', '{"a":{"b":[1,null,"c"]},"e":1.5}', '[{"a":1},2]', `${'['.repeat(500)}${']'.repeat(500)}`];
const noObjects: readonly (string | Buffer | null)[] = [
  null,
  '',
  'no JSON',
  '[1]',
  '7',
  '"x"',
  'null',
  '{"x":1',
  '{"x":1}}',
  '{"x":"\\ud800"}',
  Buffer.from([0xff, 0]),
  Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
];

const member = fc.tuple(
  fc.constantFrom(...names),
  fc.oneof(fc.constantFrom(...scalars), fc.constantFrom(...scalars), fc.constantFrom(...nested)),
);
const value: fc.Arbitrary<string | Buffer | null> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .array(member, { maxLength: 5 })
      .map((all) => `{${all.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`),
  },
  { weight: 1, arbitrary: fc.constantFrom(...noObjects) },
);

/** A value as the column shows it, where fields of these kinds are one column. */
function shown(field: OracleField | undefined, kinds: readonly ColumnKind[]): unknown {
  if (field === undefined) return null;
  if (kinds.length === 1) return typeof field.value === 'bigint' ? longOf(field.value) : plainZero(field.value);
  if (kinds.every((kind) => kind === 'long' || kind === 'double')) return plainZero(Number(field.value));
  if (field.kind !== 'double') return String(field.value);
  const number = field.value as number;
  if (Object.is(number, -0)) return '-0.0';
  const text = String(number).replace('e+', 'e');
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** JSON has no negative zero. */
function plainZero<T>(value: T): T | number {
  return Object.is(value, -0) ? 0 : value;
}

function longOf(long: bigint): number | string {
  return Number.isSafeInteger(Number(long)) ? Number(long) : String(long);
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

describe('values of any shape', () => {
  const worlds: QueryWorld[] = [];
  let serial = 0;
  beforeAll(async () => {
    const options = { workers: inlineColumnWorkers, limits: { concurrency: 1 } };
    worlds.push(
      await QueryWorld.open({ ...options, tailEncodeBytesMin: Number.POSITIVE_INFINITY }),
      await QueryWorld.open({ ...options, tailEncodeBytesMin: 1, store: new MemoryStore({ clock: systemClock }), coldWholeBytesMax: 0 }),
    );
  });
  afterAll(async () => {
    for (const world of worlds) await world[Symbol.asyncDispose]();
  });

  it('are the columns that a plain reader of JSON says, for any cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(value, { minLength: 1, maxLength: 14 }),
        fc.integer({ min: 0, max: 100 }),
        fc.integer({ min: 1, max: 6 }),
        async (values, cut, fileRows) => {
          const topic = `shapes${serial++}`;
          const fields = values.map((one) => oracleFields(one === null ? null : Buffer.from(one as string)));
          const pairs = fields.flatMap((found) => [...found].map(([name, { kind }]) => ({ name, kind })));
          const columns = presentColumns(pairs);
          for (const [at, world] of worlds.entries()) {
            world.createTopic(topic);
            world.append(
              topic,
              0,
              values.map((one) => ({ timestampMs: t0, value: one })),
            );
            if (at === 1) {
              await world.ask(`SELECT count(*) FROM ${topic}`);
              await world.encoded();
              await world.makeCold(topic, 0, Math.round((cut * values.length) / 100), fileRows);
            }
            const all = await world.ask(
              `SELECT * EXCLUDE (_key, _timestamp, _partition_id, _headers, _value) FROM ${topic} ORDER BY _offset`,
            );
            expect(all.columns.map(({ name }) => name)).toEqual([...columns.map(({ name }) => name), '_offset']);
            const expected = fields.map((found, offset) => [
              ...columns.map(({ fieldName, kinds }) => shown(found.get(fieldName), kinds)),
              offset,
            ]);
            expect(all.rows).toEqual(expected);
            const described = await world.ask(`DESCRIBE ${topic}`);
            expect(
              described.rows.slice(0, columns.length).map(([name, type, source, field, kinds]) => [name, type, source, field, kinds]),
            ).toEqual(columns.map(({ name, sqlType, fieldName, kinds }) => [name, sqlType, 'value', fieldName, kinds.join(', ')]));
            for (const [position, { name, fieldName }] of columns.entries()) {
              const one = expected.map((row) => row[position]);
              const present = one.flatMap((cell, offset) => (cell === null ? [] : [offset]));
              const column = quoted(name);
              expect((await world.ask(`SELECT ${column} FROM ${topic} ORDER BY _offset`)).rows.map(([cell]) => cell)).toEqual(one);
              const rows = await world.ask(
                `SELECT _offset, ${column}->>'a', count(${column}) OVER () FROM ${topic} WHERE ${column} IS NOT NULL ORDER BY _offset`,
              );
              expect(rows.rows.map(([offset, , count]) => [offset, count])).toEqual(present.map((offset) => [offset, present.length]));
              expect({ fieldName, cells: rows.rows.map(([, cell]) => cell) }).toEqual({
                fieldName,
                cells: present.map((offset) => memberA(fields[offset]?.get(fieldName))),
              });
            }
          }
          for (const world of worlds) world.dropTopic(topic);
        },
      ),
      { numRuns: 8 },
    );
  }, 180_000);
});

/** What `->>'a'` finds in a field. A text that is JSON is read as such: columns keep no difference. */
function memberA(field: OracleField | undefined): string | null {
  if (typeof field?.value !== 'string') return null;
  try {
    const read: unknown = JSON.parse(field.value);
    const a = (read as { readonly a?: unknown } | null)?.a;
    return a === undefined || Array.isArray(read) ? null : typeof a === 'string' ? a : JSON.stringify(a);
  } catch {
    return null;
  }
}
