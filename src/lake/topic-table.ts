/**
 * A topic's table: what is cold, and how that changes. A change adds, replaces and removes files, moves boundaries and log starts and
 * adds columns in one conditional write, or does nothing; the table's metadata is the only truth about it (no second manifest).
 */
import type { TypedColumn } from '../columns/index.js';
import {
  addSchemaFields,
  expireSnapshots,
  type FilesByManifest,
  freshSnapshotId,
  isSameLocation,
  type ManifestReader,
  TableStore,
  type TableMetadata,
  type TableVersion,
  vacatedKey,
  withProperties,
} from '../iceberg/index.js';
import { type Clock, isLakeError, LakeError, Mutex, type Random, type TopicId, type TopicName } from '../kernel/index.js';
import type { ObjectStore } from '../objects/index.js';
import { dataPrefix, tablePrefix } from './bucket-layout.js';
import { addAppended, appendedProperty, formatAppended, parseAppended } from './append-cuts.js';
import { findGarbage, type GarbageObject, type GarbageRules } from './garbage.js';
import { coldFileOf, dataFileOf, orderedFiles } from './cold-files.js';
import { formatHoles, holesProperty, parseHoles } from './holes.js';
import { clusterIdProperty, newTopicMetadata, type TableIdentity, topicIdProperty } from './new-table.js';
import {
  addSample,
  formatPartitions,
  formatSamples,
  parsePartitions,
  parseSamples,
  partitionsProperty,
  samplesProperty,
} from './partition-vector.js';
import { noteDroppedTable } from './dropped-tables.js';
import { effectOf, isDone, requireFitting, requireSound } from './table-change.js';
import { columnsProperty, fieldOf, formatColumns, newColumns, parseColumns } from './table-schema.js';
import type { ColdFile, TableChange, TableSnapshot } from './table-snapshot.js';

/** In a snapshot's summary, for people: which ranges it added, which files it replaced, which log starts it raised. */
const movesSummary = 'thermocline.moves';
const rewritesSummary = 'thermocline.rewrites';
const logStartsSummary = 'thermocline.log-starts';

const noFiles: FilesByManifest<ColdFile> = new Map();

/** Times a change is put on top of a table that has moved before the caller is asked to decide again. */
const rebasesMax = 20;
/** Commits of unknown outcome that are remembered; a table has one at a time. */
const attemptsKept = 64;
const deletesAtOnce = 8;

export interface TopicTable {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  /** Key prefix of the table's objects, without a slash at its end. */
  readonly prefix: string;
  /** As last loaded or committed by this object. */
  readonly snapshot: TableSnapshot | undefined;

  /**
   * The table as it is now: one list request, and what is new since the last time. `metadataVersion` 0 where it has not been
   * written yet. Errors: `table-corrupt`, `data-dir-foreign`, and those of the store.
   */
  load(signal?: AbortSignal): Promise<TableSnapshot>;

  /**
   * Makes a change durable and visible, exactly once: called again with the same commit id after an unknown outcome it finds
   * what it did. On a table that has moved meanwhile the change is put on top where each range still begins at its
   * boundary, each input of a rewrite is still listed and each column still has its place. A change that is so already (no
   * log start above the present one, no snapshot to expire) resolves without a commit. The first commit to a table whose bucket was
   * moved also writes its locations anew, for readers that are not ours.
   * Errors: `commit-stale` (facts: `partition`, `from`, `boundary`, or `partition`, `key`, or `column`, `fieldId`, or `notAfterMs`: load
   * and decide again),
   * `commit-lost` (others were faster again and again), `store-unavailable` and others of the store (outcome unknown).
   */
  commit(change: TableChange, signal?: AbortSignal): Promise<TableSnapshot>;

  /** What nobody needs any more of this table's objects; deleting it is the caller's. Errors: see `findGarbage`. */
  garbage(rules: GarbageRules, signal?: AbortSignal): AsyncIterable<GarbageObject>;

  /**
   * Removes every object of the table, data first, but for a mark by which whoever still has the table in hand knows; may be
   * repeated. Only for a topic that was deleted.
   */
  drop(signal?: AbortSignal): Promise<{ readonly objects: number; readonly bytes: number }>;
}

export interface TopicTablePorts {
  readonly clock: Clock;
  readonly random: Random;
  /** Shared by all tables of a store, so that they share one bound. */
  readonly reader?: ManifestReader;
}

/** Opens without a request; `load` reads. */
export function openTopicTable(store: ObjectStore, table: TableIdentity, ports: TopicTablePorts): TopicTable {
  return new IcebergTopicTable(store, table, ports);
}

interface Loaded {
  /** `null`: not written yet. */
  readonly version: TableVersion | null;
  readonly snapshot: TableSnapshot;
  /** Those of the snapshot. */
  readonly files: FilesByManifest<ColdFile>;
}

class IcebergTopicTable implements TopicTable {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly prefix: string;
  readonly #identity: TableIdentity;
  readonly #objects: ObjectStore;
  readonly #table: TableStore;
  readonly #ports: TopicTablePorts;
  readonly #turn = new Mutex();
  /** Commits sent whose outcome is not known → the version they were first put on. */
  readonly #attempts = new Map<string, number>();
  #loaded: Loaded | undefined;

