// Produces and consumes, in a process of its own, with this project's client. Batches are made beforehand and sent as
// copies, and what is fetched is walked batch by batch, not record by record: so it is the broker that is measured.
import { createTopics, deleteTopics, openLogReader, openProducer, partitionOfKey } from '../../dist/client/index.js';
import { batchLastOffset, RecordBatchWriter, walkBatches } from '../../dist/wire/index.js';
import { answer } from './load.mjs';
import { flightRows } from './flights.mjs';

const clientId = 'thermocline-bench';
/** As this client seals by default, and about what librdkafka fills under load. */
const batchBytes = 512 * 1024;
/** As the usual clients ask: 1 MiB a partition, 50 MiB in all. */
const fetchPartitionBytes = 1024 * 1024;
const fetchBytes = 50 * 1024 * 1024;
const consumeDeadlineMs = 120_000;

/** Name → batches in the order of the log: `{ partition, bytes, records, valueBytes }`. */
const prepared = new Map();

/** Splits records over partitions by key and seals batches as they fill. */
class Batches {
  #open = [];
  #compression;
  all = [];

  constructor(partitions, compression) {
    this.#compression = compression;
    this.#open = Array.from({ length: partitions }, () => ({ writer: new RecordBatchWriter(batchBytes), valueBytes: 0 }));
  }

  append(partition, timestampMs, key, value) {
    const open = this.#open[partition];
    if (open.writer.count > 0 && open.writer.bytes + value.length + 64 > batchBytes) this.#seal(partition);
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
function prepareFixed({ name, valueBytes, totalBytes, partitions }) {
  const next = numbers(valueBytes);
  const templates = new Batches(1, 'none');
  const value = Buffer.alloc(valueBytes);
  while (templates.all.length < 1) {
    for (let i = 0; i < valueBytes; i++) value[i] = next(256);
    templates.append(0, 1_700_000_000_000, null, value);
  }
  const [template] = templates.all;
  const count = Math.max(partitions, Math.round(totalBytes / template.valueBytes));
  const batches = Array.from({ length: count }, (_, i) => ({ ...template, partition: i % partitions }));
  prepared.set(name, batches);
  return summed(batches);
}

/** The demo's flights as JSON of about 90 bytes, keyed by origin, lz4. */
async function prepareFlights({ name, records, partitions }) {
  const batches = new Batches(partitions, 'lz4');
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

const syllables = 'ba ce di fo gu la me ni po ru sa te vi xo zu'.split(' ');

/** JSON of about 1 KB with five scalar fields, the longest a text of words out of some hundreds; lz4. */
function prepareNotes({ name, records, partitions }) {
  const next = numbers(7);
  const words = Array.from({ length: 400 }, () => Array.from({ length: 1 + next(4) }, () => syllables[next(syllables.length)]).join(''));
  const firstMs = Date.UTC(2001, 0, 1);
  const batches = new Batches(partitions, 'lz4');
  for (let i = 0; i < records; i++) {
    let note = '';
    while (note.length < 900) note += `${words[next(words.length)]} `;
    const timestampMs = firstMs + i * 1000;
    const value = { id: i, at: new Date(timestampMs).toISOString(), delay: next(180) - 20, ratio: (next(1_000_000) + 0.5) / 1000, note };
    batches.append(i % partitions, timestampMs, null, Buffer.from(JSON.stringify(value)));
  }
  prepared.set(name, batches.finish());
  return summed(batches.all);
}

async function create({ bootstrap, topic, partitions, config }) {
  await createTopics({ bootstrap, clientId }, [{ name: topic, partitions, config }]);
}

async function remove({ bootstrap, topic }) {
  await deleteTopics({ bootstrap, clientId }, [topic]);
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

function cpuSince(before) {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** Reads a topic from its beginning to its present end, all partitions in one fetch after the other. */
async function consume({ bootstrap, topic }) {
  const reader = openLogReader({ bootstrap, clientId });
  try {
    const described = (await reader.topics()).find((one) => one.name === topic);
    const ends = await reader.listOffsets(
      described.name,
      described.partitions.map((partition) => ({ partition, timestampMs: -1 })),
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
        if (errorCode !== 0) throw new Error(`${topic}-${partition}: error ${errorCode}`);
        const place = left.get(partition);
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

answer({ prepareFixed, prepareFlights, prepareNotes, create, remove, produce, consume });
