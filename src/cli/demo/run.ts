/**
 * The demo, step by step: start the service, produce the flights while they cool, leave the last part hot, ask across both
 * tiers and compare each answer with the original file, read everything back through Kafka and compare that too.
 */
import { join, resolve } from 'node:path';
import { createTopics, deleteTopics, openLogReader, openProducer, readBatches } from '../../client/index.js';
import { formatBytes, formatDurationMs, isLakeError, LakeError, systemClock } from '../../kernel/index.js';
import { emit, httpTokenOf, serve, type Service, stopSignal } from '../../server/index.js';
import { openLogger } from '../../telemetry/index.js';
import { batchCompression, batchHeaderBytes, decompress, RecordCursor } from '../../wire/index.js';
import { callGateway, getJson, showToken } from '../client-options.js';
import { usageError } from '../exit.js';
import { Progress } from '../progress.js';
import { type ServerFlags, serverConfigOf } from '../server-options.js';
import { renderTable } from '../table.js';
import { ValueChecksum } from './checksum.js';
import { type Flights, openFlights } from './flights.js';
import { differences, originalSql, type Question, questionsOf, serviceSql } from './questions.js';

export interface DemoFlags extends ServerFlags {
  readonly records?: string;
  readonly synthetic?: boolean;
  readonly exit?: boolean;
}

const topic = 'flights';
const partitions = 6;
/** Share of the flights that is flushed and evicted; the rest stays hot. */
const coldShare = 0.85;
/** Raw bytes of a cold file: smaller than by default, so that cooling is seen while producing and whole weeks can be pruned. */
const coldFileBytes = 16 * 1024 * 1024;
/** A batch of a producer inflates to a few MiB; far above it something is wrong. */
const inflatedBytesMax = 256 * 1024 * 1024;

const say = (line = ''): void => {
  process.stdout.write(`${line}\n`);
};
const rate = (count: number, ms: number): string => Math.round(count / Math.max(0.001, ms / 1000)).toLocaleString('en-US');

interface StorageAnswer {
  readonly hot_bytes: number;
  readonly cold_bytes: number | null;
  readonly partitions: readonly { readonly boundary: number; readonly high_watermark: number }[];
}

const storageOf = (http: string): Promise<StorageAnswer> => getJson<StorageAnswer>(http, `/v1/topics/${topic}/storage`);

