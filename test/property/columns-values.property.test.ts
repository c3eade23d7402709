// The scanner, the SQL definition and an independent reader agree on every value, whatever its bytes.
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { assignColumns, type TypedColumn } from '../../src/columns/index.js';
import { ColumnFiles } from '../support/column-files.js';
import { oracleFields } from '../support/json-oracle.js';

const files = new ColumnFiles();
afterAll(() => files.close());

const number = fc.oneof(
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? '-0.0' : String(value).replace('+', ''))),
  fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n }).map(String),
  fc.constantFrom(
    '-0',
    '0',
    '0.0',
    '1E5',
    '1e-5',
    '1e400',
    '-1e400',
    '1e308',
    '1.7976931348623159e308',
    '5e-324',
    '1e-400',
    '00',
    '1.',
    '.5',
    '+1',
    '-',
    '1e',
    'NaN',
    '-inf',
    'Infinity',
    'nan',
    '123456789012345678',
    '1234567890123456789',
    '99999999999999999999999.5',
  ),
);
const string = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 8 }).map((text) => JSON.stringify(text)),
  fc.string({ unit: 'binary', maxLength: 8 }).map((text) => JSON.stringify(text)),
  fc.constantFrom(
    '"\\u0000"',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\ud83d\\ude00"',
    '"\\x"',
    '"\\u12"',
    '"a\\/b"',
    '"\u007f"',
    '"\\u001f"',
    '""',
    '"',
    '"\t"',
  ),
);
const space = fc.constantFrom('', '', '', ' ', '\n', '\t \r', '\u000b');
const name = fc.oneof(fc.constantFrom('"a"', '"A"', '"b"', '"a__text"', '""', '"_key"', '"\\u0061"', '"x.y"', '"é"', '"\\""'), string);
const { value } = fc.letrec<{ value: string; list: string; object: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    number,
    string,
    fc.constantFrom('true', 'false', 'null', 'True', 'nul'),
    tie('list'),
    tie('object'),
  ),
  list: fc
    .tuple(
      fc.array(
        fc.tuple(space, tie('value'), space).map((p) => p.join('')),
        { maxLength: 3 },
      ),
      fc.boolean(),
    )
    .map(([items, trailing]) => `[${items.join(',')}${trailing && items.length > 0 ? ',' : ''}]`),
  object: fc
    .array(
      fc.tuple(space, name, space, tie('value'), space).map(([a, n, b, v, c]) => `${a}${n}${b}:${b}${v}${c}`),
      { maxLength: 3 },
    )
    .map((members) => `{${members.join(',')}}`),
}));
const document = fc
  .tuple(
    space,
    fc.array(
      fc.tuple(space, name, space, value, space).map(([a, n, b, v, c]) => `${a}${n}${b}:${b}${v}${c}`),
      { maxLength: 5 },
    ),
    fc.constantFrom('', '', '', ','),
    space,
  )
  .map(([before, members, trailing, after]) => Buffer.from(`${before}{${members.join(',')}${members.length > 0 ? trailing : ''}}${after}`));
const damaged = fc
  .tuple(
    document,
    fc.array(fc.tuple(fc.nat(), fc.oneof(fc.nat(255), fc.constantFrom(0x22, 0x5c, 0x7d, 0x2c, 0x20, 0x00))), {
      minLength: 1,
      maxLength: 3,
    }),
  )
  .map(([bytes, changes]) => {
    const copy = Buffer.from(bytes);
    for (const [at, byte] of changes) if (copy.length > 0) copy[at % copy.length] = byte;
    return copy;
  });
const anyValue = fc.oneof(
  { weight: 6, arbitrary: document },
  { weight: 3, arbitrary: damaged },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: fc.constant(null) },
);

/** Values of a field that are all of one kind, or of none. */
const ofOneKind = fc
  .constantFrom<((text: string) => boolean)[]>(
    (text) => /^-?(0|[1-9]\d{0,17})$/.test(text),
    (text) => /^-?(0|[1-9]\d*)(\.\d+)?([eE]-?\d{1,2})?$/.test(text) && /[.eE]/.test(text),
    (text) => /^(true|false)$/.test(text),
    (text) => /^["[{]/.test(text) || /^-?[1-9]\d{19,}$/.test(text),
  )
  .chain((isOfKind) => fc.array(fc.oneof(value.filter(isOfKind), fc.constant('null')), { minLength: 1, maxLength: 12 }));

describe('typed columns of any value', () => {
  it('are what an independent reader finds, and the scanner foretells exactly their pairs', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyValue, { minLength: 1, maxLength: 60 }), async (values) => {
        const staged = await files.stageValues(values);
        const oracle = values.map((of) => oracleFields(of));
        const expectedPairs = new Set(oracle.flatMap((fields) => [...fields].map(([of, field]) => JSON.stringify([of, field.kind]))));
        expect(new Set(staged.pairs.map((pair) => JSON.stringify([pair.name, pair.kind])))).toEqual(expectedPairs);
        const columns: TypedColumn[] = assignColumns([], staged.pairs);
        const rows = await files.typedRows(staged.path, columns);
        const expected = oracle.map((fields) =>
          columns.map((column) => {
            const field = fields.get(column.name);
            return field?.kind === column.kind ? field.value : null;
          }),
        );
        expect(rows).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  it('are the same where the encoder knows that a field is of one kind', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(ofOneKind, { minLength: 1, maxLength: 6 }),
        fc.array(anyValue, { maxLength: 1 }),
        async (fields, others) => {
          const documents = Array.from({ length: 20 }, (_, i) => {
            const members = fields.flatMap((values, index) => (i % (index + 2) === 1 ? [] : [`"f${index}":${values[i % values.length]}`]));
            return Buffer.from(`{${members.join(',')}}`);
          });
          const staged = await files.stageValues([...documents, ...others]);
          const columns: TypedColumn[] = assignColumns([], staged.pairs);
          const encoded = await files.encode([staged], columns);
          const list = columns.map((column) => `"${column.columnName.replaceAll('"', '""')}"`);
          const cold = await files.rows(`SELECT ${['_offset', ...list].join(', ')} FROM '${encoded.path}' ORDER BY _offset`);
          expect(cold.map((row) => row.slice(1))).toEqual(await files.typedRows(staged.path, columns));
        },
      ),
      { numRuns: 40 },
    );
  }, 60_000);
});
