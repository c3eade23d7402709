/** The world's clients: they produce, read and manage topics as Kafka's do, and hold every answer against the model. */
import { LakeError, type TopicId, isLakeError } from '../../src/kernel/index.js';
import {
  createTopicsApi,
  deleteRecordsApi,
  deleteTopicsApi,
  encodeBatch,
  kafkaErrors,
  listOffsetsApi,
  type NewRecord,
  produceApi,
} from '../../src/wire/index.js';
import type { Seeded } from '../support/seed.js';
import { AppendBounds } from './append-bounds.js';
import { IdempotentProducer } from './idempotent.js';
import { fetchFrom } from './kafka-port.js';
import { idHeader, type PartitionModel, rowsOf } from './model.js';
import { Violation } from './scheduler.js';
import type { SqlClient } from './sql.js';
import { upkeepTimes, type World } from './world.js';

export interface ClientTopic {
  readonly name: string;
  readonly id: TopicId;
  readonly partitions: number;
}

/** A request nobody answers is given up after this. */
const requestMsMax = 40_000;
/** Of a query: its log start may be raised between two of its requests. */
const sqlTriesMax = 5;
/** What a broker may answer to a produce without breaking a promise. */
const mayRefuseProduce: ReadonlySet<number> = new Set([kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION, kafkaErrors.KAFKA_STORAGE_ERROR]);

export class Clients {
  readonly topics = new Map<string, ClientTopic>();
  readonly appended = new AppendBounds();
  readonly #world: World;
  readonly #sql: SqlClient | undefined;
  /** Requests under way. */
  readonly #pending = new Set<Promise<void>>();
  /** Two a partition at most. */
  readonly #idempotent = new Map<string, IdempotentProducer>();
  acknowledged = 0;
  refused = 0;
  read = 0;

