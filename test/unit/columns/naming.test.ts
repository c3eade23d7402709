import { describe, expect, it } from 'vitest';
import { assignColumns, type ColumnPair, maxTypedColumns, presentColumns, type TypedColumn } from '../../../src/columns/index.js';

const pair = (name: string, kind: ColumnPair['kind'] = 'long'): ColumnPair => ({ name, kind });
const names = (columns: readonly TypedColumn[]): string[] => columns.map((column) => `${column.fieldId} ${column.columnName}`);
const viewNames = (pairs: readonly ColumnPair[]): string[] => presentColumns(pairs).map((column) => `${column.name} ${column.sqlType}`);

describe('assignColumns', () => {
  it('gives new pairs the next field ids in code-point order, whatever order they come in', () => {
    const pairs = [pair('b'), pair('a', 'text'), pair('a'), pair('Z')];
    expect(names(assignColumns([], pairs))).toEqual(['100 Z', '101 a', '102 a__text', '103 b']);
    expect(assignColumns([], pairs.toReversed())).toEqual(assignColumns([], pairs));
  });

  it('keeps what is there and shows a later kind under the field and kind', () => {
    const first = assignColumns([], [pair('x', 'text')]);
    const second = assignColumns(first, [pair('x', 'text'), pair('x'), pair('w')]);
    expect(second.slice(0, 1)).toEqual(first);
    expect(names(second)).toEqual(['100 x', '101 w', '102 x__long']);
  });

  it('numbers names that differ only in case, that are ours or Iceberg’s, or that a kind has taken', () => {
    expect(names(assignColumns([], [pair('a'), pair('A')]))).toEqual(['100 A', '101 a__2']);
    // As Java compares names without regard to case, character by character, these are one.
    expect(names(assignColumns([], [pair('i'), pair('I'), pair('İ'), pair('s'), pair('ſ')]))).toEqual([
      '100 I',
      '101 i__2',
      '102 s',
      '103 İ__3',
      '104 ſ__2',
    ]);
    expect(names(assignColumns([], [pair('_key'), pair('_Partition'), pair('file_path')]))).toEqual([
      '100 _Partition__2',
      '101 _key__2',
      '102 file_path__2',
    ]);
    expect(names(assignColumns([], [pair('x'), pair('x', 'text'), pair('x__text')]))).toEqual(['100 x', '101 x__text__2', '102 x__text']);
    expect(names(assignColumns(assignColumns([], [pair('x'), pair('x', 'text')]), [pair('x__text')]))).toEqual([
      '100 x',
      '101 x__text',
      '102 x__text__2',
    ]);
    expect(names(assignColumns([], [pair('A'), pair('a'), pair('a__2')]))).toEqual(['100 A', '101 a__3', '102 a__2']);
  });

  it('names the empty field, takes NUL out of names and leaves out what is too long', () => {
    expect(names(assignColumns([], [pair(''), pair('_'), pair('a\0b'), pair('n'.repeat(256)), pair('é'.repeat(128))]))).toEqual([
      '100 ___2',
      '101 _',
      '102 a_b',
    ]);
  });

  it('adds nothing above the cap', () => {
    const many = Array.from({ length: maxTypedColumns + 5 }, (_, i) => pair(`c${String(i).padStart(5, '0')}`));
    const full = assignColumns([], many);
    expect(full).toHaveLength(maxTypedColumns);
    expect(full.at(-1)?.name).toBe(`c${String(maxTypedColumns - 1).padStart(5, '0')}`);
    expect(assignColumns(full, [pair('later')])).toEqual(full);
  });
});

describe('presentColumns', () => {
  it('takes the type from the set of kinds', () => {
    const kinds = [
      pair('l'),
      pair('d', 'double'),
      pair('b', 'bool'),
      pair('t', 'text'),
      pair('n'),
      pair('n', 'double'),
      pair('m'),
      pair('m', 'bool'),
    ];
    expect(viewNames(kinds)).toEqual(['b BOOLEAN', 'd DOUBLE', 'l BIGINT', 'm VARCHAR', 'n DOUBLE', 't VARCHAR']);
  });

  it('depends on the set of pairs alone, not on what was committed first', () => {
    const pairs = [pair('a'), pair('A'), pair('x', 'text'), pair('x'), pair('row')];
    expect(viewNames(pairs)).toEqual(
      ['A BIGINT', 'a__2 BIGINT', 'row__2 BIGINT', 'x VARCHAR'].sort((one, other) => (one < other ? -1 : 1)),
    );
    expect(viewNames([...pairs.toReversed(), ...pairs])).toEqual(viewNames(pairs));
  });

  it('casts each kind before it puts them together', () => {
    const expression = (kinds: ColumnPair['kind'][]): string | undefined =>
      presentColumns(kinds.map((kind) => pair('x', kind)))[0]?.expression(({ kind }) => `c_${kind}`);
    expect(expression(['long'])).toBe('c_long');
    expect(expression(['long', 'double'])).toBe('coalesce(c_long::DOUBLE, c_double::DOUBLE)');
    expect(expression(['text', 'long', 'double'])).toBe('coalesce(c_long::VARCHAR, to_json(c_double)::VARCHAR, c_text)');
  });
});
