/**
 * What a bucket on S3 is asked: HTTP requests for each GiB that is tiered, read cold by a consumer, and read by SQL, by operation. The
 * server is a real one on this machine (versitygw). Counts, not times: they are the same on a busy machine.
 */
import { join } from 'node:path';
import { short, table } from './figures.mjs';
import { openChild } from './load.mjs';
import { startService, untilFollowed } from './service.mjs';
import { findVersitygw, serviceOn, startVersitygw } from './versitygw.mjs';

export const about = 'requests to an S3 bucket for each GiB tiered and read, by operation';

const gib = 2 ** 30;
const partitions = 2;

export async function run({ work, quick, note }) {
  const found = findVersitygw();
  if (found.missing !== undefined) return { tables: [], notes: [], skipped: [`everything: ${found.missing}`], figures: {} };
  const server = await startVersitygw(found, join(work, 's3'), 'bench');
  const load = openChild('load-child.mjs');
  let service;
  try {
    service = await startService({ dataDir: join(work, 'data'), ...serviceOn(server) });
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
