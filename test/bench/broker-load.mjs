/**
 * A crowd on one broker: 2,000 partitions in 100 topics, 500 connections that produce one request after the other with acks=all, and 100
 * consumer groups of five members, each with a connection of its own: 1,000 connections. What that costs in memory and CPU, how evenly
 * connections and groups are served, and how long a start takes with all of it. Apache Kafka 4.4 in the same run.
 */
import { findKafka } from './apache-kafka.mjs';
import { inTurn, judged, policies, ratioOf, startOurs, startTheirs } from './brokers.mjs';
import { Figures, shown, table } from './figures.mjs';
import { openChild } from './load.mjs';
import { cpuSeconds, memoryMiB } from './processes.mjs';

export const about = '2,000 partitions, 1,000 connections, 100 groups on one broker: memory, CPU, fairness, start';

const crowd = { topics: 100, partitionsEach: 20, producers: 500, groups: 100, membersEach: 5 };
const MB = 1e6;
const memoryAim = 0.33;

export async function run({ work, quick, rounds, note }) {
  const kafka = findKafka();
  const skipped = kafka.missing === undefined ? [] : [`Apache Kafka: ${kafka.missing}`];
  const figures = new Figures();
  const kinds = kafka.missing === undefined ? [...policies, 'kafka'] : policies;
  const seconds = quick ? { warm: 4, counted: 4 } : { warm: 30, counted: 15 };
  for (let round = 0; round < rounds; round++) {
    for (const kind of inTurn(kinds, round)) {
      note(`round ${round + 1} of ${rounds}, ${kind}`);
      const folder = `${work}/${round}`;
      const start = (port) => (kind === 'kafka' ? startTheirs(folder, kafka, port) : startOurs(folder, kind));
      const first = await start();
      const { name, config } = first;
      let measured;
      try {
        measured = await measure(first.broker, config, seconds);
      } finally {
        await first.broker.stop();
      }
      const { broker: again } = await start(first.broker.port);
      const startMs = again.readyMs;
      await again.stop();
      figures.add(name, { ...measured, startMs });
    }
  }
  return report(figures.spreads(), skipped);
}

/** The whole crowd comes to a broker that was just started, works until what is hot there is compiled, then for what counts, and goes. */
async function measure({ kafka: bootstrap, pid }, config, seconds) {
  const load = openChild('crowd-child.mjs');
  try {
    const { gatherMs } = await load.ask('gather', { bootstrap, config, ...crowd });
    const restMiB = memoryMiB(pid).resident;
    await load.ask('work', { seconds: seconds.warm });
    const before = cpuSeconds(pid);
    const { produced, consumed, latencies, ms } = await load.ask('work', { seconds: seconds.counted });
    const cpu = cpuSeconds(pid) - before;
    await load.ask('leave');
    const bytes = produced.bytes;
    return {
      gatherMs,
      restMiB,
      peakMiB: memoryMiB(pid).peak,
      mbPerSecond: bytes / MB / (ms / 1000),
      requestsPerSecond: produced.requests / (ms / 1000),
      cpuShare: cpu / (ms / 1000),
      p50Ms: latencies.p50Ms,
      p99Ms: latencies.p99Ms,
      producerFairness: produced.fairness,
      producerLeast: produced.leastShare,
      groupFairness: consumed.fairness,
      groupLeast: consumed.leastShare,
      consumedShare: consumed.bytes / bytes,
    };
  } finally {
    await load.close();
  }
}

function report(spreads, skipped) {
  const names = Object.keys(spreads);
  const rows = {
    'ms until 1,000 connections and 100 groups are settled': 'gatherMs',
    'resident MiB then, at rest': 'restMiB',
    'largest resident MiB under load': 'peakMiB',
    'MB/s of values, acks=all': 'mbPerSecond',
    'produce requests/s': 'requestsPerSecond',
    'CPU seconds of the broker a second': 'cpuShare',
    'produce p50 ms, closed loop': 'p50Ms',
    'produce p99 ms': 'p99Ms',
    'fairness among producers (Jain)': 'producerFairness',
    'the least served producer, of the mean': 'producerLeast',
    'fairness among groups (Jain)': 'groupFairness',
    'the least served group, of the mean': 'groupLeast',
    'consumed meanwhile, of what was produced': 'consumedShare',
    'ms of the next start': 'startMs',
  };
  const tables = [
    table(
      'median (min–max); 1 is even: each gets as much as every other',
      ['', ...names],
      Object.entries(rows).map(([label, figure]) => [label, ...names.map((name) => shown(spreads[name][figure]))]),
    ),
  ];
  const notes = [];
  const memory = ratioOf(spreads, 'thermocline os', 'kafka', 'peakMiB');
  if (memory !== undefined) {
    const start = ratioOf(spreads, 'thermocline os', 'kafka', 'startMs');
    notes.push(`os against Kafka: memory ${judged(memory, memoryAim, true)}; start ${judged(start, 0.5, true)}.`);
  }
  return { tables, notes, skipped, figures: { spreads, crowd } };
}
