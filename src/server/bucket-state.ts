/**
 * What a bucket says of its service where none runs, in the form a broker would: topics and partitions by the notes in `cluster/`, or,
 * where there are none, by the tables. Nothing is hot; the ends of the partitions are the tables' boundaries.
 */
import { resolveTopicConfig, type ServerConfig } from '../config/index.js';
import type { BrokerState, NotedPartition, PartitionState, SavedView, TopicState } from '../control/index.js';
import { ManifestReader } from '../iceberg/index.js';
import {
  type ClusterId,
  LakeError,
  Semaphore,
  systemClock,
  systemRandom,
  type TimestampMs,
  type TopicId,
  type TopicName,
} from '../kernel/index.js';
import {
  bucketTopics,
  clusterOfTable,
  type ClusterState,
  findClusterState,
  openTopicTable,
  readIdentity,
  type TableSnapshot,
} from '../lake/index.js';
import type { ObjectStore } from '../objects/index.js';

/** Notes are written twice a minute; a prompt that is open for hours sees new topics. */
const usableMs = 20_000;
/** Tables read at the same time, where the notes do not say enough. */
const tablesAtOnce = 16;
const tablesQueuedMax = 1_000_000;

/** Tells of the same service as long as it is open. */
export class BucketState {
  readonly #store: ObjectStore;
  readonly #config: ServerConfig;
  readonly #manifests: ManifestReader;
  readonly #turns = new Semaphore(tablesAtOnce, tablesQueuedMax);
  #known: { readonly state: Promise<BrokerState>; readonly atMs: number } | undefined;
  #notedAtMs: TimestampMs | undefined;

  constructor(store: ObjectStore, config: ServerConfig) {
    this.#store = store;
    this.#config = config;
    this.#manifests = new ManifestReader(store);
  }

  /** When the service noted its state last; `undefined` without notes, and before the first `describe`. */
  get notedAtMs(): TimestampMs | undefined {
    return this.#notedAtMs;
  }

  /** Errors: `object-missing` where the bucket holds no service, `table-corrupt`, `unsupported`, those of the store. */
  async describe(): Promise<BrokerState> {
    const nowMs = systemClock.monotonicMs();
    if (this.#known === undefined || nowMs - this.#known.atMs > usableMs) {
      const state = this.#read();
      this.#known = { state, atMs: nowMs };
      state.catch(() => {
        this.#known = undefined;
      });
    }
    return this.#known.state;
  }

  async #read(): Promise<BrokerState> {
    const [identity, { current }] = await Promise.all([readIdentity(this.#store), findClusterState(this.#store)]);
    const clusterId = identity?.clusterId ?? current?.state.clusterId;
    if (current !== undefined && clusterId !== undefined) {
      this.#notedAtMs = current.state.writtenAtMs;
      return this.#brokerState(clusterId, await this.#notedTopics(clusterId, current.state), current.state.views);
    }
    const found = await bucketTopics(this.#store);
    if (clusterId === undefined && found[0] === undefined) {
      throw new LakeError('object-missing', `${this.#store.url} holds no service: it has neither cluster/identity.json nor a table`, {
        hint: 'Name the bucket URL the service ran with, with its prefix.',
        facts: { url: this.#store.url },
      });
    }
    const owner = clusterId ?? (await clusterOfTable(this.#store, found[0]!.metadataKey));
    const topics = await Promise.all(
      found.map(async ({ topic, topicId }) =>
        this.#topicState(topic, topicId, {}, cold((await this.#table(owner, topic, topicId)).partitions)),
      ),
    );
    return this.#brokerState(owner, topics, []);
  }

  #brokerState(clusterId: ClusterId, topics: readonly TopicState[], views: readonly SavedView[]): BrokerState {
    return { clusterId, nodeId: 0, kafka: '', topics, views, dropped: [], diskFreeBytes: 0 };
  }

  /** Topics that are not tiered are not in the bucket. Of one of which nothing was cold when it was noted, the table is asked. */
  async #notedTopics(clusterId: ClusterId, { topics }: ClusterState): Promise<TopicState[]> {
    return Promise.all(
      topics
        .filter(({ isInternal, isTiered }) => isTiered && !isInternal)
        .map(async ({ name, id, overrides, partitions }) => {
          const hasCold = partitions.some(({ boundary }) => boundary > 0);
          const states = partitions.map(notedState);
          if (hasCold) return this.#topicState(name, id, overrides, states);
          const byTable = cold((await this.#table(clusterId, name, id)).partitions);
          return this.#topicState(name, id, overrides, byTable.length === 0 ? states : byTable);
        }),
    );
  }

  async #table(clusterId: ClusterId, topic: TopicName, topicId: TopicId): Promise<TableSnapshot> {
    const ports = { clock: systemClock, random: systemRandom, reader: this.#manifests };
    return this.#turns.run(() => openTopicTable(this.#store, { topic, topicId, clusterId }, ports).load());
  }

  #topicState(
    name: TopicName,
    id: TopicId,
    overrides: Readonly<Record<string, string>>,
    partitions: readonly PartitionState[],
  ): TopicState {
    const config = resolveTopicConfig(this.#config, overrides);
    return {
      name,
      id,
      isInternal: false,
      isTiered: true,
      config: Object.fromEntries(config.entries().map((entry) => [entry.name, entry.text])),
      overrides,
      partitions,
    };
  }
}

function notedState({ logStartOffset, boundary, leaderEpoch }: Omit<NotedPartition, 'highWatermark'>, partition: number): PartitionState {
  return {
    partition,
    logStartOffset,
    localStartOffset: boundary,
    boundary,
    // Nothing of the hot log can be had: the table's boundary is the end of what is read.
    flushedOffset: 0,
    lastStableOffset: 0,
    highWatermark: boundary,
    leaderEpoch,
    hotBytes: 0,
    tailBytes: 0,
    segments: 0,
  };
}

function cold(partitions: TableSnapshot['partitions']): PartitionState[] {
  return partitions.map(({ partition, boundary, logStartOffset, leaderEpoch }) =>
    notedState({ logStartOffset, boundary, leaderEpoch }, partition),
  );
}