/** Hot and cold bytes for the second bar, asked twice a second. */
class StorageWatch {
  latest: StorageAnswer | undefined;
  readonly #timer: NodeJS.Timeout;
  constructor(http: string) {
    this.#timer = setInterval(() => {
      // A glance at the bytes may fail while roles start; the next one tells.
      storageOf(http).then(
        (storage) => {
          this.latest = storage;
        },
        () => undefined,
      );
    }, 500);
  }

  line(): { done: number | undefined; label: string; text: string } {
    const storage = this.latest;
    if (storage === undefined) return { done: undefined, label: 'storage', text: 'nothing yet' };
    const end = storage.partitions.reduce((sum, p) => sum + p.high_watermark, 0);
    const cold = storage.partitions.reduce((sum, p) => sum + p.boundary, 0);
    return {
      done: end === 0 ? 0 : cold / end,
      label: 'cold',
      text: `${cold.toLocaleString('en-US')} of ${end.toLocaleString('en-US')} records · bucket ${formatBytes(storage.cold_bytes ?? 0)} · local disk ${formatBytes(storage.hot_bytes)}`,
    };
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

async function makeTopic(bootstrap: string): Promise<void> {
  const client = { bootstrap, clientId: 'thermocline-demo' };
  try {
    await deleteTopics(client, [topic]);
    say(`The topic ${topic} of an earlier run was deleted.`);
  } catch (error) {
    if (!isLakeError(error, 'topic-unknown')) throw error;
  }
  await createTopics(client, [{ name: topic, partitions, config: { 'lake.file.bytes': String(coldFileBytes) } }]);
}

interface Produced {
  readonly checksum: ValueChecksum;
  ms: number;
}

/** Produces flights [from, to) keyed by origin, with the flight's date as the record's timestamp. */
async function produce(service: Service, flights: Flights, from: number, to: number, produced: Produced): Promise<void> {
  const producer = openProducer({ bootstrap: service.kafka, clientId: 'thermocline-demo', acks: -1, compression: 'lz4' });
  const target = await producer.topic(topic);
  const watch = new StorageWatch(service.http);
  const startedMs = systemClock.monotonicMs();
  let sent = 0;
  let bytes = 0;
  const progress = new Progress(() => {
    const ms = systemClock.monotonicMs() - startedMs;
    const etaMs = sent === 0 ? 0 : ((to - from - sent) / sent) * ms;
    const text = `${rate(sent, ms)} records/s · ${(bytes / 1e6 / Math.max(0.001, ms / 1000)).toFixed(1)} MB/s · ${etaMs < 500 ? 'done' : `${formatDurationMs(etaMs)} left`}`;
    return [{ done: sent / (to - from), label: 'produce', text }, watch.line()];
  });
  const partitionByOrigin = new Map<string, { key: Buffer; partition: number }>();
  try {
    for await (const chunk of flights.chunks(from, to)) {
      for (let i = 0; i < chunk.values.length; i++) {
        const origin = chunk.origins[i]!;
        let place = partitionByOrigin.get(origin);
        if (place === undefined) {
          const key = Buffer.from(origin);
          place = { key, partition: target.partitionOf(key) };
          partitionByOrigin.set(origin, place);
        }
        const value = Buffer.from(chunk.values[i]!);
        produced.checksum.add(value);
        bytes += value.length;
        const wait = target.append(place.partition, chunk.timestampsMs[i]!, place.key, value);
        if (wait !== undefined) await wait;
      }
      sent += chunk.values.length;
    }
    await producer.close();
  } finally {
    watch.stop();
    progress.stop();
  }
  produced.ms += systemClock.monotonicMs() - startedMs;
}

interface Asked {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly rows: readonly (readonly unknown[])[];
  readonly stats: Readonly<Record<string, number>>;
  readonly error?: unknown;
}

/** Asks the service and the original, prints both, and gives the number of rows that differ. */
async function compare(service: Service, flights: Flights, question: Question): Promise<number> {
  const sql = serviceSql(topic, question);
  const response = await callGateway(service.http, '/v1/query', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sql }),
  });
  const answer = (await response.json()) as Asked;
  if (answer.error !== undefined) throw new LakeError('peer-refused', `the query failed midway: ${JSON.stringify(answer.error)}`);
  const original = await flights.ask(originalSql(question));
  const different = differences(answer.rows, original);
  const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
  say();
  say(`Flights and mean delay by origin, ${day(question.fromMs)} to ${day(question.toMs)}: ${question.title}`);
  say(
    renderTable(
      [{ name: 'origin' }, { name: 'flights', isNumeric: true }, { name: 'mean_delay', isNumeric: true }],
      answer.rows.slice(0, 5).map(([origin, count, delay]) => [origin, count, Number(delay).toFixed(2)]),
    ),
  );
  const { hot_rows = 0, cold_files = 0, cold_bytes = 0, pruned_files = 0, elapsed_ms = 0 } = answer.stats;
  say(
    `… ${answer.rows.length} origins · ${hot_rows.toLocaleString('en-US')} hot rows · ${cold_files} cold files (${formatBytes(cold_bytes)}) · ${pruned_files} files pruned · ${Math.round(elapsed_ms)} ms`,
  );
  say(
    different === 0 ? `equal to the original file, all ${original.length} rows` : `DIFFERENT from the original file in ${different} rows`,
  );
  return different;
}

/** Reads the whole topic from the beginning through the Kafka port and checks every value. */
async function consumeAll(service: Service, expected: ValueChecksum): Promise<{ found: ValueChecksum; ms: number }> {
  const reader = openLogReader({ bootstrap: service.kafka, clientId: 'thermocline-demo' });
  const found = new ValueChecksum();
  const startedMs = systemClock.monotonicMs();
  const progress = new Progress(() => {
    const ms = systemClock.monotonicMs() - startedMs;
    return [
      {
        done: found.records / expected.records,
        label: 'consume',
        text: `${rate(found.records, ms)} records/s · ${(found.bytes / 1e6 / Math.max(0.001, ms / 1000)).toFixed(1)} MB/s`,
      },
    ];
  });
  try {
    const described = (await reader.topics()).find((one) => one.name === topic)!;
    const ends = await reader.listOffsets(
      described.name,
      described.partitions.map((partition) => ({ partition, timestampMs: -1 })),
    );
    const cursor = new RecordCursor();
    for (const end of ends) {
      let next = 0;
      for await (const { buffer, at, bytes } of readBatches(reader, {
        topicId: described.id,
        partition: end.partition,
        offset: 0,
        endOffset: end.offset,
      })) {
        const records = decompress(batchCompression(buffer, at), buffer.subarray(at + batchHeaderBytes, at + bytes), inflatedBytesMax);
        cursor.reset(buffer, at, records);
        while (cursor.next()) {
          if (cursor.offset !== next)
            throw new LakeError('cold-corrupt', `partition ${end.partition}: offset ${cursor.offset} came where ${next} was due`);
          next++;
          found.add(cursor.buffer.subarray(cursor.valueAt, cursor.valueAt + cursor.valueLength));
        }
      }
    }
  } finally {
    progress.stop();
    await reader.close();
  }
  return { found, ms: systemClock.monotonicMs() - startedMs };
}

