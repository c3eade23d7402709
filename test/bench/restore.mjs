/**
 * What a lost data directory costs: `thermocline recover` from a bucket with 10,000 cold files in 100 tables of four partitions, and
 * 10,000 committed offsets. The tables are made by the product's own commits of files of a few bytes, as a recovery opens none of
 * them; a directory, and versitygw beside it.
 */
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { systemClock, systemRandom } from '../../dist/kernel/index.js';
import { claimBucket, dataFileKey, openTopicTable, writeClusterState } from '../../dist/lake/index.js';
import { openObjectStore } from '../../dist/objects/index.js';
import { Figures, shown, table } from './figures.mjs';
import { cpuSeconds, forget, memoryMiB, remember } from './processes.mjs';
import { root, startService } from './service.mjs';
import { findVersitygw, startVersitygw } from './versitygw.mjs';

export const about = 'recover from 10,000 cold files and 10,000 committed offsets; a directory, and versitygw beside it';

const aimSeconds = 10;
const partitions = 4;
const clusterId = 'AAAAAAAAAAAAAAAAAAAAAQ';
const rowsPerFile = 1000;
const fileBytes = 64;
const putsAtOnce = 16;

export async function run({ work, quick, rounds, note }) {
  const shape = quick
    ? { topics: 10, commits: 2, filesPerCommit: 2, groups: 20 }
    : { topics: 100, commits: 5, filesPerCommit: 5, groups: 250 };
  const files = shape.topics * partitions * shape.commits * shape.filesPerCommit;
  const skipped = [];
  const figures = new Figures();
  const directory = pathToFileURL(join(work, 'bucket')).href;
  note(`making ${files} files in a directory`);
  await fill(directory, {}, shape);
  await measure({ figures, row: 'directory', url: directory, set: {}, environment: {}, work, rounds, note });
  const found = findVersitygw();
  if (found.missing !== undefined) skipped.push(`versitygw: ${found.missing}`);
  else {
    const server = await startVersitygw(found, join(work, 's3'), 'bench');
    try {
      Object.assign(process.env, server.credentials);
      note(`making ${files} files on versitygw`);
      await fill(server.url, { endpoint: server.endpoint, region: 'us-east-1' }, shape);
      const set = { 'bucket.endpoint': server.endpoint, 'bucket.region': 'us-east-1' };
      await measure({ figures, row: 'versitygw', url: server.url, set, environment: server.credentials, work, rounds, note });
    } finally {
      await server.stop();
    }
  }
  const spreads = figures.spreads();
  const rows = Object.entries(spreads).map(([name, row]) => [
    name,
    shown(row.seconds),
    shown(row.cpuSeconds),
    shown(row.peakMiB),
    shown(row.readyMs),
  ]);
  return {
    tables: [
      table(
        `recover: ${files} cold files, ${shape.topics} tables, ${shape.topics * partitions} partitions, ${shape.groups * 40} committed offsets; median (min–max)`,
        ['', 's', 'CPU s', 'peak MiB', 'serve ready after it, ms'],
        rows,
      ),
    ],
    notes: [`aim: at most ${aimSeconds} s for 10,000 cold files`],
    skipped,
    figures: spreads,
  };
}

/** Runs `work` for each of a list, so many at a time. */
async function each(list, atOnce, work) {
  let next = 0;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (next < list.length) await work(list[next++]);
    }),
  );
}

/** An id of 22 characters that says which it is. */
const idOf = (at) => `${String(at).padStart(21, 'B')}Q`;

