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
  const args = [
    '--access',
    'test',
    '--secret',
    'testtest',
    '--port',
    `127.0.0.1:${port}`,
    '--region',
    'us-east-1',
    '--keep-alive',
    'posix',
    folder,
  ];
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

/** For `startService`: a service whose bucket is there, by way of another address where one is given. */
export function serviceOn({ url, endpoint, credentials }, at = endpoint) {
  return { set: { 'bucket.url': `${url}/bench`, 'bucket.endpoint': at, 'bucket.region': 'us-east-1' }, environment: credentials };
}

/**
 * Stands before a server and lets so many bytes through a second, all connections and both directions together: a bucket that is far
 * away or busy. It takes no more from either side than it has passed on, so the sender feels it.
 */
export async function startSlowProxy(endpoint, bytesPerSecond) {
  const { port } = new URL(endpoint);
  let freeAtMs = 0;
  const sockets = new Set();
  const pass = (from, to) => {
    from.on('data', (chunk) => {
      from.pause();
      const nowMs = performance.now();
      freeAtMs = Math.max(freeAtMs, nowMs) + (chunk.length / bytesPerSecond) * 1000;
      setTimeout(() => {
        if (to.writable) to.write(chunk, () => from.resume());
      }, freeAtMs - nowMs);
    });
    from.on('end', () => setTimeout(() => to.end(), Math.max(0, freeAtMs - performance.now())));
    from.on('error', () => to.destroy());
    from.on('close', () => sockets.delete(from));
  };
  const server = createServer((client) => {
    const upstream = connect(Number(port), '127.0.0.1');
    for (const socket of [client, upstream]) sockets.add(socket);
    pass(client, upstream);
    pass(upstream, client);
  });
  await new Promise((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    endpoint: `http://127.0.0.1:${server.address().port}`,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
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