async function story(service: Service, flights: Flights): Promise<{ summary: string; isEqual: boolean }> {
  const total = flights.records;
  const coldRecords = Math.floor(total * coldShare);
  await makeTopic(service.kafka);
  say(`${total.toLocaleString('en-US')} flights of 2001, as JSON, keyed by origin, into ${partitions} partitions (lz4, acks=all)`);
  say();
  const produced: Produced = { checksum: new ValueChecksum(), ms: 0 };
  await produce(service, flights, 0, coldRecords, produced);

  say();
  say('Cutting, verifying and committing what is there, then dropping the local copy …');
  const watch = new StorageWatch(service.http);
  const flushing = new Progress(() => [watch.line()]);
  const startedMs = systemClock.monotonicMs();
  try {
    await callGateway(service.http, `/v1/tier/flush?topic=${topic}`, { method: 'POST' });
  } finally {
    watch.stop();
    flushing.stop();
  }
  const flushedMs = systemClock.monotonicMs() - startedMs;
  await callGateway(service.http, `/v1/tier/evict?topic=${topic}`, { method: 'POST' });
  const cooled = await storageOf(service.http);
  say(
    `${coldRecords.toLocaleString('en-US')} records in the bucket (${formatBytes(cooled.cold_bytes ?? 0)}), ${formatBytes(cooled.hot_bytes)} left on local disk, after ${formatDurationMs(flushedMs)}`,
  );
  say();
  await produce(service, flights, coldRecords, total, produced);
  say();
  say(
    `${rate(total, produced.ms)} records/s, ${(produced.checksum.bytes / 1e6 / (produced.ms / 1000)).toFixed(1)} MB/s of values, every record acknowledged from disk`,
  );

  const boundaryMs = await flights.dateOf(coldRecords);
  const questions = questionsOf(await flights.dateOf(0), boundaryMs, await flights.dateOf(total - 1));
  let different = 0;
  for (const question of questions) different += await compare(service, flights, question);

  say();
  say('Reading everything back from the beginning with a Kafka client …');
  const { found, ms } = await consumeAll(service, produced.checksum);
  const isSame = found.equals(produced.checksum);
  say(
    `${rate(found.records, ms)} records/s · ${isSame ? 'equal' : 'DIFFERENT'}: ${found.text()}${isSame ? '' : `, produced were ${produced.checksum.text()}`}`,
  );

  const isEqual = different === 0 && isSame;
  const verdict = isEqual ? 'all equal' : `NOT equal (${different} rows differ; consumed ${isSame ? 'equal' : 'different'})`;
  return {
    summary: `demo: ${total} records produced; ${questions.length} questions and ${found.records} consumed records compared with the original: ${verdict}`,
    isEqual,
  };
}

export async function runDemo(flags: DemoFlags): Promise<void> {
  const limit = flags.records === undefined ? undefined : Number(flags.records);
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 1000))
    throw usageError(`--records ${flags.records} is not a number of at least 1000`, 'Write --records 100000.');
  const set = [...(flags.set ?? [])];
  // The story decides what is cold and what is hot, unless the caller wants otherwise.
  if (!set.some((pair) => pair.startsWith('log.level='))) set.push('log.level=warn');
  const config = serverConfigOf({ ...flags, set });
  const token = httpTokenOf(config);
  showToken(token);
  const dataDir = resolve(config.get('data.dir'));
  const flights = await openFlights({
    ...(limit === undefined ? {} : { limit }),
    ...(flags.synthetic === true ? { syntheticPath: join(dataDir, 'demo', 'flights.parquet') } : {}),
  });
  const asked = stopSignal();
  const service = await serve(config, openLogger({ role: 'demo', level: config.get('log.level') }));
  emit({ event: 'ready', kafka: service.kafka, http: service.http, pid: process.pid });
  let exitCode = 0;
  try {
    const stopped = asked.then((signal) => {
      throw new LakeError('cancelled', `stopped by ${signal}`);
    });
    const { summary, isEqual } = await Promise.race([story(service, flights), stopped, service.failed]);
    exitCode = isEqual ? 0 : 1;
    if (flags.exit !== true) {
      say();
      say(`The service keeps running. Try${token === undefined ? '' : ' (with THERMOCLINE_TOKEN set, and curl with that header)'}:`);
      say(
        `  npx thermocline sql --server ${service.http} "SELECT origin, max(delay) FROM ${topic} GROUP BY origin ORDER BY 2 DESC LIMIT 5"`,
      );
      say(`  npx thermocline topic describe-storage ${topic} --server ${service.http}`);
      say(`  kcat -b ${service.kafka} -t ${topic} -C -o beginning -c 3`);
      say(`  curl -s '${service.http}/v1/topics/${topic}/records?from=2001-03-01&limit=3'`);
      say('Ctrl-C stops it.');
      say();
    }
    say(summary);
    flights.close();
    if (flags.exit !== true) await Promise.race([asked, service.failed]);
  } finally {
    await service.stop();
  }
  process.exit(exitCode);
}
