/**
 * What waiting for the disk costs: acks=all under `group-commit`, answered when fdatasync says so, beside `os`, which does not wait,
 * while 1, 16 and 2,000 partitions are written at once. Batches of 16 KiB, one partition after the other.
 */
import { inTurn, judged, policies, ratioOf, startOurs } from './brokers.mjs';
import { Figures, shown, table } from './figures.mjs';
import { openChild } from './load.mjs';
import { cpuSeconds } from './processes.mjs';

export const about = 'acks=all from disk (group-commit) beside os, 1, 16 and 2,000 partitions written at once';

const counts = [1, 16, 2000];
const valueBytes = 1024;
const batchBytes = 16 * 1024;
const GiB = 2 ** 30;
const topicOf = (partitions) => `in-${partitions}`;
/** Of the throughput of `os`, up to 16 partitions. */
const aim = 0.7;

export async function run({ work, quick, rounds, note }) {
  const figures = new Figures();
  const load = openChild('load-child.mjs');
  const targets = [];
  try {
    for (const policy of policies) targets.push(await startOurs(work, policy));
    const all = {};
    for (const partitions of counts) {
      const totalBytes = quick ? Math.max(25e6, partitions * batchBytes) : 200e6;
      all[partitions] = await load.ask('prepareFixed', { name: topicOf(partitions), valueBytes, partitions, batchBytes, totalBytes });
      for (const { name, broker, config } of targets) {
        note(`${partitions} partitions in ${name}`);
        await load.ask('create', { bootstrap: broker.kafka, topic: topicOf(partitions), partitions, config });
        await load.ask('untilLed', { bootstrap: broker.kafka, topic: topicOf(partitions), partitions });
      }
    }
    // The round before the first warms up and does not count.
    for (let round = -1; round < rounds; round++) {
      note(round < 0 ? 'warming up' : `round ${round + 1} of ${rounds}`);
      for (const partitions of counts) {
        for (const { name, broker } of inTurn(targets, round)) {
          const before = cpuSeconds(broker.pid);
          const topic = topicOf(partitions);
          const { ms } = await load.ask('produce', { bootstrap: broker.kafka, topic, name: topic, acks: -1 });
          const { valueBytes: bytes } = all[partitions];
          if (round < 0) continue;
          figures.add(`${partitions}|${name}`, {
            mbPerSecond: bytes / 1e6 / (ms / 1000),
            cpuSecondsPerGiB: (cpuSeconds(broker.pid) - before) / (bytes / GiB),
          });
        }
      }
    }
    return report(figures.spreads());
  } finally {
    await load.close();
    await Promise.all(targets.map(({ broker }) => broker.stop()));
  }
}

function report(spreads) {
  const names = [...new Set(Object.keys(spreads).map((row) => row.split('|')[1]))];
  const rows = (figure) => counts.map((count) => [count, ...names.map((name) => shown(spreads[`${count}|${name}`]?.[figure]))]);
  const [policy, base] = policies;
  const ratios = Object.fromEntries(
    counts.map((count) => [count, ratioOf(spreads, `${count}|thermocline ${policy}`, `${count}|thermocline ${base}`, 'mbPerSecond')]),
  );
  const verdict = (count) => (count > 16 ? `${ratios[count].toFixed(2)}×` : judged(ratios[count], aim, false));
  const tables = [
    table('MB/s of values, acks=all; median (min–max)', ['partitions', ...names], rows('mbPerSecond')),
    table('CPU seconds of the broker process per GiB of values', ['partitions', ...names], rows('cpuSecondsPerGiB')),
    table(
      `${policy} against ${base}`,
      ['partitions', 'speed'],
      counts.map((count) => [count, verdict(count)]),
    ),
  ];
  return { tables, notes: ["The generator is this project's client."], skipped: [], figures: { spreads, ratios } };
}
