/**
 * From the log to committed, verified Parquet: MB of record batches per CPU second of the tier daemon and all its children, where the
 * CPU went, and how that stands to DuckDB's bare COPY of the same rows in the same run. Flights of about 90 bytes with five fields,
 * legs of about 1 KB with those and ten more flights in a sixth, events of that size with 23 fields that compress badly, notes with one
 * long text; all but the notes also as opaque bytes. Two partitions, so
 * that files grow to the size at which they are cut (`lake.file.bytes`).
 */
import { join } from 'node:path';
import { Figures, shown, table } from './figures.mjs';
import { flightsFile } from './flights.mjs';
import { openChild } from './load.mjs';
import { cpuSeconds, treeCpuSeconds } from './processes.mjs';
import { startService, untilFollowed } from './service.mjs';

export const about = 'MB per CPU second from log to committed, verified Parquet, with CPU by stage, beside a bare COPY';

const partitions = 2;
const opaque = { 'lake.value.format': 'bytes' };
/** Kind → the set it is made of, its topic's configuration, and the MB of record batches per CPU second that the project aims at. */
const kinds = {
  'flights-typed': { set: 'flights', config: undefined, aim: 35 },
  'flights-opaque': { set: 'flights', config: opaque, aim: 50 },
  'legs-typed': { set: 'legs', config: undefined, aim: 110 },
  'legs-opaque': { set: 'legs', config: opaque, aim: 150 },
  'events-typed': { set: 'events', config: undefined, aim: 110 },
  'events-opaque': { set: 'events', config: opaque, aim: 150 },
  'notes-typed': { set: 'notes', config: undefined, aim: 110 },
};
const warmUpShare = 0.2;
const stages = ['follow', 'stage', 'encode', 'verify', 'commit', 'workers'];

/**
 * One topic, produced and flushed. `follow` is the daemon's own process until all is fetched and at rest, `commit` the same
 * process from then on (cutting, uploading, committing), `workers` what its children used beyond their jobs (start, imports).
 */
async function measure({ service, load, topic, set, config, share }) {
  const { tier } = service.roles();
  await load.ask('create', { bootstrap: service.kafka, topic, partitions, config });
  await untilFollowed(service, tier);
  const before = { own: cpuSeconds(tier), tree: treeCpuSeconds(tier), metrics: await service.metrics() };
  const startMs = performance.now();
  const produced = await load.ask('produce', { bootstrap: service.kafka, topic, name: set, acks: -1, to: share });
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
  const rawBytes = grown('tier_committed_raw_bytes_total');
  return {
    rawBytes,
    mbPerCpuSecond: rawBytes / 1e6 / total,
    valueMbPerCpuSecond: produced.valueBytes / 1e6 / total,
    wallMbPerSecond: rawBytes / 1e6 / ((endMs - startMs) / 1000),
    flushSeconds: (endMs - flushStartMs) / 1000,
    fileShare: grown('tier_committed_file_bytes_total') / rawBytes,
    cpuSeconds: total,
    ...Object.fromEntries(stages.map((stage) => [`${stage}SecondsPerGb`, seconds[stage] / (rawBytes / 1e9)])),
  };
}

export async function run({ work, quick, rounds, note }) {
  const skipped = flightsFile() === undefined ? ['real flights: vega-datasets is not installed; made-up ones were used'] : [];
  const figures = new Figures();
  const load = openChild('load-child.mjs');
  const duckdb = openChild('duckdb-child.mjs');
  const service = await startService({ dataDir: join(work, 'data') });
  try {
    note('preparing batches');
    const sets = { flights: await load.ask('prepareFlights', { name: 'flights', records: quick ? 200_000 : 2_000_000, partitions }) };
    sets.legs = await load.ask('prepareLegs', { name: 'legs', records: quick ? 20_000 : 270_000, partitions });
    for (const name of ['events', 'notes']) {
      sets[name] = await load.ask('prepareMade', { name, records: quick ? 30_000 : 150_000, partitions });
    }
    // Workers are started, and the daemon's code is compiled, by a round that does not count and is smaller.
    for (let round = -1; round < rounds; round++) {
      note(round < 0 ? 'warming up' : `round ${round + 1} of ${rounds}`);
      for (const [kind, { set, config }] of Object.entries(kinds)) {
        const topic = `${kind}-${round + 1}`;
        const { rawBytes, ...measured } = await measure({ service, load, topic, set, config, share: round < 0 ? warmUpShare : 1 });
        const files = join(work, `data/bucket/topics/${topic}/*/data/*/*.parquet`);
        const bare = await duckdb.ask('bareCopy', { files, folder: work });
        const ofBare = { bareMbPerCpuSecond: rawBytes / 1e6 / bare.cpuSeconds, shareOfBare: bare.cpuSeconds / measured.cpuSeconds };
        if (round >= 0) figures.add(kind, { ...measured, ...ofBare });
        await load.ask('remove', { bootstrap: service.kafka, topic });
      }
    }
    return report(figures.spreads(), sets, skipped);
  } finally {
    await load.close();
    await duckdb.close();
    await service.stop();
  }
}

function report(spreads, sets, skipped) {
  const names = Object.keys(spreads);
  const sizeOf = ({ set }) => Math.round(sets[set].valueBytes / sets[set].records);
  const titleOf = (name) => `${name}, ${sizeOf(kinds[name])} B values`;
  const tables = [
    table(
      'from the log to committed, verified Parquet, MB of record batches; median (min–max)',
      ['topic', 'MB/CPU s', 'aim', 'bare COPY MB/CPU s', 'share of it', 'MB/s wall', 'flush s', 'file/raw'],
      names.map((name) => {
        const row = spreads[name];
        const shares = [row.bareMbPerCpuSecond, row.shareOfBare, row.wallMbPerSecond, row.flushSeconds, row.fileShare].map(shown);
        return [titleOf(name), shown(row.mbPerCpuSecond), `≥ ${kinds[name].aim}`, ...shares];
      }),
    ),
    table(
      'CPU seconds per GB of record batches, by stage (medians)',
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
    'bare COPY: one thread of DuckDB, the same rows from an uncompressed file into zstd Parquet by default settings, with the same typed columns by from_json where there are some; nothing is checked, nothing committed.',
    "Kafka Connect's Iceberg sink is said to reach 7.7 MB per CPU second with values of about 150 B: a figure from elsewhere, not measured here.",
  ];
  return { tables, notes, skipped, figures: { spreads, sets, kinds } };
}
