/** Where in a statement an error is: its line with a caret below, as far as a terminal is wide. */
import type { LakeError } from '../../kernel/index.js';
import { displayWidth } from './display-width.js';

/** How much of a long line is shown around the place. */
const shownWidth = 100;

export interface Place {
  /** Both from 1, in characters. */
  readonly line: number;
  readonly column: number;
}

/** The character that the byte of the SQL text, as errors count, belongs to. */
function characterAt(sql: string, bytes: number): number {
  return Buffer.from(sql).subarray(0, bytes).toString().length;
}

export function placeOf(text: string, character: number): Place {
  const before = text.slice(0, character);
  const lineStart = before.lastIndexOf('\n') + 1;
  return { line: before.split('\n').length, column: character - lineStart + 1 };
}

/** The character in the SQL that an error points at; `undefined` where it does not say. */
export function errorCharacter(sql: string, error: LakeError): number | undefined {
  const { position } = error.facts;
  if (typeof position !== 'number' || position < 0) return undefined;
  const character = characterAt(sql, position);
  return character <= sql.length ? character : undefined;
}

/** Two lines: the text around the character, and a caret below it. */
export function caretLines(sql: string, character: number): string[] {
  const { line, column } = placeOf(sql, character);
  const text = (sql.split('\n')[line - 1] ?? '').replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
  const from = Math.max(0, Math.min(column - 1 - Math.floor(shownWidth / 2), text.length - shownWidth));
  const shown = text.slice(from, from + shownWidth);
  const head = `LINE ${line}: ${from > 0 ? '…' : ''}`;
  const tail = from + shownWidth < text.length ? '…' : '';
  return [`${head}${shown}${tail}`, `${' '.repeat(displayWidth(head) + displayWidth(text.slice(from, column - 1)))}^`];
}
