/**
 * What may stand before a SELECT: `EXPLAIN [ANALYZE]`, `DESCRIBE` (or `DESC`) and `SHOW TABLES`. What it says is taken off here, byte for
 * byte, so that positions in the rest stay right; the rest goes through the same gate as any statement (`statement.ts`), so that nothing
 * is let through that is no SELECT. Anything not understood is left as it is, for the gate to refuse.
 */

/** What is asked, and the SELECT that it is asked of. */
export type Front =
  /** Its rows. */
  | { readonly kind: 'select'; readonly sql: string }
  /** How it would be answered; with `isAnalyzed` how it was. */
  | { readonly kind: 'explain'; readonly isAnalyzed: boolean; readonly sql: string }
  /** Its columns. `table` where only a table is named. */
  | { readonly kind: 'describe'; readonly sql: string; readonly table?: NamedTable };

export interface NamedTable {
  /** As written, without quotes. */
  readonly schema?: string;
  readonly name: string;
  /** Byte in the SQL text. */
  readonly position: number;
}

const tablesSql = 'SELECT name, kind FROM system.tables ORDER BY kind DESC, name';
const selectWords: ReadonlySet<string> = new Set(['select', 'with', 'from', 'values', 'pivot', 'unpivot', 'table']);

export function frontOf(text: string): Front {
  const first = wordAt(text, skipBlank(text, 0));
  switch (first.word) {
    case 'explain': {
      const second = wordAt(text, skipBlank(text, first.end));
      const isAnalyzed = second.word === 'analyze' || second.word === 'analyse';
      return { kind: 'explain', isAnalyzed, sql: blanked(text, isAnalyzed ? second.end : first.end) };
    }
    case 'describe':
    case 'desc':
      return describeOf(text, first.end) ?? { kind: 'select', sql: text };
    case 'show': {
      const second = wordAt(text, skipBlank(text, first.end));
      const isAll = second.word === 'tables' && isBlankToEnd(text, second.end);
      return { kind: 'select', sql: isAll ? tablesSql : text };
    }
    default:
      return { kind: 'select', sql: text };
  }
}

/** `undefined` where neither a table's name nor a SELECT follows. */
function describeOf(text: string, at: number): Front | undefined {
  const start = skipBlank(text, at);
  if (text[start] === '(' || selectWords.has(wordAt(text, start).word)) return { kind: 'describe', sql: blanked(text, at) };
  const first = nameAt(text, start);
  if (first === undefined) return undefined;
  const dot = skipBlank(text, first.end);
  const second = text[dot] === '.' ? nameAt(text, skipBlank(text, dot + 1)) : undefined;
  if (!isBlankToEnd(text, (second ?? first).end)) return undefined;
  const table: NamedTable = {
    ...(second === undefined ? {} : { schema: first.name }),
    name: (second ?? first).name,
    position: Buffer.byteLength(text.slice(0, start)),
  };
  // `DESC` is as long as `FROM`, which alone makes a SELECT of a name.
  const room = blanked(text, at);
  return { kind: 'describe', sql: `FROM${room.slice(4)}`, table };
}

/** The text with spaces in the place of what stands before `at`, as many as that has bytes; lines stay lines. */
function blanked(text: string, at: number): string {
  const head = text.slice(0, at).replace(/[^\n]/gu, (character) => ' '.repeat(Buffer.byteLength(character)));
  return head + text.slice(at);
}

/** Past white space and comments; those of blocks nest. A block that is not closed reaches to the end. */
function skipBlank(text: string, from: number): number {
  let at = from;
  for (;;) {
    const blank = /^\s+|^--[^\n\r]*/u.exec(text.slice(at, at + 4096));
    if (blank !== null) at += blank[0].length;
    else if (text.startsWith('/*', at)) at = blockEnd(text, at);
    else return at;
  }
}

function blockEnd(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    if (text.startsWith('/*', at)) {
      depth++;
      at++;
    } else if (text.startsWith('*/', at)) {
      at++;
      if (--depth === 0) return at + 1;
    }
  }
  return text.length;
}

/** In lower case; empty where there is none. */
function wordAt(text: string, at: number): { readonly word: string; readonly end: number } {
  const word = /^[A-Za-z_]+(?![\p{L}\p{N}_$])/u.exec(text.slice(at, at + 64))?.[0] ?? '';
  return { word: word.toLowerCase(), end: at + word.length };
}

function nameAt(text: string, at: number): { readonly name: string; readonly end: number } | undefined {
  const found = /^(?:"((?:[^"]|"")+)"|([\p{L}_][\p{L}\p{N}_$]*))/u.exec(text.slice(at, at + 1024));
  if (found === null) return undefined;
  return { name: found[2] ?? (found[1] ?? '').replaceAll('""', '"'), end: at + found[0].length };
}

function isBlankToEnd(text: string, from: number): boolean {
  let at = skipBlank(text, from);
  while (text[at] === ';') at = skipBlank(text, at + 1);
  return at >= text.length;
}
