/**
 * From the log to committed, verified Parquet: MB of values per CPU second of the tier daemon and all its children, and where
 * the CPU went. Flights of about 90 bytes with five fields; events of about 1 KB with many fields, and notes of that size with one long
 * text. Two partitions, so that files grow to the size at which they are cut (`lake.file.bytes`).
 */
import { join } from 'node:path';
import { Figures, shown, table } from './figures.mjs';
import { flightsFile } from './flights.mjs';
import { openChild } from './load.mjs';
import { cpuSeconds, treeCpuSeconds } from './processes.mjs';
import { startService, untilFollowed } from './service.mjs';

export const about = 'MB per CPU second from log to committed, verified Parquet, with CPU by stage';

const partitions = 2;
/** MB of values per CPU second that the project aims at. */
const aims = { flights: 25, events: 80, notes: 80 };
const warmUpShare = 0.2;
const stages = ['follow', 'stage', 'encode', 'verify', 'commit', 'workers'];

/**
 * One topic, produced and flushed. `follow` is the daemon's own process until all is fetched and at rest, `commit` the same
 * process from then on (cutting, uploading, committing), `workers` what its children used beyond their jobs (start, imports).
 */
async function measure({ service, load, topic, name, share }) {
  const { tier } = service.roles();
  await load.ask('create', { bootstrap: service.kafka, topic, partitions });
  await untilFollowed(service, tier);
  const before = { own: cpuSeconds(tier), tree: treeCpuSeconds(tier), metrics: await service.metrics() };
  const startMs = performance.now();
  const produced = await load.ask('produce', { bootstrap: service.kafka, topic, name, acks: -1, to: share });
  await untilFollowed(service, tier);
  const followedOwn = cpuSeconds(tier);
  const flushStartMs = performance.now();
  await service.flush(topic);
  const endMs = performance.now();
  const after = { own: cpuSeconds(tier), tree: treeCpuSeconds(tier), metrics: await service.metrics() };
  const grown = (metric) => after.metrics[metric] - (before.metrics[metric] ?? 0);
  if (grown('tier_committed_rows_total') !== produced.records) {
    throw new Error(`${grown('tier_committed_rows_total')} rows were committed, ${produced.records} produced`);
  }
  const seconds = {
    follow: followedOwn - before.own,
    stage: grown('tier_stage_cpu_ms_total') / 1000,
    encode: grown('tier_encode_cpu_ms_total') / 1000,
    verify: grown('tier_verify_cpu_ms_total') / 1000,
    commit: after.own - followedOwn,
  };
  const total = after.tree - before.tree;
  const jobs = seconds.stage + seconds.encode + seconds.verify;
  seconds.workers = Math.max(0, total - (after.own - before.own) - jobs);
  const mb = produced.valueBytes / 1e6;
  return {
    mbPerCpuSecond: mb / total,
    rawMbPerCpuSecond: grown('tier_committed_raw_bytes_total') / 1e6 / total,
    wallMbPerSecond: mb / ((endMs - startMs) / 1000),
    flushSeconds: (endMs - flushStartMs) / 1000,
    fileShare: grown('tier_committed_file_bytes_total') / produced.valueBytes,
    cpuSeconds: total,
    ...Object.fromEntries(stages.map((stage) => [`${stage}SecondsPerGb`, seconds[stage] / (mb / 1000)])),
  };
}

export async function run({ work, quick, rounds, note }) {
  const skipped = flightsFile() === undefined ? ['real flights: vega-datasets is not installed; made-up ones were used'] : [];
  const figures = new Figures();
  const load = openChild('load-child.mjs');
  const service = await startService({ dataDir: join(work, 'data') });
  try {
    note('preparing batches');
    const sets = { flights: await load.ask('prepareFlights', { name: 'flights', records: quick ? 300_000 : 3_000_000, partitions }) };
    for (const name of ['events', 'notes']) {
      sets[name] = await load.ask('prepareMade', { name, records: quick ? 40_000 : 270_000, partitions });
    }
    // Workers are started, and the daemon's code is compiled, by a round that does not count and is smaller.
    for (let round = -1; round < rounds; round++) {
      note(round < 0 ? 'warming up' : `round ${round + 1} of ${rounds}`);
      for (const name of Object.keys(sets)) {
        const topic = `${name}-${round + 1}`;
        const measured = await measure({ service, load, topic, name, share: round < 0 ? warmUpShare : 1 });
        if (round >= 0) figures.add(name, measured);
        await load.ask('remove', { bootstrap: service.kafka, topic });
      }
    }
    return report(figures.spreads(), sets, skipped);
  } finally {
    await load.close();
    await service.stop();
  }
}

function report(spreads, sets, skipped) {
  const names = Object.keys(spreads);
  const titleOf = (name) => `${name}, ${Math.round(sets[name].valueBytes / sets[name].records)} B values`;
  const tables = [
    table(
      'from the log to committed, verified Parquet; median (min–max)',
      ['topic', 'MB values/CPU s', 'aim', 'MB batches/CPU s', 'MB values/s wall', 'flush s', 'file/values'],
      names.map((name) => {
        const row = spreads[name];
        const shares = [row.rawMbPerCpuSecond, row.wallMbPerSecond, row.flushSeconds, row.fileShare].map(shown);
        return [titleOf(name), shown(row.mbPerCpuSecond), `≥ ${aims[name]}`, ...shares];
      }),
    ),
    table(
      'CPU seconds per GB of values, by stage (medians)',
      ['topic', ...stages, 'all'],
      names.map((name) => [
        titleOf(name),
        ...stages.map((stage) => spreads[name][`${stage}SecondsPerGb`].median.toFixed(2)),
        (1000 / spreads[name].mbPerCpuSecond.median).toFixed(2),
      ]),
    ),
  ];
  const notes = [
    'follow: the daemon fetches and spools; commit: it cuts, uploads and commits; stage, encode, verify: its children at their jobs; workers: the rest of them.',
  ];
  return { tables, notes, skipped, figures: { spreads, sets, aims } };
}
