/**
 * What waiting for the disk costs: acks=all under `group-commit`, answered when fdatasync says so, beside `os`, which does not wait. Once
 * with librdkafka's rdkafka_performance and its own batches, 1 and 16 partitions at once; and with batches of 16 KiB, one partition after
 * the other, where 1, 16 and 2,000 are written at once: there a connection has little under way, and it is the disk that is measured. So
 * what the disk gives stands beside it: as much as such a connection has under way written and synced, again and again, by a bare loop.
 */
import { closeSync, fdatasyncSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { inTurn, judged, policies, ratioOf, startOurs } from './brokers.mjs';
import { Figures, shown, table } from './figures.mjs';
import { openChild } from './load.mjs';
import { findLibrdkafka, librdkafka } from './librdkafka.mjs';
import { cpuSeconds, flushSystem } from './processes.mjs';

export const about = 'acks=all from disk (group-commit) beside os, 1, 16 and 2,000 partitions written at once';

const valueBytes = 1024;
const batchBytes = 16 * 1024;
/** Of one connection: produce requests of this project's client, each with one batch of a partition. */
const batchesUnderWay = 5;
const bareTimes = 500;
const GiB = 2 ** 30;
/** Of the throughput of `os`, up to 16 partitions. */
const aim = 0.7;

/** Rows of the report: who produces, and how many partitions are written. */
const rowOf = ({ generator, partitions }) => `${partitions} part., ${generator}`;

/** This project's client with batches made beforehand, of 16 KiB; the topics stay from round to round. */
async function smallBatches({ load, targets, quick, note }) {
  const workloads = [];
  for (const partitions of [1, 16, 2000]) {
    const name = `in-${partitions}`;
    const totalBytes = quick ? Math.max(25e6, partitions * batchBytes) : 200e6;
    const made = await load.ask('prepareFixed', { name, valueBytes, partitions, batchBytes, totalBytes });
    for (const {
      name: broker,
      broker: { kafka: bootstrap },
      config,
    } of targets) {
      note(`${partitions} partitions in ${broker}`);
      await load.ask('create', { bootstrap, topic: name, partitions, config });
      await load.ask('untilLed', { bootstrap, topic: name, partitions });
    }
    const produce = ({ kafka: bootstrap }) => load.ask('produce', { bootstrap, topic: name, name, acks: -1 });
    workloads.push({ generator: '16 KiB', partitions, bytes: made.valueBytes, isJudged: partitions <= 16, produce });
  }
  return workloads;
}

/** rdkafka_performance, whose batches are as large as its queue has records for them. */
async function librdkafkaBatches({ load, targets, quick, program }) {
  const workloads = [];
  for (const partitions of [1, 16]) {
    const topic = `rdk-${partitions}`;
    const records = Math.round((quick ? 50e6 : 500e6) / valueBytes);
    for (const { broker, config } of targets) await load.ask('create', { bootstrap: broker.kafka, topic, partitions, config });
    const produce = ({ kafka: bootstrap }) => librdkafka(program).produce({ bootstrap, topic, partitions, valueBytes, records, acks: -1 });
    workloads.push({ generator: 'librdkafka', partitions, bytes: records * valueBytes, isJudged: true, produce });
  }
  return workloads;
}

/** MB/s of a loop that writes what one connection has under way to the end of a file, and syncs it. */
function bareDisk(work) {
  const path = join(work, 'bare');
  const fd = openSync(path, 'wx');
  try {
    const bytes = Buffer.alloc(batchesUnderWay * batchBytes, 7);
    const startMs = performance.now();
    for (let i = 0; i < bareTimes; i++) {
      writeSync(fd, bytes);
      fdatasyncSync(fd);
    }
    return (bareTimes * bytes.length) / 1e3 / (performance.now() - startMs);
  } finally {
    closeSync(fd);
    unlinkSync(path);
  }
}

export async function run({ work, quick, rounds, note }) {
  const skipped = [];
  const { program, missing } = findLibrdkafka();
  if (missing !== undefined) skipped.push(`librdkafka as generator: ${missing}`);
  const figures = new Figures();
  const load = openChild('load-child.mjs');
  const targets = [];
  try {
    for (const policy of policies) targets.push(await startOurs(work, policy));
    const workloads = program === undefined ? [] : await librdkafkaBatches({ load, targets, quick, program });
    workloads.push(...(await smallBatches({ load, targets, quick, note })));
    // The round before the first warms up and does not count.
    for (let round = -1; round < rounds; round++) {
      note(round < 0 ? 'warming up' : `round ${round + 1} of ${rounds}`);
      await flushSystem();
      const bare = bareDisk(work);
      if (round >= 0) figures.add('bare', { mbPerSecond: bare });
      for (const workload of workloads) {
        for (const { name, broker } of inTurn(targets, round)) {
          await flushSystem();
          const before = cpuSeconds(broker.pid);
          const { ms } = await workload.produce(broker);
          if (round < 0) continue;
          figures.add(`${rowOf(workload)}|${name}`, {
            mbPerSecond: workload.bytes / 1e6 / (ms / 1000),
            cpuSecondsPerGiB: (cpuSeconds(broker.pid) - before) / (workload.bytes / GiB),
          });
        }
      }
    }
    return report(figures.spreads(), workloads, skipped);
  } finally {
    await load.close();
    await Promise.all(targets.map(({ broker }) => broker.stop()));
  }
}

function report(spreads, workloads, skipped) {
  const [policy, base] = policies;
  const names = policies.map((name) => `thermocline ${name}`);
  const labels = workloads.map(rowOf);
  const rows = (figure) => labels.map((label) => [label, ...names.map((name) => shown(spreads[`${label}|${name}`]?.[figure]))]);
  const ratios = Object.fromEntries(
    labels.map((label) => [label, ratioOf(spreads, `${label}|thermocline ${policy}`, `${label}|thermocline ${base}`, 'mbPerSecond')]),
  );
  const verdict = (workload) => {
    const ratio = ratios[rowOf(workload)];
    return workload.isJudged ? judged(ratio, aim, false) : `${ratio.toFixed(2)}×`;
  };
  const tables = [
    table('MB/s of values, acks=all; median (min–max)', ['partitions, batches', ...names], rows('mbPerSecond')),
    table('CPU seconds of the broker process per GiB of values', ['partitions, batches', ...names], rows('cpuSecondsPerGiB')),
    table(
      `${policy} against ${base}`,
      ['partitions, batches', 'speed'],
      workloads.map((workload) => [rowOf(workload), verdict(workload)]),
    ),
  ];
  const notes = [
    "The generator of batches of 16 KiB is this project's client, the other one rdkafka_performance with its defaults.",
    `The disk by a bare loop, ${batchesUnderWay} × 16 KiB written and synced: ${shown(spreads.bare.mbPerSecond)} MB/s.`,
  ];
  return { tables, notes, skipped, figures: { spreads, ratios } };
}
