/**
 * Lets one process at a time use a folder, with a lock that dies with its holder and needs no native code. The holder listens
 * on a Unix socket in the folder; the kernel answers `ECONNREFUSED` the moment it is gone, however it went, so there are no
 * stale locks and no process ids to compare (those mean nothing across containers).
 *
 * Whoever wants the lock first listens under a name of its own, then looks at everyone else's: of two who come at the same
 * time at least one sees the other. Both may step back; each then waits a random while and tries again. Sockets that nobody
 * listens on are removed. One machine only: a network file system does not carry Unix sockets.
 */
import * as fs from 'node:fs';
import * as net from 'node:net';
import { join } from 'node:path';
import { type Clock, LakeError, type Random } from '../kernel/index.js';

const namePattern = /^\.lock-[0-9a-f]+\.sock$/;
const tries = 4;
const stepBackMs = 50;
/** Of a Unix socket's address on the strictest system (macOS), with its closing zero. */
const socketPathBytesMax = 103;

/** Whether a file of a locked folder is only its lock. */
export function isLockFile(name: string): boolean {
  return namePattern.test(name);
}

export interface DirectoryLock {
  release(): Promise<void>;
}

/** Errors: `data-dir-locked`. */
export async function lockDirectory(directory: string, ports: { readonly clock: Clock; readonly random: Random }): Promise<DirectoryLock> {
  for (let attempt = 1; ; attempt++) {
    const lock = await tryLock(directory, `.lock-${ports.random.bytes(8).toString('hex')}.sock`);
    if (lock !== undefined) return lock;
    if (attempt === tries) {
      throw new LakeError('data-dir-locked', `another process uses ${directory}`, {
        hint: 'Stop the other service, or give this one another --data-dir.',
        facts: { directory },
      });
    }
    await ports.clock.sleep(stepBackMs * ports.random.float());
  }
}

async function tryLock(directory: string, name: string): Promise<DirectoryLock | undefined> {
  const fd = fs.openSync(directory, 'r');
  const address = (of: string): string => socketAddress(directory, fd, of);
  const server = net.createServer((socket) => socket.destroy());
  const release = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    fs.rmSync(join(directory, name), { force: true });
    fs.closeSync(fd);
  };
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(address(name), resolve);
    });
  } catch (error) {
    fs.closeSync(fd);
    throw new LakeError('data-dir-locked', `${directory} cannot be locked`, {
      cause: error,
      hint: 'The lock is a Unix socket in the data directory: keep it on a local file system, under a short path.',
      facts: { directory },
    });
  }
  server.unref();
  for (const other of fs.readdirSync(directory)) {
    if (other === name || !namePattern.test(other)) continue;
    if (await isListening(address(other))) {
      await release();
      return undefined;
    }
    fs.rmSync(join(directory, other), { force: true });
  }
  return { release };
}

/** Linux gives folders that are open a short name, so that deep data directories fit into a socket's address. */
function socketAddress(directory: string, fd: number, name: string): string {
  const path = join(directory, name);
  return Buffer.byteLength(path) > socketPathBytesMax && process.platform === 'linux' ? `/proc/self/fd/${fd}/${name}` : path;
}

/** Anything but a plain refusal counts as somebody there. */
function isListening(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(address);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'));
  });
}
