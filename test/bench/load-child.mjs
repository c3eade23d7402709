// Produces and consumes, in a process of its own, with this project's client. Batches are made beforehand and sent as
// copies, and what is fetched is walked batch by batch, not record by record: so it is the broker that is measured.
import { connectBroker, openLogReader, openProducer, partitionOfKey } from '../../dist/client/index.js';
import { batchLastOffset, createTopicsApi, deleteTopicsApi, metadataApi, RecordBatchWriter, walkBatches } from '../../dist/wire/index.js';
import { answer } from './load.mjs';
import { flightRows } from './flights.mjs';
import { recordRows } from './sql-records.mjs';

const clientId = 'thermocline-bench';
/** As this client seals by default, and about what librdkafka fills under load. */
const defaultBatchBytes = 512 * 1024;
/** As the usual clients ask: 1 MiB a partition, 50 MiB in all. */
const fetchPartitionBytes = 1024 * 1024;
const fetchBytes = 50 * 1024 * 1024;
const consumeDeadlineMs = 120_000;
const leadersDeadlineMs = 60_000;
const adminTimeoutMs = 300_000;

/** Name → batches in the order of the log: `{ partition, bytes, records, valueBytes }`. */
const prepared = new Map();

/** Splits records over partitions by key and seals batches as they fill. */
class Batches {
  #open = [];
  #compression;
  #batchBytes;
  all = [];

  constructor(partitions, compression, batchBytes = defaultBatchBytes) {
    this.#compression = compression;
    this.#batchBytes = batchBytes;
    this.#open = Array.from({ length: partitions }, () => ({ writer: new RecordBatchWriter(this.#batchBytes), valueBytes: 0 }));
  }

