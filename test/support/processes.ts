// The processes a running service is made of, as the operating system tells (Linux: /proc), for tests that kill or pause them.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export type ProcessKind = 'broker' | 'tier' | 'gateway' | 'column worker' | 'query engine';

export interface ServiceProcess {
  readonly pid: number;
  readonly parent: number;
  readonly kind: ProcessKind;
  /** Of a column worker: the role it works for. */
  readonly role?: ProcessKind | undefined;
}

export const canSeeProcesses = existsSync('/proc/self/stat');

const entries: readonly (readonly [RegExp, ProcessKind | undefined])[] = [
  [/server\/role-main\.js\0(broker|tier|gateway)\0/, undefined],
  [/columns\/worker-main\.js\0/, 'column worker'],
  [/query\/engine-main\.js\0/, 'query engine'],
];

function kindOf(commandLine: string): ProcessKind | undefined {
  for (const [pattern, kind] of entries) {
    const match = pattern.exec(commandLine);
    if (match !== null) return kind ?? (match[1] as ProcessKind);
  }
  return undefined;
}

/** Process id → parent's, of everything that runs. */
function parents(): Map<number, number> {
  const found = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      // The command in parentheses may hold anything; after its last one come state and parent.
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (state !== 'Z') found.set(Number(name), Number(parent));
    } catch {
      // It has ended since.
    }
  }
  return found;
}

/** Every process below the given one that is one of ours. */
export function processesBelow(root: number): ServiceProcess[] {
  const parentOf = parents();
  const isBelow = (pid: number): boolean => {
    for (let at = parentOf.get(pid); at !== undefined && at > 1; at = parentOf.get(at)) if (at === root) return true;
    return false;
  };
  const found: ServiceProcess[] = [];
  for (const [pid, parent] of parentOf) {
    if (!isBelow(pid)) continue;
    const kind = kindOf(commandLineOf(pid));
    if (kind !== undefined) found.push({ pid, parent, kind });
  }
  return found.map((one) => ({ ...one, role: found.find((other) => other.pid === one.parent)?.kind }));
}

function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

export function isRunning(pid: number): boolean {
  return parents().has(pid);
}

/** Most memory a process ever held, in bytes. */
export function peakMemoryBytes(pid: number): number {
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? Number.NaN) * 1024;
}

/** Waits until `look` gives something. */
export async function eventually<T>(what: string, look: () => T | undefined | Promise<T | undefined>, withinMs = 30_000): Promise<T> {
  const until = Date.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > until) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(25);
  }
}