  constructor(world: World, sql?: SqlClient) {
    this.#world = world;
    this.#sql = sql;
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** Lets work run beside the steps; only a broken promise ends the run. */
  begin(work: () => Promise<void>): void {
    const running = work().catch((error: unknown) => {
      if (!(error instanceof LakeError)) this.#world.scheduler.fail(error as Error);
    });
    this.#pending.add(running);
    void running.then(() => this.#pending.delete(running));
  }

  #deadline(): AbortSignal {
    const limit = new AbortController();
    this.#world.scheduler.after(requestMsMax, () => limit.abort(new LakeError('timeout', 'a client gave up')));
    return limit.signal;
  }

  async createTopic(name: string, partitions: number): Promise<void> {
    const { shape } = this.#world;
    const configs = {
      'lake.commit.interval.ms': String(shape.commitIntervalMs),
      'local.retention.ms': String(shape.localRetentionMs),
      'retention.ms': String(shape.retentionMs < 0 ? -1 : shape.retentionMs * shape.wallSpeed),
      'retention.bytes': String(shape.retentionBytes),
      'lake.snapshot.max.age.ms': String(shape.snapshotMaxAgeMs * shape.wallSpeed),
      'lake.delete.max.delay.ms': String(5_000 * shape.wallSpeed),
    };
    const { topics } = await this.#world.kafka.request(
      createTopicsApi,
      7,
      {
        topics: [
          {
            name,
            numPartitions: partitions,
            replicationFactor: -1,
            assignments: [],
            configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
          },
        ],
        timeoutMs: 1000,
        validateOnly: false,
      },
      this.#deadline(),
    );
    const created = topics[0];
    // An earlier request whose answer was lost may have made it.
    const record = created === undefined ? undefined : this.#world.broker?.core.topics.byName(name)?.record;
    if (record !== undefined && this.#world.isAlive(record.id)) this.topics.set(name, record);
  }

  /** Raises a partition's log start somewhere into what is there. */
  async deleteRecords(topic: ClientTopic, partition: number, offset: number): Promise<void> {
    const answer = await this.#world.kafka.request(
      deleteRecordsApi,
      2,
      { topics: [{ name: topic.name, partitions: [{ partitionIndex: partition, offset }] }], timeoutMs: 1000 },
      this.#deadline(),
    );
    const answered = answer.topics[0]?.partitions[0];
    const known = this.partition(topic, partition);
    this.#world.scheduler.trace(
      'client',
      `${known.where}: records below ${offset} deleted, ${answered?.errorCode} ${answered?.lowWatermark}`,
    );
    if (answered === undefined || answered.errorCode !== 0) return;
    if (answered.lowWatermark < offset) {
      throw new Violation(
        'not-deleted',
        `${known.where}: records below ${offset} were deleted, the log starts at ${answered.lowWatermark}`,
      );
    }
    known.promisedStart = Math.max(known.promisedStart, answered.lowWatermark);
  }

  /** Each topic, where the run asks in SQL, until it is answered: with nothing in its way but retention, that is soon. */
  async askInSql(): Promise<void> {
    if (this.#sql === undefined) return;
    for (const topic of this.topics.values()) {
      for (let tries = 1; ; tries++) {
        try {
          await this.#sql.ask(topic);
          break;
        } catch (error) {
          if (!isLakeError(error) || tries === sqlTriesMax) throw error;
          await this.#world.scheduler.sleep(500);
        }
      }
    }
  }

  /** Reads the cold side of a snapshot as a query does: one that begins on it finds all of it until its time is up. */
  async query(topic: ClientTopic, random: Seeded): Promise<void> {
    const { tables, scheduler } = this.#world;
    await this.#sql?.ask(topic);
    const snapshot = await tables.pin(topic);
    if (snapshot === undefined) return;
    for (const part of [0.1, 0.3, 0.5]) {
      await scheduler.sleep(random.float() * part * upkeepTimes.graceMs);
      await tables.requireReadable(topic, snapshot);
    }
  }

  async deleteTopic({ name, id }: ClientTopic): Promise<void> {
    this.topics.delete(name);
    this.#world.deletedTopics.add(id);
    await this.#world.kafka.request(deleteTopicsApi, 5, { topicNames: [name], timeoutMs: 1000 }, this.#deadline());
  }

  partition({ id, name }: ClientTopic, partition: number): PartitionModel {
    return this.#world.model.of(id, partition, name);
  }

  async produce(topic: ClientTopic, partition: number, acks: 0 | 1 | -1, random: Seeded): Promise<void> {
    const known = this.partition(topic, partition);
    const sentMs = this.#world.scheduler.wallMs;
    const records: NewRecord[] = [];
    const ids: number[] = [];
    for (let count = random.whole(1, 9); count > 0; count--) {
      const id = this.#world.model.nextId();
      const record = newRecord(id, this.#world.scheduler.wallMs, random);
      known.send(id, record);
      records.push(record);
      ids.push(id);
    }
    const compression = random.pick(['none', 'none', 'none', 'gzip', 'snappy', 'lz4'] as const);
    const batch = encodeBatch({ records, compression });
    const answer = await this.#world.kafka.request(
      produceApi,
      9,
      { acks, timeoutMs: 1000, topicData: [{ name: topic.name, partitionData: [{ index: partition, records: batch }] }] },
      this.#deadline(),
    );
    const answered = answer.responses[0]?.partitionResponses[0];
    if (answered === undefined) return;
    if (answered.errorCode !== 0) {
      this.refused++;
      this.#world.scheduler.trace('client', `${known.where}: produce refused, ${answered.errorCode} ${answered.errorMessage ?? ''}`);
      if (!mayRefuseProduce.has(answered.errorCode)) {
        throw new Violation('refused', `${known.where}: a produce was answered with ${answered.errorCode}: ${answered.errorMessage ?? ''}`);
      }
      return;
    }
    this.acknowledged += records.length;
    this.#world.scheduler.trace('client', `${known.where}: ${records.length} records at ${answered.baseOffset}, acks=${acks}`);
    known.acknowledge(answered.baseOffset, ids, acks === -1);
    this.appended.note(topic, partition, ids, sentMs, this.#world.scheduler.wallMs);
  }

  /** As clients do, with `check.crcs`: what fails it is no record, and nobody may be given it where nothing has rotted. Errors: `batch-corrupt`. */
  #rowsRead(topic: ClientTopic, partition: number, records: Buffer): ReturnType<typeof rowsOf> {
    try {
      return rowsOf(records);
    } catch (error) {
      const { where } = this.partition(topic, partition);
      if (isLakeError(error) && this.#world.rot.isIn({ topic: topic.name, partition })) throw error;
      throw new Violation('altered', `a fetch of ${where} gave what is no batch: ${(error as Error).message}`);
    }
  }

  /** Sends so many batches by one of the partition's idempotent producers; a new one where that has given up. */
  async produceOnce(topic: ClientTopic, partition: number, batches: number, random: Seeded): Promise<void> {
    const place = `${topic.id}/${partition}/${random.whole(0, 2)}`;
    let producer = this.#idempotent.get(place);
    if (producer === undefined || producer.isOver) {
      const known = this.partition(topic, partition);
      producer = new IdempotentProducer(this.#world, {
        name: topic.name,
        partition,
        known,
        isThere: () => this.topics.get(topic.name)?.id === topic.id,
        newRecord: (draw) => {
          const id = this.#world.model.nextId();
          return { id, record: newRecord(id, this.#world.scheduler.wallMs, draw) };
        },
        acknowledged: (ids, baseOffset) => {
          this.acknowledged += ids.length;
          known.acknowledge(baseOffset, ids, true);
        },
      });
      this.#idempotent.set(place, producer);
    }
    await producer.send(batches, random);
  }

  /** Asks for the first record at or above a time: none below the answer is one, and the one at it is. */
  async seekTime(topic: ClientTopic, partition: number, timestampMs: number): Promise<void> {
    const known = this.partition(topic, partition);
    const topics = [{ name: topic.name, partitions: [{ partitionIndex: partition, timestamp: timestampMs }] }];
    // What was there before the question; more may be known when it is answered.
    const [logStart, durable] = [known.logStart, known.durableRecords()];
    const request = { replicaId: -1, isolationLevel: 0, topics };
    const answer = await this.#world.kafka.request(listOffsetsApi, 9, request, this.#deadline());
    const answered = answer.topics[0]?.partitions[0];
    if (answered === undefined || answered.errorCode !== 0) return;
    this.#world.scheduler.trace('client', `${known.where}: the first record at ${timestampMs} is ${answered.offset}`);
    known.requireFirstAt(timestampMs, answered, { logStart, durable });
  }

  /**
   * Reads from an offset to the end as it was when asked for first. Every offset comes exactly once, in order. With `isPatient` an
   * empty answer or an error is asked again; else reading ends.
   */
  async consume(
    topic: ClientTopic,
    partition: number,
    from: number,
    options: { readonly isPatient: boolean; readonly fetchBytes: number },
  ): Promise<number> {
    const known = this.partition(topic, partition);
    let next = from;
    let end: number | undefined;
    while (end === undefined || next < end) {
      const life = this.#world.broker?.process;
      let answer;
      try {
        [answer] = await fetchFrom(this.#world.kafka, [{ topicId: topic.id, partition, offset: next, maxBytes: options.fetchBytes }], {
          maxWaitMs: 500,
          minBytes: 1,
          maxBytes: options.fetchBytes,
          isolation: 'committed',
          signal: this.#deadline(),
        });
      } catch (error) {
        if (!isLakeError(error) || !options.isPatient) throw error;
        await this.#world.scheduler.sleep(500);
        continue;
      }
      if (answer === undefined) return next;
      if (answer.errorCode !== 0) {
        const isAlive = this.#world.isAlive(topic.id);
        const isSame = life !== undefined && life === this.#world.broker?.process;
        const log = this.#world.broker?.core.topics.byId(topic.id)?.partitions.get(partition);
        if (
          answer.errorCode === kafkaErrors.OFFSET_OUT_OF_RANGE &&
          isAlive &&
          isSame &&
          log !== undefined &&
          next >= log.logStartOffset &&
          next <= known.bound.length &&
          next <= log.logEndOffset
        ) {
          throw new Violation(
            'out-of-range',
            `${known.where}: offset ${next} is in [${log.logStartOffset}, ${log.logEndOffset}) and was refused`,
          );
        }
        if (!options.isPatient) return next;
        await this.#world.scheduler.sleep(500);
        next = Math.max(next, log?.logStartOffset ?? 0);
        continue;
      }
      end ??= answer.highWatermark;
      const before = next;
      for (const row of this.#rowsRead(topic, partition, answer.records)) {
        if (row.offset < next) continue;
        if (row.offset !== next) throw new Violation('gap', `${known.where}: a fetch at ${next} gave ${row.offset} first`);
        known.see(row, row.offset < known.tableBoundary, 'a fetch');
        this.read++;
        next++;
      }
      if (next === before && !options.isPatient) return next;
      if (next === before && next < end) await this.#world.scheduler.sleep(200);
    }
    return next;
  }
}

const words = ['alpha', 'beta', 'gamma', 'δέλτα', ''];

/** Records of many shapes: null and empty are not the same, values may be JSON or not, keys and header names repeat. */
function newRecord(id: number, nowMs: number, random: Seeded): NewRecord {
  const value = random.pick<() => Buffer | null>([
    () => Buffer.from(JSON.stringify({ id, name: random.pick(words) })),
    () => Buffer.from(JSON.stringify({ n: random.whole(0, 5), [`f${random.whole(0, 4)}`]: random.pick(words) })),
    () => Buffer.from(JSON.stringify({ n: 'text', deep: { id } })),
    () => null,
    () => Buffer.alloc(0),
    () => Buffer.from([0xff, 0x00, id & 0xff]),
    () => Buffer.alloc(random.whole(0, 400), `v${id}`),
  ])();
  const key = random.pick<() => Buffer | null>([() => null, () => Buffer.alloc(0), () => Buffer.from(`k${random.whole(0, 9)}`)])();
  const headers = [{ key: Buffer.from(idHeader), value: Buffer.from(String(id)) as Buffer | null }];
  if (random.float() < 0.3) headers.push({ key: Buffer.from('h'), value: null }, { key: Buffer.from('h'), value: Buffer.from('twice') });
  return { timestampMs: nowMs - random.whole(0, 5_000), key, value, headers };
}
