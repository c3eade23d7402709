/** What went wrong with a statement, for whoever wrote it: the message, the line with a caret, what to do. */
import { isLakeError } from '../../kernel/index.js';
import { exitCodeOf } from '../exit.js';
import { caretLines, errorCharacter, placeOf } from './error-place.js';

/** Where a statement stands in a file. */
export interface InFile {
  readonly name: string;
  readonly text: string;
  /** Where the statement begins (characters). */
  readonly at: number;
}

/** The exit code for it. */
export function reportFailure(write: (text: string) => unknown, error: unknown, sql: string | undefined, file?: InFile): number {
  if (!isLakeError(error)) {
    write(`error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return exitCodeOf(error);
  }
  const at = sql === undefined ? undefined : errorCharacter(sql, error);
  const place = file === undefined ? undefined : placeOf(file.text, file.at + (at ?? 0));
  const where = place === undefined || file === undefined ? '' : `${file.name}:${place.line}:${place.column}: `;
  write(`error: ${where}${error.message}\n`);
  if (at !== undefined && sql !== undefined) write(`${caretLines(sql, at).join('\n')}\n`);
  if (error.hint !== undefined) write(`hint: ${error.hint}\n`);
  return exitCodeOf(error);
}
