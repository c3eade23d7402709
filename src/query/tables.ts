/**
 * The newest table snapshot the service knows of each topic. A query never waits long for the bucket: an older snapshot is as
 * right as a newer one, since the tail then begins at its boundary; only where the hot log no longer reaches that far down is
 * the newer one waited for.
 */
import { setMaxListeners } from 'node:events';
import { ManifestReader } from '../iceberg/index.js';
import {
  abortable,
  type Clock,
  type ClusterId,
  isLakeError,
  type LakeError,
  minuteMs,
  type Random,
  SingleFlight,
  type TopicId,
} from '../kernel/index.js';
import { boundaryOf, findFile, openTopicTable, type TableSnapshot, type TopicTable } from '../lake/index.js';
import type { PartitionState, TopicState } from '../control/index.js';
import type { ObjectStore } from '../objects/index.js';
import type { Logger } from '../telemetry/index.js';

/** How long a query waits for news of a table whose older snapshot would do as well. */
const refreshWaitMs = 300;
/** And of one whose files may be gone; a bucket that is away this long has lost none meanwhile. */
const unusableWaitMs = 10_000;
/** A snapshot older than this, or than half of what it is usable for, is refreshed behind the queries: its files may have been compacted. */
const refreshAfterMsMax = minuteMs;

export class Tables {
  readonly #store: ObjectStore;
  readonly #ports: { readonly clock: Clock; readonly random: Random; readonly reader: ManifestReader };
  readonly #logger: Logger;
  /** An older snapshot may name files that are gone. */
  readonly #usableForMs: number;
  readonly #onLoaded: ((snapshot: TableSnapshot) => void) | undefined;
  readonly #tables = new Map<TopicId, TopicTable>();
  /** When each was loaded last, monotonic. */
  readonly #loadedAtMs = new Map<TopicId, number>();
  readonly #loading = new SingleFlight<TopicId, TableSnapshot>();
  readonly #closed = new AbortController();

  /** `onLoaded` is told of each snapshot that is loaded. */
  constructor(
    store: ObjectStore,
    ports: { readonly clock: Clock; readonly random: Random },
    logger: Logger,
    usableForMs: number,
    onLoaded?: (snapshot: TableSnapshot) => void,
  ) {
    this.#store = store;
    this.#ports = { ...ports, reader: new ManifestReader(store) };
    this.#logger = logger;
    this.#usableForMs = usableForMs;
    this.#onLoaded = onLoaded;
    // Every read of every table that is being loaded listens.
    setMaxListeners(0, this.#closed.signal);
  }

  /** What is known now, without a request; `undefined` before the first load. */
  known(topicId: TopicId): TableSnapshot | undefined {
    return this.#tables.get(topicId)?.snapshot;
  }

  /** Errors: those of the table and the store, only where no known snapshot will do. */
  async snapshot(clusterId: ClusterId, topic: TopicState, signal: AbortSignal): Promise<TableSnapshot> {
    if (topic.partitions.every((partition) => partition.boundary === 0)) return this.known(topic.id) ?? emptySnapshot(topic);
    const table = this.#tableOf(clusterId, topic);
    const known = table.snapshot;
    const ageMs = this.#ports.clock.monotonicMs() - (this.#loadedAtMs.get(topic.id) ?? Number.NEGATIVE_INFINITY);
    const isFresh =
      known !== undefined &&
      !isBehind(known, topic.partitions, (partition) => partition.boundary) &&
      !listsDeleted(known, topic.partitions);
    if (isFresh && ageMs < Math.min(refreshAfterMsMax, this.#usableForMs / 2)) return known;
    const loading = this.#loading.run(topic.id, () => this.#load(topic.id, table));
    loading.catch(() => undefined);
    const isUsable = ageMs < this.#usableForMs;
    if (isFresh && isUsable) return known;
    // Where the hot log reaches down to its start, a table of which nothing is known yet is not needed either.
    const older = known ?? emptySnapshot(topic);
    if (isBehind(older, topic.partitions, (partition) => partition.localStartOffset)) return abortable(loading, signal);
    return Promise.race([
      loading.catch((error: unknown) => this.#fallBack(older, error)),
      this.#ports.clock.sleep(isUsable ? refreshWaitMs : unusableWaitMs, signal).then(() => older),
    ]);
  }

  async #load(id: TopicId, table: TopicTable): Promise<TableSnapshot> {
    const atMs = this.#ports.clock.monotonicMs();
    const snapshot = await table.load(this.#closed.signal);
    this.#loadedAtMs.set(id, atMs);
    this.#onLoaded?.(snapshot);
    return snapshot;
  }

  /**
   * An object of a table is gone that a known snapshot names: the next query of it waits for the newest one. False where the object is of
   * no table that is known.
   */
  distrust(key: string): boolean {
    for (const [id, table] of this.#tables) {
      if (key.startsWith(`${table.prefix}/`)) return this.#loadedAtMs.delete(id);
    }
    return false;
  }

  /** Forgets tables of topics that are gone, and answers their key prefixes. */
  keepOnly(topics: readonly TopicState[]): readonly string[] {
    const gone: string[] = [];
    const ids = new Set(topics.map((topic) => topic.id));
    for (const [id, table] of this.#tables) {
      if (ids.has(id)) continue;
      this.#tables.delete(id);
      this.#loadedAtMs.delete(id);
      gone.push(`${table.prefix}/`);
    }
    return gone;
  }

  #fallBack(known: TableSnapshot, error: unknown): TableSnapshot {
    if (!isLakeError(error) || !isTransient(error)) throw error;
    this.#logger.warn('a table could not be refreshed; the known snapshot serves on', { topic: known.topic, error: error.message });
    return known;
  }

  #tableOf(clusterId: ClusterId, topic: TopicState): TopicTable {
    let table = this.#tables.get(topic.id);
    if (table === undefined) {
      table = openTopicTable(this.#store, { topic: topic.name, topicId: topic.id, clusterId }, this.#ports);
      this.#tables.set(topic.id, table);
    }
    return table;
  }

  close(): void {
    this.#closed.abort();
  }
}

function isTransient(error: LakeError): boolean {
  return error.kind === 'unavailable' || error.kind === 'exhausted';
}

function isBehind(
  snapshot: TableSnapshot,
  partitions: readonly PartitionState[],
  offsetOf: (partition: PartitionState) => number,
): boolean {
  // Below the log start there is nothing to know.
  return partitions.some(
    (partition) => Math.max(boundaryOf(snapshot.partitions, partition.partition), partition.logStartOffset) < offsetOf(partition),
  );
}

/** Whether a file lies wholly below the log start: then the table, as it is now, most likely has it no more. */
function listsDeleted(snapshot: TableSnapshot, partitions: readonly PartitionState[]): boolean {
  return partitions.some(({ partition, logStartOffset }) => {
    const first = findFile(snapshot, partition, 0);
    return first !== null && first.lastOffset < logStartOffset;
  });
}

function emptySnapshot(topic: TopicState): TableSnapshot {
  return {
    topic: topic.name,
    topicId: topic.id,
    metadataVersion: 0,
    snapshotId: null,
    schemaId: 0,
    columns: [],
    partitions: [],
    samples: [],
    appended: [],
    files: [],
    holes: [],
  };
}
