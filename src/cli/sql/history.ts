/**
 * What was entered before, in the user's state folder: `$THERMOCLINE_HISTORY`, else `$XDG_STATE_HOME/thermocline/sql-history`, else
 * below `~/.local/state`. One entry a line, oldest first, bounded, readable by its owner only. Where it cannot be written there is
 * none, and the prompt works all the same.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

export const historyEntriesMax = 1000;
/** A longer entry is not worth keeping, nor is what would make the file larger than a thousand of them. */
const entryCharsMax = 10_000;

/** `undefined` where the user wants none (`THERMOCLINE_HISTORY=` or `off`). */
export function historyPath(environment: NodeJS.ProcessEnv): string | undefined {
  const named = environment['THERMOCLINE_HISTORY'];
  if (named !== undefined) return named === '' || named === 'off' ? undefined : named;
  const state = environment['XDG_STATE_HOME'];
  // The specification says to pass over a relative one.
  const base = state?.startsWith('/') === true ? state : join(homedir(), '.local', 'state');
  return join(base, 'thermocline', 'sql-history');
}

/** Newest first, as readline holds it. */
export function loadHistory(path: string | undefined): string[] {
  if (path === undefined) return [];
  try {
    const lines = readFileSync(path, 'utf8').split('\n');
    return lines
      .filter((line) => line !== '')
      .slice(-historyEntriesMax)
      .reverse();
  } catch {
    return [];
  }
}

/** Puts this session's entries (oldest first) behind what others have saved meanwhile. */
export function saveHistory(path: string | undefined, entered: readonly string[]): void {
  if (path === undefined || entered.length === 0) return;
  const kept = [...loadHistory(path).reverse(), ...entered.filter(isKept)].filter((entry, at, all) => entry !== all[at - 1]);
  const temporary = `${path}.${process.pid}.part`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(temporary, `${kept.slice(-historyEntriesMax).join('\n')}\n`, { mode: 0o600 });
    renameSync(temporary, path);
  } catch {
    removed(temporary);
  }
}

function removed(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // Its folder is none.
  }
}

/** A line that begins with a blank is kept out, as shells do. */
function isKept(entry: string): boolean {
  return entry.trim() !== '' && !entry.startsWith(' ') && entry.length <= entryCharsMax && !entry.includes('\n');
}
