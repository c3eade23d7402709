/**
 * What a bucket on S3 is asked: HTTP requests for each GiB that is tiered, read cold by a consumer, and read by SQL, by operation. The
 * server is a real one on this machine (versitygw). Counts, not times: they are the same on a busy machine.
 */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { short, table } from './figures.mjs';
import { openChild } from './load.mjs';
import { forget, remember } from './processes.mjs';
import { startService, untilFollowed } from './service.mjs';

export const about = 'requests to an S3 bucket for each GiB tiered and read, by operation';

const gib = 2 ** 30;
const partitions = 2;
const startDeadlineMs = 10_000;

export async function run({ work, quick, note }) {
  const program = process.env['THERMOCLINE_TEST_VERSITYGW'];
  if (program === undefined) {
    return { tables: [], notes: [], skipped: ['everything: THERMOCLINE_TEST_VERSITYGW names no versitygw program'], figures: {} };
  }
  const server = await startServer(program, join(work, 's3'));
  const load = openChild('load-child.mjs');
  let service;
  try {
    process.env['AWS_ACCESS_KEY_ID'] = 'test';
    process.env['AWS_SECRET_ACCESS_KEY'] = 'testtest';
    const started = { 'bucket.url': 's3://lake/bench', 'bucket.endpoint': server.endpoint };
    service = await startService({ dataDir: join(work, 'data'), set: started });
    const { tier } = service.roles();
    note('preparing batches');
    const sets = {
      flights: await load.ask('prepareFlights', { name: 'flights', records: quick ? 300_000 : 3_000_000, partitions }),
      events: await load.ask('prepareMade', { name: 'events', records: quick ? 40_000 : 270_000, partitions }),
    };
    const rows = [];
    for (const name of Object.keys(sets)) {
      const bootstrap = service.kafka;
      await load.ask('create', { bootstrap, topic: name, partitions });
      const counted = async (what, work) => {
        note(`${name}: ${what}`);
        const before = await requests(service);
        await work();
        rows.push({ name, what, ...difference(await requests(service), before), valueBytes: sets[name].valueBytes });
      };
      await counted('tiered', async () => {
        await load.ask('produce', { bootstrap, topic: name, name, acks: -1 });
        await untilFollowed(service, tier);
        await service.flush(name);
      });
      await service.evict(name);
      await counted('read cold by a consumer', async () => {
        const { records } = await load.ask('consume', { bootstrap, topic: name });
        if (records !== sets[name].records) throw new Error(`${name}: ${records} records were read, ${sets[name].records} produced`);
      });
      const sql = `SELECT count(*), max(octet_length(_value)) FROM ${name}`;
      await counted('read by SQL', () => service.sql(sql));
      await counted('read by SQL again', () => service.sql(sql));
    }
    return report(rows);
  } finally {
    await load.close();
    await service?.stop();
    await server.stop();
  }
}

/** Operation → requests so far, of tier and gateway together, and bytes both ways. */
async function requests(service) {
  const byOperation = {};
  for (const { labels, value } of await service.labelled('object_requests_total')) {
    byOperation[labels.operation] = (byOperation[labels.operation] ?? 0) + value;
  }
  const sum = async (name) => (await service.labelled(name)).reduce((all, { value }) => all + value, 0);
  return {
    byOperation,
    sentBytes: await sum('object_sent_bytes_total'),
    receivedBytes: await sum('object_received_bytes_total'),
    retries: await sum('object_retries_total'),
  };
}

function difference(after, before) {
  const operations = Object.entries(after.byOperation).map(([name, value]) => [name, value - (before.byOperation[name] ?? 0)]);
  return {
    byOperation: Object.fromEntries(operations.filter(([, value]) => value > 0)),
    sentBytes: after.sentBytes - before.sentBytes,
    receivedBytes: after.receivedBytes - before.receivedBytes,
    retries: after.retries - before.retries,
  };
}

function report(rows) {
  const lines = rows.map(({ name, what, byOperation, sentBytes, receivedBytes, retries, valueBytes }) => {
    const all = Object.values(byOperation).reduce((sum, value) => sum + value, 0);
    const named = Object.entries(byOperation).map(([operation, value]) => `${operation} ${value}`);
    const share = (bytes) => short(bytes / valueBytes);
    return [`${name}, ${what}`, short(all / (valueBytes / gib)), all, share(sentBytes), share(receivedBytes), retries, named.join(' ')];
  });
  const columns = ['topic', 'requests/GiB of values', 'requests', 'sent/values', 'received/values', 'retries', 'by operation'];
  const notes = ['Every file is read back once to verify it: that is what is received while tiering. SQL downloads a cold file once.'];
  return { tables: [table('requests to the bucket', columns, lines)], notes, skipped: [], figures: { rows } };
}

async function startServer(program, folder) {
  mkdirSync(join(folder, 'lake'), { recursive: true });
  const port = await freePort();
  const keys = ['--access', 'test', '--secret', 'testtest', '--region', 'us-east-1'];
  const child = spawn(program, [...keys, '--port', `127.0.0.1:${port}`, 'posix', folder], { stdio: 'ignore' });
  remember(child.pid);
  const ended = new Promise((resolve) => {
    child.once('exit', resolve);
  });
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
    forget(child.pid);
  };
  const endMs = performance.now() + startDeadlineMs;
  while (!(await answers(port))) {
    if (performance.now() > endMs) {
      await stop();
      throw new Error(`${program} did not start`);
    }
    await sleep(50);
  }
  return { endpoint: `http://127.0.0.1:${port}`, stop };
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
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
