/**
 * Produce and consume: MB/s of values and CPU seconds of the broker for each GB of them, beside Apache Kafka 4.4 in the same
 * run. Kafka's default answers acks=all without waiting for the disk, as `flush.policy=os` does here: these two are compared;
 * `group-commit`, our default, promises more and stands beside them. acks=1 waits for the disk under neither.
 */
import { join } from 'node:path';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findKafka, startKafka } from './apache-kafka.mjs';
import { Figures, shown, table } from './figures.mjs';
import { openChild } from './load.mjs';
import { cpuSeconds, memoryMiB } from './processes.mjs';
import { startService } from './service.mjs';

export const about = 'produce and consume MB/s and broker CPU, one and six partitions, 100 B and 1 KiB, beside Apache Kafka 4.4';

const workloads = [
  { partitions: 1, valueBytes: 100 },
  { partitions: 1, valueBytes: 1024 },
  { partitions: 6, valueBytes: 100 },
  { partitions: 6, valueBytes: 1024 },
];
/** A gigabyte of values, in bytes. */
const GB = 1e9;
const perfTimeoutMs = 120_000;

const labelOf = ({ partitions, valueBytes }) => `${partitions} part. ${valueBytes === 1024 ? '1 KiB' : `${valueBytes} B`}`;

/** Deleted topics leave the disk soon; the made-up timestamps are no reason to drop anything before. */
const topicConfig = { 'file.delete.delay.ms': '1000', 'retention.ms': '-1' };

/** Adds each broker to `targets` as it is there, so that what was started is stopped whatever fails. */
async function startTargets(targets, work, kafka) {
  for (const policy of ['group-commit', 'os']) {
    const broker = await startService({ dataDir: join(work, policy), command: ['broker'], set: { 'flush.policy': policy } });
    // Topics are not tiered, so that only the broker is at work.
    targets.push({
      name: `thermocline ${policy}`,
      broker,
      acks: policy === 'os' ? [-1, 1] : [-1],
      config: { ...topicConfig, 'remote.storage.enable': 'false' },
    });
  }
  if (kafka.missing === undefined)
    targets.push({ name: 'kafka', broker: await startKafka(kafka, join(work, 'kafka')), acks: [-1, 1], config: topicConfig });
}

/** One workload on one broker: produce with each acks, consume what the first wrote. Rows: `workload | what | broker`. */
async function measure({ load, target, workload, topic, figures }) {
  const { broker, acks, name, config } = target;
  const { kafka: bootstrap, pid } = broker;
  const timed = async (what, work) => {
    const before = cpuSeconds(pid);
    const done = await work();
    const cpu = cpuSeconds(pid) - before;
    const valueBytes = done.records * workload.valueBytes;
    figures?.add(`${labelOf(workload)}|${what}|${name}`, {
      mbPerSecond: valueBytes / 1e6 / (done.ms / 1000),
      cpuSecondsPerGb: cpu / (valueBytes / GB),
      clientCpuShare: done.clientCpuSeconds / (done.ms / 1000),
    });
  };
  for (const [at, ack] of acks.entries()) {
    const named = `${topic}-${at}`;
    await load.ask('create', {
      bootstrap,
      topic: named,
      partitions: workload.partitions,
      config,
    });
    try {
      await timed(`produce acks=${ack === -1 ? 'all' : ack}`, () =>
        load.ask('produce', { bootstrap, topic: named, name: labelOf(workload), acks: ack }),
      );
      if (at === 0) await timed('consume', () => load.ask('consume', { bootstrap, topic: named }));
    } finally {
      await load.ask('remove', { bootstrap, topic: named });
    }
  }
}

/** The same load by librdkafka's own program, where one is named: a generator that nobody here wrote. */
async function measureWithLibrdkafka({ load, perf, target, workload, topic, figures, bytes }) {
  const { broker, name, config } = target;
  const { kafka: bootstrap, pid } = broker;
  const count = Math.round(bytes / workload.valueBytes);
  const run = async (what, args) => {
    const before = cpuSeconds(pid);
    const { stdout, stderr } = await promisify(execFile)(perf, ['-b', bootstrap, '-t', topic, '-i', '1000', ...args], {
      timeout: perfTimeoutMs,
    });
    const cpu = cpuSeconds(pid) - before;
    const found = [...(stdout + stderr).matchAll(/(\d+) messages (?:produced )?\((\d+) bytes\).*? in (\d+)ms/g)].at(-1);
    if (found === undefined) throw new Error(`${perf} gave no figures:\n${(stdout + stderr).slice(-2000)}`);
    const valueBytes = Number(found[1]) * workload.valueBytes;
    figures?.add(`${labelOf(workload)}|${what} (librdkafka)|${name}`, {
      mbPerSecond: valueBytes / 1e6 / (Number(found[3]) / 1000),
      cpuSecondsPerGb: cpu / (valueBytes / GB),
    });
  };
  const each = Array.from({ length: workload.partitions }, (_, partition) => ['-p', String(partition)]).flat();
  await load.ask('create', { bootstrap, topic, partitions: workload.partitions, config });
  try {
    const place = workload.partitions === 1 ? each : [];
    await run('produce acks=all', ['-P', ...place, '-s', String(workload.valueBytes), '-c', String(count), '-a', '-1']);
    await run('consume', ['-C', ...each, '-o', 'beginning', '-c', String(count)]);
  } finally {
    await load.ask('remove', { bootstrap, topic });
  }
}

