// What processes cost: CPU and memory out of /proc, of one process or of it and all below it. Linux only.
import { execFile, execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** Waits until the disk has what was written so far, so that nobody's run pays for what another one wrote. */
export async function flushSystem() {
  await promisify(execFile)('sync');
}

/** Process ids that the bench started; what is left of them is killed when it ends. */
const started = new Set();
process.on('exit', () => {
  for (const pid of started) signal(pid, 'SIGKILL');
});

/** Notes a process to be killed with the bench; `forget` when it has ended. */
export function remember(pid) {
  started.add(pid);
}

export function forget(pid) {
  started.delete(pid);
}

/** Sends a signal; false where nobody is there. */
export function signal(pid, name) {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}

/** Fields of /proc/PID/stat behind the name, which may hold anything; undefined where the process is gone. */
function statOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return {
      pid,
      parent: Number(fields[1]),
      ownTicks: Number(fields[11]) + Number(fields[12]),
      endedTicks: Number(fields[13]) + Number(fields[14]),
    };
  } catch {
    return undefined;
  }
}

/** The process and all below it. */
function treeOf(pid) {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => statOf(Number(name)))
    .filter((stat) => stat !== undefined);
  const tree = all.filter((stat) => stat.pid === pid);
  for (let at = 0; at < tree.length; at++) tree.push(...all.filter((stat) => stat.parent === tree[at].pid));
  return tree;
}

/** CPU seconds of a process with all its threads, user and system, without its children. */
export function cpuSeconds(pid) {
  const stat = statOf(pid);
  if (stat === undefined) throw new Error(`process ${pid} is gone`);
  return stat.ownTicks / ticksPerSecond;
}

/** CPU seconds of a process, of all below it, and of those of them that have ended. */
export function treeCpuSeconds(pid) {
  return treeOf(pid).reduce((sum, stat) => sum + stat.ownTicks + stat.endedTicks, 0) / ticksPerSecond;
}

function linesOf(path) {
  try {
    return Object.fromEntries(
      readFileSync(path, 'utf8')
        .split('\n')
        .map((line) => line.split(':'))
        .filter((parts) => parts.length === 2)
        .map(([name, value]) => [name, Number.parseInt(value, 10) / 1024]),
    );
  } catch {
    return {};
  }
}

/** MiB: resident now, largest ever resident, and the proportional share (shared pages counted once among all who share them). */
export function memoryMiB(pid) {
  const { VmRSS: resident = 0, VmHWM: peak = 0 } = linesOf(`/proc/${pid}/status`);
  return { resident, peak, share: linesOf(`/proc/${pid}/smaps_rollup`).Pss ?? Number.NaN };
}

function argumentsOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

/** Role → process id of what runs below `serve`. */
export function rolePids(servicePid) {
  const roles = {};
  for (const { pid } of treeOf(servicePid)) {
    const args = argumentsOf(pid);
    const entry = args.findIndex((arg) => arg.endsWith('/role-main.js'));
    if (entry >= 0) roles[args[entry + 1]] = pid;
  }
  return roles;
}

/** Everything below `serve` by what it is: roles by name, their children as `<role> child`. */
export function namedProcesses(servicePid) {
  const tree = treeOf(servicePid);
  const roles = new Map(Object.entries(rolePids(servicePid)).map(([role, pid]) => [pid, role]));
  return tree.map(({ pid, parent }) => ({
    pid,
    name: pid === servicePid ? 'supervisor' : (roles.get(pid) ?? (roles.has(parent) ? `${roles.get(parent)} child` : 'other')),
  }));
}
