/**
 * Watches the tables from outside: after each change of a table's metadata it is read from the bucket as any other engine would
 * read it, and held against what was produced.
 */
import { ManifestReader } from '../../src/iceberg/index.js';
import { type ColdFile, openTopicTable, parseTopicKey, type TableSnapshot, type TopicTable } from '../../src/lake/index.js';
import type { TopicId, TopicName } from '../../src/kernel/index.js';
import type { ObjectInfo } from '../../src/objects/index.js';
import { simFile } from '../support/sim-workers.js';
import { SimProcess } from './process.js';
import { realRows } from './real-columns.js';
import { Violation } from './scheduler.js';
import { upkeepTimes, type World } from './world.js';

const metadataPattern = /^(.*)\/metadata\/v(\d+)\.metadata\.json$/;

interface Watched {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly table: TopicTable;
  readonly files: Set<string>;
  /** All there ever were. */
  readonly everListed: Set<string>;
  /** The highest version that was ever written, and those that were written when a higher one had been. */
  highest: number;
  readonly late: Set<number>;
  snapshot: TableSnapshot | undefined;
  isDirty: boolean;
}

export class TableOracle {
  readonly #world: World;
  readonly #tables = new Map<TopicId, Watched>();
  readonly #manifests: ManifestReader;
  readonly #ports: Pick<SimProcess, 'clock' | 'ids'>;
  #isDirty = false;
  /** Versions seen. */
  commits = 0;
  filesSeen = 0;
  /** Files that took the place of others. */
  filesRewritten = 0;
  /** Cold files that were removed of tables whose topic is there. */
  filesRemoved = 0;

  constructor(world: World) {
    this.#world = world;
    this.#manifests = new ManifestReader(world.bucket.raw);
    this.#ports = new SimProcess(world.scheduler, 'oracle');
    world.bucket.listeners.push({
      onPut: (key) => this.#changed(key),
      onDelete: (key, by) => this.#deleted(key, by),
    });
  }

  /** Topics whose tables have been written. */
  get tables(): readonly Watched[] {
    return [...this.#tables.values()];
  }

  #isAlive(topicId: TopicId): boolean {
    return this.#world.isAlive(topicId);
  }

