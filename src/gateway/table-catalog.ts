/**
 * Topics as the tables of an Iceberg catalog: which there are, and the metadata of one as it lies in the bucket. A table is
 * always read at its head, found by one list request; nothing is kept between two requests.
 */
import { loadTableParts, referencedOnly, serializeTableMetadata, type StorageAccess, TableStore, versionKey } from '../iceberg/index.js';
import { type Clock, LakeError, type Random, Semaphore } from '../kernel/index.js';
import { newTopicMetadata, tablePrefix } from '../lake/index.js';
import type { ControlPeer, TopicState } from '../control/index.js';
import type { ObjectStore } from '../objects/index.js';
import { describeBroker, describeTopic } from './topics-route.js';

export interface CatalogOptions {
  readonly store: ObjectStore;
  /** How readers reach the bucket; `null` where it is a directory. */
  readonly access: StorageAccess | null;
  readonly clock: Clock;
  readonly random: Random;
}

/** Metadata files held at once on their way to readers: 100 snapshots and 1 MiB of samples are some 2 MiB each. */
const loadsMax = 8;
const loadsQueuedMax = 64;

export const snapshotModes = ['all', 'refs'] as const;
export type SnapshotMode = (typeof snapshotModes)[number];

/** A table as one moment has it. */
export interface LoadedTable {
  /** Changes with every commit. */
  readonly etag: string;
  /** `LoadTableResult` in parts; `null` where the reader has it already. */
  readonly parts: readonly Uint8Array[] | null;
}

export class TableCatalog {
  readonly access: StorageAccess | null;
  readonly #control: Pick<ControlPeer, 'call'>;
  readonly #options: CatalogOptions;
  readonly #loads = new Semaphore(loadsMax, loadsQueuedMax);

  constructor(control: Pick<ControlPeer, 'call'>, options: CatalogOptions) {
    this.access = options.access;
    this.#control = control;
    this.#options = options;
  }

  /** Names of the tables: every topic that is tiered, also one of which nothing is cold yet. Errors: those of the broker. */
  async names(): Promise<readonly string[]> {
    return (await describeBroker(this.#control)).topics.filter(isTable).map((topic) => topic.name);
  }

  /** Errors: `topic-unknown`. */
  async requireTable(name: string): Promise<void> {
    await this.#topic(name);
  }

  async #topic(name: string): Promise<TopicState> {
    const topic = await describeTopic(this.#control, name);
    if (isTable(topic)) return topic;
    throw new LakeError('topic-unknown', `topic ${name} is not tiered: it has no table`, {
      hint: 'Only topics with remote.storage.enable are in the bucket.',
      facts: { topic: name },
    });
  }

  /**
   * A topic of which nothing is cold yet is a table without rows and without a metadata file.
   * Errors: `topic-unknown`, `overloaded`, those of broker, table and store.
   */
  async load(name: string, mode: SnapshotMode, knownEtags: readonly string[], signal: AbortSignal): Promise<LoadedTable> {
    const topic = await this.#topic(name);
    const { store, clock } = this.#options;
    const prefix = tablePrefix(topic.name, topic.id);
    const etagOf = (version: number): string => `"${topic.id}-v${version}-${mode}"`;
    const known = knownEtags
      .map((etag) => Number(new RegExp(`^"${topic.id}-v(\\d{1,15})-${mode}"$`).exec(etag)?.[1]))
      .find(Number.isInteger);
    return this.#loads.run(async () => {
      const head = await new TableStore(store, prefix, this.#options).loadRaw(known, signal);
      if (head === 'unchanged') return { etag: etagOf(known ?? 0), parts: null };
      if (head === null) {
        const { clusterId } = await describeBroker(this.#control, name);
        const empty = newTopicMetadata(store, { topic: topic.name, topicId: topic.id, clusterId }, clock.nowMs());
        return { etag: etagOf(0), parts: loadTableParts(serializeTableMetadata(empty)) };
      }
      const metadata = mode === 'all' ? head.bytes : referencedOnly(head.bytes);
      return { etag: etagOf(head.version), parts: loadTableParts(metadata, store.location(versionKey(prefix, head.version))) };
    }, signal);
  }
}

function isTable(topic: TopicState): boolean {
  return topic.isTiered && !topic.isInternal;
}
