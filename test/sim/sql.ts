/**
 * SQL in the simulated world: the product's query service, engines and all, asked now and then for everything in a topic, hot and cold,
 * and held against the model.
 *
 *     in virtual time: describe · flush · fetch the tail      as answers of the broker, over simulated links
 *     while it stands still: pin · tail · tables · lease · engine      on those answers, and on the bucket as it is then
 *
 * The service waits for files and child processes, which no simulated clock knows of; so what the broker has to say is fetched ahead, as
 * low as the service may ask for, and the query itself takes no virtual time. It lives as long as the run: its snapshots and
 * chunks grow old as in service.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FetchedPartition, LogReader } from '../../src/client/index.js';
import type { BrokerState, ControlMethod, ControlResult } from '../../src/control/index.js';
import { type Clock, isLakeError, LakeError, MiB, sum, systemClock, systemRandom } from '../../src/kernel/index.js';
import { blobMark } from '../../src/query/blob-mark.js';
import { openQueryService, type QueryService } from '../../src/query/index.js';
import { silentLogger } from '../../src/telemetry/index.js';
import { batchLastOffset, kafkaErrors, walkBatches } from '../../src/wire/index.js';
import { inlineColumnWorkers } from '../support/column-workers.js';
import type { SimRow } from '../support/sim-workers.js';
import type { ClientTopic } from './client.js';
import { fetchFrom } from './kafka-port.js';
import type { PartitionModel } from './model.js';
import { Violation } from './scheduler.js';
import { upkeepTimes, type World } from './world.js';

/** One run in so many asks in SQL: such a one takes three times the time. */
const sqlEvery = 41;

export function asksInSql(seed: number): boolean {
  return seed % sqlEvery === 0;
}

/** Fetches that bring nothing, because the cold side has not answered in time, before a query is given up. */
const emptyFetchesMax = 40;
const fetchBytes = 1 * MiB;

/** What the broker said before a query, all of it over the wire. */
interface Said {
  readonly state: BrokerState;
  /** After the flush: for the question that is asked again. */
  readonly later: BrokerState;
  readonly flushed: ControlResult<'broker.flush'>;
  /** Record batches by partition, from the lowest offset the service may ask for. */
  readonly tails: ReadonlyMap<number, Buffer>;
  /** How far the model went when it was begun: all of it was acknowledged or read by then. */
  readonly reach: readonly number[];
  readonly promised: readonly number[];
}

type Row = readonly unknown[];

const columns = '_partition_id, _offset, _timestamp, _key, _value, _headers';

export class SqlClient {
  readonly #world: World;
  #service: Promise<QueryService> | undefined;
  #directory = '';
  #said: Said | undefined;
  /** Of the topic's table when it was asked about last, by topic id and partition: no snapshot that the service knows is older. */
  readonly #boundaries = new Map<string, number>();
  /** One at a time: what the broker said is for one query. */
  #turn: Promise<void> = Promise.resolve();
  asked = 0;
  rows = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Errors: `Violation`; a `LakeError` where the broker did not answer, or the topic is gone. */
  ask(topic: ClientTopic): Promise<void> {
    const asked = this.#turn.then(() => this.#ask(topic));
    this.#turn = asked.catch(() => undefined);
    return asked;
  }

