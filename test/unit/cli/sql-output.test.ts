// Answers as they are read from the service and as they are printed.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileDestination, formatOfFile } from '../../../src/cli/sql/destination.js';
import { displayWidth, fitted } from '../../../src/cli/sql/display-width.js';
import { JsonRows } from '../../../src/cli/sql/json-rows.js';
import { mentioned, parametersOf } from '../../../src/cli/sql/parameters.js';
import { rowPrinter } from '../../../src/cli/sql/row-printers.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'thermocline-cli-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('an answer as JSON', () => {
  const document = {
    columns: [{ name: 'a]"', type: 'BIGINT' }],
    rows: [[1], ['x,]"[\\'], [{ b: [1, [2]], c: '}' }], [[]], [null]],
    snapshot: 't1.x',
    stats: { hot_rows: 2 },
  };

  it('gives the same rows however it is cut into pieces', () => {
    const text = JSON.stringify(document);
    for (let size = 1; size <= text.length; size++) {
      const reader = new JsonRows();
      const rows: unknown[] = [];
      for (let at = 0; at < text.length; at += size) rows.push(...reader.push(text.slice(at, at + size)));
      expect([size, rows, reader.columns]).toEqual([size, document.rows, document.columns]);
      expect(reader.end()).toMatchObject({ snapshot: 't1.x', stats: { hot_rows: 2 } });
    }
  });

  it('says where it is not whole', () => {
    const reader = new JsonRows();
    expect(reader.push('{"columns":[{"name":"a","type":"BIGINT"}],"rows":[[1],[2')).toEqual([[1]]);
    expect(reader.end()).toBeUndefined();
  });
});

describe('printed rows', () => {
  const columns = [
    { name: 'n', type: 'BIGINT' },
    { name: 'text', type: 'VARCHAR' },
  ];
  const print = (mode: 'table' | 'line' | 'markdown', rows: unknown[][], width?: number, cellWidth?: number): string[] => {
    const printer = rowPrinter(mode, columns, { width, cellWidth, nullText: 'NULL' });
    return (printer.rows(rows) + printer.end()).split('\n');
  };

  it('stand right where they are numbers, wide signs counted twice', () => {
    expect(
      print('table', [
        [1, '東京'],
        [20, 'abc'],
        [null, 'a\u001b[31m\nb'],
      ]),
    ).toEqual(['   n  text', '────  ────────', '   1  東京', '  20  abc', 'NULL  a·[31m⏎b', '']);
  });

  it('fit the terminal: wide columns give way, then the last are left out', () => {
    const lines = print('table', [[1, 'x'.repeat(200)]], 40);
    expect(Math.max(...lines.map(displayWidth))).toBeLessThan(40);
    expect(lines[2]).toMatch(/^1 {2}x+…$/);
    const many = rowPrinter(
      'table',
      Array.from({ length: 30 }, (_, i) => ({ name: `column${i}`, type: 'VARCHAR' })),
      {
        width: 40,
        cellWidth: undefined,
        nullText: '',
      },
    );
    const text = many.rows([Array.from({ length: 30 }, () => 'value of it')]) + many.end();
    expect(text).toMatch(/^\(25 more columns/);
    expect(Math.max(...text.split('\n').slice(1).map(displayWidth))).toBeLessThan(40);
    expect(print('table', [[1, 'abcdef']], undefined, 3)[2]).toBe('1  ab…');
  });

  it('have a header also where there are none, and go on after the first thousand', () => {
    expect(print('table', []).slice(0, 2)).toEqual(['n  text', '─  ────']);
    const printer = rowPrinter('table', columns, { width: undefined, cellWidth: undefined, nullText: '' });
    const first = printer.rows(Array.from({ length: 1500 }, (_, i) => [i, 'x']));
    expect(first.split('\n')).toHaveLength(1503);
    expect(printer.rows([[7, 'y']]) + printer.end()).toBe('   7  y\n');
  });

  it('as a line a value, and as Markdown', () => {
    expect(
      print('line', [
        [1, 'a'],
        [2, null],
      ]),
    ).toEqual(['   n = 1', 'text = a', '', '   n = 2', 'text = NULL', '']);
    expect(print('markdown', [[1, 'a|b']])).toEqual(['| n | text |', '| --: | --- |', '| 1 | a\\|b |', '']);
  });

  it('measure and cut by columns of a terminal', () => {
    expect(['abc', '東', 'e\u0301', '👍'].map(displayWidth)).toEqual([3, 2, 1, 2]);
    expect([fitted('東京都', 5), fitted('abc', 3), fitted('abcd', 3)]).toEqual(['東京…', 'abc', 'ab…']);
  });
});

describe('an output file', () => {
  it('has its name only when it is whole', async () => {
    const path = join(folder, 'rows.csv');
    const file = await fileDestination(path);
    await file.write('a\n');
    await file.write(Buffer.from('1\n'));
    expect(await readdir(folder)).not.toContain('rows.csv');
    await file.finish();
    expect([await readFile(path, 'utf8'), await readdir(folder)]).toEqual(['a\n1\n', ['rows.csv']]);
    const other = await fileDestination(path);
    await other.write('broken');
    await other.discard();
    expect([await readFile(path, 'utf8'), await readdir(folder)]).toEqual(['a\n1\n', ['rows.csv']]);
    await expect(fileDestination(join(folder, 'no', 'x.csv'))).rejects.toMatchObject({ code: 'usage' });
  });

  it('says its format by its name', () => {
    expect(['a.parquet', 'b.CSV', 'c.jsonl', 'd.arrow', 'e'].map(formatOfFile)).toEqual(['parquet', 'csv', 'ndjson', 'arrow', undefined]);
  });
});

describe('parameters', () => {
  it('have the type that they read as', () => {
    expect(parametersOf(['a=5', 'b=-1.5e3', 'c=true', 'd=null', 'e="5"', 'f=x=y', '$g=', 'h=9007199254740993', 'i=007'])).toEqual({
      a: 5,
      b: -1500,
      c: true,
      d: null,
      e: '5',
      f: 'x=y',
      g: '',
      h: '9007199254740993',
      i: '007',
    });
    expect(
      parametersOf(['$big:BIGINT=9007199254740993', 't:TIMESTAMP=2026-01-31 09:30', 'l:BIGINT[]=[1,"2"]', 'n:DATE=null', 'v:VARCHAR="5"']),
    ).toEqual({
      big: { type: 'BIGINT', value: '9007199254740993' },
      t: { type: 'TIMESTAMP', value: '2026-01-31 09:30' },
      l: { type: 'BIGINT[]', value: [1, '2'] },
      n: { type: 'DATE', value: null },
      v: { type: 'VARCHAR', value: '"5"' },
    });
    expect(() => parametersOf(['l:BIGINT[]=1,2'])).toThrow(/is no list/);
    expect(() => parametersOf(['novalue'])).toThrow(/not NAME=VALUE/);
    expect(mentioned({ a: 1, ab: 2, c: 3 }, 'SELECT $ab, $c')).toEqual({ ab: 2, c: 3 });
  });
});
