/**
 * What a start costs: from spawning `serve` to its `ready` event, on an empty folder and on the one it left, CPU until then, and
 * the memory of each process at rest; then with 2,000 partitions of one batch each, which were closed, until each has a leader.
 * Apache Kafka 4.4 beside it (without the formatting of its folder).
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findKafka, startKafka } from './apache-kafka.mjs';
import { judged, ratioOf } from './brokers.mjs';
import { Figures, shown, table } from './figures.mjs';
import { openChild } from './load.mjs';
import { cpuSeconds, memoryMiB, namedProcesses, treeCpuSeconds } from './processes.mjs';
import { startService } from './service.mjs';

export const about = 'start time, empty and with 2,000 partitions, CPU until ready, memory at rest, beside Apache Kafka 4.4';

/** Until what is prepared behind the start is done; then as long again to see what rest costs. */
const restMs = 2500;
/** Starts after which that is looked at. */
const restTimes = 3;
const aimMs = 1000;
const partitions = 2000;
/** Of Kafka's time with so many partitions. */
const manyAim = 0.5;
const many = { topic: 'many', partitions };
const manyName = { broker: 'thermocline broker', serve: 'thermocline serve', kafka: 'kafka' };

/** Fills a broker with the partitions, each with a batch of 16 KiB. */
async function fill(load, { kafka: bootstrap }) {
  const name = 'many';
  const batchBytes = 16 * 1024;
  await load.ask('prepareFixed', { name, valueBytes: 1024, partitions, batchBytes, totalBytes: partitions * 1024 });
  await load.ask('create', { bootstrap, ...many });
  await load.ask('untilLed', { bootstrap, ...many });
  await load.ask('produce', { bootstrap, topic: many.topic, name, acks: -1 });
}

/** Starts with all these partitions: filled and closed once, then started again as often as there are rounds. */
async function startMany({ work, quick, rounds, note, kafka, starts }) {
  const load = openChild('load-child.mjs');
  const open = {
    broker: () => startService({ dataDir: join(work, 'many-broker'), command: ['broker'] }),
    serve: () => startService({ dataDir: join(work, 'many-serve') }),
    kafka: (port) => startKafka(kafka, join(work, 'many-kafka'), [], port),
  };
  const ports = {};
  const names = Object.keys(open).filter((name) => name !== 'kafka' || kafka.missing === undefined);
  try {
    for (const name of names) {
      note(`${partitions} partitions in ${manyName[name]}`);
      const broker = await open[name]();
      ports[name] = broker.port;
      try {
        await fill(load, broker);
      } finally {
        await broker.stop();
      }
    }
    for (let round = 0; round < (quick ? 1 : rounds); round++) {
      note(`${partitions} partitions, start ${round + 1} of ${rounds}`);
      for (const name of round % 2 === 0 ? names : names.toReversed()) {
        const broker = await open[name](ports[name]);
        try {
          const ledMs = await load.ask('untilLed', { bootstrap: broker.kafka, ...many });
          const cpu = name === 'kafka' ? cpuSeconds(broker.pid) : treeCpuSeconds(broker.pid);
          starts.add(manyName[name], { readyMs: broker.readyMs + ledMs, readyCpuSeconds: cpu, ...residentOf([broker.pid]) });
        } finally {
          await broker.stop();
        }
      }
    }
  } finally {
    await load.close();
  }
}

export async function run({ work, quick, rounds, note }) {
  const skipped = [];
  const kafka = findKafka();
  if (kafka.missing !== undefined) skipped.push(`Apache Kafka: ${kafka.missing}`);
  const starts = new Figures();
  const memory = new Figures();
  const times = quick ? 3 : 10;
  /** Kafka takes seconds to start. */
  const kafkaTimes = quick ? 1 : 3;
  for (let time = 0; time < times; time++) {
    note(`start ${time + 1} of ${times}`);
    const dataDir = join(work, `data-${time}`);
    for (const how of ['first', 'again']) {
      const service = await startService({ dataDir });
      try {
        const { readyMs, readyCpuSeconds } = service;
        starts.add(`thermocline serve, ${how === 'first' ? 'empty folder' : 'same folder again'}`, { readyMs, readyCpuSeconds });
        if (how === 'first' && time < restTimes) await rest(service, memory);
      } finally {
        await service.stop();
      }
    }
    if (kafka.missing === undefined && time < kafkaTimes) {
      const peer = await startKafka(kafka, join(work, `kafka-${time}`));
      try {
        starts.add('kafka', { readyMs: peer.readyMs, readyCpuSeconds: cpuSeconds(peer.pid) });
        await sleep(2 * restMs);
        memory.add('kafka', residentOf([peer.pid]));
      } finally {
        await peer.stop();
      }
    }
  }
  const withMany = new Figures();
  await startMany({ work, quick, rounds, note, kafka, starts: withMany });
  return report(starts.spreads(), memory.spreads(), withMany.spreads(), skipped);
}

function residentOf(pids) {
  const all = pids.map((pid) => memoryMiB(pid));
  const sum = (of) => all.reduce((total, one) => total + of(one), 0);
  return { processes: pids.length, residentMiB: sum((one) => one.resident), shareMiB: sum((one) => one.share) };
}

async function rest(service, memory) {
  await sleep(restMs);
  const before = treeCpuSeconds(service.pid);
  await sleep(restMs);
  const idleShare = (treeCpuSeconds(service.pid) - before) / (restMs / 1000);
  const processes = namedProcesses(service.pid);
  for (const name of new Set(processes.map((one) => one.name))) {
    memory.add(name, residentOf(processes.filter((one) => one.name === name).map((one) => one.pid)));
  }
  memory.add('all of serve', { ...residentOf(processes.map((one) => one.pid)), idleShare });
}

function report(starts, memory, withMany, skipped) {
  const tables = [
    table(
      `from spawn to ready; aim: ${aimMs} ms; median (min–max)`,
      ['', 'ms', 'CPU s until ready', 'starts'],
      Object.entries(starts).map(([name, row]) => [name, shown(row.readyMs), shown(row.readyCpuSeconds), row.readyMs.rounds]),
    ),
    table(
      `memory ${(2 * restMs) / 1000} s after ready, MiB; median (min–max)`,
      ['process', 'how many', 'resident', 'share (PSS)'],
      Object.entries(memory).map(([name, row]) => [name, row.processes.median, shown(row.residentMiB), shown(row.shareMiB)]),
    ),
  ];
  tables.push(
    table(
      `from spawn until each of ${partitions} partitions has a leader; the folder was closed; median (min–max)`,
      ['', 'ms', 'CPU s until then', 'resident MiB then'],
      Object.entries(withMany).map(([name, row]) => [name, shown(row.readyMs), shown(row.readyCpuSeconds), shown(row.residentMiB)]),
    ),
  );
  const idle = memory['all of serve'].idleShare;
  const notes = [`CPU at rest: ${shown(idle)} seconds per second.`];
  for (const name of [manyName.broker, manyName.serve]) {
    const ratio = ratioOf(withMany, name, manyName.kafka, 'readyMs');
    if (ratio !== undefined) notes.push(`${name} with ${partitions} partitions against Kafka: ${judged(ratio, manyAim, true)}.`);
  }
  return { tables, notes, skipped, figures: { starts, memory, withMany, aimMs } };
}
