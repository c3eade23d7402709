// Producers that run through a test and remember what was acknowledged where: values say who sent them and in which order, so
// that whatever comes back can be held against it, record by record.
import { setTimeout as sleep } from 'node:timers/promises';
import { openProducer, type Producer } from '../../src/client/index.js';
import type { Lake } from './lake.js';
import type { Seeded } from './seed.js';

export interface WorkloadOptions {
  readonly topic: string;
  readonly partitions: number;
  readonly producers: number;
  readonly recordsPerSecond: number;
}

const tickMs = 20;
/** Records not yet acknowledged; a producer that meets it waits, as one with a bounded buffer does. */
const outstandingMax = 4000;

/** `<producer>:<sequence>`, of a record's value. */
type Name = string;

export class Workload {
  /** By partition: offset → the record that was acknowledged there. */
  readonly acknowledged: Map<number, Name>[];
  readonly failures: unknown[] = [];
  /** Offsets given for two records, and answers without an offset. */
  readonly contradictions: string[] = [];
  sent = 0;
  acked = 0;
  readonly #options: WorkloadOptions;
  readonly #random: Seeded;
  readonly #producers: Producer[];
  readonly #sequences: number[];
  readonly #noise: string;
  #outstanding = 0;
  #isStopping = false;
  #running: Promise<unknown> = Promise.resolve();

  private constructor(lake: Lake, options: WorkloadOptions, random: Seeded) {
    this.#options = options;
    this.#random = random.apart();
    this.acknowledged = Array.from({ length: options.partitions }, () => new Map<number, Name>());
    this.#producers = Array.from({ length: options.producers }, () =>
      openProducer({ ...lake.client, acks: -1, idempotent: true, compression: 'lz4', batchBytes: 32 * 1024, deliveryTimeoutMs: 120_000 }),
    );
    this.#sequences = this.#producers.map(() => 0);
    this.#noise = Array.from({ length: 4096 }, () => random.whole(0, 36).toString(36)).join('');
  }

  /** Begins to produce, and goes on until `stop`. */
  static start(lake: Lake, options: WorkloadOptions, random: Seeded): Workload {
    const workload = new Workload(lake, options, random);
    workload.#running = Promise.all(workload.#producers.map((_, producer) => workload.#produce(producer)));
    return workload;
  }

  /** Stops and waits until all that was sent is acknowledged, or failed. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#running;
    await Promise.all(this.#producers.map((producer) => producer.close()));
    while (this.#outstanding > 0) await sleep(tickMs);
  }

  async #produce(producer: number): Promise<void> {
    const { recordsPerSecond, producers } = this.#options;
    const perTick = Math.max(1, Math.round((recordsPerSecond / producers) * (tickMs / 1000)));
    while (!this.#isStopping) {
      if (this.#outstanding < outstandingMax) for (let i = 0; i < perTick; i++) this.#send(producer);
      await sleep(tickMs);
    }
  }

  #send(producer: number): void {
    const { topic, partitions } = this.#options;
    const sequence = this.#sequences[producer]!++;
    const at = this.#random.whole(0, 3500);
    const pad = this.#noise.slice(at, at + this.#random.whole(50, 500));
    const value = Buffer.from(JSON.stringify({ producer, sequence, pad }));
    const partition = this.#random.whole(0, partitions);
    this.sent++;
    this.#outstanding++;
    this.#producers[producer]!.send(topic, { key: Buffer.from(String(producer)), value, partition })
      .then(
        (delivery) => {
          const name = `${producer}:${sequence}`;
          const known = this.acknowledged[delivery.partition]!.get(delivery.offset);
          if (delivery.offset < 0) this.contradictions.push(`${name} was acknowledged without an offset`);
          if (known !== undefined) this.contradictions.push(`${known} and ${name} are both at ${delivery.partition}/${delivery.offset}`);
          if (delivery.partition !== partition) this.contradictions.push(`${name} went to ${delivery.partition}, not ${partition}`);
          this.acknowledged[delivery.partition]!.set(delivery.offset, name);
          this.acked++;
        },
        (error: unknown) => this.failures.push(error),
      )
      .finally(() => {
        this.#outstanding--;
      });
  }
}

/** What is wrong with the records of a partition, as (offset, record) in the order they came: empty where each acknowledged one is there once, in its place. */
export function differences(acknowledged: ReadonlyMap<number, Name>, found: readonly (readonly [offset: number, name: Name])[]): string[] {
  const wrong: string[] = [];
  const lastOf = new Map<string, number>();
  found.forEach(([offset, name], at) => {
    if (offset !== at) wrong.push(`offset ${offset} came where ${at} was due`);
    const expected = acknowledged.get(offset);
    if (expected !== name) wrong.push(`at ${offset} is ${name}, acknowledged was ${expected ?? 'nothing'}`);
    const [producer = '', sequence] = name.split(':');
    if (Number(sequence) <= (lastOf.get(producer) ?? -1)) wrong.push(`${name} came after ${producer}:${lastOf.get(producer)}`);
    lastOf.set(producer, Number(sequence));
  });
  if (found.length !== acknowledged.size) wrong.push(`${found.length} records came, ${acknowledged.size} were acknowledged`);
  return wrong.slice(0, 10);
}

/** Reads a topic through the Kafka port from the first offset on, and says what differs. */
export async function consumedDifferences(lake: Lake, topic: string, workload: Workload): Promise<string[]> {
  const wrong: string[] = [];
  for (const [partition, acknowledged] of workload.acknowledged.entries()) {
    const found = (await lake.consume(topic, partition)).map(({ offset, value }) => {
      const { producer, sequence } = JSON.parse(value!.toString()) as { producer: number; sequence: number };
      return [offset, `${producer}:${sequence}`] as const;
    });
    wrong.push(...differences(acknowledged, found).map((text) => `consumer, partition ${partition}: ${text}`));
  }
  return wrong;
}

/** Asks for every row by SQL, and says what differs. */
export async function selectedDifferences(lake: Lake, topic: string, workload: Workload): Promise<string[]> {
  const wrong: string[] = [];
  const rows = await lake.sql(`SELECT _partition_id, _offset, producer, sequence FROM "${topic}" ORDER BY _partition_id, _offset`);
  for (const [partition, acknowledged] of workload.acknowledged.entries()) {
    const found = rows
      .filter((row) => row[0] === partition)
      .map(([, offset, producer, sequence]) => [Number(offset), `${String(producer)}:${String(sequence)}`] as const);
    wrong.push(...differences(acknowledged, found).map((text) => `SQL, partition ${partition}: ${text}`));
  }
  const [counts = []] = await lake.sql(`SELECT count(*), count(DISTINCT (_partition_id, _offset)) FROM "${topic}"`);
  if (String(counts) !== `${workload.acked},${workload.acked}`)
    wrong.push(`SQL counts ${String(counts)}, acknowledged were ${workload.acked}`);
  return wrong;
}
