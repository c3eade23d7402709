/**
 * Resident memory of the tier daemon and of its children while one thing grows tenfold: the size of the log, the number of cold
 * files, the slowness of the bucket. The largest of samples taken all the while; what matters is that the second is not ten times
 * the first, nor anything near it.
 */
import { join } from 'node:path';
import { short, table } from './figures.mjs';
import { openChild } from './load.mjs';
import { memoryMiB, namedProcesses } from './processes.mjs';
import { startService, untilFollowed } from './service.mjs';
import { findVersitygw, serviceOn, startSlowProxy, startVersitygw } from './versitygw.mjs';

export const about = "the tier daemon's memory while log, files or the bucket's slowness grow tenfold";

const partitions = 2;
const sampleMs = 100;
const factor = 10;
const slowBytesPerSecond = 40 * 2 ** 20;

/** Runs the work and answers the largest resident memory meanwhile, in MiB: the daemon's, and all its children's together. */
async function largestDuring(service, work) {
  let [daemon, children] = [0, 0];
  const look = () => {
    const processes = namedProcesses(service.pid);
    const sum = (name) => processes.filter((one) => one.name === name).reduce((all, { pid }) => all + memoryMiB(pid).resident, 0);
    daemon = Math.max(daemon, sum('tier'));
    children = Math.max(children, sum('tier child'));
  };
  const timer = setInterval(look, sampleMs);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  look();
  return { daemon, children };
}

export async function run({ work, quick, note }) {
  const load = openChild('load-child.mjs');
  const rows = [];
  const skipped = [];
  try {
    const records = quick ? 10_000 : 40_000;
    note('preparing batches');
    const small = await load.ask('prepareMade', { name: 'events', records, partitions });
    const large = await load.ask('prepareMade', { name: 'more events', shape: 'events', records: records * factor, partitions });
    const mb = (set) => `${Math.round(set.valueBytes / 1e6)} MB`;

    const service = await startService({ dataDir: join(work, 'data') });
    const tierOne = async (service, topic, name) => {
      await load.ask('create', { bootstrap: service.kafka, topic, partitions });
      await load.ask('produce', { bootstrap: service.kafka, topic, name, acks: -1 });
      await untilFollowed(service, service.roles().tier, 300_000);
      await service.flush(topic);
    };
    try {
      // Code is compiled and workers are started by a run that does not count.
      await tierOne(service, 'warm', 'events');
      note('log size');
      const log = [
        await largestDuring(service, () => tierOne(service, 'small', 'events')),
        await largestDuring(service, () => tierOne(service, 'large', 'more events')),
      ];
      rows.push({ what: 'values in the log', from: mb(small), to: mb(large), measured: log });

      note('cold files');
      await load.ask('create', { bootstrap: service.kafka, topic: 'files', partitions });
      const files = quick ? 5 : 20;
      const addFiles = async (first, count) => {
        for (let i = first; i < first + count; i++) {
          const share = { from: i / (files * factor), to: (i + 1) / (files * factor) };
          await load.ask('produce', { bootstrap: service.kafka, topic: 'files', name: 'more events', acks: -1, ...share });
          await service.flush('files');
        }
      };
      const some = await largestDuring(service, () => addFiles(0, files));
      const many = await largestDuring(service, () => addFiles(files, files * (factor - 1)));
      rows.push({ what: 'commits of a topic', from: files, to: files * factor, measured: [some, many] });
    } finally {
      await service.stop();
    }

    const found = findVersitygw();
    if (found.missing !== undefined) skipped.push(`a slow bucket: ${found.missing}`);
    else {
      const measured = [];
      for (const bytesPerSecond of [slowBytesPerSecond, slowBytesPerSecond / factor]) {
        note(`a bucket of ${bytesPerSecond / 2 ** 20} MiB/s`);
        const folder = join(work, `s3-${bytesPerSecond}`);
        const server = await startVersitygw(found, folder, 'bench');
        const proxy = await startSlowProxy(server.endpoint, bytesPerSecond);
        const slow = await startService({ dataDir: join(folder, 'data'), ...serviceOn(server, proxy.endpoint) });
        try {
          await tierOne(slow, 'warm', 'events');
          measured.push(await largestDuring(slow, () => tierOne(slow, 'events', 'events')));
        } finally {
          await slow.stop();
          await proxy.stop();
          await server.stop();
        }
      }
      const speed = (bytes) => `${bytes / 2 ** 20} MiB/s`;
      rows.push({ what: 'bucket', from: speed(slowBytesPerSecond), to: speed(slowBytesPerSecond / factor), measured });
    }
  } finally {
    await load.close();
  }
  return report(rows, skipped);
}

function report(rows, skipped) {
  const columns = ['what grows', 'from', 'to', 'daemon MiB', 'then', 'ratio', 'children MiB', 'then'];
  const lines = rows.map(({ what, from, to, measured: [before, after] }) => [
    what,
    from,
    to,
    short(before.daemon),
    short(after.daemon),
    short(after.daemon / before.daemon),
    short(before.children),
    short(after.children),
  ]);
  const notes = ['Children: the workers together; each is replaced above its bound of 1 GiB of DuckDB and 512 MiB, whatever the log.'];
  return {
    tables: [table('largest resident memory of the tier daemon and its children', columns, lines)],
    notes,
    skipped,
    figures: { rows },
  };
}
