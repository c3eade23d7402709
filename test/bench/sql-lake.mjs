// What the SQL benches share: a service with topics of which part lies cold, the peer with the same rows in one Parquet file, and questions asked of both.
import { availableParallelism } from 'node:os';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openChild } from './load.mjs';
import { treeCpuSeconds } from './processes.mjs';
import { startService } from './service.mjs';

/** As `query.memory.bytes`, for the peer too. */
export const memoryBytes = 2 ** 30;
export const threads = availableParallelism();
/** Nothing is compacted while a bench counts files. */
const noUpkeep = { 'tier.upkeep.interval.ms': 86_400_000 };
const recordBytes = 1024;
/** Until spare engines have started. */
const enginesReadyMs = 1500;
/** At rest is who takes so little of a core for two looks on end. */
const rest = { share: 0.04, lookMs: 500, looksMax: 240 };

/** Records of 1 KiB for the size wanted with `--gib`, else the bench's own number. */
export const recordsFor = (gib, usual) => (gib === undefined ? usual : Math.round((gib * 2 ** 30) / recordBytes));

/** Starts service, load generator and peer; `stop` ends all three. */
export async function openLake(work, options = {}) {
  const load = openChild('load-child.mjs');
  const peer = openChild('duckdb-child.mjs');
  const close = () => Promise.all([load.close(), peer.close()]);
  try {
    const set = { ...noUpkeep, 'query.memory.bytes': memoryBytes, ...options.set };
    const start = () => startService({ dataDir: join(work, 'data'), ...options, set });
    return new Lake(work, await start(), start, load, peer);
  } catch (error) {
    await close();
    throw error;
  }
}

class Lake {
  #work;
  #start;

  constructor(work, service, start, load, peer) {
    this.#work = work;
    this.service = service;
    this.#start = start;
    this.load = load;
    this.peer = peer;
  }

  async create(topic, partitions, config) {
    await this.load.ask('create', { bootstrap: this.service.kafka, topic, partitions, config });
  }

  /** From one share of the prepared batches to another, acknowledged from disk. */
  produce(topic, from = 0, to = 1, name = topic) {
    return this.load.ask('produce', { bootstrap: this.service.kafka, topic, name, acks: -1, from, to });
  }

  /** Cuts and commits what there is, and leaves no local copy of it. */
  async cool(topic) {
    await this.service.flush(topic);
    await this.service.evict(topic);
  }

  /** A topic of the prepared batches of its name: so much of it cold, the rest hot. */
  async fill(topic, partitions, coldShare) {
    await this.create(topic, partitions);
    await this.produce(topic, 0, coldShare);
    await this.cool(topic);
    if (coldShare < 1) await this.produce(topic, coldShare, 1);
  }

  /** Records of `sql-records.mjs` for the service, and in one Parquet file for the peer. */
  async prepareRecords(name, partitions, records, isForPeer = true) {
    const set = await this.load.ask('prepareRecords', { name, partitions, ...records });
    const path = join(this.#work, `${name}.parquet`);
    if (isForPeer) await this.peer.ask('prepareRecords', { name, path, threads, memoryBytes, ...records });
    return set;
  }

  /** As many cold files as wanted, of so many partitions: a forced flush for each round of them. Answers how many there are. */
  async fillFiles(topic, partitions, files) {
    await this.create(topic, partitions);
    const flushes = Math.round(files / partitions);
    for (let i = 0; i < flushes; i++) {
      await this.produce(topic, i / flushes, (i + 1) / flushes);
      await this.service.flush(topic);
    }
    await this.service.evict(topic);
    return Number((await this.service.sql(`SELECT count(*) FROM system.cold_files WHERE topic = '${topic}'`)).rows[0][0]);
  }

  /** The service's answer, and the ms it took at the client. */
  async ask(sql) {
    const startMs = performance.now();
    const answer = await this.service.sql(sql);
    return { ...answer, ms: performance.now() - startMs };
  }

  /** Both sides' answers to one question; the peer may be asked in other words. Errors: where the rows differ. */
  async askBoth(name, sql, peerSql = sql) {
    const ours = await this.ask(sql);
    const theirs = await this.peer.ask('ask', { sql: peerSql });
    mustBeSame(name, ours.rows, theirs.rows);
    return { ours, theirs };
  }

  /** Until the service has nothing left to do of what it does behind the questions. */
  async rest() {
    let restful = 0;
    for (let look = 0; look < rest.looksMax && restful < 2; look++) {
      const before = treeCpuSeconds(this.service.pid);
      await sleep(rest.lookMs);
      const share = (treeCpuSeconds(this.service.pid) - before) / (rest.lookMs / 1000);
      restful = share <= rest.share ? restful + 1 : 0;
    }
    if (restful < 2) throw new Error('the service does not come to rest');
  }

  /** Starts the service anew with nothing cached of the bucket; its engines are ready, and it has read tables and the footers of their newest files. */
  async restartEmpty() {
    await this.service.stop();
    rmSync(join(this.#work, 'data/query'), { recursive: true, force: true });
    this.service = await this.#start();
    await this.ask('SELECT 1');
    await sleep(enginesReadyMs);
  }

  async stop() {
    await Promise.all([this.load.close(), this.peer.close()]);
    await this.service.stop();
  }
}

/** Numbers may come as text from either side, and sums of doubles differ in their last digits. */
function isSameCell(ours, theirs) {
  if (String(ours) === String(theirs)) return true;
  const [a, b] = [Number(ours), Number(theirs)];
  return Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(a), Math.abs(b));
}

export function mustBeSame(name, ours, theirs) {
  const isSame = ours.length === theirs.length && ours.every((row, r) => row.every((cell, c) => isSameCell(cell, theirs[r][c])));
  if (!isSame) throw new Error(`${name}: ${JSON.stringify(ours.slice(0, 3))} here, ${JSON.stringify(theirs.slice(0, 3))} there`);
}

/** `WHERE` of a half-open range of time, in epoch ms. */
export function within(fromMs, toMs) {
  const at = (ms) => `TIMESTAMPTZ '${new Date(ms).toISOString()}'`;
  return ` WHERE _timestamp >= ${at(fromMs)} AND _timestamp < ${at(toMs)}`;
}
