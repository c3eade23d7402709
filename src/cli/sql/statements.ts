/**
 * Where one statement ends and the next begins, as SQL sees it: a semicolon in quotes, in a comment or between dollar quotes ends
 * nothing. At the start of a statement a line that begins with `.` or `\` is a command of the prompt.
 */

export type Piece =
  /** `text` without its semicolon; `at` is where it begins (characters). */
  | { readonly kind: 'statement'; readonly text: string; readonly at: number; readonly end: number }
  | { readonly kind: 'command'; readonly text: string; readonly at: number; readonly end: number };

/** What of SQL's text is still open at its end. */
export type OpenAt = "'" | '"' | '$' | '/*' | undefined;

interface Token {
  readonly kind: 'blank' | 'comment' | 'quoted' | 'semicolon' | 'other';
  readonly end: number;
  readonly open?: OpenAt;
}

const dollarTag = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y;
const wordBefore = /[\w$\u0080-\uffff]$/;
const blank = /\s+/y;
const other = /[^\s'"$;/-]+|[$/-]/y;

function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

function tokenAt(text: string, at: number): Token {
  const blanks = matchAt(blank, text, at);
  if (blanks !== undefined) return { kind: 'blank', end: at + blanks.length };
  const char = text[at];
  const isAfterWord = at > 0 && wordBefore.test(text[at - 1]!);
  if (char === ';') return { kind: 'semicolon', end: at + 1 };
  if (text.startsWith('--', at)) {
    const lineEnd = text.indexOf('\n', at);
    return { kind: 'comment', end: lineEnd < 0 ? text.length : lineEnd };
  }
  if (text.startsWith('/*', at)) return blockComment(text, at);
  if (char === "'" || char === '"') return quoted(text, at, char);
  const tag = char === '$' && !isAfterWord ? matchAt(dollarTag, text, at) : undefined;
  if (tag !== undefined) {
    const close = text.indexOf(tag, at + tag.length);
    return close < 0 ? { kind: 'quoted', end: text.length, open: '$' } : { kind: 'quoted', end: close + tag.length };
  }
  return { kind: 'other', end: at + (matchAt(other, text, at)?.length ?? 1) };
}

/** They nest, as in PostgreSQL, whose lexer DuckDB has. */
function blockComment(text: string, at: number): Token {
  let depth = 0;
  for (let i = at; i < text.length; i++) {
    if (text.startsWith('/*', i)) {
      depth++;
      i++;
    } else if (text.startsWith('*/', i)) {
      depth--;
      i++;
      if (depth === 0) return { kind: 'comment', end: i + 1 };
    }
  }
  return { kind: 'comment', end: text.length, open: '/*' };
}

/** A doubled quote stands for itself; only in E'…' a backslash escapes. */
function quoted(text: string, at: number, quote: "'" | '"'): Token {
  const before = text[at - 1] ?? '';
  const isEscaped = quote === "'" && (before === 'e' || before === 'E') && !wordBefore.test(text[at - 2] ?? ' ');
  for (let i = at + 1; i < text.length; i++) {
    if (isEscaped && text[i] === '\\') i++;
    else if (text[i] === quote) {
      if (text[i + 1] !== quote) return { kind: 'quoted', end: i + 1 };
      i++;
    }
  }
  return { kind: 'quoted', end: text.length, open: quote };
}

/** The end of what is blank or comment from `at` on. */
function skipBlank(text: string, at: number): number {
  let end = at;
  while (end < text.length) {
    const token = tokenAt(text, end);
    if ((token.kind !== 'blank' && token.kind !== 'comment') || token.open !== undefined) break;
    end = token.end;
  }
  return end;
}

/**
 * The first whole piece from `from` on; `undefined` where there is none. With `isWhole` the end of the text ends a statement, and a
 * command's line, as well. Statements of nothing but blanks and comments are passed over.
 */
export function nextPiece(text: string, from: number, isWhole: boolean): Piece | undefined {
  let at = skipBlank(text, from);
  while (text[at] === ';') at = skipBlank(text, at + 1);
  if (at >= text.length) return undefined;
  if (text[at] === '.' || text[at] === '\\') {
    const lineEnd = text.indexOf('\n', at);
    if (lineEnd < 0 && !isWhole) return undefined;
    const end = lineEnd < 0 ? text.length : lineEnd + 1;
    return { kind: 'command', text: text.slice(at, end).trim(), at, end };
  }
  for (let end = at; end < text.length; ) {
    const token = tokenAt(text, end);
    if (token.kind === 'semicolon') return { kind: 'statement', text: text.slice(at, end).trimEnd(), at, end: token.end };
    end = token.end;
  }
  return isWhole ? { kind: 'statement', text: text.slice(at).trimEnd(), at, end: text.length } : undefined;
}

/** All pieces of a text that is all there is. */
export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  for (let at = 0; ; ) {
    const piece = nextPiece(text, at, true);
    if (piece === undefined) return pieces;
    pieces.push(piece);
    at = piece.end;
  }
}

/** Whether anything but blanks and comments follows; an open comment counts. */
export function hasStatement(text: string): boolean {
  return skipBlank(text, 0) < text.length;
}

/** What is open at the end of the text: the prompt shows it. */
export function openAtEnd(text: string): OpenAt {
  for (let at = 0; at < text.length; ) {
    const token = tokenAt(text, at);
    if (token.open !== undefined) return token.open;
    at = token.end;
  }
  return undefined;
}

/** The statement on one line, without comments; `undefined` where a line break stands in quotes. */
export function onOneLine(text: string): string | undefined {
  let line = '';
  for (let at = 0; at < text.length; ) {
    const token = tokenAt(text, at);
    const part = text.slice(at, token.end);
    if (token.kind === 'quoted' && part.includes('\n')) return undefined;
    line += token.kind === 'blank' || token.kind === 'comment' ? (line === '' || line.endsWith(' ') ? '' : ' ') : part;
    at = token.end;
  }
  return line.trim();
}
