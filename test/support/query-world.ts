// A broker, a bucket and a query service in one process, for tests of the query side: the log lies in memory as record batches, the
// table and its files are real, and any part of the log can be made cold at any offset.
import { rmSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { appendTimeHandlers } from '../../src/broker/append-times.js';
import type { BrokerCore } from '../../src/broker/core.js';
import {
  assignColumns,
  type ColumnPair,
  type ColumnWorkers,
  type EncodeResult,
  readFileFooter,
  type TypedColumn,
  type ValueFormat,
} from '../../src/columns/index.js';
import type { FetchedPartition, FetchOptions, FetchPartition, ListedOffset, LogReader } from '../../src/client/index.js';
import type {
  BrokerState,
  ControlMethod,
  ControlParams,
  ControlResult,
  PartitionState,
  SavedView,
  TopicState,
} from '../../src/control/index.js';
import {
  clusterId,
  freshId,
  LakeError,
  MiB,
  systemClock,
  systemDisk,
  systemRandom,
  topicId,
  type TopicId,
  topicName,
  type TopicName,
} from '../../src/kernel/index.js';
import { AppendTimes } from '../../src/log/append-times.js';
import { type ColdFile, dataFileKey, filesOfPartition, type NewColdFile, openTopicTable, type TopicTable } from '../../src/lake/index.js';
import { type ObjectStore, openObjectStore } from '../../src/objects/index.js';
import { openQueryService, type QueryRequest, type QueryService, type QueryStats, type ServiceLimits } from '../../src/query/index.js';
import { type Logger, silentLogger } from '../../src/telemetry/index.js';
import { RecordBatchWriter, type RecordHeader, kafkaErrors } from '../../src/wire/index.js';

export interface TestRecord {
  readonly timestampMs: number;
  readonly key?: Buffer | string | null;
  readonly value?: Buffer | string | null;
  readonly headers?: readonly RecordHeader[];
}

interface StoredBatch {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly bytes: Buffer;
  readonly timestampsMs: readonly number[];
}

class Partition {
  readonly batches: StoredBatch[] = [];
  endOffset = 0;
  logStartOffset = 0;
  localStartOffset = 0;
  boundary = 0;
  leaderEpoch = 0;
  /** What a kill leaves: asked for by a query, or in the table. */
  flushedOffset = 0;
  /** What the broker's log remembers of when it appended. */
  times: AppendTimes;
  readonly #timesPath: string;

  constructor(timesPath: string, nowMs: number) {
    this.#timesPath = timesPath;
    this.times = this.#openTimes(nowMs, nowMs);
  }

  #openTimes(lastWriteMs: number, nowMs: number): AppendTimes {
    const ports = { disk: systemDisk, replaceFile: async (path: string, bytes: Uint8Array) => writeFileSync(path, bytes) };
    return AppendTimes.open(this.#timesPath, { endOffset: this.endOffset, lastWriteMs, nowMs }, ports);
  }

  /** A restart of the broker: a clean one, one after a kill, or of one that was recovered from the bucket and remembers nothing. */
  restart(how: 'clean' | 'killed' | 'recovered', nowMs: number): void {
    if (how === 'clean') this.times.close();
    if (how === 'recovered') rmSync(this.#timesPath);
    this.times = this.#openTimes(nowMs, nowMs);
  }

  /** What a kill takes: records that nobody has been told of. Their offsets are given out again, in a new epoch. */
  loseUnflushed(): void {
    const kept = this.batches.filter((batch) => batch.baseOffset < this.flushedOffset);
    this.batches.splice(0, Number.POSITIVE_INFINITY, ...kept);
    this.endOffset = Math.max(this.flushedOffset, (kept.at(-1)?.lastOffset ?? -1) + 1);
    this.leaderEpoch++;
  }

  append(records: readonly TestRecord[], nowMs: number): void {
    const writer = new RecordBatchWriter();
    for (const record of records) {
      const bytes = (value: Buffer | string | null | undefined): Buffer | null =>
        value === null || value === undefined ? null : Buffer.from(value as string);
      writer.append(record.timestampMs, bytes(record.key), bytes(record.value), record.headers ?? []);
    }
    const batch = writer.finish({ baseOffset: this.endOffset, leaderEpoch: this.leaderEpoch });
    this.batches.push({
      baseOffset: this.endOffset,
      lastOffset: this.endOffset + records.length - 1,
      bytes: Buffer.from(batch),
      timestampsMs: records.map((record) => record.timestampMs),
    });
    this.endOffset += records.length;
    this.times.note(nowMs, this.endOffset);
  }

  get hotBytes(): number {
    return this.batches.filter((batch) => batch.lastOffset >= this.localStartOffset).reduce((sum, batch) => sum + batch.bytes.length, 0);
  }
}

interface Topic {
  readonly name: TopicName;
  readonly id: TopicId;
  readonly partitions: readonly Partition[];
  readonly table: TopicTable;
  readonly config: Record<string, string>;
  columns: TypedColumn[];
}

/** What a file stands for. */
type FileOf = Pick<NewColdFile, 'baseOffset' | 'lastOffset' | 'rawBytes'> &
  Partial<Record<'minTimestampMs' | 'maxTimestampMs', number | undefined>>;

const cluster = clusterId('testclustertestcluster');

export interface WorldOptions {
  readonly limits?: Partial<ServiceLimits>;
  readonly workers: (directory: string) => Promise<ColumnWorkers> | ColumnWorkers;
  readonly tailEncodeBytesMin?: number;
  readonly coldWholeBytesMax?: number;
  readonly lastRowsFileBytesMin?: number;
  readonly mergedFilesMin?: number;
  readonly logger?: Logger;
  /** Default: a directory beside the caches. */
  readonly store?: ObjectStore;
}

export class QueryWorld implements AsyncDisposable {
  readonly directory: string;
  readonly store: ObjectStore;
  readonly workers: ColumnWorkers;
  service: QueryService;
  readonly #reopen: () => Promise<QueryService>;
  readonly #topics: Map<string, Topic>;
  readonly views: SavedView[];
  /** What the query side asked for. */
  readonly fetches: { partition: number; offset: number }[];
  readonly control: ReturnType<typeof controlOf>;
  /** The broker's time; the system's unless set. */
  readonly clock: { nowIs: number | undefined; readonly nowMs: () => number };
  /** Called, and waited for, before the broker answers anything. */
  readonly hooks: { beforeAnswer?: (() => Promise<void>) | undefined };

  private constructor(parts: {
    directory: string;
    store: ObjectStore;
    workers: ColumnWorkers;
    service: QueryService;
    reopen: () => Promise<QueryService>;
    topics: Map<string, Topic>;
    views: SavedView[];
    fetches: { partition: number; offset: number }[];
    control: ReturnType<typeof controlOf>;
    clock: QueryWorld['clock'];
    hooks: QueryWorld['hooks'];
  }) {
    this.directory = parts.directory;
    this.store = parts.store;
    this.workers = parts.workers;
    this.service = parts.service;
    this.#reopen = parts.reopen;
    this.#topics = parts.topics;
    this.views = parts.views;
    this.fetches = parts.fetches;
    this.control = parts.control;
    this.clock = parts.clock;
    this.hooks = parts.hooks;
  }

  static async open(options: WorldOptions): Promise<QueryWorld> {
    const directory = await mkdtemp(join(tmpdir(), 'thermocline-query-'));
    const store = options.store ?? (await openObjectStore(`file://${join(directory, 'bucket')}`));
    const workers = await options.workers(join(directory, 'columns'));
    const topics = new Map<string, Topic>();
    const fetches: { partition: number; offset: number }[] = [];
    const views: SavedView[] = [];
    const clock: QueryWorld['clock'] = { nowIs: undefined, nowMs: () => clock.nowIs ?? systemClock.nowMs() };
    const hooks: QueryWorld['hooks'] = {};
    const control = controlOf(topics, views, clock, hooks);
    await mkdir(join(directory, 'append-times'));
    const reopen = (): Promise<QueryService> =>
      openQueryService({
        store,
        reader: readerOf(topics, fetches, hooks),
        control,
        workers,
        cacheDir: join(directory, 'cache'),
        tokenDir: join(directory, 'tokens'),
        clock: systemClock,
        random: systemRandom,
        logger: options.logger ?? silentLogger,
        limits: {
          tailMaxBytes: 64 * MiB,
          memoryBytes: 256 * MiB,
          timeoutMs: 30_000,
          concurrency: 1,
          cacheBytes: 256 * MiB,
          parquetBytesMax: 256 * MiB,
          snapshotUsableMs: 1_800_000,
          ...options.limits,
        },
        ...(options.mergedFilesMin === undefined ? {} : { mergedFilesMin: options.mergedFilesMin }),
        ...(options.lastRowsFileBytesMin === undefined ? {} : { lastRowsFileBytesMin: options.lastRowsFileBytesMin }),
        ...(options.coldWholeBytesMax === undefined ? {} : { coldWholeBytesMax: options.coldWholeBytesMax }),
        ...(options.tailEncodeBytesMin === undefined ? {} : { tailEncodeBytesMin: options.tailEncodeBytesMin }),
      });
    const service = await reopen();
    return new QueryWorld({ directory, store, workers, service, reopen, topics, views, fetches, control, clock, hooks });
  }

  /** A restart of the query side: what it keeps of earlier times is what is on its disk. */
  async reopen(): Promise<void> {
    await this.service.close();
    this.service = await this.#reopen();
  }

  createTopic(name: string, partitions = 1, config: Record<string, string> = {}): void {
    const id = topicId(freshId((length) => systemRandom.bytes(length)));
    const table = openTopicTable(
      this.store,
      { topic: topicName(name), topicId: id, clusterId: cluster },
      { clock: systemClock, random: systemRandom },
    );
    this.#topics.set(name, {
      name: topicName(name),
      id,
      partitions: Array.from(
        { length: partitions },
        (_, at) => new Partition(join(this.directory, 'append-times', `${id}-${at}`), this.clock.nowMs()),
      ),
      table,
      config,
      columns: [],
    });
  }

  dropTopic(name: string): void {
    this.#topics.delete(name);
  }

  append(name: string, partition: number, records: readonly TestRecord[]): void {
    this.partition(name, partition).append(records, this.clock.nowMs());
  }

  partition(name: string, partition: number): Partition {
    const found = this.topic(name).partitions[partition];
    if (found === undefined) throw new Error(`no partition ${name}-${partition}`);
    return found;
  }

  topic(name: string): Topic {
    const found = this.#topics.get(name);
    if (found === undefined) throw new Error(`no topic ${name}`);
    return found;
  }

  /** Moves a partition's boundary to an offset: stages, encodes, uploads and commits as the daemon does, in files of `fileRows`. */
  async makeCold(name: string, partition: number, to: number, fileRows = Number.MAX_SAFE_INTEGER): Promise<void> {
    const topic = this.topic(name);
    const log = this.partition(name, partition);
    while (log.boundary < to) {
      const from = log.boundary;
      const end = Math.min(to, from + fileRows);
      const files = await this.#storedFiles(topic, partition, from, end);
      const ends = topic.partitions.map((own, at) => ({ partition: at, endOffset: at === partition ? end : own.boundary }));
      const afterMs = (topic.table.snapshot?.appended.at(-1)?.atMs ?? -1) + 1;
      await topic.table.commit({
        commitId: systemRandom.uuid(),
        columns: topic.columns,
        nowMs: this.clock.nowMs(),
        moves: [{ partition, from, to: end, leaderEpoch: log.leaderEpoch, files }],
        appended: (await this.control.call('broker.append-cuts', { topicId: topic.id, afterMs, ends })).cuts,
      });
      log.boundary = end;
      log.flushedOffset = Math.max(log.flushedOffset, end);
    }
  }

  /** Puts one file in the place of the first ones of a partition. False where there are not two. */
  async compact(name: string, partition: number, count = 2): Promise<boolean> {
    const topic = this.topic(name);
    const files = filesOfPartition(await topic.table.load(), partition).slice(0, count);
    const [first, last] = [files[0], files.at(-1)];
    if (first === undefined || last === undefined || first === last) return false;
    await topic.table.commit({
      commitId: systemRandom.uuid(),
      columns: topic.columns,
      nowMs: this.clock.nowMs(),
      moves: [],
      rewrites: [
        {
          partition,
          inputs: files.map(({ key }) => key),
          outputs: [await this.#compacted(topic, partition, files)],
        },
      ],
    });
    return true;
  }

  /** By the job that the daemon runs: typed columns are as they were stored. */
  async #compacted(topic: Topic, partition: number, files: readonly ColdFile[]): Promise<NewColdFile> {
    const folder = await mkdtemp(join(this.directory, 'compact-'));
    const inputs = await Promise.all(
      files.map(async ({ key, baseOffset, lastOffset }, at) => {
        const path = join(folder, `${at}.parquet`);
        await this.store.download(key, path);
        return { path, baseOffset, lastOffset, digest: readFileFooter(path).digest };
      }),
    );
    const outPath = join(folder, 'compacted.parquet');
    const made = await this.workers.run({ kind: 'compact', inputs, partition, typedColumns: topic.columns, outPath });
    return this.#uploaded(topic, partition, outPath, made, made);
  }

  /** None where the range has no row. */
  async #storedFiles(topic: Topic, partition: number, from: number, end: number): Promise<NewColdFile[]> {
    const spool = join(this.directory, `spool-${systemRandom.uuid()}`);
    const { writeFile } = await import('node:fs/promises');
    const batches = topic.partitions[partition]!.batches.filter((batch) => batch.lastOffset >= from && batch.baseOffset < end);
    const bytes = Buffer.concat(batches.map((batch) => batch.bytes));
    await writeFile(spool, bytes);
    const staged = await this.workers.run({
      kind: 'stage',
      spools: [{ path: spool, bytes: bytes.length }],
      partition,
      baseOffset: from,
      endOffset: end,
      abortedTransactions: [],
      valueFormat: formatOf(topic.config),
      outPath: `${spool}.staged`,
    });
    if (staged.rows === 0) return [];
    topic.columns = assignColumns(topic.columns, staged.pairs);
    const out = `${spool}.parquet`;
    const encoded = await this.workers.run({
      kind: 'encode',
      staged: [staged],
      typedColumns: topic.columns,
      valueFormat: formatOf(topic.config),
      isForBucket: true,
      outPath: out,
    });
    return [await this.#uploaded(topic, partition, out, encoded, { ...staged, baseOffset: from, lastOffset: end - 1 })];
  }

  async #uploaded(
    topic: Topic,
    partition: number,
    path: string,
    { rows, digest, metrics, splitOffsets }: EncodeResult,
    { baseOffset, lastOffset, rawBytes, minTimestampMs = 0, maxTimestampMs = 0 }: FileOf,
  ): Promise<NewColdFile> {
    const key = dataFileKey(topic.table.prefix, { partition, baseOffset, lastOffset, unique: systemRandom.uuid() });
    await this.store.put(key, { path }, { ifAbsent: true });
    const fieldIds = topic.columns.map((column) => column.fieldId);
    const times = { minTimestampMs, maxTimestampMs };
    const { size: bytes } = await stat(path);
    return { key, partition, baseOffset, lastOffset, rows, bytes, ...times, fieldIds, digest, rawBytes, metrics, splitOffsets };
  }

  /** Columns that the next cold file finds there, as of other partitions cut before. */
  fillColumns(name: string, pairs: readonly ColumnPair[]): void {
    const topic = this.topic(name);
    topic.columns = assignColumns(topic.columns, pairs);
  }

  /** Raises the table's log start, as the daemon does; the broker's is the partition's own `logStartOffset`. */
  async raiseLogStart(name: string, partition: number, logStartOffset: number): Promise<void> {
    await this.topic(name).table.commit({
      commitId: systemRandom.uuid(),
      columns: [],
      nowMs: systemClock.nowMs(),
      moves: [],
      logStarts: [{ partition, logStartOffset }],
    });
  }

  async ask(sql: string | QueryRequest, signal = new AbortController().signal): Promise<Answered> {
    const answer = await this.service.query(typeof sql === 'string' ? { sql } : sql, signal);
    const rows: (readonly unknown[])[] = [];
    for await (const chunk of answer.rows) rows.push(...chunk);
    return { columns: answer.columns, rows, token: answer.token, headerToken: answer.headerToken, stats: answer.stats() };
  }

  /** Resolves when every chunk of the tail has its typed columns. For worlds that encode all of them. */
  async encoded(): Promise<void> {
    for (;;) {
      const { tailChunks, tailEncodedChunks } = this.service.metricsSnapshot();
      if (tailEncodedChunks === tailChunks) return;
      await systemClock.sleep(2);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service.close();
    await this.workers.close();
    await this.store.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

export interface Answered {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly rows: readonly (readonly unknown[])[];
  readonly token: string;
  readonly headerToken: string;
  readonly stats: Readonly<QueryStats>;
}

function readerOf(
  topics: ReadonlyMap<string, Topic>,
  fetches: { partition: number; offset: number }[],
  hooks: QueryWorld['hooks'],
): LogReader {
  const byId = (id: TopicId): Topic | undefined => [...topics.values()].find((topic) => topic.id === id);
  return {
    topics: async () =>
      [...topics.values()].map((topic) => ({
        name: topic.name,
        id: topic.id,
        partitions: topic.partitions.map((_, at) => at),
        isInternal: false,
      })),
    fetch: async (partitions: readonly FetchPartition[], _options: FetchOptions): Promise<readonly FetchedPartition[]> => {
      await hooks.beforeAnswer?.();
      return partitions.map((wanted) => {
        fetches.push({ partition: wanted.partition, offset: wanted.offset });
        const log = byId(wanted.topicId)?.partitions[wanted.partition];
        if (log === undefined) throw new LakeError('topic-unknown', 'no such topic');
        const parts: Buffer[] = [];
        let bytes = 0;
        const isOutOfRange = wanted.offset < log.logStartOffset;
        for (const batch of isOutOfRange ? [] : log.batches) {
          if (batch.lastOffset < wanted.offset) continue;
          if (bytes > 0 && bytes + batch.bytes.length > wanted.maxBytes) {
            // As Kafka does, an answer may end in a piece of a batch.
            parts.push(batch.bytes.subarray(0, batch.bytes.length >> 1));
            break;
          }
          parts.push(batch.bytes);
          bytes += batch.bytes.length;
        }
        return {
          topicId: wanted.topicId,
          partition: wanted.partition,
          errorCode: isOutOfRange ? kafkaErrors.OFFSET_OUT_OF_RANGE : 0,
          records: Buffer.concat(parts),
          highWatermark: log.endOffset,
          lastStableOffset: log.endOffset,
          logStartOffset: log.logStartOffset,
          abortedTransactions: [],
        };
      });
    },
    listOffsets: async (name, partitions): Promise<readonly ListedOffset[]> =>
      partitions.map(({ partition, timestampMs }) => {
        const log = topics.get(name)?.partitions[partition];
        for (const batch of log?.batches ?? []) {
          const at = batch.timestampsMs.findIndex(
            (ms, index) => ms >= timestampMs && batch.baseOffset + index >= (log?.logStartOffset ?? 0),
          );
          if (at >= 0)
            return { partition, errorCode: 0, offset: batch.baseOffset + at, timestampMs: batch.timestampsMs[at] ?? -1, leaderEpoch: 0 };
        }
        return { partition, errorCode: 0, offset: -1, timestampMs: -1, leaderEpoch: 0 };
      }),
    close: async () => undefined,
  };
}

/** The broker's own answers to questions of times, on the model's logs. */
function timesOf(topics: ReadonlyMap<string, Topic>, clock: QueryWorld['clock']): ReturnType<typeof appendTimeHandlers> {
  const logOf = (log: Partition, partition: number) => ({
    partition,
    get flushedOffset() {
      return log.flushedOffset;
    },
    flush: async () => void (log.flushedOffset = log.endOffset),
    get appendsKnownSinceMs() {
      return log.times.sinceMs;
    },
    appendSpans: () => log.times.spans(),
    settledAppendMs: (nowMs: number) => log.times.settledMs(nowMs),
  });
  const byId = (id: TopicId) => {
    const topic = [...topics.values()].find((candidate) => candidate.id === id);
    return topic === undefined ? undefined : { partitions: new Map(topic.partitions.map((log, at) => [at, logOf(log, at)])) };
  };
  return appendTimeHandlers({ clock, topics: { byId } } as unknown as BrokerCore);
}

function controlOf(
  topics: ReadonlyMap<string, Topic>,
  views: readonly SavedView[],
  clock: QueryWorld['clock'],
  hooks: QueryWorld['hooks'],
) {
  const times = timesOf(topics, clock);
  const describe = (): BrokerState => ({
    clusterId: cluster,
    nodeId: 1,
    kafka: '127.0.0.1:0',
    dropped: [],
    views,
    diskFreeBytes: 1e12,
    topics: [...topics.values()].map(
      (topic): TopicState => ({
        name: topic.name,
        id: topic.id,
        isInternal: false,
        isTiered: true,
        config: { ...topic.config },
        overrides: { ...topic.config },
        partitions: topic.partitions.map(
          (log, partition): PartitionState => ({
            partition,
            logStartOffset: log.logStartOffset,
            localStartOffset: log.localStartOffset,
            boundary: log.boundary,
            // Nothing counts as flushed before it was asked for.
            flushedOffset: log.boundary,
            highWatermark: log.endOffset,
            lastStableOffset: log.endOffset,
            leaderEpoch: log.leaderEpoch,
            hotBytes: log.hotBytes,
            tailBytes: 0,
            segments: 1,
          }),
        ),
      }),
    ),
  });
  return {
    call: async <M extends ControlMethod>(method: M, params: ControlParams<M>): Promise<ControlResult<M>> => {
      await hooks.beforeAnswer?.();
      if (method === 'broker.describe') return describe() as ControlResult<M>;
      if (method === 'broker.flush') {
        const { topicId: id, partitions } = params as ControlParams<'broker.flush'>;
        const topic = [...topics.values()].find((candidate) => candidate.id === id);
        const flushed = partitions.map(({ partition }) => {
          const log = topic?.partitions[partition];
          if (log !== undefined) log.flushedOffset = log.endOffset;
          return {
            partition,
            flushedOffset: log?.endOffset ?? 0,
            lastStableOffset: log?.endOffset ?? 0,
            leaderEpoch: log?.leaderEpoch ?? 0,
          };
        });
        return { partitions: flushed } as unknown as ControlResult<M>;
      }
      if (method === 'broker.as-of') return times['broker.as-of'](params as never, {} as never) as Promise<ControlResult<M>>;
      if (method === 'broker.append-cuts') return times['broker.append-cuts'](params as never, {} as never) as Promise<ControlResult<M>>;
      throw new LakeError('unsupported', method);
    },
  };
}

function formatOf(config: Readonly<Record<string, string>>): ValueFormat {
  return (config['lake.value.format'] ?? 'auto') as ValueFormat;
}