  async close(): Promise<void> {
    await (await this.#service)?.close();
    if (this.#directory !== '') await rm(this.#directory, { recursive: true, force: true });
  }

  async #ask(topic: ClientTopic): Promise<void> {
    const said = await this.#listen(topic);
    await this.#world.scheduler.real(() => this.#compare(topic, said));
  }

  // In virtual time.

  async #listen(topic: ClientTopic): Promise<Said> {
    const models = this.#models(topic);
    const reach = models.map(({ bound }) => bound.length);
    const promised = models.map(({ promisedStart }) => promisedStart);
    const partitions = models.map((_, partition) => ({ partition, upTo: 'end' as const }));
    const { state, flushed, later } = await this.#world.asGateway(async (peer, signal) => ({
      state: await peer.call('broker.describe', {}, { signal }),
      flushed: await peer.call('broker.flush', { topicId: topic.id, partitions }, { signal }),
      later: await peer.call('broker.describe', {}, { signal }),
    }));
    const described = state.topics.find(({ id }) => id === topic.id);
    if (described === undefined) throw new LakeError('topic-unknown', `${topic.name} is gone`);
    const tails = new Map<number, Buffer>();
    for (const { partition, boundary, logStartOffset } of described.partitions) {
      const end = flushed.partitions.find((candidate) => candidate.partition === partition)?.flushedOffset ?? 0;
      const known = this.#boundaries.get(`${topic.id}/${partition}`) ?? 0;
      tails.set(partition, await this.#fetch(topic, partition, Math.max(logStartOffset, Math.min(known, boundary)), end));
      this.#boundaries.set(`${topic.id}/${partition}`, models[partition]?.tableBoundary ?? 0);
    }
    return { state, later, flushed, tails, reach, promised };
  }

  #models(topic: ClientTopic): PartitionModel[] {
    return Array.from({ length: topic.partitions }, (_, partition) => this.#world.model.of(topic.id, partition, topic.name));
  }

  async #fetch(topic: ClientTopic, partition: number, from: number, end: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let next = from;
    let empty = 0;
    while (next < end) {
      const records = await this.#fetchOnce(topic, partition, next);
      let reached = next;
      const bytes = walkBatches(records, (at) => {
        reached = batchLastOffset(records, at) + 1;
        return true;
      });
      parts.push(Buffer.from(records.subarray(0, bytes)));
      if (reached === next && ++empty > emptyFetchesMax) throw new LakeError('timeout', `nothing came at offset ${next}`);
      next = reached;
    }
    return Buffer.concat(parts);
  }

  async #fetchOnce(topic: ClientTopic, partition: number, offset: number): Promise<Buffer> {
    const limit = new AbortController();
    this.#world.scheduler.after(20_000, () => limit.abort(new LakeError('timeout', 'a fetch for a query gave up')));
    const [answer] = await fetchFrom(this.#world.kafka, [{ topicId: topic.id, partition, offset, maxBytes: fetchBytes }], {
      maxWaitMs: 500,
      minBytes: 1,
      maxBytes: fetchBytes,
      isolation: 'committed',
      signal: limit.signal,
    });
    if (answer === undefined || answer.errorCode !== 0) throw new LakeError('peer-refused', `fetch at ${offset}: ${answer?.errorCode}`);
    return answer.records;
  }

  // While it stands still.

  async #open(): Promise<QueryService> {
    this.#directory = await mkdtemp(join(tmpdir(), 'thermocline-sim-query-'));
    const { scheduler, plant, bucket, shape } = this.#world;
    const clock: Clock = {
      nowMs: () => scheduler.wallMs,
      monotonicMs: () => scheduler.nowMs,
      sleep: (ms, signal) => systemClock.sleep(ms, signal),
    };
    const workers = inlineColumnWorkers(join(this.#directory, 'columns'));
    return openQueryService({
      store: bucket.raw,
      reader: this.#reader,
      control: { call: (method) => Promise.resolve(this.#answer(method)) },
      workers: plant.queryWorkers?.(workers) ?? workers,
      cacheDir: join(this.#directory, 'cache'),
      clock,
      random: systemRandom,
      logger: silentLogger,
      limits: {
        tailMaxBytes: 64 * MiB,
        memoryBytes: 256 * MiB,
        timeoutMs: 60_000,
        concurrency: 1,
        cacheBytes: 64 * MiB,
        parquetBytesMax: 64 * MiB,
        // As the gateway has it, of a grace that is counted in wall time.
        snapshotUsableMs: upkeepTimes.graceMs / 2,
      },
      // Small ones as well, so that chunks with typed columns are met.
      tailEncodeBytesMin: shape.segmentBytes,
    });
  }

  get #now(): Said {
    if (this.#said === undefined) throw new Error('no query is under way');
    return this.#said;
  }

  #answer<M extends ControlMethod>(method: M): ControlResult<M> {
    if (method === 'broker.describe') return this.#now.state as ControlResult<M>;
    if (method === 'broker.flush') return this.#now.flushed as ControlResult<M>;
    throw new LakeError('unsupported', method);
  }

  readonly #reader: LogReader = {
    topics: () => Promise.reject(new LakeError('unsupported', 'not asked by a query')),
    listOffsets: () => Promise.reject(new LakeError('unsupported', 'not asked for a short tail')),
    close: async () => undefined,
    fetch: async (wanted) =>
      wanted.map((one): FetchedPartition => {
        const { topicId, partition, offset } = one;
        const tail = this.#now.tails.get(partition) ?? Buffer.alloc(0);
        let from = -1;
        walkBatches(tail, (at) => {
          if (batchLastOffset(tail, at) >= offset) from = at;
          return from < 0;
        });
        const log = this.#now.state.topics.find(({ id }) => id === topicId)?.partitions[partition];
        return {
          topicId,
          partition,
          errorCode: from < 0 ? kafkaErrors.OFFSET_OUT_OF_RANGE : 0,
          records: from < 0 ? Buffer.alloc(0) : tail.subarray(from),
          highWatermark: log?.highWatermark ?? 0,
          lastStableOffset: log?.lastStableOffset ?? 0,
          logStartOffset: log?.logStartOffset ?? 0,
          abortedTransactions: [],
        };
      }),
  };

  async #compare(topic: ClientTopic, said: Said): Promise<void> {
    this.#said = said;
    this.#service ??= this.#open();
    const service = await this.#service;
    try {
      const { rows, token } = await all(service, `SELECT ${columns} FROM ${topic.name} ORDER BY 1, 2`);
      this.asked++;
      this.rows += rows.length;
      this.#world.scheduler.trace('query', `${topic.name}: ${rows.length} rows`);
      const read = rows.map(rowOf);
      this.#requireWhole(topic, said, read);
      this.#said = { ...said, state: said.later };
      // Records that were deleted between the two are no longer kept for the token.
      if (logStarts(said.state, topic) === logStarts(said.later, topic)) await requireSums(service, topic, token, read);
    } catch (error) {
      if (!isLakeError(error)) throw error;
      // What became of the topic while it was listened to, the service may say; nothing else.
      if (error.code === 'log-offline' || !this.#world.isAlive(topic.id)) throw error;
      throw new Violation('sql', `a query of ${topic.name} failed: ${error.code} ${error.message}`);
    }
  }

  /** Every record from the log start to what was acknowledged before the query began, each once, as it was sent. */
  #requireWhole(topic: ClientTopic, { reach, promised }: Said, rows: readonly (SimRow & { readonly partition: number })[]): void {
    for (const [partition, known] of this.#models(topic).entries()) {
      const log = this.#world.broker?.core.topics.byId(topic.id)?.partitions.get(partition);
      const own = rows.filter((row) => row.partition === partition);
      let next = own[0]?.offset;
      for (const row of own) {
        if (row.offset !== next) throw new Violation('sql', `${known.where}: a query gave offset ${row.offset} where ${next} was next`);
        next++;
        known.see(row, true, 'a query');
      }
      const first = own[0]?.offset ?? Number.POSITIVE_INFINITY;
      if (first < (promised[partition] ?? 0)) {
        throw new Violation('sql', `${known.where}: a query began at ${first}, records below ${promised[partition]} were deleted`);
      }
      const start = Math.max(log?.logStartOffset ?? Number.POSITIVE_INFINITY, known.tableLogStart);
      // What a power cut has taken since was not durable, and is no longer in the model.
      const end = Math.min(reach[partition] ?? 0, known.bound.length);
      if (log !== undefined && start < end && (first > start || (next ?? 0) < end)) {
        throw new Violation('sql', `${known.where}: a query gave [${first}, ${next}) of what is [${start}, ${end}) at least`);
      }
    }
  }
}

