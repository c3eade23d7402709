// The language of the acceptance tests: a running service, what is put into it, and where its records lie, hot or cold.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import {
  createTopics,
  type Delivery,
  deleteTopics,
  type LogReader,
  openLogReader,
  openProducer,
  type ProducerOptions,
  type ProducerRecord,
  readPartition,
  type TopicPartitions,
} from '../../src/client/index.js';
import type { DecodedRecord } from '../../src/wire/index.js';
import { undeclared } from './declared-problems.js';
import { type RunningService, type ServiceOptions, startService, temporaryFolder } from './service.js';

export interface Answer {
  readonly rows: readonly (readonly unknown[])[];
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly snapshot: string;
  readonly stats: Readonly<Record<string, number>>;
}

/** A problem document as the gateway answers it. */
export interface Problem {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly hint?: string;
  readonly retriable?: boolean;
}

/** What the gateway refused. */
export class Refusal extends Error {
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(`${problem.status} ${problem.code}: ${problem.detail}`);
    this.problem = problem;
  }
}

export interface StoredPartition {
  readonly partition: number;
  readonly log_start_offset: number;
  readonly local_start_offset: number;
  readonly boundary: number;
  readonly high_watermark: number;
  readonly cold_files: number | null;
  readonly error?: string;
}

/** Without a data directory it gets a temporary one, which goes at the end. */
export type LakeOptions = Partial<ServiceOptions>;

/** A range of offsets, [from, to). */
export type Range = readonly [from: number, to: number];

export class Lake implements AsyncDisposable {
  readonly service: RunningService;
  readonly #remove: (() => Promise<void>) | undefined;
  #reader: LogReader | undefined;

  private constructor(service: RunningService, remove: (() => Promise<void>) | undefined) {
    this.service = service;
    this.#remove = remove;
  }

