// What a running service holds of the machine (Linux: /proc): memory, open files and children of each process, and what lies in
// its folders beside the log and the bucket; as samples over time, a table, and a verdict on growth.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type ProcessKind, processesBelow } from '../support/processes.js';

const MiB = 1024 * 1024;

interface ProcessSample {
  readonly pid: number;
  readonly name: string;
  readonly residentMiB: number;
  readonly openFiles: number;
}

interface FolderSample {
  readonly files: number;
  readonly MiB: number;
}

export interface Sample {
  readonly seconds: number;
  readonly processes: readonly ProcessSample[];
  readonly folders: Readonly<Record<string, FolderSample>>;
}

function residentMiB(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

function openFiles(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

function folderSample(path: string): FolderSample {
  let [files, bytes] = [0, 0];
  const walk = (folder: string): void => {
    let entries;
    try {
      entries = readdirSync(folder, { withFileTypes: true });
    } catch {
      return; // It has gone since.
    }
    for (const entry of entries) {
      const inside = join(folder, entry.name);
      if (entry.isDirectory()) walk(inside);
      else {
        try {
          bytes += statSync(inside).size;
          files++;
        } catch {
          // It has gone since.
        }
      }
    }
  };
  walk(path);
  return { files, MiB: bytes / MiB };
}

/** Of `serve` with its roles and their children. `folders`: name → path. */
export function sample(servicePid: number, folders: Readonly<Record<string, string>>, startedMs: number): Sample {
  const nameOf = (kind: ProcessKind, role: ProcessKind | undefined): string => (role === undefined ? kind : `${role}: ${kind}`);
  const processes = [
    { pid: servicePid, name: 'supervisor' },
    ...processesBelow(servicePid).map(({ pid, kind, role }) => ({ pid, name: nameOf(kind, role) })),
  ].map((one) => ({ ...one, residentMiB: residentMiB(one.pid), openFiles: openFiles(one.pid) }));
  return {
    seconds: Math.round((performance.now() - startedMs) / 1000),
    processes,
    folders: Object.fromEntries(Object.entries(folders).map(([name, path]) => [name, folderSample(path)])),
  };
}

/** One line for a table of samples: each kind of process with its number, memory and open files together. */
export function rowOf({ seconds, processes, folders }: Sample): Record<string, string> {
  const kinds = new Map<string, ProcessSample[]>();
  for (const one of processes) kinds.set(one.name, [...(kinds.get(one.name) ?? []), one]);
  const row: Record<string, string> = { s: String(seconds) };
  for (const [name, all] of [...kinds].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const sum = (of: (one: ProcessSample) => number): string => all.reduce((total, one) => total + of(one), 0).toFixed(0);
    row[name] = `${all.length > 1 ? `${all.length}× ` : ''}${sum((one) => one.residentMiB)} MiB ${sum((one) => one.openFiles)} fd`;
  }
  for (const [name, { files, MiB: size }] of Object.entries(folders)) row[name] = `${files} (${size.toFixed(1)} MiB)`;
  return row;
}

/** Least squares: how much more a value is at the end than at the beginning, by its trend. */
function growth(points: readonly (readonly [at: number, value: number])[]): number {
  const mean = (of: 0 | 1): number => points.reduce((sum, point) => sum + point[of], 0) / points.length;
  const [meanAt, meanValue] = [mean(0), mean(1)];
  const slope =
    points.reduce((sum, [at, value]) => sum + (at - meanAt) * (value - meanValue), 0) /
    Math.max(
      1e-9,
      points.reduce((sum, [at]) => sum + (at - meanAt) ** 2, 0),
    );
  return slope * (points.at(-1)![0] - points[0]![0]);
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

export interface Trend {
  readonly what: string;
  readonly median: number;
  readonly growth: number;
  readonly bound: number;
}

/** Share of a process's life in which it warms up: caches fill, code is compiled. */
const warmUpShare = 0.4;
/** Processes that lived for less of the run say nothing. */
const lifeShareMin = 0.4;
/** By how much memory may seem to grow: collection comes in waves, and of a large process more than of a small one. */
const residentBound = (medianMiB: number): number => Math.max(64, medianMiB * 0.25);
/** Connections, segments and cold files come and go. */
const openFilesBound = 48;

/** How memory and open files of each process that lived long enough went, by trend. */
export function trends(samples: readonly Sample[]): Trend[] {
  const span = samples.at(-1)!.seconds - samples[0]!.seconds;
  const pids = new Map<number, { name: string; points: { seconds: number; residentMiB: number; openFiles: number }[] }>();
  for (const { seconds, processes } of samples) {
    for (const { pid, name, ...values } of processes) {
      const known = pids.get(pid) ?? { name, points: [] };
      known.points.push({ seconds, ...values });
      pids.set(pid, known);
    }
  }
  return [...pids].flatMap(([pid, { name, points }]) => {
    const [first, last] = [points[0]!.seconds, points.at(-1)!.seconds];
    if (last - first < span * lifeShareMin) return [];
    const warm = points.filter(({ seconds }) => seconds >= first + (last - first) * warmUpShare);
    if (warm.length < 5) return [];
    const trend = (what: string, of: (point: (typeof warm)[number]) => number, bound: (median: number) => number): Trend => {
      const middle = median(warm.map(of));
      return {
        what: `${name} ${pid}: ${what}`,
        median: middle,
        growth: growth(warm.map((point) => [point.seconds, of(point)])),
        bound: bound(middle),
      };
    };
    return [
      trend('MiB', (point) => point.residentMiB, residentBound),
      trend(
        'open files',
        (point) => point.openFiles,
        () => openFilesBound,
      ),
    ];
  });
}
