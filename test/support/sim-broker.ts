/** A broker in memory, as the tier daemon sees one: the log through `LogReader`, the control calls through `call`. */
import type { FetchedPartition, FetchOptions, FetchPartition, LogReader } from '../../src/client/index.js';
import type {
  SavedView,
  BoundaryMove,
  BrokerState,
  CallOptions,
  ControlMethod,
  ControlParams,
  ControlPeer,
  ControlResult,
  NotedGroup,
  NotedGroups,
  TopicState,
} from '../../src/control/index.js';
import {
  clusterId,
  type ClusterId,
  freshId,
  LakeError,
  type PartitionId,
  systemRandom,
  topicId,
  type TopicId,
  topicName,
} from '../../src/kernel/index.js';
import { batchBaseOffset, batchLastOffset, encodeBatch, type NewRecord, patchBatch } from '../../src/wire/index.js';

export interface SimPartition {
  /** Whole batches, patched. */
  batches: Buffer[];
  logStart: number;
  end: number;
  flushed: number;
  leaderEpoch: number;
  /** As the daemons told. */
  boundary: number;
  moves: BoundaryMove[];
  /** Why it is offline: its log is not read, and where that ends is not known. */
  offline?: string | undefined;
}

interface SimTopic {
  readonly name: string;
  readonly id: TopicId;
  isTiered: boolean;
  readonly config: Record<string, string>;
  readonly partitions: SimPartition[];
}

const topicConfig = {
  'lake.commit.interval.ms': '100000000',
  'lake.delete.max.delay.ms': '86400000',
  'lake.file.bytes': '1000000',
  'lake.snapshot.max.age.ms': '86400000',
  'lake.value.format': 'auto',
  'max.message.bytes': '1048588',
  'retention.bytes': '-1',
  'retention.ms': '-1',
};

function tailBytesOf({ batches, boundary, logStart }: SimPartition): number {
  const from = Math.max(boundary, logStart);
  return batches.reduce((sum, batch) => sum + (batchLastOffset(batch, 0) >= from ? batch.length : 0), 0);
}

export class SimBroker implements LogReader {
  readonly cluster: ClusterId;
  readonly topicsByName = new Map<string, SimTopic>();
  readonly dropped: { name: string; id: TopicId }[] = [];
  readonly views: SavedView[] = [];
  readonly calls: ControlMethod[] = [];
  /** What groups have committed. */
  groups: NotedGroup[] = [];
  areOffsetsWhole = true;
  nextProducerId = 1000;
  fetchedCount = 0;
  /** What it finds where it is asked to look. */
  damage: string | undefined;
  /** Thrown or waited for before each control call. */
  onCall: ((method: ControlMethod) => void | Promise<void>) | undefined;
  /** Answers for the bytes of each fetch. */
  onFetch: (() => void | Promise<void>) | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(cluster = freshId((length) => systemRandom.bytes(length))) {
    this.cluster = clusterId(cluster);
  }

  create(name: string, partitions: number, config: Record<string, string> = {}): SimTopic {
    const topic: SimTopic = {
      name,
      id: topicId(freshId((length) => systemRandom.bytes(length))),
      isTiered: true,
      config: { ...topicConfig, ...config },
      partitions: Array.from({ length: partitions }, () => ({
        batches: [],
        logStart: 0,
        end: 0,
        flushed: 0,
        leaderEpoch: 0,
        boundary: 0,
        moves: [],
      })),
    };
    this.topicsByName.set(name, topic);
    return topic;
  }

  delete(name: string): void {
    const topic = this.topicsByName.get(name);
    if (topic === undefined) return;
    this.topicsByName.delete(name);
    this.dropped.push({ name, id: topic.id });
  }

  partition(topic: string, partition: PartitionId): SimPartition {
    const found = this.topicsByName.get(topic)?.partitions[partition];
    if (found === undefined) throw new Error(`no ${topic}-${partition}`);
    return found;
  }

