/** A daemon's own folder for spools, so that two daemons on one data directory do not meet, and what dead ones left is removed. */
import { isErrno } from '../kernel/index.js';
import { join } from 'node:path';
import type { Disk, Random } from '../kernel/index.js';

const folderPattern = /^tier-(\d+)-[0-9a-f]{8}$/;
/** Folders of daemons in this process. */
const open = new Set<string>();

/** Which processes of this machine live. */
export interface Processes {
  readonly pid: number;
  isAlive(pid: number): boolean;
}

export interface SpoolDir {
  readonly path: string;
  remove(): Promise<void>;
}

/** Makes `<parent>/tier-<pid>-<random>` and removes the siblings whose process is gone. */
export async function openSpoolDir(parent: string, random: Random, disk: Disk, processes: Processes = systemProcesses): Promise<SpoolDir> {
  await disk.mkdir(parent, { recursive: true });
  for (const name of await disk.readdir(parent)) {
    const pid = Number(folderPattern.exec(name)?.[1] ?? Number.NaN);
    const path = join(parent, name);
    const isDead = pid === processes.pid ? !open.has(path) : !processes.isAlive(pid);
    if (!Number.isNaN(pid) && isDead) await disk.rm(path, { recursive: true, force: true });
  }
  const path = join(parent, `tier-${processes.pid}-${random.bytes(4).toString('hex')}`);
  await disk.mkdir(path);
  open.add(path);
  return {
    path,
    remove: async () => {
      await disk.rm(path, { recursive: true, force: true });
      open.delete(path);
    },
  };
}

/** Whether there is a process of that id, also one we may not signal. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return isErrno(error, 'EPERM');
  }
}

const systemProcesses: Processes = { pid: process.pid, isAlive };