  append(partition, timestampMs, key, value) {
    const open = this.#open[partition];
    if (open.writer.count > 0 && open.writer.bytes + value.length + 64 > this.#batchBytes) this.#seal(partition);
    open.writer.append(timestampMs, key, value);
    open.valueBytes += value.length;
  }

  #seal(partition) {
    const open = this.#open[partition];
    const records = open.writer.count;
    if (records === 0) return;
    this.all.push({ partition, records, valueBytes: open.valueBytes, bytes: open.writer.finish({ compression: this.#compression }) });
    open.valueBytes = 0;
  }

  finish() {
    for (const partition of this.#open.keys()) this.#seal(partition);
    return this.all;
  }
}

const summed = (batches) => ({
  records: batches.reduce((sum, batch) => sum + batch.records, 0),
  valueBytes: batches.reduce((sum, batch) => sum + batch.valueBytes, 0),
});

/** Numbers that look random and are the same in every run (xorshift). */
function numbers(seed) {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** Values of one size without keys, not compressed: what brokers are usually measured with. */
function prepareFixed({ name, valueBytes, totalBytes, partitions, batchBytes }) {
  const next = numbers(valueBytes);
  const templates = new Batches(1, 'none', batchBytes);
  const value = Buffer.alloc(valueBytes);
  while (templates.all.length < 1) {
    for (let i = 0; i < valueBytes; i++) value[i] = next(256);
    templates.append(0, 1_700_000_000_000, null, value);
  }
  const [template] = templates.all;
  const count = Math.max(partitions, Math.round(totalBytes / template.valueBytes));
  const batches = Array.from({ length: count }, (_, i) => ({ ...template, partition: i % partitions }));
  prepared.set(name, batches);
  return { ...summed(batches), batches: count };
}

/** The demo's flights as JSON of about 90 bytes, keyed by origin, lz4. */
async function prepareFlights({ name, records, partitions, compression = 'lz4' }) {
  const batches = new Batches(partitions, compression);
  const places = new Map();
  for await (const { timestampsMs, origins, values } of flightRows(records)) {
    for (let i = 0; i < values.length; i++) {
      let place = places.get(origins[i]);
      if (place === undefined) {
        const key = Buffer.from(origins[i]);
        place = { key, partition: partitionOfKey(key, partitions) };
        places.set(origins[i], place);
      }
      batches.append(place.partition, timestampsMs[i], place.key, Buffer.from(values[i]));
    }
  }
  prepared.set(name, batches.finish());
  return summed(batches.all);
}

/** Keyed records of `sql-records.mjs`, lz4; no batch holds more than `batchRecords`. */
async function prepareRecords({ name, partitions, batchRecords = Number.MAX_SAFE_INTEGER, ...records }) {
  const batches = new Batches(partitions, 'lz4');
  let count = 0;
  for await (const { timestampsMs, keys, values } of recordRows(records)) {
    for (let i = 0; i < values.length; i++) {
      const key = Buffer.from(keys[i]);
      batches.append(partitionOfKey(key, partitions), timestampsMs[i], key, Buffer.from(values[i]));
      if (++count % batchRecords === 0) batches.finish();
    }
  }
  prepared.set(name, batches.finish());
  return summed(batches.all);
}

/** Real flights as JSON of about 1 KB without keys: one with its five fields, and in a sixth the ten after it; lz4. */
async function prepareLegs({ name, records, partitions }) {
  const batches = new Batches(partitions, 'lz4');
  let group = [];
  let at = 0;
  for await (const { timestampsMs, values } of flightRows(records * legsEach)) {
    for (let i = 0; i < values.length; i++) {
      group.push(values[i]);
      if (group.length < legsEach) continue;
      const [first, ...others] = group;
      batches.append(at++ % partitions, timestampsMs[i], null, Buffer.from(`${first.slice(0, -1)},"next":[${others.join(',')}]}`));
      group = [];
    }
  }
  prepared.set(name, batches.finish());
  return summed(batches.all);
}

const legsEach = 11;
const syllables = 'ba ce di fo gu la me ni po ru sa te vi xo zu'.split(' ');
const firstMs = Date.UTC(2001, 0, 1);

/** Some hundred made-up words, and texts of them. */
function vocabulary(next) {
  const words = Array.from({ length: 400 }, () => Array.from({ length: 1 + next(4) }, () => syllables[next(syllables.length)]).join(''));
  return (characters) => {
    let text = '';
    while (text.length < characters) text += `${words[next(words.length)]} `;
    return text;
  };
}

/** JSON of about 1 KB in many fields, as a service's access log has them: numbers, ids, names out of a few, nested ones. */
function accessLog(next) {
  const text = vocabulary(next);
  const hex = (digits) => Array.from({ length: digits }, () => next(16).toString(16)).join('');
  const agents = Array.from({ length: 40 }, () => `Mozilla/5.0 (${text(40)}) ${text(30)}/${next(140)}.0.${next(9000)}`);
  const some = (prefix, count) => `${prefix}-${next(count)}`;
  return (i) => ({
    id: i,
    at: new Date(firstMs + i * 1000).toISOString(),
    level: next(50) === 0 ? 'error' : 'info',
    service: some('service', 30),
    host: some('host', 200),
    region: some('region', 6),
    method: next(4) === 0 ? 'POST' : 'GET',
    path: `/api/v1/${some('things', 100)}/${next(100_000)}`,
    status: next(20) === 0 ? 500 : 200,
    duration_ms: (next(100_000) + 0.5) / 100,
    bytes_in: next(4000),
    bytes_out: next(400_000),
    user_id: next(1_000_000),
    session: hex(32),
    ip: `10.${next(256)}.${next(256)}.${next(256)}`,
    agent: agents[next(agents.length)],
    referrer: `https://example.org/${some('page', 1000)}`,
    is_retry: next(10) === 0,
    score: (next(1_000_000) + 0.5) / 1_000_000,
    trace: { id: hex(32), span: hex(16), sampled: next(2) === 0 },
    tags: [some('tag', 20), some('tag', 20)],
    message: text(330),
  });
}

/** JSON of about 1 KB with five scalar fields, one of them a long text: as a typed column it is stored once more. */
function note(next) {
  const text = vocabulary(next);
  return (i) => ({
    id: i,
    at: new Date(firstMs + i * 1000).toISOString(),
    delay: next(180) - 20,
    ratio: (next(1_000_000) + 0.5) / 1000,
    note: text(900),
  });
}

const shapes = { events: accessLog, notes: note };
/** Values made; then they come again, far behind what compression looks back. */
const distinctMax = 50_000;

/** Values of one of the shapes without keys, by turns over the partitions, lz4. */
function prepareMade({ name, shape = name, records, partitions, compression = 'lz4' }) {
  const make = shapes[shape](numbers(7));
  const values = Array.from({ length: Math.min(records, distinctMax) }, (_, i) => Buffer.from(JSON.stringify(make(i))));
  const batches = new Batches(partitions, compression);
  for (let i = 0; i < records; i++) batches.append(i % partitions, firstMs + i * 1000, null, values[i % values.length]);
  prepared.set(name, batches.finish());
  return summed(batches.all);
}

/** One question on a connection of its own. */
async function askOnce(bootstrap, api, request) {
  const connection = await connectBroker({ bootstrap, clientId });
  try {
    return await connection.request(api, request, { timeoutMs: adminTimeoutMs });
  } finally {
    connection.close();
  }
}

function checked(what, { errorCode, errorMessage }) {
  if (errorCode !== 0) throw new Error(`${what}: error ${errorCode} ${errorMessage ?? ''}`);
}

/** `numPartitions` of thousands may take a busy disk longer than clients wait. */
async function create({ bootstrap, topic, partitions, config = {} }) {
  const configs = Object.entries(config).map(([name, value]) => ({ name, value }));
  const asked = { name: topic, numPartitions: partitions, replicationFactor: -1, assignments: [], configs };
  const { topics } = await askOnce(bootstrap, createTopicsApi, { topics: [asked], timeoutMs: adminTimeoutMs });
  checked(`creating ${topic}`, topics[0]);
}

async function remove({ bootstrap, topic }) {
  const asked = { topicNames: [topic], topics: [{ name: topic }], timeoutMs: adminTimeoutMs };
  const { responses } = await askOnce(bootstrap, deleteTopicsApi, asked);
  checked(`deleting ${topic}`, responses[0]);
}

/** Asks until each partition has a leader; resolves to the ms that took. */
async function untilLed({ bootstrap, topic, partitions }) {
  const startMs = performance.now();
  const connection = await connectBroker({ bootstrap, clientId });
  try {
    for (;;) {
      const answer = await connection.request(metadataApi, { topics: [{ name: topic }], allowAutoTopicCreation: false });
      const [described] = answer.topics;
      const isLed = described?.errorCode === 0 && described.partitions.length === partitions;
      if (isLed && described.partitions.every(({ errorCode, leaderId }) => errorCode === 0 && leaderId >= 0))
        return performance.now() - startMs;
      if (performance.now() - startMs > leadersDeadlineMs) throw new Error(`${topic} has no leaders after ${leadersDeadlineMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  } finally {
    connection.close();
  }
}

/** Sends prepared batches, all or from one share of them to another; ends when the last is acknowledged. */
async function produce({ bootstrap, topic, name, acks, from = 0, to = 1 }) {
  const all = prepared.get(name);
  const batches = all.slice(Math.round(all.length * from), Math.round(all.length * to));
  const producer = openProducer({ bootstrap, clientId, acks });
  const target = await producer.topic(topic);
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  for (const { partition, bytes } of batches) {
    // The producer stamps what it sends.
    const wait = target.appendBatch(partition, Buffer.from(bytes));
    if (wait !== undefined) await wait;
  }
  await producer.close();
  return { ms: performance.now() - startMs, ...summed(batches), clientCpuSeconds: cpuSince(cpu) };
}

/**
 * Produces small batches at an even pace, each to be acknowledged when it is on disk, whatever has become of those before it; and
 * answers how long each took, in ms.
 */
async function produceSteadily({ bootstrap, topic, seconds, batchesPerSecond, batchBytes: wantedBytes, valueBytes = 1000 }) {
  const producer = openProducer({ bootstrap, clientId, acks: -1, lingerMs: 0, bufferBytes: 256 * 1024 * 1024 });
  const target = await producer.topic(topic);
  const writer = new RecordBatchWriter(wantedBytes);
  const next = numbers(11);
  const value = Buffer.alloc(valueBytes);
  while (writer.bytes + value.length < wantedBytes) {
    for (let i = 0; i < value.length; i++) value[i] = next(256);
    writer.append(Date.now(), null, value);
  }
  const batch = writer.finish();
  const partitions = target.partitions ?? 1;
  const latencies = [];
  const pending = [];
  const startMs = performance.now();
  const count = Math.round(seconds * batchesPerSecond);
  for (let i = 0; i < count; i++) {
    const dueMs = startMs + (i * 1000) / batchesPerSecond;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    // From when it was due: what waits here because the service is slow has waited for the service. A timer may come a little early.
    const fromMs = Math.min(dueMs, performance.now());
    const sent = producer.sendBatch(topic, i % partitions, Buffer.from(batch)).then(() => latencies.push(performance.now() - fromMs));
    pending.push(sent);
  }
  await Promise.all(pending);
  await producer.close();
  latencies.sort((a, b) => a - b);
  const at = (share) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))];
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: latencies.at(-1), batches: latencies.length, bytes: batch.length * latencies.length };
}

function cpuSince(before) {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** What times stand for: the end, and where the local log starts. */
const places = { end: -1, 'local start': -4 };

/** Sum over a topic's partitions of the offsets at a place. */
async function offsets({ bootstrap, topic, place }) {
  const reader = openLogReader({ bootstrap, clientId });
  try {
    const { name, partitions } = (await reader.topics()).find((one) => one.name === topic);
    const found = await reader.listOffsets(
      name,
      partitions.map((partition) => ({ partition, timestampMs: places[place] })),
    );
    return found.reduce((sum, { offset }) => sum + Math.max(0, offset), 0);
  } finally {
    await reader.close();
  }
}

/** Reads a topic from its beginning to its present end, or only its cold part, all partitions in one fetch after the other. */
async function consume({ bootstrap, topic, to = 'end' }) {
  const reader = openLogReader({ bootstrap, clientId });
  try {
    const described = (await reader.topics()).find((one) => one.name === topic);
    const ends = await reader.listOffsets(
      described.name,
      described.partitions.map((partition) => ({ partition, timestampMs: places[to] })),
    );
    const left = new Map(ends.filter(({ offset }) => offset > 0).map(({ partition, offset }) => [partition, { next: 0, end: offset }]));
    const records = ends.reduce((sum, { offset }) => sum + offset, 0);
    let bytes = 0;
    let fetches = 0;
    const cpu = process.cpuUsage();
    const startMs = performance.now();
    while (left.size > 0) {
      if (performance.now() - startMs > consumeDeadlineMs) throw new Error(`${topic} was not read within ${consumeDeadlineMs} ms`);
      const wanted = [...left].map(([partition, { next }]) => ({
        topicId: described.id,
        partition,
        offset: next,
        maxBytes: fetchPartitionBytes,
      }));
      const answers = await reader.fetch(wanted, { maxWaitMs: 500, minBytes: 1, maxBytes: fetchBytes, isolation: 'uncommitted' });
      fetches++;
      for (const { partition, errorCode, records: fetched } of answers) {
        const place = left.get(partition);
        if (errorCode !== 0) throw new Error(`${topic}-${partition} at ${place.next} of ${place.end}: error ${errorCode}`);
        const end = walkBatches(fetched, (at) => {
          place.next = batchLastOffset(fetched, at) + 1;
        });
        bytes += end;
        if (end === 0) continue;
        // Whoever was served goes to the end of the line, as clients do.
        left.delete(partition);
        if (place.next < place.end) left.set(partition, place);
      }
    }
    return { ms: performance.now() - startMs, records, bytes, fetches, clientCpuSeconds: cpuSince(cpu) };
  } finally {
    await reader.close();
  }
}

answer({
  prepareFixed,
  prepareFlights,
  prepareLegs,
  prepareMade,
  prepareRecords,
  create,
  remove,
  untilLed,
  produce,
  produceSteadily,
  consume,
  offsets,
});
