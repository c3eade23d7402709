/**
 * Produce and consume: MB/s of values, CPU seconds of the broker for each GiB of them and its memory, beside Apache Kafka 4.4 in
 * the same run. The generator is librdkafka's rdkafka_performance; without it this project's client. Kafka's default answers acks=all
 * without waiting for the disk, as `flush.policy=os` does here: these two are compared; `group-commit`, our default, promises more and
 * stands beside them. acks=1 waits for the disk under neither, and reads are the same under both.
 */
import { inTurn, judged, ratioOf, startAll } from './brokers.mjs';
import { Figures, shown, table } from './figures.mjs';
import { findLibrdkafka, librdkafka } from './librdkafka.mjs';
import { openChild } from './load.mjs';
import { cpuSeconds, flushSystem, memoryMiB } from './processes.mjs';

export const about = 'produce and consume MB/s, broker CPU and memory, one and six partitions, 100 B and 1 KiB, beside Apache Kafka 4.4';

const workloads = [
  { partitions: 1, valueBytes: 100 },
  { partitions: 1, valueBytes: 1024 },
  { partitions: 6, valueBytes: 100 },
  { partitions: 6, valueBytes: 1024 },
];
const GiB = 2 ** 30;
const acksNames = new Map([
  [-1, 'produce acks=all'],
  [1, 'produce acks=1'],
]);
/** Of ours with `os` as shares of Kafka's. */
const aims = { speed: 1, produceCpu: 0.7, consumeCpu: 0.6, memory: 0.33 };

const labelOf = ({ partitions, valueBytes }) => `${partitions} part. ${valueBytes === 1024 ? '1 KiB' : `${valueBytes} B`}`;
/** As much as runs for some seconds: CPU is counted in hundredths of one. */
const bytesOf = ({ valueBytes }, quick) => (valueBytes === 1024 ? 1000e6 : 500e6) / (quick ? 10 : 1);

/** This project's client in the generator's form; it sends batches made beforehand. */
async function ownClient(load, quick) {
  for (const workload of workloads)
    await load.ask('prepareFixed', { ...workload, name: labelOf(workload), totalBytes: bytesOf(workload, quick) });
  return {
    produce: ({ bootstrap, topic, acks, ...workload }) => load.ask('produce', { bootstrap, topic, name: labelOf(workload), acks }),
    consume: ({ bootstrap, topic }) => load.ask('consume', { bootstrap, topic }),
  };
}

/** One workload on one broker: produce with each acks, consume what the first wrote. Rows: `workload|what|broker`. */
async function measure({ load, generator, target, workload, records, topic, figures }) {
  const { broker, policy, name, config } = target;
  const { kafka: bootstrap, pid } = broker;
  const timed = async (what, work) => {
    await flushSystem();
    const before = cpuSeconds(pid);
    const done = await work();
    const cpu = cpuSeconds(pid) - before;
    const valueBytes = done.records * workload.valueBytes;
    figures?.add(`${labelOf(workload)}|${what}|${name}`, {
      mbPerSecond: valueBytes / 1e6 / (done.ms / 1000),
      cpuSecondsPerGiB: cpu / (valueBytes / GiB),
      residentMiB: memoryMiB(pid).resident,
    });
  };
  const isBeside = policy === 'group-commit';
  for (const acks of isBeside ? [-1] : [-1, 1]) {
    const named = `${topic}-${acks === 1 ? 'one' : 'all'}`;
    const order = { ...workload, bootstrap, topic: named, records, acks };
    await load.ask('create', { bootstrap, topic: named, partitions: workload.partitions, config });
    try {
      await timed(acksNames.get(acks), () => generator.produce(order));
      if (acks === -1 && !isBeside) await timed('consume', () => generator.consume(order));
    } finally {
      await load.ask('remove', { bootstrap, topic: named });
    }
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
    skipped.push(...(await startAll(targets, work)));
    const generator = program === undefined ? await ownClient(load, quick) : librdkafka(program);
    // The round before the first warms up and does not count.
    for (let round = -1; round < rounds; round++) {
      note(round < 0 ? 'warming up' : `round ${round + 1} of ${rounds}`);
      for (const [at, workload] of workloads.entries()) {
        const records = Math.round(bytesOf(workload, quick) / workload.valueBytes);
        for (const target of inTurn(targets, round)) {
          const topic = `bench-${round + 1}-${at}`;
          await measure({ load, generator, target, workload, records, topic, figures: round < 0 ? undefined : figures });
        }
      }
    }
    const memory = Object.fromEntries(targets.map(({ name, broker }) => [name, { peakMiB: memoryMiB(broker.pid).peak }]));
    return report(figures.spreads(), memory, skipped, program === undefined ? "this project's client" : 'rdkafka_performance');
  } finally {
    await load.close();
    await Promise.all(targets.map(({ broker }) => broker.stop()));
  }
}

function report(spreads, memory, skipped, generator) {
  const names = Object.keys(memory);
  const whats = [...new Set(Object.keys(spreads).map((row) => row.slice(0, row.lastIndexOf('|'))))].sort((a, b) =>
    a.split('|')[1].localeCompare(b.split('|')[1]),
  );
  const rows = (figure) =>
    whats.map((what) => [what.replace('|', ', '), ...names.map((name) => shown(spreads[`${what}|${name}`]?.[figure]))]);
  const tables = [
    table('MB/s of values; median (min–max)', ['workload', ...names], rows('mbPerSecond')),
    table('CPU seconds of the broker process per GiB of values', ['workload', ...names], rows('cpuSecondsPerGiB')),
    table('resident memory of the broker behind each run, MiB', ['workload', ...names], rows('residentMiB')),
    table(
      'largest resident memory of the broker, MiB',
      ['', ...names],
      [['peak', ...names.map((name) => memory[name].peakMiB.toFixed(0))]],
    ),
  ];
  const ratios = {};
  for (const what of whats) {
    const of = (figure) => ratioOf(spreads, `${what}|thermocline os`, `${what}|kafka`, figure);
    if (of('mbPerSecond') !== undefined) ratios[what.replace('|', ', ')] = { speed: of('mbPerSecond'), cpu: of('cpuSecondsPerGiB') };
  }
  const memoryRatio = memory.kafka === undefined ? undefined : memory['thermocline os'].peakMiB / memory.kafka.peakMiB;
  if (memoryRatio !== undefined) {
    const cpuAim = (what) => (what.endsWith('consume') ? aims.consumeCpu : aims.produceCpu);
    tables.push(
      table(
        'thermocline with flush.policy=os against Kafka, whose default is that too',
        ['workload', 'speed', 'CPU'],
        Object.entries(ratios).map(([what, { speed, cpu }]) => [what, judged(speed, aims.speed, false), judged(cpu, cpuAim(what), true)]),
      ),
    );
  }
  const notes = [`The generator is ${generator}; it shares the machine with the broker.`];
  if (memoryRatio !== undefined) notes.push(`Peak memory against Kafka: ${judged(memoryRatio, aims.memory, true)}.`);
  return { tables, notes, skipped, figures: { spreads, ratios, memory, memoryRatio, generator, aims } };
}
