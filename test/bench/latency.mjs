/**
 * What a producer waits for at half load: batches of 16 KiB at an even pace, each timed from when it was due until acks=all answered,
 * beside Apache Kafka 4.4 in the same run. Half load is half of what the slowest of the compared brokers took at full speed in the
 * beginning of the run, of the same batches: the same pace for all.
 */
import { inTurn, judged, policies, ratioOf, startAll } from './brokers.mjs';
import { Figures, shown, table } from './figures.mjs';
import { openChild } from './load.mjs';
import { cpuSeconds } from './processes.mjs';

export const about = 'produce latency at half load, acks=all, one and six partitions, 100 B and 1 KiB, beside Apache Kafka 4.4';

const workloads = [
  { partitions: 1, valueBytes: 100 },
  { partitions: 1, valueBytes: 1024 },
  { partitions: 6, valueBytes: 100 },
  { partitions: 6, valueBytes: 1024 },
];
/** The `batch.size` of the Java client. */
const batchBytes = 16 * 1024;
/** Runs at full speed of each broker; the first warms up. */
const fullTimes = 3;

const labelOf = ({ partitions, valueBytes }) => `${partitions} part. ${valueBytes === 1024 ? '1 KiB' : `${valueBytes} B`}`;

async function onFreshTopic({ load, target, partitions, topic }, work) {
  const { kafka: bootstrap } = target.broker;
  await load.ask('create', { bootstrap, topic, partitions, config: target.config });
  try {
    return await work({ bootstrap, topic });
  } finally {
    await load.ask('remove', { bootstrap, topic });
  }
}

/** Batches a second that each broker of the comparison takes at least. */
async function fullSpeed({ load, targets, workload, at, quick }) {
  const { batches } = await load.ask('prepareFixed', {
    ...workload,
    name: labelOf(workload),
    batchBytes,
    totalBytes: quick ? 20e6 : 100e6,
  });
  const best = new Map();
  for (let time = 0; time < fullTimes; time++) {
    for (const target of targets.filter(({ policy }) => policy !== 'group-commit')) {
      const { ms } = await onFreshTopic({ load, target, partitions: workload.partitions, topic: `full-${at}-${time}` }, (place) =>
        load.ask('produce', { ...place, name: labelOf(workload), acks: -1 }),
      );
      if (time > 0) best.set(target.name, Math.max(best.get(target.name) ?? 0, batches / (ms / 1000)));
    }
  }
  return Object.fromEntries(best);
}

export async function run({ work, quick, rounds, note }) {
  const figures = new Figures();
  const load = openChild('load-child.mjs');
  const targets = [];
  const paces = {};
  const full = {};
  const seconds = quick ? 2 : 5;
  try {
    const skipped = await startAll(targets, work);
    for (const [at, workload] of workloads.entries()) {
      note(`full speed, ${labelOf(workload)}`);
      const speeds = await fullSpeed({ load, targets, workload, at, quick });
      full[labelOf(workload)] = speeds;
      paces[labelOf(workload)] = Math.round(Math.min(...Object.values(speeds)) / 2);
    }
    for (let round = 0; round < rounds; round++) {
      note(`round ${round + 1} of ${rounds}`);
      for (const [at, workload] of workloads.entries()) {
        const batchesPerSecond = paces[labelOf(workload)];
        for (const target of inTurn(targets, round)) {
          const { pid } = target.broker;
          const before = cpuSeconds(pid);
          const { p50Ms, p99Ms, maxMs } = await onFreshTopic(
            { load, target, partitions: workload.partitions, topic: `half-${at}-${round}` },
            (place) => load.ask('produceSteadily', { ...place, ...workload, seconds, batchesPerSecond, batchBytes }),
          );
          const cpuShare = (cpuSeconds(pid) - before) / seconds;
          figures.add(`${labelOf(workload)}|${target.name}`, { p50Ms, p99Ms, maxMs, cpuShare });
        }
      }
    }
    return report(figures.spreads(), paces, full, skipped);
  } finally {
    await load.close();
    await Promise.all(targets.map(({ broker }) => broker.stop()));
  }
}

function report(spreads, paces, full, skipped) {
  const names = [...new Set(Object.keys(spreads).map((row) => row.split('|')[1]))];
  const labels = Object.keys(paces);
  const rows = (figure) => labels.map((label) => [label, ...names.map((name) => shown(spreads[`${label}|${name}`]?.[figure]))]);
  const tables = [
    table('p99 ms from due to acknowledged; median (min–max)', ['workload', ...names], rows('p99Ms')),
    table('p50 ms', ['workload', ...names], rows('p50Ms')),
    table('CPU seconds of the broker a second', ['workload', ...names], rows('cpuShare')),
  ];
  const ratios = {};
  for (const policy of policies) {
    for (const label of labels) {
      const ratio = ratioOf(spreads, `${label}|thermocline ${policy}`, `${label}|kafka`, 'p99Ms');
      if (ratio !== undefined) (ratios[label] ??= {})[policy] = ratio;
    }
  }
  if (Object.keys(ratios).length > 0) {
    tables.push(
      table(
        'p99 against Kafka',
        ['workload', 'batches/s', ...policies],
        Object.entries(ratios).map(([label, row]) => [label, paces[label], `${row['group-commit'].toFixed(2)}×`, judged(row.os, 1, true)]),
      ),
    );
  }
  const notes = [
    "The generator is this project's client, one process, the same for all; a batch that had to wait for its turn in it has waited.",
  ];
  return { tables, notes, skipped, figures: { spreads, ratios, paces, full } };
}
