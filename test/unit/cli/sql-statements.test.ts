// Where statements end, and where in them an error is.
import { describe, expect, it } from 'vitest';
import { LakeError } from '../../../src/kernel/index.js';
import { caretLines, errorCharacter, placeOf } from '../../../src/cli/sql/error-place.js';
import { hasStatement, nextPiece, onOneLine, openAtEnd, piecesOf } from '../../../src/cli/sql/statements.js';

const texts = (text: string): string[] => piecesOf(text).map((piece) => piece.text);

describe('statements', () => {
  it('ends a statement at a semicolon that is not in quotes, comments or dollar quotes', () => {
    expect(texts(`SELECT ';' AS a, "x;y"; SELECT 2`)).toEqual([`SELECT ';' AS a, "x;y"`, 'SELECT 2']);
    expect(texts("SELECT 'it''s; one'; SELECT E'a\\';b'; SELECT 'c\\'; SELECT 3")).toEqual([
      "SELECT 'it''s; one'",
      "SELECT E'a\\';b'",
      "SELECT 'c\\'",
      'SELECT 3',
    ]);
    expect(texts('SELECT 1 -- no; end\n + 1; SELECT /* a; /* b; */ c; */ 2')).toEqual([
      'SELECT 1 -- no; end\n + 1',
      'SELECT /* a; /* b; */ c; */ 2',
    ]);
    expect(texts('SELECT $$a;b$$; SELECT $t$;$$;$t$; SELECT $1, $2; SELECT a$b$;')).toEqual([
      'SELECT $$a;b$$',
      'SELECT $t$;$$;$t$',
      'SELECT $1, $2',
      'SELECT a$b$',
    ]);
  });

  it('passes over what is empty, and takes a line of the prompt at the start of a statement', () => {
    expect(texts(';; -- nothing\n ; /* nor this */ ;')).toEqual([]);
    expect(piecesOf('.mode line\nSELECT 1;\n\\dt\nSELECT a\n.b FROM c').map((piece) => [piece.kind, piece.text])).toEqual([
      ['command', '.mode line'],
      ['statement', 'SELECT 1'],
      ['command', '\\dt'],
      ['statement', 'SELECT a\n.b FROM c'],
    ]);
  });

  it('waits for the end where more may come', () => {
    expect(nextPiece('SELECT 1', 0, false)).toBeUndefined();
    expect(nextPiece("SELECT 'a;\n", 0, false)).toBeUndefined();
    expect(nextPiece('SELECT 1;', 0, false)).toMatchObject({ text: 'SELECT 1', at: 0, end: 9 });
    expect(['SELECT 1', "SELECT '", 'SELECT "', 'SELECT /* x', 'SELECT $a$ x'].map(openAtEnd)).toEqual([undefined, "'", '"', '/*', '$']);
    expect([' -- a', '/* a */ ', '/* a', 'x'].map(hasStatement)).toEqual([false, false, true, true]);
  });

  it('puts a statement on one line, but not what stands in quotes', () => {
    expect(onOneLine("SELECT a, -- the first\n  'b  c' /* x */\nFROM t")).toBe("SELECT a, 'b  c' FROM t");
    expect(onOneLine("SELECT 'a\nb'")).toBeUndefined();
  });
});

describe('the place of an error', () => {
  it('is counted in bytes by the service and shown in characters', () => {
    const sql = "SELECT 'ü€',\n  wrong\nFROM t";
    const position = Buffer.byteLength(sql.slice(0, sql.indexOf('wrong')));
    const at = errorCharacter(sql, new LakeError('query-invalid', 'x', { facts: { position } }));
    expect(at).toBe(sql.indexOf('wrong'));
    expect(placeOf(sql, at!)).toEqual({ line: 2, column: 3 });
    expect(caretLines(sql, at!)).toEqual(['LINE 2:   wrong', '          ^']);
    expect(errorCharacter(sql, new LakeError('query-invalid', 'x'))).toBeUndefined();
  });

  it('shows of a long line what is near', () => {
    const sql = `${'a, '.repeat(100)}here${', b'.repeat(100)}`;
    const [line = '', caret = ''] = caretLines(sql, 300);
    expect(line.length).toBeLessThan(120);
    expect(line.slice(caret.indexOf('^'), caret.indexOf('^') + 4)).toBe('here');
  });
});
