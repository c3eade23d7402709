/**
 * A consumer that reads a topic from offset 0 after its log has left the local disk, with nothing hydrated yet; and again with the chunks that
 * the first reading left. Out of a directory and out of S3, beside Apache Kafka with its own tiered storage in local files, by turns; with
 * what it costs all processes of each side, the client's left out. One partition, so that one reading is one stream.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findKafka, startKafka, tieredStorage } from './apache-kafka.mjs';
import { Figures, short, shown, table } from './figures.mjs';
import { flightsFile } from './flights.mjs';
import { openChild } from './load.mjs';
import { cpuSeconds, treeCpuSeconds } from './processes.mjs';
import { startService } from './service.mjs';
import { findVersitygw, serviceOn, startVersitygw } from './versitygw.mjs';

export const about = 'consume from offset 0 after eviction, beside Apache Kafka with tiered storage';

const partitions = 1;
const producersGoneMs = 2500;
const tierDeadlineMs = 120_000;
const segmentBytes = 16 * 1024 * 1024;

/** Our service: `cool` leaves nothing of a topic on local disk. */
async function ownTarget(name, dataDir, options = {}) {
  const service = await startService({ dataDir, ...options });
  return {
    name,
    bootstrap: service.kafka,
    config: {},
    readings: ['cold', 'cached'],
    to: 'end',
    cpuSeconds: () => treeCpuSeconds(service.pid),
    requests: () => service.metricSum('object_requests_total'),
    hydratedBytes: () => service.metricSum('hydrated_bytes_total'),
    cool: async (topic) => {
      await service.flush(topic);
      await service.evict(topic);
    },
    stop: () => service.stop(),
  };
}

/** Kafka's: the segments that are tiered leave the local disk; the last one stays and is not read. */
async function kafkaTarget(kafka, work, load) {
  const dir = join(work, 'kafka-tier');
  mkdirSync(dir);
  const broker = await startKafka(kafka, join(work, 'kafka'), tieredStorage(kafka, dir));
  const bootstrap = broker.kafka;
  return {
    name: 'Apache Kafka, tiered',
    bootstrap,
    config: {
      'remote.storage.enable': 'true',
      'segment.bytes': String(segmentBytes),
      'local.retention.bytes': '1',
      'retention.bytes': '-1',
      'retention.ms': '-1',
      'message.timestamp.after.max.ms': String(Number.MAX_SAFE_INTEGER),
    },
    readings: ['cold'],
    to: 'local start',
    cpuSeconds: () => cpuSeconds(broker.pid),
    cool: async (topic, records) => {
      const endMs = performance.now() + tierDeadlineMs;
      let [last, still] = [0, 0];
      // The last segment is never tiered: it is done when most is and nothing moves for a while.
      while (last < records / 2 || still < 4) {
        if (performance.now() > endMs) throw new Error(`${topic}: Kafka tiered ${last} of ${records} records in ${tierDeadlineMs} ms`);
        await sleep(1000);
        const now = await load.ask('offsets', { bootstrap, topic, place: 'local start' });
        still = now === last ? still + 1 : 0;
        last = now;
      }
    },
    stop: () => broker.stop(),
  };
}