async function all(service: QueryService, sql: string, asOf?: string): Promise<{ readonly rows: readonly Row[]; readonly token: string }> {
  const answer = await service.query({ sql, ...(asOf === undefined ? {} : { asOf }) }, new AbortController().signal);
  const rows: Row[] = [];
  for await (const chunk of answer.rows) rows.push(...chunk);
  return { rows, token: answer.token };
}

function logStarts({ topics }: BrokerState, { id }: ClientTopic): string {
  return JSON.stringify(topics.find((topic) => topic.id === id)?.partitions.map((partition) => partition.logStartOffset));
}

/** Text, or bytes behind a mark, as an answer has them; in base64. */
function base64(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  const text = value as string;
  return text.startsWith(blobMark) ? text.slice(blobMark.length) : Buffer.from(text).toString('base64');
}

function rowOf([partition, offset, timestamp, key, value, headers]: Row): SimRow & { readonly partition: number } {
  return {
    partition: partition as number,
    offset: offset as number,
    timestampMs: Date.parse(timestamp as string),
    leaderEpoch: 0,
    key: base64(key),
    value: base64(value),
    headers: ((headers ?? []) as { readonly key: string; readonly value: unknown }[]).map((header) => [
      Buffer.from(header.key).toString('base64'),
      base64(header.value),
    ]),
  };
}

/** The same rows by the answer's token, counted and added up by the engine, typed columns and all. */
async function requireSums(
  service: QueryService,
  topic: ClientTopic,
  token: string,
  rows: readonly (SimRow & { readonly partition: number })[],
): Promise<void> {
  const fields = rows.map((row) => ({ row, fields: fieldsOf(row.value) }));
  const has = (name: string): boolean => fields.some((one) => one.fields[name] !== undefined);
  const counted = ['name', 'n', 'deep', 'f0'].filter(has);
  const asked = [
    'count(*)',
    'count(_value)',
    'sum(_offset)',
    ...(has('id') ? ['sum(id)'] : []),
    ...counted.map((name) => `count("${name}")`),
  ];
  const { rows: found } = await all(service, `SELECT _partition_id, ${asked.join(', ')} FROM ${topic.name} GROUP BY 1 ORDER BY 1`, token);
  const expected = Array.from({ length: topic.partitions }, (_, partition) => {
    const own = fields.filter(({ row }) => row.partition === partition);
    const ids = own.flatMap((one) => (one.fields['id'] === undefined ? [] : [Number(one.fields['id'])]));
    return [
      partition,
      own.length,
      own.filter(({ row }) => row.value !== null).length,
      sum(own.map(({ row }) => row.offset)),
      ...(has('id') ? [ids.length === 0 ? null : sum(ids)] : []),
      ...counted.map((name) => own.filter((one) => one.fields[name] !== undefined).length),
    ];
  }).filter(([, count]) => count !== 0);
  const text = JSON.stringify(found.map((row) => row.map((value) => (value === null ? null : Number(value)))));
  if (text !== JSON.stringify(expected)) {
    throw new Violation('sql', `${asked.join(', ')} of ${topic.name} are ${text}, and should be ${JSON.stringify(expected)}`);
  }
}

/** What a value contributes to typed columns. */
function fieldsOf(value: string | null): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(value ?? '', 'base64').toString());
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
