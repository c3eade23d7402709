// A real S3 server for tests: versitygw, from a program that the environment names. Ended by the process id it was started with.
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface S3Server {
  readonly endpoint: string;
  readonly port: number;
  readonly accessKey: string;
  readonly secretKey: string;
  /** Objects are plain files below it: `<folder>/<bucket>/<key>`. */
  readonly folder: string;
  stop(): Promise<void>;
}

/** Starts the gateway with the given buckets and waits until it answers. */
export async function startVersitygw(program: string, buckets: readonly string[]): Promise<S3Server> {
  const root = await mkdtemp(join(tmpdir(), 'thermocline-s3-'));
  const folder = join(root, 'data');
  await mkdir(folder, { recursive: true });
  for (const bucket of buckets) await mkdir(join(folder, bucket));
  const port = await freePort();
  const credentials = { accessKey: 'test', secretKey: 'testtest' };
  const keys = ['--access', credentials.accessKey, '--secret', credentials.secretKey];
  const listen = ['--port', `127.0.0.1:${port}`, '--region', 'us-east-1'];
  const stop = await runServer({ command: [program, ...keys, ...listen, 'posix', folder], root, isUp: () => answers(port) });
  return { endpoint: `http://127.0.0.1:${port}`, port, ...credentials, folder, stop };
}

export interface ServerRun {
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Removed when it is stopped. */
  readonly root: string;
  readonly isUp: () => Promise<boolean>;
}

/** Runs a server until it answers, and gives the function that ends it, by its process id, and removes its folder. */
export async function runServer({ command, environment = {}, root, isUp }: ServerRun): Promise<() => Promise<void>> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: 'ignore', env: { ...process.env, ...environment } });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
    await rm(root, { recursive: true, force: true });
  };
  for (let attempt = 0; !(await isUp()); attempt++) {
    // Half a minute; a Java server on a busy machine takes a third of it.
    if (attempt > 600 || child.exitCode !== null) {
      await stop();
      throw new Error(`${program} did not start`);
    }
    await sleep(50);
  }
  return stop;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