export async function run({ work, quick, rounds, note }) {
  const skipped = [];
  const kafka = findKafka();
  if (kafka.missing !== undefined) skipped.push(`Apache Kafka: ${kafka.missing}`);
  const perf = process.env.THERMOCLINE_TEST_RDKAFKA_PERFORMANCE;
  if (perf === undefined) skipped.push('librdkafka as generator: THERMOCLINE_TEST_RDKAFKA_PERFORMANCE names no rdkafka_performance');
  const figures = new Figures();
  const load = openChild('load-child.mjs');
  const targets = [];
  try {
    await startTargets(targets, work, kafka);
    const bytesOf = ({ valueBytes }) => (valueBytes === 1024 ? 400e6 : 200e6) / (quick ? 4 : 1);
    for (const workload of workloads)
      await load.ask('prepareFixed', { ...workload, name: labelOf(workload), totalBytes: bytesOf(workload) });
    // The round before the first warms up and does not count.
    for (let round = -1; round < rounds; round++) {
      note(round < 0 ? 'warming up' : `round ${round + 1} of ${rounds}`);
      for (const [at, workload] of workloads.entries()) {
        for (const target of round % 2 === 0 ? targets : targets.toReversed()) {
          const topic = `bench-${round + 1}-${at}`;
          const counted = round < 0 ? undefined : figures;
          await measure({ load, target, workload, topic, figures: counted });
          if (perf !== undefined) {
            await measureWithLibrdkafka({ load, perf, target, workload, topic: `${topic}-r`, figures: counted, bytes: bytesOf(workload) });
          }
        }
      }
    }
    const memory = Object.fromEntries(targets.map(({ name, broker }) => [name, { peakMiB: memoryMiB(broker.pid).peak }]));
    return report(figures.spreads(), memory, skipped);
  } finally {
    await load.close();
    await Promise.all(targets.map(({ broker }) => broker.stop()));
  }
}

function report(spreads, memory, skipped) {
  const names = Object.keys(memory);
  const whats = [...new Set(Object.keys(spreads).map((row) => row.slice(0, row.lastIndexOf('|'))))].sort((a, b) =>
    a.split('|')[1].localeCompare(b.split('|')[1]),
  );
  const cellsOf = (what, figure) => names.map((name) => shown(spreads[`${what}|${name}`]?.[figure]));
  // A generator that is busy all the time measures itself.
  const boundBy = (what) => (names.some((name) => (spreads[`${what}|${name}`]?.clientCpuShare?.median ?? 0) > 0.85) ? ' *' : '');
  const rows = (figure) => whats.map((what) => [what.replace('|', ', ') + boundBy(what), ...cellsOf(what, figure)]);
  const hasKafka = names.includes('kafka');
  const ratios = Object.fromEntries(
    whats.flatMap((what) => {
      const [ours, theirs] = [spreads[`${what}|thermocline os`], spreads[`${what}|kafka`]];
      if (ours === undefined || theirs === undefined) return [];
      const of = (figure) => ours[figure].median / theirs[figure].median;
      return [[what.replace('|', ', '), { speed: of('mbPerSecond'), cpu: of('cpuSecondsPerGb') }]];
    }),
  );
  const tables = [
    table('MB/s of values; median (min–max)', ['workload', ...names], rows('mbPerSecond')),
    table('CPU seconds of the broker process per GB of values', ['workload', ...names], rows('cpuSecondsPerGb')),
    table(
      'largest resident memory of the broker, MiB',
      ['', ...names],
      [['peak', ...names.map((name) => memory[name].peakMiB.toFixed(0))]],
    ),
  ];
  if (hasKafka) {
    const row = ([what, { speed, cpu }]) => [what, `${speed.toFixed(2)}×`, `${cpu.toFixed(2)}×`];
    tables.push(
      table(
        'thermocline with flush.policy=os against Kafka, whose default is that too',
        ['workload', 'speed', 'CPU'],
        Object.entries(ratios).map(row),
      ),
    );
  }
  const notes = ['*: the load generator used a core of its own nearly all the time, so the brokers may be faster than shown.'];
  return { tables, notes, skipped, figures: { spreads, ratios, memory } };
}
