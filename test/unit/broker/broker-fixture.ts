// A broker on a free port and a folder of its own, and a bare client that speaks to it in wire messages.
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type Broker, type ColdTier, startBroker } from '../../../src/broker/index.js';
import { loadServerConfig } from '../../../src/config/index.js';
import { type Clock, type Disk, LakeError, systemClock, systemRandom, type TopicId } from '../../../src/kernel/index.js';
import { type LevelSwitch, silentLogger } from '../../../src/telemetry/index.js';
import {
  type Api,
  createTopicsApi,
  decodeBatch,
  decodeResponse,
  encodeBatch,
  encodeRequest,
  fetchApi,
  type FetchResponsePartition,
  FrameReader,
  listOffsetsApi,
  type MessageInput,
  type NewRecord,
  produceApi,
  type ProduceResponsePartition,
  walkBatches,
} from '../../../src/wire/index.js';

/** The last that was opened first. A hook of this module would be that of the first file alone which loads it. */
function atTestEnd(close: () => unknown): void {
  onTestFinished(async () => {
    await close();
  });
}

/** For brokers that are never to need the cold side. */
export const noColdTier: ColdTier = {
  hydrate: () => Promise.reject(new LakeError('cold-unavailable', 'no cold side in this test')),
  offsetForTimestamp: () => Promise.reject(new LakeError('cold-unavailable', 'no cold side in this test')),
  maxTimestamp: () => Promise.reject(new LakeError('cold-unavailable', 'no cold side in this test')),
  topicsChanged: () => undefined,
};

export interface TestBrokerOptions {
  readonly flags?: Readonly<Record<string, string>>;
  readonly coldTier?: ColdTier;
  readonly dataDir?: string;
  readonly warnings?: string[];
  readonly level?: LevelSwitch;
  readonly disk?: Disk;
  readonly clock?: Clock;
}

export async function temporaryFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'thermocline-broker-'));
  atTestEnd(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

export async function testBroker(options: TestBrokerOptions = {}): Promise<Broker> {
  const dataDir = options.dataDir ?? (await temporaryFolder());
  const config = loadServerConfig({
    flags: {
      'kafka.listen': '127.0.0.1:0',
      'group.initial.rebalance.delay.ms': '0',
      'group.min.session.timeout.ms': '100',
      'group.consumer.assignment.interval.ms': '0',
      'offsets.topic.num.partitions': '3',
      'disk.reserve.bytes': '0',
      'disk.low.bytes': '0',
      ...options.flags,
    },
  });
  const logger = {
    ...silentLogger,
    warn: (message: string) => void options.warnings?.push(message),
    ...(options.level === undefined ? {} : { level: options.level }),
  };
  const broker = await startBroker({
    config,
    dataDir,
    clock: options.clock ?? systemClock,
    random: systemRandom,
    logger,
    coldTier: options.coldTier ?? noColdTier,
    // A disk that is given is to be asked for every read.
    storage: options.disk === undefined ? {} : { disk: options.disk, warmReads: { read: () => 0 } },
  });
  atTestEnd(() => broker.close());
  return broker;
}

export class WireClient {
  readonly #socket: Socket;
  readonly #waiting: ((frame: Buffer) => void)[] = [];
  readonly closed: Promise<void>;
  #correlationId = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const reader = new FrameReader();
    socket.on('data', (chunk: Buffer) => {
      for (const frame of reader.push(chunk)) this.#waiting.shift()?.(frame);
    });
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      socket.on('close', () => resolve());
    });
    atTestEnd(() => socket.destroy());
  }

  static async open(broker: Pick<Broker, 'kafkaAddress'>): Promise<WireClient> {
    const socket = connect(broker.kafkaAddress);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', () => resolve());
      socket.once('error', reject);
    });
    return new WireClient(socket);
  }

  async call<Req, Res>(api: Api<Req, Res>, version: number, body: MessageInput<NoInfer<Req>>, clientId = 'test'): Promise<Res> {
    const answered = new Promise<Buffer>((resolve) => {
      this.#waiting.push(resolve);
    });
    this.send(api, version, body, clientId);
    return decodeResponse(api, version, await answered).body;
  }

  /** Sends a frame as it is, with its size, and answers the frame that comes back. */
  exchange(frame: Buffer): Promise<Buffer> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#socket.write(frame);
    });
  }

  /** Sends without waiting for an answer. */
  send<Req, Res>(api: Api<Req, Res>, version: number, body: MessageInput<NoInfer<Req>>, clientId = 'test'): void {
    this.#socket.write(Buffer.concat(encodeRequest(api, version, ++this.#correlationId, clientId, body)));
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Creates a topic and answers its id. */
  async createTopic(name: string, numPartitions = 1, configs: Readonly<Record<string, string>> = {}): Promise<TopicId> {
    const entries = Object.entries(configs).map(([key, value]) => ({ name: key, value }));
    const { topics } = await this.call(createTopicsApi, 7, {
      topics: [{ name, numPartitions, replicationFactor: 1, assignments: [], configs: entries }],
    });
    if (topics[0]?.errorCode !== 0) throw new Error(`topic not created: ${topics[0]?.errorMessage}`);
    return topics[0].topicId;
  }

  async produce(
    topic: string,
    records: Buffer | null,
    options: { partition?: number; acks?: number; version?: number } = {},
  ): Promise<ProduceResponsePartition> {
    const { partition: index = 0, acks = -1, version = 9 } = options;
    const topicData = [{ name: topic, partitionData: [{ index, records }] }];
    const { responses } = await this.call(produceApi, version, { acks, timeoutMs: 1000, topicData });
    return responses[0]!.partitionResponses[0]!;
  }

  async fetch(
    topicId: TopicId,
    fetchOffset: number,
    options: { partition?: number; maxWaitMs?: number; minBytes?: number; maxBytes?: number } = {},
  ): Promise<FetchResponsePartition> {
    const { partition = 0, maxWaitMs = 0, minBytes = 1, maxBytes = 1 << 20 } = options;
    const { responses } = await this.call(fetchApi, 13, {
      maxWaitMs,
      minBytes,
      topics: [{ topicId, partitions: [{ partition, fetchOffset, partitionMaxBytes: maxBytes }] }],
    });
    return responses[0]!.partitions[0]!;
  }

  async listOffset(name: string, timestamp: number, version = 9): Promise<{ errorCode: number; offset: number; timestamp: number }> {
    const { topics } = await this.call(listOffsetsApi, version, {
      replicaId: -1,
      topics: [{ name, partitions: [{ partitionIndex: 0, timestamp }] }],
    });
    const { errorCode, offset, timestamp: found } = topics[0]!.partitions[0]!;
    return { errorCode, offset, timestamp: found };
  }
}

/** One batch of values, a second apart from `firstMs` on. */
export function batchOf(
  values: readonly string[],
  firstMs = 1_600_000_000_000,
  over: Parameters<typeof encodeBatch>[0] | object = {},
): Buffer {
  const records: NewRecord[] = values.map((value, i) => ({ timestampMs: firstMs + i * 1000, key: null, value: Buffer.from(value) }));
  return encodeBatch({ ...over, records });
}

/** Offset and value of every record from `fromOffset` on. */
export function valuesOf(records: Buffer | null, fromOffset = 0): [number, string][] {
  const values: [number, string][] = [];
  if (records === null) return values;
  walkBatches(records, (at) => {
    for (const { offset, value } of decodeBatch(records, at)) if (offset >= fromOffset) values.push([offset, String(value)]);
  });
  return values;
}