/** A state, and tables with files that stand for records nobody reads. */
async function fill(url, options, { topics, commits, filesPerCommit, groups }) {
  const store = await openObjectStore(url, options);
  await claimBucket(store, clusterId, systemClock);
  const names = Array.from({ length: topics }, (_, at) => `topic-${at}`);
  await each([...names.keys()], 8, async (at) => {
    const opened = openTopicTable(store, { topic: names[at], topicId: idOf(at), clusterId }, { clock: systemClock, random: systemRandom });
    await opened.load();
    for (let commit = 0; commit < commits; commit++) {
      const moves = Array.from({ length: partitions }, (_, partition) =>
        moveOf(opened.prefix, partition, commit * filesPerCommit, filesPerCommit),
      );
      await each(
        moves.flatMap((move) => move.files),
        putsAtOnce,
        ({ key }) => store.put(key, Buffer.alloc(fileBytes)),
      );
      await opened.commit({ commitId: systemRandom.uuid(), moves, columns: [], nowMs: systemClock.nowMs() });
    }
  });
  const boundary = commits * filesPerCommit * rowsPerFile;
  await writeClusterState(store, 0, {
    clusterId,
    writtenAtMs: systemClock.nowMs(),
    kafka: '127.0.0.1:1',
    nextProducerId: 1000n,
    topics: names.map((name, at) => ({
      name,
      id: idOf(at),
      isInternal: false,
      isTiered: true,
      overrides: {},
      createdMs: 1,
      partitions: Array.from({ length: partitions }, () => ({
        logStartOffset: 0,
        boundary,
        highWatermark: boundary + 100,
        leaderEpoch: 0,
      })),
    })),
    dropped: [],
    groups: Array.from({ length: groups }, (_, group) => ({
      group: `group-${group}`,
      offsets: Array.from({ length: 40 }, (_, at) => ({
        topic: names[(group + (at >> 2)) % topics],
        partition: at % partitions,
        offset: at,
        leaderEpoch: 0,
        metadata: '',
        committedMs: 2,
      })),
    })),
    offsetsLeftOut: 0,
  });
  await store.close();
}

function moveOf(prefix, partition, firstFile, count) {
  const files = Array.from({ length: count }, (_, at) => {
    const baseOffset = (firstFile + at) * rowsPerFile;
    const lastOffset = baseOffset + rowsPerFile - 1;
    return {
      key: dataFileKey(prefix, { partition, baseOffset, lastOffset, unique: systemRandom.uuid() }),
      partition,
      baseOffset,
      lastOffset,
      rows: rowsPerFile,
      bytes: fileBytes,
      minTimestampMs: baseOffset,
      maxTimestampMs: lastOffset,
      fieldIds: [2],
      digest: 't2:0:0000000000000000',
      rawBytes: fileBytes,
      metrics: Array.from({ length: 24 }, (_, field) => ({ fieldId: field + 1, bytes: 10, values: rowsPerFile, nulls: 0 })),
      splitOffsets: [4],
    };
  });
  const from = firstFile * rowsPerFile;
  return { partition, from, to: from + count * rowsPerFile, leaderEpoch: 0, files };
}

async function measure({ figures, row, url, set, environment, work, rounds, note }) {
  for (let round = 0; round < rounds; round++) {
    note(`${row}: recovery ${round + 1} of ${rounds}`);
    const dataDir = join(work, `recovered-${row}-${round}`);
    const measured = await recoverTimed(url, dataDir, set, environment);
    Object.assign(process.env, environment);
    const service = await startService({ dataDir, set: { ...set, 'bucket.url': url } });
    await service.stop();
    figures.add(row, { ...measured, readyMs: service.readyMs });
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** How often CPU and memory are looked at: what comes after the last look is missed. */
const lookMs = 20;

/** The command as its user runs it: wall time from spawning to its end, CPU and the most memory on the way. */
function recoverTimed(url, dataDir, set, environment) {
  const settings = Object.entries(set).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  const startedMs = performance.now();
  const child = spawn(
    process.execPath,
    [join(root, 'src/cli/thermocline.mjs'), 'recover', '--bucket', url, '--data-dir', dataDir, ...settings],
    { cwd: root, env: { ...process.env, ...environment }, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  remember(child.pid);
  let used = { cpuSeconds: 0, peakMiB: 0 };
  const timer = setInterval(() => {
    try {
      const { peak } = memoryMiB(child.pid);
      if (peak > 0) used = { cpuSeconds: cpuSeconds(child.pid), peakMiB: peak };
    } catch {
      // It has ended since.
    }
  }, lookMs);
  let log = '';
  child.stderr.on('data', (chunk) => {
    log += chunk.toString();
  });
  return new Promise((resolve, reject) => {
    child.once('close', (code) => {
      clearInterval(timer);
      forget(child.pid);
      if (code === 0) resolve({ seconds: (performance.now() - startedMs) / 1000, ...used });
      else reject(new Error(`recover ended with ${code}: ${log}`));
    });
  });
}