  static async start(options: LakeOptions = {}): Promise<Lake> {
    const folder = options.dataDir === undefined ? await temporaryFolder() : undefined;
    const dataDir = options.dataDir ?? join(folder!.path, 'data');
    try {
      return new Lake(await startService({ ...options, dataDir }), folder === undefined ? undefined : () => folder.remove());
    } catch (error) {
      await folder?.remove();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader?.close();
    await this.service.stop();
    await this.#remove?.();
  }

  /** Stops and gives the exit code; the data stays. */
  async stop(): Promise<number | null> {
    await this.#reader?.close();
    return this.service.stop();
  }

  get client(): { readonly bootstrap: string; readonly clientId: string } {
    return { bootstrap: this.service.kafka, clientId: 'acceptance' };
  }

  get reader(): LogReader {
    this.#reader ??= openLogReader(this.client);
    return this.#reader;
  }

  async createTopic(name: string, partitions = 1, config: Readonly<Record<string, string>> = {}): Promise<string> {
    const [topic] = await createTopics(this.client, [{ name, partitions, config }]);
    return topic!.topicId;
  }

  async deleteTopic(name: string): Promise<void> {
    await deleteTopics(this.client, [name]);
  }

  /** Acknowledged from disk, in the order given; answers where each went. */
  async produce(topic: string, records: readonly ProducerRecord[], options: Partial<ProducerOptions> = {}): Promise<readonly Delivery[]> {
    const producer = openProducer({ ...this.client, ...options });
    try {
      return await Promise.all(records.map((record) => producer.send(topic, record)));
    } finally {
      await producer.close();
    }
  }

  async topic(name: string): Promise<TopicPartitions> {
    const found = (await this.reader.topics()).find((topic) => topic.name === name);
    if (found === undefined) throw new Error(`no topic ${name}`);
    return found;
  }

  /** First and next offset as Kafka's clients see them. */
  async ends(name: string): Promise<Range[]> {
    const topic = await this.topic(name);
    const at = async (timestampMs: number): Promise<number[]> => {
      const listed = await this.reader.listOffsets(
        topic.name,
        topic.partitions.map((partition) => ({ partition, timestampMs })),
      );
      return listed.map(({ offset }) => offset);
    };
    const [starts, nexts] = [await at(-2), await at(-1)];
    return topic.partitions.map((partition) => [starts[partition]!, nexts[partition]!]);
  }

  /** Every record of a partition from an offset to what is the end now, through the Kafka port. */
  async consume(name: string, partition = 0, from = 0): Promise<DecodedRecord[]> {
    const topic = await this.topic(name);
    const [, endOffset] = (await this.ends(name))[partition]!;
    const all: DecodedRecord[] = [];
    for await (const records of readPartition(this.reader, { topicId: topic.id, partition, offset: from, endOffset })) all.push(...records);
    return all;
  }

  /** The gateway's answer. Throws `Refusal` for a problem document, which must be one that the route declares. */
  async http(path: string, init: RequestInit = {}): Promise<Response> {
    const response = await fetch(new URL(path, this.service.http), {
      ...init,
      headers: { 'x-thermocline': '1', ...(init.headers as Record<string, string> | undefined) },
    });
    if (response.ok) return response;
    const text = await response.text();
    let problem: Problem;
    try {
      problem = { ...(JSON.parse(text) as Problem), status: response.status };
    } catch {
      throw new Error(`${path} answered ${response.status} without a problem document: ${text}`);
    }
    requireDeclared(init.method ?? 'GET', path, problem, response.headers);
    throw new Refusal(problem);
  }

  async json<T>(path: string, init: RequestInit = {}): Promise<T> {
    return (await (await this.http(path, init)).json()) as T;
  }

  async ask(sql: string, more: Readonly<Record<string, unknown>> = {}, signal?: AbortSignal): Promise<Answer> {
    const answer = await this.json<Answer & { readonly error?: Problem }>('/v1/query', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ sql, ...more }),
      ...(signal === undefined ? {} : { signal }),
    });
    if (answer.error !== undefined) {
      requireDeclared('POST', '/v1/query', answer.error);
      throw new Refusal(answer.error);
    }
    return answer;
  }

  /** The rows of a query. */
  async sql(sql: string): Promise<readonly (readonly unknown[])[]> {
    return (await this.ask(sql)).rows;
  }

  async saveView(name: string, sql: string): Promise<void> {
    await this.http(`/v1/views/${name}`, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ sql }) });
  }

  async flush(topic: string): Promise<void> {
    await this.http(`/v1/tier/flush?topic=${topic}`, { method: 'POST' });
  }

  async evict(topic: string): Promise<void> {
    await this.http(`/v1/tier/evict?topic=${topic}`, { method: 'POST' });
  }

  /** All that is there so far is only in the bucket. */
  async cool(topic: string): Promise<void> {
    await this.flush(topic);
    await this.evict(topic);
  }

  async storage(topic: string): Promise<readonly StoredPartition[]> {
    return (await this.json<{ partitions: readonly StoredPartition[] }>(`/v1/topics/${topic}/storage`)).partitions;
  }

  /** Which offsets of a partition are only in the bucket, and which are on local disk. */
  async tiers(topic: string, partition = 0): Promise<{ readonly cold: Range; readonly hot: Range }> {
    const { log_start_offset: start, local_start_offset: local, high_watermark: end } = (await this.storage(topic))[partition]!;
    return { cold: [start, local], hot: [local, end] };
  }

  /** A record goes in and is read back by a consumer and by SQL: the service works. */
  async worksFor(topic: string): Promise<void> {
    const marker = `marker-${Date.now()}-${Math.random()}`;
    const [delivery] = await this.produce(topic, [{ key: null, value: Buffer.from(JSON.stringify({ marker })), partition: 0 }]);
    const records = await this.consume(topic, 0, delivery!.offset);
    if (records[0]?.value?.toString() !== JSON.stringify({ marker })) throw new Error(`the consumer did not get ${marker}`);
    const rows = await this.sql(`SELECT _offset FROM "${topic}" WHERE marker = '${marker}'`);
    if (Number(rows[0]?.[0]) !== delivery!.offset) throw new Error(`SQL did not find ${marker}: ${JSON.stringify(rows)}`);
  }

  /** Objects of a directory bucket, by key. */
  objects(bucket: string = join(this.service.dataDir, 'bucket')): Map<string, StoredObject> {
    return objectsIn(bucket);
  }
}

function requireDeclared(method: string, path: string, problem: Problem, headers?: Headers): void {
  const why = undeclared(method, path, { ...problem, headers });
  if (why !== undefined) throw new Error(`the OpenAPI document does not have it that ${why}`);
}

export interface StoredObject {
  readonly path: string;
  readonly bytes: number;
  /** Differs when a file was replaced or rewritten. */
  readonly identity: string;
}

/** The files below a bucket's folder, without its hidden one. */
export function objectsIn(bucket: string): Map<string, StoredObject> {
  const found = new Map<string, StoredObject>();
  for (const entry of readdirSync(bucket, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    const key = relative(bucket, path);
    if (!entry.isFile() || key.startsWith('.')) continue;
    try {
      const { size, ino, mtimeMs } = statSync(path);
      found.set(key, { path, bytes: size, identity: `${ino}/${size}/${mtimeMs}` });
    } catch {
      // It was removed since.
    }
  }
  return found;
}

export function contentHash(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}