  /** Appends one batch, as acknowledged with acks=1: not flushed. */
  append(
    topic: string,
    partition: PartitionId,
    records: readonly NewRecord[],
    fields: Parameters<typeof encodeBatch>[0] | object = {},
  ): void {
    const log = this.partition(topic, partition);
    const batch = encodeBatch({ ...fields, records });
    patchBatch(batch, 0, log.end, log.leaderEpoch);
    log.batches.push(batch);
    log.end = batchLastOffset(batch, 0) + 1;
    for (const wake of this.#waiting) wake();
  }

  /** A power cut: what was not flushed is gone, and a new leader epoch begins. */
  loseUnflushed(topic: string, partition: PartitionId): void {
    const log = this.partition(topic, partition);
    log.batches = log.batches.filter((batch) => batchLastOffset(batch, 0) < log.flushed);
    log.end = log.batches.length === 0 ? log.logStart : batchLastOffset(log.batches.at(-1) as Buffer, 0) + 1;
    log.flushed = log.end;
    log.leaderEpoch++;
  }

  /** As DeleteRecords does: what lies wholly below is gone. */
  deleteBelow(topic: string, partition: PartitionId, offset: number): void {
    const log = this.partition(topic, partition);
    log.logStart = Math.max(log.logStart, offset);
    log.flushed = Math.max(log.flushed, offset);
    log.batches = log.batches.filter((batch) => batchLastOffset(batch, 0) >= log.logStart);
  }

  /** Bytes of the log from an offset on, whole batches. */
  bytesOf(topic: string, partition: PartitionId): Buffer {
    return Buffer.concat(this.partition(topic, partition).batches);
  }

  async topics(): Promise<never[]> {
    throw new LakeError('unsupported', 'not asked by the daemon');
  }

  async listOffsets(): Promise<never[]> {
    throw new LakeError('unsupported', 'not asked by the daemon');
  }

  async close(): Promise<void> {}

  async fetch(partitions: readonly FetchPartition[], options: FetchOptions): Promise<readonly FetchedPartition[]> {
    await this.onFetch?.();
    this.fetchedCount++;
    let answers = this.#read(partitions, options);
    if (answers.every((answer) => answer.records.length === 0 && answer.errorCode === 0)) {
      await this.#changeWithin(options.maxWaitMs, options.signal);
      answers = this.#read(partitions, options);
    }
    return answers;
  }

  async #changeWithin(ms: number, signal: AbortSignal | undefined): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done, { once: true });
      this.#waiting.add(done);
    });
  }

  #read(partitions: readonly FetchPartition[], options: FetchOptions): FetchedPartition[] {
    let left = options.maxBytes;
    return partitions.map((asked) => {
      const topic = [...this.topicsByName.values()].find((candidate) => candidate.id === asked.topicId);
      const log = topic?.partitions[asked.partition];
      const none = {
        topicId: asked.topicId,
        partition: asked.partition,
        records: Buffer.alloc(0),
        highWatermark: log?.end ?? -1,
        lastStableOffset: log?.end ?? -1,
        logStartOffset: log?.logStart ?? -1,
        abortedTransactions: [],
      };
      if (log === undefined) return { ...none, errorCode: 100 };
      if (log.offline !== undefined) return { ...none, errorCode: 56 };
      if (asked.offset > log.end || asked.offset < log.logStart) return { ...none, errorCode: 1 };
      const chunks: Buffer[] = [];
      let bytes = 0;
      for (const batch of log.batches) {
        if (batchLastOffset(batch, 0) < asked.offset) continue;
        if (bytes > 0 && (bytes + batch.length > asked.maxBytes || bytes + batch.length > left)) break;
        chunks.push(batch);
        bytes += batch.length;
      }
      left -= bytes;
      return { ...none, errorCode: 0, records: Buffer.concat(chunks) };
    });
  }

  #stateOf(topic: SimTopic): TopicState {
    return {
      name: topicName(topic.name),
      id: topic.id,
      isInternal: false,
      isTiered: topic.isTiered,
      config: topic.config,
      overrides: {},
      partitions: topic.partitions.map((log, partition) => ({
        partition,
        logStartOffset: log.logStart,
        localStartOffset: log.batches[0] === undefined ? log.end : batchBaseOffset(log.batches[0], 0),
        boundary: Math.max(log.boundary, log.logStart),
        flushedOffset: log.flushed,
        highWatermark: log.end,
        lastStableOffset: log.end,
        leaderEpoch: log.leaderEpoch,
        hotBytes: 0,
        tailBytes: tailBytesOf(log),
        segments: 1,
        ...(log.offline === undefined ? {} : { offline: log.offline, flushedOffset: 0, highWatermark: 0, lastStableOffset: 0 }),
      })),
    };
  }

  /** The control peer that a daemon is given. */
  readonly peer: Pick<ControlPeer, 'call'> = {
    call: async <M extends ControlMethod>(method: M, params: ControlParams<M>, options?: CallOptions): Promise<ControlResult<M>> => {
      this.calls.push(method);
      await this.onCall?.(method);
      if (method === 'broker.cluster-state' && (params as ControlParams<'broker.cluster-state'>).withOffsets) {
        await options?.onPart?.({ groups: this.groups } satisfies NotedGroups, Buffer.alloc(0));
      }
      return this.#answer(method, params) as ControlResult<M>;
    },
  };

  #answer(method: ControlMethod, params: unknown): unknown {
    switch (method) {
      case 'broker.describe': {
        const { topic } = params as ControlParams<'broker.describe'>;
        const topics = [...this.topicsByName.values()].filter((one) => topic === undefined || one.name === topic);
        const state: BrokerState = {
          clusterId: this.cluster,
          nodeId: 0,
          kafka: '127.0.0.1:0',
          topics: topics.map((one) => this.#stateOf(one)),
          dropped: this.dropped.map(({ name, id }) => ({ name: topicName(name), id })),
          views: this.views,
          diskFreeBytes: 1e12,
        };
        return state;
      }
      case 'broker.flush': {
        const { topicId, partitions } = params as ControlParams<'broker.flush'>;
        const topic = this.#topicOf(topicId);
        return {
          partitions: partitions.map(({ partition }) => {
            const log = topic.partitions[partition] as SimPartition;
            log.flushed = log.end;
            return { partition, flushedOffset: log.flushed, lastStableOffset: log.end, leaderEpoch: log.leaderEpoch };
          }),
        };
      }
      case 'broker.examine':
        return this.damage === undefined ? {} : { damage: this.damage };
      case 'broker.boundary-moved': {
        const { topicId, partitions } = params as ControlParams<'broker.boundary-moved'>;
        const topic = this.#topicOf(topicId);
        const alarms: string[] = [];
        for (const move of partitions) {
          const log = topic.partitions[move.partition] as SimPartition;
          log.moves.push(move);
          if (log.offline !== undefined) alarms.push(`partition ${move.partition} is offline: ${log.offline}`);
          else if (move.boundary > log.flushed) alarms.push(`partition ${move.partition}: boundary ${move.boundary} above ${log.flushed}`);
          else {
            log.boundary = Math.max(log.boundary, move.boundary);
            log.logStart = Math.max(log.logStart, move.logStartOffset);
          }
        }
        return { accepted: partitions.map((move) => move.partition), alarms };
      }
      case 'broker.cluster-state':
        return {
          clusterId: this.cluster,
          kafka: '127.0.0.1:0',
          nextProducerId: String(this.nextProducerId),
          topics: [...this.topicsByName.values()].map((topic) => ({
            name: topicName(topic.name),
            id: topic.id,
            isInternal: false,
            isTiered: topic.isTiered,
            overrides: {},
            createdMs: 1,
            partitions: topic.partitions.map((log) => ({
              logStartOffset: log.logStart,
              boundary: log.boundary,
              highWatermark: log.end,
              leaderEpoch: log.leaderEpoch,
            })),
          })),
          dropped: this.dropped.map(({ name, id }) => ({ name: topicName(name), id })),
          offsetsRevision: JSON.stringify(this.groups),
          areOffsetsWhole: this.areOffsetsWhole,
          views: this.views,
        } satisfies ControlResult<'broker.cluster-state'>;
      case 'broker.topic-dropped': {
        const { topicId } = params as ControlParams<'broker.topic-dropped'>;
        const index = this.dropped.findIndex(({ id }) => id === topicId);
        if (index >= 0) this.dropped.splice(index, 1);
        return {};
      }
      default:
        throw new LakeError('unsupported', `the simulated broker has no ${method}`);
    }
  }

  #topicOf(id: TopicId): SimTopic {
    const topic = [...this.topicsByName.values()].find((candidate) => candidate.id === id);
    if (topic === undefined) throw new LakeError('topic-unknown', `no topic of id ${id}`);
    return topic;
  }
}