  constructor(store: ObjectStore, table: TableIdentity, ports: TopicTablePorts) {
    this.topic = table.topic;
    this.topicId = table.topicId;
    this.prefix = tablePrefix(table.topic, table.topicId);
    this.#identity = table;
    this.#objects = store;
    this.#table = new TableStore(store, this.prefix, ports);
    this.#ports = ports;
  }

  get snapshot(): TableSnapshot | undefined {
    return this.#loaded?.snapshot;
  }

  async load(signal?: AbortSignal): Promise<TableSnapshot> {
    return this.#turn.run(async () => (await this.#load(signal)).snapshot, signal);
  }

  async #load(signal?: AbortSignal): Promise<Loaded> {
    const version = await this.#table.load(this.#loaded?.version, signal);
    if (this.#loaded !== undefined && version?.version === this.#loaded.version?.version) return this.#loaded;
    return this.#adopt(version, signal);
  }

  async #adopt(version: TableVersion | null, signal?: AbortSignal): Promise<Loaded> {
    if (version !== null) this.#requireOurs(version.metadata);
    const known = this.#loaded?.files ?? noFiles;
    const files = version === null ? noFiles : await this.#table.readFiles(version.metadata, coldFileOf, known, signal);
    this.#loaded = { version, snapshot: this.#snapshotOf(version, files), files };
    return this.#loaded;
  }

  #snapshotOf(version: TableVersion | null, files: FilesByManifest<ColdFile>): TableSnapshot {
    const { topic, topicId } = this;
    if (version === null) {
      return {
        topic,
        topicId,
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
    const { metadata } = version;
    const partitions = parsePartitions(metadata.properties[partitionsProperty]);
    return {
      topic,
      topicId,
      metadataVersion: version.version,
      snapshotId: metadata.currentSnapshotId,
      schemaId: metadata.currentSchemaId,
      columns: parseColumns(metadata.properties[columnsProperty]),
      partitions,
      samples: parseSamples(metadata.properties[samplesProperty]),
      appended: parseAppended(metadata.properties[appendedProperty]),
      files: orderedFiles([...files.values()].flat(), partitions),
      holes: parseHoles(metadata.properties[holesProperty]),
    };
  }

  #requireOurs(metadata: TableMetadata): void {
    const cluster = metadata.properties[clusterIdProperty];
    const topicId = metadata.properties[topicIdProperty];
    if (cluster === this.#identity.clusterId && topicId === this.topicId) return;
    throw new LakeError('data-dir-foreign', `the table ${this.prefix} is of cluster ${cluster ?? '?'}, topic id ${topicId ?? '?'}`, {
      hint: 'Use the bucket prefix of this cluster.',
      facts: { table: this.prefix, cluster, topicId },
    });
  }

  async commit(change: TableChange, signal?: AbortSignal): Promise<TableSnapshot> {
    requireSound(this.prefix, change);
    return this.#turn.run(() => this.#commit(change, signal), signal);
  }

  async #commit(change: TableChange, signal?: AbortSignal): Promise<TableSnapshot> {
    const { commitId } = change;
    let current = this.#loaded;
    const sentAt = this.#attempts.get(commitId);
    if (current === undefined || sentAt !== undefined) current = await this.#load(signal);
    if (sentAt !== undefined && (await this.#table.includesCommit(commitId, sentAt, signal))) {
      current = await this.#load(signal);
      this.#attempts.delete(commitId);
      return current.snapshot;
    }
    for (let rebase = 0; ; rebase++) {
      const isNeeded = !isDone(current.snapshot, change) || expires(current, change) || this.#isMoved(current);
      if (!isNeeded) return current.snapshot;
      requireFitting(this.topic, current.snapshot, change);
      this.#requireInTime(change);
      const { metadata, written } = await this.#next(current, change, signal);
      this.#noteAttempt(commitId, current.version?.version ?? 0);
      try {
        const committed = await this.#table.commit(current.version, metadata, commitId, signal);
        const { snapshot } = await this.#adopt(committed, signal);
        this.#attempts.delete(commitId);
        return snapshot;
      } catch (error) {
        if (!isLakeError(error, 'commit-lost', 'topic-unknown')) throw error;
        this.#attempts.delete(commitId);
        // Nothing refers to what this attempt wrote. What cannot be removed now is swept later.
        await Promise.allSettled(written.map((key) => this.#objects.delete(key, signal)));
        if (rebase === rebasesMax || error.code === 'topic-unknown') throw error;
      }
      current = await this.#load(signal);
    }
  }

  /** Errors: `commit-stale` (facts: `notAfterMs`). */
  #requireInTime({ commitId, notAfterMs }: TableChange): void {
    if (notAfterMs === undefined || this.#ports.clock.nowMs() <= notAfterMs) return;
    throw new LakeError('commit-stale', `${this.topic}: commit ${commitId} is so late that its files may have been swept`, {
      hint: 'Upload the files again.',
      facts: { topic: this.topic, commitId, notAfterMs },
    });
  }

  #noteAttempt(commitId: string, version: number): void {
    if (this.#attempts.has(commitId)) return;
    const oldest = this.#attempts.keys().next();
    if (this.#attempts.size >= attemptsKept && oldest.done !== true) this.#attempts.delete(oldest.value);
    this.#attempts.set(commitId, version);
  }

  async #next(
    current: Loaded,
    change: TableChange,
    signal?: AbortSignal,
  ): Promise<{ readonly metadata: TableMetadata; readonly written: readonly string[] }> {
    const { snapshot } = current;
    let metadata = current.version?.metadata ?? newTopicMetadata(this.#objects, this.#identity, change.nowMs);
    const added: readonly TypedColumn[] = newColumns(snapshot.columns, change.columns, metadata.lastColumnId);
    const effect = effectOf(snapshot, change);
    // Without a move the boundaries are those of the sample before.
    const earlier = parseSamples(metadata.properties[samplesProperty]);
    const samples = change.moves.length === 0 ? earlier : addSample(earlier, effect.partitions, change.nowMs);
    const appended = addAppended(snapshot.appended, change.appended ?? [], effect.partitions, change.nowMs);
    metadata = addSchemaFields(metadata, added.map(fieldOf));
    const holes = formatHoles(snapshot.holes, change.moves, change.nowMs);
    metadata = withProperties(metadata, {
      ...(holes === undefined ? {} : { [holesProperty]: holes }),
      [partitionsProperty]: formatPartitions(effect.partitions),
      [samplesProperty]: formatSamples(samples),
      ...(appended === snapshot.appended ? {} : { [appendedProperty]: formatAppended(appended) }),
      [columnsProperty]: formatColumns([...snapshot.columns, ...added]),
    });
    const isMoved = this.#isMoved(current);
    if (effect.operation === null && !isMoved) return { metadata: expireSnapshots(metadata, change.expireBeforeMs), written: [] };
    const next = await this.#table.nextSnapshot(
      metadata,
      {
        // Of a table that was moved, the same files at another place.
        operation: effect.operation ?? 'replace',
        dataFiles: effect.added.map(dataFileOf),
        removedFiles: effect.removed,
        location: this.#objects.location(this.prefix),
        snapshotId: freshSnapshotId(metadata, this.#ports.random),
        nowMs: change.nowMs,
        summary: summaryOf(change),
        commitId: change.commitId,
      },
      signal,
    );
    return { metadata: expireSnapshots(next.metadata, change.expireBeforeMs), written: next.written };
  }

  /** Whether the bucket lies elsewhere than where the table was made: our readers do not mind, all others look at the old place. */
  #isMoved({ version }: Loaded): boolean {
    return version !== null && !isSameLocation(version.metadata.location, this.#objects.location(this.prefix));
  }

  garbage(rules: GarbageRules, signal?: AbortSignal): AsyncIterable<GarbageObject> {
    return findGarbage(this.#table, rules, this.#loaded?.version ?? null, signal);
  }

  async drop(signal?: AbortSignal): Promise<{ readonly objects: number; readonly bytes: number }> {
    return this.#turn.run(async () => {
      let objects = 0;
      let bytes = 0;
      await noteDroppedTable(this.#objects, this, signal);
      await this.#table.vacate(signal);
      // Metadata goes last, so that a drop that breaks off is still seen as a table and can be found.
      for (const prefix of [dataPrefix(this.prefix), `${this.prefix}/`]) {
        let group: string[] = [];
        const flush = async (): Promise<void> => {
          await Promise.all(group.map((key) => this.#objects.delete(key, signal)));
          group = [];
        };
        for await (const object of this.#objects.list(prefix, signal)) {
          if (object.key === vacatedKey(this.prefix)) continue;
          objects++;
          bytes += object.bytes;
          group.push(object.key);
          if (group.length >= deletesAtOnce) await flush();
        }
        await flush();
      }
      this.#loaded = undefined;
      this.#attempts.clear();
      return { objects, bytes };
    }, signal);
  }
}

/** Whether a commit now would let a snapshot go. */
function expires({ version }: Loaded, change: TableChange): boolean {
  return version !== null && expireSnapshots(version.metadata, change.expireBeforeMs) !== version.metadata;
}

/** Characters of a summary that people may still want to read. */
const summaryTextMax = 2000;

function summaryOf({ moves, rewrites = [], logStarts = [] }: TableChange): Readonly<Record<string, string>> {
  const texts: readonly (readonly [string, readonly string[]])[] = [
    [movesSummary, moves.map((move) => `${move.partition}:${move.from}-${move.to}`)],
    [rewritesSummary, rewrites.map((rewrite) => `${rewrite.partition}:${rewrite.inputs.length}→${rewrite.outputs.length}`)],
    [logStartsSummary, logStarts.map((move) => `${move.partition}:${move.logStartOffset}`)],
  ];
  return Object.fromEntries(
    texts.flatMap(([key, items]) => {
      const text = items.join(' ');
      if (text === '') return [];
      return [[key, text.length <= summaryTextMax ? text : `${text.slice(0, summaryTextMax)}…`]];
    }),
  );
}
