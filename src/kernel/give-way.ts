/**
 * Work that may wait gives way to work that somebody waits for. A nice value alone does not do it: Linux with autogroups
 * (sched(7)) shares processors among sessions first, and ranks by nice values only within one. So a process that gives way
 * begins a session of its own (forked with `detached`), and lowers the session's share as well.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { isErrno } from './errno.js';

const sessionShareFile = '/proc/self/autogroup';
/** The system takes a new share every tenth of a second at most, of all processes together. */
const retryMs = 250;
const triesMax = 40;

/** Whether this process is the first of its session, by the sixth field of its `stat` (proc(5)); the name before may hold blanks. */
function leadsSession(): boolean {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 1).split(' ')[4]) === process.pid;
}

function lowerSession(niceness: number, triesLeft: number): void {
  try {
    writeFileSync(sessionShareFile, String(niceness));
  } catch (error) {
    if (!isErrno(error, 'EAGAIN') || triesLeft === 0) return;
    setTimeout(() => lowerSession(niceness, triesLeft - 1), retryMs).unref();
  }
}

/**
 * Lets this process, and its session where it leads one, give way to others. To be called before threads are started, which
 * take the value from the one that starts them. A system that does not let us leaves the work as it is: it is right, and slower
 * for others. `niceness`: 0 (as everyone) to 19 (only what nobody else wants).
 */
export function giveWay(niceness: number): void {
  try {
    setPriority(niceness);
    if (process.platform === 'linux' && leadsSession()) lowerSession(niceness, triesMax);
  } catch {
    // Neither a nice value nor a session's share may be set here.
  }
}
