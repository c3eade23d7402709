// The worked values of a typed column. Never edit a line: files in buckets were written by it.
import { afterAll, describe, expect, it } from 'vitest';
import { assignColumns, type ColumnPair } from '../../src/columns/index.js';
import { ColumnFiles } from '../support/column-files.js';
import { oracleFields } from '../support/json-oracle.js';

const files = new ColumnFiles();
afterAll(() => files.close());

type Golden = readonly [json: string | Buffer, fields: Record<string, readonly [kind: ColumnPair['kind'], value: unknown]>];

const utf8 = (...parts: (string | number[])[]): Buffer => Buffer.concat(parts.map((part) => Buffer.from(part as string)));

const golden: readonly Golden[] = [
  ['{"x":1}', { x: ['long', 1n] }],
  ['{"x":1.0}', { x: ['double', 1] }],
  ['{"x":1e3}', { x: ['double', 1000] }],
  ['{"x":9007199254740993}', { x: ['long', 9007199254740993n] }],
  ['{"x":9223372036854775807}', { x: ['long', 9223372036854775807n] }],
  ['{"x":-9223372036854775808}', { x: ['long', -9223372036854775808n] }],
  ['{"x":9223372036854775808}', { x: ['text', '9223372036854775808'] }],
  ['{"x":18446744073709551616}', { x: ['text', '18446744073709551616'] }],
  ['{"x":-9223372036854775809}', { x: ['text', '-9223372036854775809'] }],
  ['{"x":-0}', { x: ['long', 0n] }],
  ['{"x":-0.0}', { x: ['double', 0] }],
  ['{"x":1e400}', { x: ['text', '1e400'] }],
  ['{"x":0.1000000000000000055511151231257827}', { x: ['double', 0.1] }],
  ['{"x":1,"x":"second"}', { x: ['long', 1n] }],
  ['{"x":null,"x":2}', {}],
  ['{"x":null}', {}],
  ['{"x":true,"y":false}', { x: ['bool', true], y: ['bool', false] }],
  ['{"x":"1"}', { x: ['text', '1'] }],
  ['{"x":""}', { x: ['text', ''] }],
  ['{"x": { "a" : [1, 2.50, "\\u00e9"] } }', { x: ['text', '{"a":[1,2.5,"é"]}'] }],
  ['{"x":[]}', { x: ['text', '[]'] }],
  ['{"x":"\\u0000"}', { x: ['text', '\0'] }],
  ['{"x":"a\\\\b\\"c\\/d\\n"}', { x: ['text', 'a\\b"c/d\n'] }],
  ['{"x":"\\ud83d\\ude00","y":"😀é"}', { x: ['text', '😀'], y: ['text', '😀é'] }],
  ['{"x":"\\ud800","y":1}', {}],
  ['{"a":1,"A":2}', { a: ['long', 1n], A: ['long', 2n] }],
  ['{"_key":"k","_partition":7}', { _key: ['text', 'k'], _partition: ['long', 7n] }],
  ['{"x":1,"x__text":"real"}', { x: ['long', 1n], x__text: ['text', 'real'] }],
  ['{"":5,"_":6}', { '': ['long', 5n], _: ['long', 6n] }],
  [
    '{"a.b":1,"c\\"d":2,"e\'f":3,"😀":4,"\\u0000":5,"~/*$":6}',
    { 'a.b': ['long', 1n], 'c"d': ['long', 2n], "e'f": ['long', 3n], '😀': ['long', 4n], '\0': ['long', 5n], '~/*$': ['long', 6n] },
  ],
  ['{"\\u0078":5}', { x: ['long', 5n] }],
  [' \n\t\r{"x":1} ', { x: ['long', 1n] }],
  ['{"x":1,}', { x: ['long', 1n] }],
  ['{"x":NaN,"y":-Infinity,"z":1}', { z: ['long', 1n] }],
  ['{"x":01}', {}],
  ['{"x":1}x', {}],
  ['{"x":"tab\there"}', {}],
  ['[1]', {}],
  ['"x"', {}],
  ['17', {}],
  ['null', {}],
  ['', {}],
  ['not json', {}],
  [utf8('{"x":"', [0xff], '"}'), {}],
  [utf8('{"x":"', [0xed, 0xa0, 0x80], '"}'), {}],
  [utf8('{"x":"', [0xc0, 0x80], '"}'), {}],
  [utf8([0xef, 0xbb, 0xbf], '{"x":1}'), {}],
  [`{"${'n'.repeat(255)}":1,"${'n'.repeat(256)}":2}`, { ['n'.repeat(255)]: ['long', 1n] }],
];

describe('a typed column', () => {
  for (const [json, fields] of golden) {
    it(`of ${JSON.stringify(json.toString()).slice(0, 70)} has the worked value`, async () => {
      const value = Buffer.from(json as string);
      const expected = Object.entries(fields).map(([name, [kind, of]]) => ({ name, kind, value: of }));
      const oracle = [...oracleFields(value)].map(([name, field]) => ({ name, ...field }));
      expect(oracle).toEqual(expected);
      const staged = await files.stageValues([value]);
      const key = (pair: ColumnPair): string => `${pair.name}:${pair.kind}`;
      expect(staged.pairs.map(key).sort()).toEqual(expected.map(key).sort());
      // Every kind is asked for, so that a value that shows under two of them would be seen.
      const all = assignColumns(
        [],
        ['x', 'y', ...expected.map((field) => field.name)].flatMap((name) =>
          (['long', 'double', 'bool', 'text'] as const).map((kind) => ({ name, kind })),
        ),
      );
      const [row] = await files.typedRows(staged.path, all);
      const worked = all.map((column) => expected.find((field) => field.name === column.name && field.kind === column.kind)?.value ?? null);
      expect(row).toEqual(worked);
      // The encoder knows which kinds there are.
      const names = all.map((column) => `"${column.columnName.replaceAll('"', '""')}"`);
      const { path } = await files.encode([staged], all);
      expect(await files.rows(`SELECT ${names.join(', ')} FROM '${path}'`)).toEqual([worked]);
    });
  }

  it('keeps null and empty values apart from objects', async () => {
    const staged = await files.stageValues([null, Buffer.alloc(0), Buffer.from('{}'), Buffer.from('{"x":1}')]);
    const columns = assignColumns([], staged.pairs);
    expect(await files.typedRows(staged.path, columns)).toEqual([[null], [null], [null], [1n]]);
  });
});
