/**
 * What a start costs: from spawning `serve` to its `ready` event, on an empty folder and on the one it left, CPU until then, and
 * the memory of each process at rest. Apache Kafka 4.4 beside it (without the formatting of its folder).
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findKafka, startKafka } from './apache-kafka.mjs';
import { Figures, shown, table } from './figures.mjs';
import { cpuSeconds, memoryMiB, namedProcesses, treeCpuSeconds } from './processes.mjs';
import { startService } from './service.mjs';

export const about = 'start time of serve, CPU until ready, memory of each role at rest';

/** Until what is prepared behind the start is done; then as long again to see what rest costs. */
const restMs = 2500;
/** Starts after which that is looked at. */
const restTimes = 3;
const aimMs = 1000;

export async function run({ work, quick, note }) {
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
  return report(starts.spreads(), memory.spreads(), skipped);
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

function report(starts, memory, skipped) {
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
  const idle = memory['all of serve'].idleShare;
  return { tables, notes: [`CPU at rest: ${shown(idle)} seconds per second.`], skipped, figures: { starts, memory, aimMs } };
}
