import { describe, expect, it } from 'vitest';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';
import { keyBoundsOf } from '../../../src/query/key-filters.js';

const blob = (value: string) => ({ type: { id: 'BLOB', type_info: null }, is_null: false, value });
const compared = (comparison: string, value: string) => ({
  filter_type: 'CONSTANT_COMPARISON',
  comparison_type: comparison,
  constant: blob(value),
});

describe('bounds of the key', () => {
  it('are read as bytes, whatever DuckDB writes escaped', () => {
    expect(keyBoundsOf(compared('COMPARE_EQUAL', 'A\\x00\\xFF'))).toEqual({ min: '4100ff', max: '4100ff', list: ['4100ff'] });
  });

  it('are unknown where anything in the constant is not understood', () => {
    for (const value of ['\\n', '\\xZZ', 'é', '\\x4']) expect(keyBoundsOf(compared('COMPARE_EQUAL', value))).toBeUndefined();
    expect(keyBoundsOf({ ...compared('COMPARE_EQUAL', 'a'), constant: { ...blob('a'), type: { id: 'VARCHAR' } } })).toBeUndefined();
  });

  it('widen with OR, and end where one side lets rows without a key through', () => {
    const or = (...parts: object[]) => ({ filter_type: 'CONJUNCTION_OR', child_filters: parts }) as never;
    expect(keyBoundsOf(or(compared('COMPARE_EQUAL', 'a'), compared('COMPARE_EQUAL', 'c')))).toEqual({
      min: '61',
      max: '63',
      list: ['61', '63'],
    });
    expect(keyBoundsOf(or(compared('COMPARE_EQUAL', 'a'), compared('COMPARE_LESSTHAN', 'c')))).toEqual({ min: null, max: '63' });
    expect(keyBoundsOf(or(compared('COMPARE_EQUAL', 'a'), { filter_type: 'IS_NULL' }))).toBeUndefined();
    expect(keyBoundsOf(or(compared('COMPARE_LESSTHAN', 'a'), compared('COMPARE_GREATERTHAN', 'c')))).toBeUndefined();
  });

  it('narrow with AND', () => {
    const and = (...parts: object[]) => ({ filter_type: 'CONJUNCTION_AND', child_filters: parts }) as never;
    expect(keyBoundsOf(and(compared('COMPARE_GREATERTHAN', 'a'), compared('COMPARE_LESSTHAN', 'c')))).toEqual({ min: '61', max: '63' });
  });

  it('leave out files whose keys lie elsewhere, and those without a key', async () => {
    await using world = await QueryWorld.open({ workers: inlineColumnWorkers });
    world.createTopic('keyed');
    for (const keys of [
      ['a', 'b'],
      ['c', null],
      [null, null],
      ['x', 'y'],
    ]) {
      world.append(
        'keyed',
        0,
        keys.map((key) => ({ timestampMs: 1, key, value: '{}' })),
      );
    }
    await world.makeCold('keyed', 0, 8, 2);
    const ask = async (where: string) => {
      const { rows, stats } = await world.ask(`SELECT _offset FROM keyed WHERE ${where} ORDER BY _offset`);
      return { offsets: rows.map(([offset]) => offset), files: stats.cold_files, pruned: stats.pruned_files };
    };
    expect(await ask("_key = 'c'")).toEqual({ offsets: [2], files: 1, pruned: 3 });
    expect(await ask("_key IN ('a', 'y')")).toEqual({ offsets: [0, 7], files: 2, pruned: 2 });
    expect(await ask("_key >= 'c'")).toEqual({ offsets: [2, 6, 7], files: 2, pruned: 2 });
    expect(await ask("_key IS NULL OR _key = 'a'")).toEqual({ offsets: [0, 3, 4, 5], files: 4, pruned: 0 });
    expect((await ask("_timestamp::DATE = DATE '2001-01-01'")).pruned).toBe(4);
  });
});