export async function run({ work, quick, rounds, note }) {
  const skipped = flightsFile() === undefined ? ['real flights: vega-datasets is not installed; made-up ones were used'] : [];
  const figures = new Figures();
  const load = openChild('load-child.mjs');
  const targets = [];
  let s3;
  try {
    note('preparing batches');
    const sets = {
      flights: await load.ask('prepareFlights', { name: 'flights', records: quick ? 200_000 : 1_000_000, partitions, compression: 'none' }),
      events: await load.ask('prepareMade', { name: 'events', records: quick ? 40_000 : 150_000, partitions, compression: 'none' }),
    };
    targets.push(await ownTarget('directory', join(work, 'data')));
    const kafka = findKafka();
    if (kafka.missing === undefined) targets.push(await kafkaTarget(kafka, work, load));
    else skipped.push(`Apache Kafka: ${kafka.missing}`);
    const found = findVersitygw();
    if (found.missing === undefined) {
      s3 = await startVersitygw(found, join(work, 's3'), 'bench');
      targets.push(await ownTarget('S3', join(work, 'data-s3'), serviceOn(s3)));
    } else skipped.push(`S3: ${found.missing}`);
    for (let round = 0; round < rounds; round++) {
      for (const [name, set] of Object.entries(sets)) {
        for (const target of targets) {
          note(`round ${round + 1} of ${rounds}: ${name}, ${target.name}`);
          await measure({ target, load, figures, name, set, topic: `${name}-${round}` });
        }
      }
    }
    return report(figures.spreads(), sets, skipped);
  } finally {
    await load.close();
    for (const target of targets) await target.stop();
    await s3?.stop();
  }
}

async function measure({ target, load, figures, name, set, topic }) {
  const { bootstrap, to } = target;
  await load.ask('create', { bootstrap, topic, partitions, config: target.config });
  await load.ask('produce', { bootstrap, topic, name, acks: -1 });
  await target.cool(topic, set.records);
  // Hydrations yield to producers, and who was silent for so long is none.
  await sleep(producersGoneMs);
  for (const reading of target.readings) {
    const before = { cpu: target.cpuSeconds(), requests: await target.requests?.(), hydrated: await target.hydratedBytes?.() };
    const done = await load.ask('consume', { bootstrap, topic, to });
    const cpu = target.cpuSeconds() - before.cpu;
    if (to === 'end' && done.records !== set.records) throw new Error(`${topic}: ${done.records} of ${set.records} records were read`);
    const valueBytes = (set.valueBytes * done.records) / set.records;
    const gib = valueBytes / 2 ** 30;
    figures.add(`${name}|${target.name}, ${reading}`, {
      mbPerSecond: valueBytes / 1e6 / (done.ms / 1000),
      cpuSecondsPerGib: cpu / gib,
      sentShare: done.bytes / valueBytes,
      ...(before.requests === undefined ? {} : { requestsPerGib: ((await target.requests()) - before.requests) / gib }),
      ...(before.hydrated === undefined ? {} : { hydratedShare: ((await target.hydratedBytes()) - before.hydrated) / done.bytes }),
    });
  }
  await load.ask('remove', { bootstrap, topic });
}

function report(spreads, sets, skipped) {
  const peerOf = (row) => spreads[`${row.split('|')[0]}|Apache Kafka, tiered, cold`];
  const ratio = (row, figure) => (peerOf(row) === undefined ? '-' : short(spreads[row][figure].median / peerOf(row)[figure].median));
  const rows = Object.entries(spreads).map(([row, figures]) => {
    const [name, how] = row.split('|');
    const size = Math.round(sets[name].valueBytes / sets[name].records);
    return [
      `${name} (${size} B), ${how}`,
      shown(figures.mbPerSecond),
      ratio(row, 'mbPerSecond'),
      shown(figures.cpuSecondsPerGib),
      ratio(row, 'cpuSecondsPerGib'),
      shown(figures.sentShare),
      shown(figures.hydratedShare),
      shown(figures.requestsPerGib),
    ];
  });
  const columns = ['topic', 'MB values/s', '÷ Kafka', 'CPU s/GiB', '÷ Kafka', 'sent/values', 'hydrated/sent', 'requests/GiB'];
  return {
    tables: [table('a consumer from offset 0; median (min–max)', columns, rows)],
    notes: [
      'cold: only in the bucket, chunk cache without this topic; cached: the same again. CPU: all processes of a side; the S3 server’s own and the client’s are left out.',
      'Aims beside Apache Kafka: ≥ 1.0 of its MB/s and ≤ 1.0 of its CPU out of a directory, ≥ 0.6 out of S3, ≥ 3 of ours cold when cached.',
    ],
    skipped,
    figures: { spreads, sets },
  };
}