  #changed(key: string): void {
    const [, , version] = metadataPattern.exec(key) ?? [];
    const named = parseTopicKey(key);
    if (version === undefined || named === null) return;
    const known = this.#tables.get(named.topicId) ?? this.#open(named);
    if (Number(version) > known.highest) known.highest = Number(version);
    else known.late.add(Number(version));
    known.isDirty = true;
    this.#isDirty = true;
  }

  #open(named: { readonly topic: TopicName; readonly topicId: TopicId }): Watched {
    const { bucket } = this.#world;
    const watched: Watched = {
      ...named,
      table: openTopicTable(
        bucket.raw,
        { ...named, clusterId: this.#world.clusterId },
        { clock: this.#ports.clock, random: this.#ports.ids, reader: this.#manifests },
      ),
      files: new Set(),
      everListed: new Set(),
      highest: 0,
      late: new Set(),
      snapshot: undefined,
      isDirty: false,
    };
    this.#tables.set(named.topicId, watched);
    return watched;
  }

  #deleted(key: string, by: string): void {
    const named = parseTopicKey(key);
    if (named === null || !this.#isAlive(named.topicId)) return;
    if (key.endsWith('.parquet')) this.filesRemoved++;
    const watched = this.#tables.get(named.topicId);
    if (watched?.snapshot === undefined) return;
    const { snapshot, files } = watched;
    const isCurrent = key.endsWith(`/metadata/v${snapshot.metadataVersion}.metadata.json`);
    if (files.has(key) || isCurrent) {
      this.#world.scheduler.fail(
        new Violation('deleted', `${by} deleted ${key}, which version ${snapshot.metadataVersion} of the table refers to`),
      );
    }
  }

  /** Called between events: reads what has changed. */
  async look(): Promise<void> {
    if (!this.#isDirty) return;
    this.#isDirty = false;
    for (const watched of this.#tables.values()) {
      if (!watched.isDirty) continue;
      watched.isDirty = false;
      if (this.#isAlive(watched.topicId)) await this.#read(watched);
    }
  }

  async #read(watched: Watched): Promise<void> {
    const { topicId, topic } = watched;
    let snapshot: TableSnapshot;
    try {
      snapshot = await watched.table.load();
    } catch (error) {
      throw new Violation('unreadable', `the table of ${topic} cannot be read: ${(error as Error).message}`);
    }
    if (snapshot.metadataVersion === watched.snapshot?.metadataVersion) return;
    this.commits++;
    const boundaries = new Map(watched.snapshot?.partitions.map(({ partition, boundary }) => [partition, boundary]));
    watched.snapshot = snapshot;
    this.#world.scheduler.trace(
      'oracle',
      `table ${topic} v${snapshot.metadataVersion}: ${snapshot.partitions.map((p) => `${p.partition}:[${p.logStartOffset},${p.boundary})`).join(' ')}`,
    );
    for (const cold of snapshot.partitions) {
      const known = this.#world.model.of(topicId, cold.partition, topic);
      if (cold.boundary < known.tableBoundary) {
        throw new Violation('boundary-back', `${known.where}: the table's boundary is ${cold.boundary} after ${known.tableBoundary}`);
      }
      if (cold.logStartOffset < known.tableLogStart) {
        throw new Violation(
          'log-start-back',
          `${known.where}: the table's log start is ${cold.logStartOffset} after ${known.tableLogStart}`,
        );
      }
      known.tableBoundary = cold.boundary;
      known.tableLogStart = cold.logStartOffset;
      const log = this.#world.broker?.core.topics.byId(topicId)?.partitions.get(cold.partition);
      if (log !== undefined && log.offline === undefined && cold.boundary > log.flushedOffset) {
        throw new Violation(
          'unflushed',
          `${known.where}: the table's boundary ${cold.boundary} is above the flushed end ${log.flushedOffset}`,
        );
      }
    }
    const keys = new Set<string>();
    for (const file of snapshot.files) {
      keys.add(file.key);
      if (watched.files.has(file.key)) continue;
      if (file.baseOffset < (boundaries.get(file.partition) ?? 0)) this.filesRewritten++;
      await this.#check(watched, file);
    }
    watched.files.clear();
    for (const key of keys) {
      watched.files.add(key);
      watched.everListed.add(key);
    }
    this.#checkCover(watched, snapshot);
  }

  /** The table as it is now, for one who goes on reading it. */
  async pin({ id }: { readonly id: TopicId }): Promise<TableSnapshot | undefined> {
    const watched = this.#tables.get(id);
    return watched === undefined || !this.#isAlive(id) ? undefined : watched.table.load();
  }

  /** Everything a snapshot lists can still be read, also where the table has gone on without it. */
  async requireReadable({ id }: { readonly id: TopicId }, snapshot: TableSnapshot): Promise<void> {
    for (const file of snapshot.files) {
      const object = await this.#world.bucket.raw.head(file.key);
      if (!this.#isAlive(id)) return;
      if (object?.bytes === file.bytes) continue;
      throw new Violation('pulled-away', `${file.key} of version ${snapshot.metadataVersion} is gone while a query reads it`);
    }
  }

  /** Objects that no live snapshot needs and that are older than they may become; of deleted topics all but the mark. */
  async leftovers(): Promise<readonly string[]> {
    const { raw } = this.#world.bucket;
    const left: string[] = [];
    for (const [topicId, { topic, table }] of this.#tables) {
      const own: ObjectInfo[] = [];
      for await (const object of raw.list(`${table.prefix}/`)) own.push(object);
      if (!this.#isAlive(topicId)) {
        // Where wall time runs ahead of timers, the look that comes every quarter of an age of wall time does not come.
        if (this.#world.shape.wallSpeed > 1) continue;
        left.push(...own.map(({ key }) => key).filter((key) => !key.endsWith('/vacated.json')));
        continue;
      }
      // Snapshots that may stay for a day keep their files.
      if (this.#world.shape.snapshotMaxAgeMs > upkeepTimes.minAgeMs) continue;
      // With nothing in its memory: what is there is really read.
      const fresh = openTopicTable(
        raw,
        { topic, topicId, clusterId: this.#world.clusterId },
        { clock: this.#ports.clock, random: this.#ports.ids },
      );
      const needed = new Set((await fresh.load()).files.map(({ key }) => key));
      left.push(...own.map(({ key }) => key).filter((key) => key.endsWith('.parquet') && !needed.has(key)));
    }
    return left;
  }

  /** A file that is new in the table: it is there, and holds what was produced. */
  async #check({ topicId, topic }: Watched, file: ColdFile): Promise<void> {
    this.filesSeen++;
    const known = this.#world.model.of(topicId, file.partition, topic);
    const object = await this.#world.bucket.raw.head(file.key);
    if (object === null) throw new Violation('missing', `${file.key} is in the table and not in the bucket`);
    if (object.bytes !== file.bytes) throw new Violation('length', `${file.key} has ${object.bytes} bytes, the table says ${file.bytes}`);
    const bytes = await this.#world.bucket.raw.get(file.key);
    const rows = this.#world.isReal ? realRows(bytes, file) : simFile(bytes).rows;
    if (rows.length !== file.rows) throw new Violation('rows', `${file.key} has ${rows.length} rows, the table says ${file.rows}`);
    let next = file.baseOffset;
    for (const row of rows) {
      if (row.offset !== next) throw new Violation('gap', `${file.key}: offset ${row.offset} came where ${next} was next`);
      next++;
      known.see(row, true, file.key);
    }
    if (next !== file.lastOffset + 1) throw new Violation('gap', `${file.key} ends at ${next - 1}, its name says ${file.lastOffset}`);
  }

  /** Every offset from log start to boundary is in exactly one file. */
  #checkCover({ topic }: Watched, snapshot: TableSnapshot): void {
    for (const { partition, boundary, logStartOffset } of snapshot.partitions) {
      let next: number | undefined;
      for (const file of snapshot.files) {
        if (file.partition !== partition) continue;
        if (next === undefined ? file.baseOffset > logStartOffset : file.baseOffset !== next) {
          throw new Violation('cover', `${topic}-${partition}: ${file.key} does not follow on ${next ?? logStartOffset}`);
        }
        next = file.lastOffset + 1;
      }
      if ((next ?? logStartOffset) !== boundary) {
        throw new Violation('cover', `${topic}-${partition}: files end at ${next ?? logStartOffset}, the boundary is ${boundary}`);
      }
    }
  }

  /** Whether a table has named the file, and does so no longer. */
  hasLeft(key: string): boolean {
    const named = parseTopicKey(key);
    const watched = named === null ? undefined : this.#tables.get(named.topicId);
    return watched?.everListed.has(key) === true && !watched.files.has(key);
  }

  /** What a daemon's own checks find is a finding too; and a commit that came behind a later one must not count for it. */
  onDaemonLine(level: string, message: string, facts: Readonly<Record<string, unknown>>): void {
    const { topicId, metadataVersion } = facts as { readonly topicId?: TopicId; readonly metadataVersion?: number };
    if (topicId !== undefined && metadataVersion !== undefined && this.#tables.get(topicId)?.late.has(metadataVersion) === true) {
      this.#world.scheduler.fail(
        new Violation('number-reused', `${message}: version ${metadataVersion} was written when there had been a later one`),
      );
    }
    if (level !== 'error') return;
    const error = facts['error'] as { readonly code?: string; readonly message?: string } | undefined;
    if (
      error?.code === 'verify-failed' ||
      error?.code === 'table-corrupt' ||
      error?.code === 'cold-corrupt' ||
      /above the log end/.test(message)
    ) {
      this.#world.scheduler.fail(new Violation('daemon-alarm', `${message}: ${error?.code ?? ''} ${error?.message ?? ''}`));
    }
  }
}
