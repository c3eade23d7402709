// A real S3 server beside the benches: versitygw, from a program that the environment names.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { forget, remember } from './processes.mjs';

const waitMs = 10_000;

/** `{ program }`, or `{ missing }`: why there is none. */
export function findVersitygw() {
  const program = process.env.THERMOCLINE_TEST_VERSITYGW;
  return program ? { program } : { missing: 'set THERMOCLINE_TEST_VERSITYGW to the versitygw program' };
}

/** Starts it with one bucket in a folder of its own, and resolves when it answers. */
export async function startVersitygw({ program }, folder, bucket) {
  mkdirSync(join(folder, bucket), { recursive: true });
  const port = await freePort();
  const credentials = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'testtest' };
  const args = ['--access', 'test', '--secret', 'testtest', '--port', `127.0.0.1:${port}`, '--region', 'us-east-1', 'posix', folder];
  const child = spawn(program, args, { stdio: 'ignore' });
  remember(child.pid);
  const ended = new Promise((resolve) => {
    child.once('exit', resolve);
  });
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
    forget(child.pid);
  };
  const until = performance.now() + waitMs;
  while (!(await answers(port))) {
    if (performance.now() > until || child.exitCode !== null) {
      await stop();
      throw new Error(`${program} did not start`);
    }
    await sleep(50);
  }
  return { url: `s3://${bucket}`, endpoint: `http://127.0.0.1:${port}`, credentials, pid: child.pid, stop };
}

function freePort() {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
