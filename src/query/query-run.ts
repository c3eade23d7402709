/**
 * One query from its text to its rows. The order is that of the design (§6): parse → pin → tail → analyze → lease → run.
 *
 * The columns of a query are those of the whole pinned log, so the tail is staged whole before the analysis, as long as it is
 * small; only of a large one no more is staged than the analysis says is needed, and then columns seen nowhere else but in the
 * rest of it are unknown to the query.
 */
import { setMaxListeners } from 'node:events';
import { availableParallelism } from 'node:os';
import { type ColumnPair, pairKey, quoteName, type ValueFormat } from '../columns/index.js';
import type { LogReader } from '../client/index.js';
import type { BrokerState, SavedView, TopicState } from '../control/index.js';
import { errorFromPlain, LakeError, MiB } from '../kernel/index.js';
import type { TableSnapshot } from '../lake/index.js';
import type { ColdReads } from './cold/cold-reads.js';
import type { ColdNeed } from './cold/need.js';
import type { EngineSession } from './engine.js';
import type { AnswerColumn, AnswerShape, Definition, ParsedStatement } from './engine-protocol.js';
import { type ColumnKnowledge, withColumnAdvice } from './error-advice.js';
import { type ExplainedTopic, explainedFiles, explainSql } from './explain.js';
import { frontOf, type NamedTable } from './front.js';
import { latestSchema, latestSource, latestView } from './latest.js';
import type { KeyedFiles } from './keys/keyed-files.js';
import { type ColdSelection, Lease, selectChunks, selectCold } from './lease.js';
import {
  type ControlPort,
  findTopic,
  type PinnedColumns,
  type PinnedPartition,
  type PinnedTopic,
  mergedColumns,
  pinnedColumns,
  pinTopic,
  tokenOf,
} from './pin.js';
import { type CheckedLimits, type QueryRequest, type ServiceLimits } from './query-limits.js';
import { headRanges } from './head-ranges.js';
import { fullScan, partitionRange, type ScanRange } from './ranges.js';
import { expandViews } from './saved-views.js';
import { requireScanBytes, requireTimeBounds, type TopicReach } from './scan-bounds.js';
import type { TableReference } from './statement.js';
import { type StatementCache, scansKey } from './statement-cache.js';
import { describedTopic, needsSnapshots, type QuerySummary, requireSystemTable, systemSetup } from './system-tables.js';
import { boundParameters, type ParameterValue } from './parameters.js';
import type { QueryPhase } from './progress.js';
import type { RecordsScan, ScanHead } from './scan-head.js';
import type { TableScans } from './scan-plan.js';
import type { Tables } from './tables.js';
import { TailBudget, type TailCache, type TailChunk, type TailLease, tailTooLarge } from './tail.js';
import type { SnapshotToken } from './token.js';
import { analysisTable, type LeasedFile, recordsNeed, recordsView, topicNeed, topicView } from './views.js';

/** A tail estimated below this is staged whole: one to two seconds of work the first time, then only what is new. */
const exactTailBytes = 256 * MiB;
/** Below this, finding out where a time begins costs more than staging what lies before it. */
const timeLookupBytesMin = 4 * MiB;
/** A single scan of less is done before several threads have started. */
const threadsBytesMin = 2 * MiB;
/** Messages of rows an engine may be ahead of its reader. */
export const rowsCredits = 4;

export interface RunPorts {
  readonly control: ControlPort;
  readonly reader: LogReader;
  readonly tables: Tables;
  readonly tails: TailCache;
  readonly cold: ColdReads;
  readonly keyed: KeyedFiles;
  readonly statements: StatementCache;
  readonly limits: ServiceLimits;
  readonly queries: () => readonly QuerySummary[];
  readonly nowMs: () => number;
}

export interface QueryStats {
  hot_rows: number;
  hot_bytes: number;
  cold_files: number;
  cold_rows: number;
  /** Of what is within reach of the query: of cold files that are read in parts, the parts. */
  cold_bytes: number;
  /** Fetched from the bucket for this query, and in how many requests. */
  read_bytes: number;
  requests: number;
  cache_hits: number;
  pruned_files: number;
  rows: number;
  /** Per topic and partition: the first offset read from the hot log. */
  boundary: Record<string, Record<string, number>>;
  plan_ms: number;
  elapsed_ms: number;
}

export interface StartedQuery {
  readonly columns: readonly AnswerColumn[];
  readonly token: SnapshotToken;
}

/** What the plan says of each topic; a topic it says nothing of is read whole. */
type Scans = ReadonlyMap<string, readonly ScanRange[]>;
type UsedColumns = ReadonlyMap<string, ReadonlySet<string>>;

/** A statement with what it needs beside its topics. */
interface Question {
  readonly statement: ParsedStatement;
  readonly prelude: readonly string[];
  /** Saved views that the statement reads, in an order in which they can be made. */
  readonly views: readonly Definition[];
}

interface TailPlan {
  readonly scans: Scans;
  readonly used: UsedColumns;
  readonly heads: ReadonlyMap<string, ScanHead>;
  readonly columns: ReadonlyMap<string, PinnedColumns>;
}

export class QueryRun {
  readonly stats: QueryStats = {
    hot_rows: 0,
    hot_bytes: 0,
    cold_files: 0,
    cold_rows: 0,
    cold_bytes: 0,
    read_bytes: 0,
    requests: 0,
    cache_hits: 0,
    pruned_files: 0,
    rows: 0,
    boundary: {},
    plan_ms: 0,
    elapsed_ms: 0,
  };
  phase: QueryPhase = 'planning';
  readonly #ports: RunPorts;
  readonly #session: EngineSession;
  readonly #signal: AbortSignal;
  /** For the records route, whose question is ours: what it can find rows in. */
  readonly #recordsRanges: readonly RecordsScan[] | undefined;
  readonly #shape: AnswerShape;
  readonly #tails = new Map<string, { readonly partition: PinnedPartition; readonly lease: TailLease }[]>();
  #parameters: (readonly [string, ParameterValue])[] = [];
  /** How often the statement, with its views written out, names each relation. */
  #references: ReadonlyMap<string, number> = new Map();

  constructor(
    ports: RunPorts,
    session: EngineSession,
    recordsRanges: readonly RecordsScan[] | undefined,
    shape: AnswerShape,
    signal: AbortSignal,
  ) {
    this.#shape = shape;
    this.#ports = ports;
    this.#session = session;
    this.#recordsRanges = recordsRanges;
    this.#signal = signal;
    // Each file that waits for its turn listens.
    setMaxListeners(0, signal);
  }

  /**
   * Resolves when the engine has begun to answer. Where a view is to be tried, it counts as saved, and no file is read. Errors: all of
   * a query's, see the room's card.
   */
  async start(request: QueryRequest, token: SnapshotToken | undefined, limits: CheckedLimits, tried?: SavedView): Promise<StartedQuery> {
    const startedMs = this.#ports.nowMs();
    const front = frontOf(request.sql);
    if (front.kind === 'explain' && front.isAnalyzed) {
      throw new LakeError('unsupported', 'EXPLAIN ANALYZE is not supported', {
        hint: 'Ask EXPLAIN before, and the SELECT itself: its stats say what it read.',
      });
    }
    try {
      const [parsed, known] = await Promise.all([
        this.#parse(front.sql),
        this.#ports.control.call('broker.describe', {}, { signal: this.#signal }),
      ]);
      const broker = tried === undefined ? known : withTried(known, tried);
      requireSameCluster(token, broker);
      for (const prefix of this.#ports.tables.keepOnly(broker.topics)) await this.#ports.cold.forgetBelow(prefix);
      this.#parameters = boundParameters(parsed.parameters, request.params);
      const { statement, views } = await expandViews(parsed, broker, (sql) => this.#parse(sql), tried);
      this.#references = countReferences(statement.tables);
      const { topics, systemNames } = resolveTables(broker, statement.tables);
      const pinned = await Promise.all(topics.map((topic) => pinTopic(this.#ports, broker, topic, token, this.#signal)));
      await this.#dropCommitted(broker, pinned);
      const prelude = await this.#systemTables(broker, systemNames);
      const plan = await this.#planTail(pinned, { statement, prelude, views });
      const { columns } = plan;
      const isDescribed = front.kind === 'describe';
      const isExplained = front.kind === 'explain';
      // Columns can be told without a row.
      const isRowless = isDescribed || tried !== undefined;
      const reach = isExplained ? [] : await this.#reachOf(pinned, isRowless ? withoutRows(pinned, plan) : plan);
      if (!isRowless && !isExplained) {
        if (this.#recordsRanges === undefined) requireTimeBounds(pinned, plan.scans);
        requireScanBytes(reach, this.#tails, limits.maxScanBytes);
      }
      const relations = await this.#leaseFiles(reach, plan);
      const described = isDescribed ? topicNamed(front.table, pinned) : undefined;
      const instead =
        described === undefined ? undefined : describedTopic({ snapshot: described.snapshot, columns: columnsOf(columns, described) });
      this.stats.plan_ms = this.#ports.nowMs() - startedMs;
      const explained = isExplained ? await this.#explained(pinned, plan) : undefined;
      this.phase = 'running';
      const answer = await this.#session.ask(
        {
          type: 'run',
          sql: explained ?? instead?.sql ?? parsed.sql,
          prelude,
          threads: this.#threadsFor(statement),
          setup: [...relations, ...(isExplained ? [] : views.map(({ create }) => create)), ...(instead?.setup ?? [])],
          isDescribed: isDescribed && instead === undefined,
          parameters: isExplained ? [] : this.#parameters,
          shape: this.#shape,
          fileBytesMax: this.#ports.limits.parquetBytesMax,
          credits: rowsCredits,
          maxRows: limits.maxRows,
        },
        'columns',
      );
      return {
        columns: answer.columns,
        token: tokenOf(
          broker.clusterId,
          pinned.map((topic) => ({ topic, columns: columnsOf(columns, topic) })),
        ),
      };
    } finally {
      // From here on the lease has links of its own.
      for (const tails of this.#tails.values()) for (const tail of tails) tail.lease.release();
    }
  }

  async #parse(sql: string): Promise<ParsedStatement> {
    const known = this.#ports.statements.parsed(sql);
    if (known !== undefined) return known;
    const { type: _, ...parsed } = await this.#session.ask({ type: 'parse', sql }, 'parsed');
    this.#ports.statements.keepParsed(sql, parsed);
    return parsed;
  }

  #threadsFor({ isCompound }: ParsedStatement): number {
    return isCompound || this.stats.cold_bytes + this.stats.hot_bytes >= threadsBytesMin ? availableParallelism() : 1;
  }

  /** Chunks of topics that are gone, below the log start, and below the boundary of the table as this query knew it. */
  async #dropCommitted(broker: BrokerState, pinned: readonly PinnedTopic[]): Promise<void> {
    const topicIds = new Set(broker.topics.map((topic) => topic.id));
    await this.#ports.tails.drop((of, chunk) => {
      const topic = pinned.find((candidate) => candidate.state.id === of.topicId);
      const partition = topic?.partitions.find((candidate) => candidate.partition === of.partition);
      return (
        topicIds.has(of.topicId) && (partition === undefined || chunk.lastOffset >= Math.max(partition.boundary, partition.startOffset))
      );
    });
  }

  async #systemTables(broker: BrokerState, names: readonly string[]): Promise<string[]> {
    const snapshots: TableSnapshot[] = [];
    const mustLoad = names.some(needsSnapshots);
    for (const topic of names.length === 0 ? [] : broker.topics.filter(({ isInternal }) => !isInternal)) {
      const known = this.#ports.tables.known(topic.id);
      if (mustLoad) snapshots.push(await this.#ports.tables.snapshot(broker.clusterId, topic, this.#signal));
      else if (known !== undefined) snapshots.push(known);
    }
    const columns = snapshots.map((snapshot) => ({
      snapshot,
      columns: mergedColumns(snapshot.columns, this.#ports.tails.knownPairs(snapshot.topicId)),
    }));
    return systemSetup(names, { broker, snapshots, columns, queries: this.#ports.queries() });
  }

  /** Stages what the query needs of the tail, and settles columns and scans. */
  async #planTail(pinned: readonly PinnedTopic[], question: Question): Promise<TailPlan> {
    const budget = new TailBudget(this.#ports.limits.tailMaxBytes);
    if (this.#recordsRanges !== undefined) {
      const ranges = this.#recordsRanges;
      const scans = new Map(pinned.map((topic) => [topic.state.name, ranges]));
      this.#refuseLargeTail(pinned, scans);
      await this.#leaseTails(pinned, scans, budget);
      const head = ranges[0]?.head;
      const heads = head === undefined ? [] : pinned.map((topic) => [topic.state.name, head] as const);
      return { scans, used: new Map(), heads: new Map(heads), columns: new Map() };
    }
    const estimate = sum(pinned.flatMap((topic) => topic.partitions.map((partition) => partition.tailBytesEstimate)));
    if (estimate <= exactTailBytes) {
      this.#refuseLargeTail(pinned, undefined);
      await this.#leaseTails(pinned, undefined, budget);
      const columns = this.#columns(pinned, () => []);
      const { error, ...analysis } = await this.#analyze(pinned, columns, question);
      if (error !== undefined) throw withColumnAdvice(error, this.#columnKnowledge(pinned, false));
      return { ...analysis, columns };
    }
    const known = (topic: PinnedTopic): readonly ColumnPair[] => this.#ports.tails.knownPairs(topic.state.id);
    const first = this.#columns(pinned, known);
    const analysis = await this.#analyze(pinned, first, question);
    // A name that is not known yet may stand in any part of the tail.
    const scans = analysis.error === undefined ? analysis.scans : undefined;
    this.#refuseLargeTail(pinned, scans);
    await this.#leaseTails(pinned, scans, budget);
    const columns = this.#columns(pinned, known);
    if (analysis.error === undefined && sameColumns(first, columns))
      return { scans: analysis.scans, used: analysis.used, heads: analysis.heads, columns };
    const second = await this.#analyze(pinned, columns, question);
    if (second.error !== undefined) throw withColumnAdvice(second.error, this.#columnKnowledge(pinned, true));
    // What was staged for the first plan must be enough for the second: where they differ, the first one's ranges hold.
    return { scans: scans ?? second.scans, used: second.used, heads: new Map(), columns };
  }

  async #analyze(
    pinned: readonly PinnedTopic[],
    columns: ReadonlyMap<string, PinnedColumns>,
    { statement, prelude, views }: Question,
  ): Promise<Omit<TailPlan, 'columns'> & { readonly error?: LakeError }> {
    const tables = [
      ...pinned.flatMap((topic) => this.#relationsOf(topic).map((name) => analysisTable(name, columnsOf(columns, topic)))),
      ...pinned.filter((topic) => this.#readsLatest(topic)).map(({ state }) => latestDefinition(state.name)),
    ];
    const { sql } = statement;
    const parameters = this.#parameters;
    // What a system table holds is part of the prelude, and new each time.
    const key = statement.isRepeatable && prelude.length === 0 ? scansKey(sql, parameters, [...tables, ...views]) : undefined;
    let known = key === undefined ? undefined : this.#ports.statements.scans(key);
    if (known === undefined) {
      const answer = await this.#session.ask({ type: 'analyze', sql, tables, views, prelude, parameters }, 'analyzed');
      if (answer.error !== undefined) return { scans: new Map(), used: new Map(), heads: new Map(), error: errorFromPlain(answer.error) };
      known = answer.scans;
      if (key !== undefined) this.#ports.statements.keepScans(key, known);
    }
    const found = new Map(known ?? []);
    const scans = new Map<string, readonly ScanRange[]>();
    const used = new Map<string, ReadonlySet<string>>();
    const heads = new Map<string, ScanHead>();
    for (const topic of pinned) {
      const relations = this.#relationsOf(topic);
      // Fewer scans than the text has: something was optimized away, which says nothing about files.
      if (relations.some((name) => (found.get(name)?.ranges.length ?? 0) < this.#timesNamed(name))) continue;
      const read = relations.map((name): TableScans => found.get(name) ?? { ranges: [], columns: [] });
      scans.set(
        topic.state.name,
        read.flatMap(({ ranges }) => ranges),
      );
      used.set(topic.state.name, new Set(read.flatMap((scan) => scan.columns)));
      const [{ head } = { head: undefined }] = read;
      if (head !== undefined && relations.length === 1 && !this.#readsLatest(topic)) heads.set(topic.state.name, head);
    }
    return { scans, used, heads };
  }

  /** What the statement reads of a topic: its log, the last record of each key, or both. */
  #relationsOf({ state }: PinnedTopic): string[] {
    const named = [state.name, latestSource(state.name)].filter((name) => this.#timesNamed(name) > 0);
    return named.length === 0 ? [state.name] : named;
  }

  #readsLatest({ state }: PinnedTopic): boolean {
    return this.#timesNamed(latestSource(state.name)) > 0;
  }

  #timesNamed(relation: string): number {
    return this.#references.get(relation.toLowerCase()) ?? 0;
  }

  #columns(pinned: readonly PinnedTopic[], known: (topic: PinnedTopic) => readonly ColumnPair[]): Map<string, PinnedColumns> {
    return new Map(
      pinned.map((topic) => {
        const tail = (this.#tails.get(topic.state.name) ?? []).flatMap(({ partition, lease }) =>
          lease.chunks.filter((chunk) => chunk.baseOffset < partition.endOffset).flatMap((chunk) => chunk.pairs),
        );
        return [topic.state.name, pinnedColumns(topic, [...tail, ...known(topic)])];
      }),
    );
  }

  #columnKnowledge(pinned: readonly PinnedTopic[], isPartial: boolean): ColumnKnowledge[] {
    return pinned.map((topic) => {
      const { asOf: _, ...now } = topic;
      const later = topic.asOf === undefined ? [] : this.#ports.tails.knownPairs(topic.state.id);
      const { table, extra } = pinnedColumns(now, later);
      const laterNames = topic.asOf === undefined ? [] : [...table, ...extra].map((column) => column.name);
      return { topic: topic.state.name, laterNames, isPartial };
    });
  }

  /** By estimate, and only where it is far above; a near miss is found while fetching. */
  #refuseLargeTail(pinned: readonly PinnedTopic[], scans: Scans | undefined): void {
    const isUnpruned = (topic: PinnedTopic): boolean =>
      (scans?.get(topic.state.name) ?? [fullScan]).every(
        (range) => range.timestampsMs.min === Number.NEGATIVE_INFINITY && range.offsets.min === Number.NEGATIVE_INFINITY,
      );
    const topics = pinned.filter(isUnpruned);
    const partitions = topics.flatMap((topic) => {
      const ranges = scans?.get(topic.state.name) ?? [fullScan];
      return topic.partitions.filter((partition) => partitionRange(ranges, partition.partition) !== undefined);
    });
    const bytes = Math.round(sum(partitions.map((partition) => partition.tailBytesEstimate)));
    const { tailMaxBytes } = this.#ports.limits;
    if (bytes <= 2 * tailMaxBytes) return;
    const lag = sum(partitions.map((partition) => partition.endOffset - Math.max(partition.boundary, partition.startOffset)));
    throw tailTooLarge(topics.map((topic) => topic.state.name).join(', '), bytes, tailMaxBytes, lag);
  }

  async #leaseTails(pinned: readonly PinnedTopic[], scans: Scans | undefined, budget: TailBudget): Promise<void> {
    this.phase = 'staging';
    const work = pinned.flatMap((topic) => {
      const leases: { readonly partition: PinnedPartition; readonly lease: TailLease }[] = [];
      this.#tails.set(topic.state.name, leases);
      const ranges = scans?.get(topic.state.name) ?? [fullScan];
      return topic.partitions.map(async (partition) => {
        const bounds = await this.#tailBounds(topic, partition, ranges);
        if (bounds === undefined) return;
        const lease = await this.#ports.tails.lease(tailPartition(topic, partition), bounds.from, bounds.end, budget, this.#signal);
        leases.push({ partition, lease });
        this.stats.cache_hits += lease.cacheHits;
      });
    });
    const failed = (await Promise.allSettled(work)).find((outcome) => outcome.status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
    this.phase = 'planning';
  }

  /** The part of a partition's tail that the scans can find rows in; `undefined` where none. */
  async #tailBounds(
    topic: PinnedTopic,
    partition: PinnedPartition,
    ranges: readonly ScanRange[],
  ): Promise<{ readonly from: number; readonly end: number } | undefined> {
    const range = partitionRange(ranges, partition.partition);
    if (range === undefined) return undefined;
    let from = Math.max(partition.boundary, partition.startOffset, range.offsets.min);
    const end = Math.min(partition.endOffset, range.offsets.max + 1);
    const isLong = partition.tailBytesEstimate >= timeLookupBytesMin;
    if (from < end && isLong && range.timestampsMs.min > 0 && Number.isFinite(range.timestampsMs.min)) {
      const ask = [{ partition: partition.partition, timestampMs: range.timestampsMs.min }];
      const [found] = await this.#ports.reader.listOffsets(topic.state.name, ask, this.#signal);
      if (found !== undefined && found.errorCode === 0) from = Math.max(from, found.offset < 0 ? end : found.offset);
    }
    return from < end ? { from, end } : undefined;
  }

  /** Puts the files within reach of the engine; answers the SQL of the views over them. */
  async #leaseFiles(reach: readonly TopicReach[], { used, columns }: TailPlan): Promise<string[]> {
    this.phase = 'reading';
    const lease = new Lease(this.#session.lease, this.#session.leasePath);
    const hitsBefore = this.#ports.cold.hits;
    const views: string[] = [];
    for (const { topic, ranges, cold: selected } of reach) {
      this.stats.pruned_files += selected.prunedFiles;
      this.stats.boundary[topic.state.name] = Object.fromEntries(
        topic.partitions.map((partition) => [partition.partition, partition.boundary]),
      );
      const usedColumns = used.get(topic.state.name);
      const pinnedOnes = columnsOf(columns, topic);
      const need: ColdNeed = this.#recordsRanges === undefined ? topicNeed(ranges, pinnedOnes, usedColumns) : recordsNeed(ranges);
      const cold = await this.#leaseCold(lease, selected, need);
      const source = {
        ...(usedColumns === undefined ? {} : { used: usedColumns }),
        columns: pinnedOnes,
        cold,
        tail: await this.#leaseChunks(lease, topic, ranges),
        isTyped: valueFormatOf(topic.state) === 'auto' || valueFormatOf(topic.state) === 'json',
      };
      if (this.#recordsRanges !== undefined) views.push(recordsView({ ...source, name: topic.state.name }));
      else views.push(...this.#relationsOf(topic).map((name) => topicView({ ...source, name })));
      if (this.#readsLatest(topic)) views.push(latestDefinition(topic.state.name).create);
    }
    this.stats.cache_hits += this.#ports.cold.hits - hitsBefore;
    return views;
  }

  #reachOf(pinned: readonly PinnedTopic[], { scans, heads }: TailPlan): Promise<TopicReach[]> {
    return Promise.all(
      pinned.map(async (topic) => {
        const ranges = this.#rangesOf(topic, scans, heads);
        return { topic, ranges, cold: await this.#ports.keyed.narrow(selectCold(topic, ranges), ranges) };
      }),
    );
  }

  /** What of the topic is looked at: by the plan's bounds, and where it asks for some rows only, by where those can be. */
  #rangesOf(topic: PinnedTopic, scans: Scans, heads: TailPlan['heads']): readonly ScanRange[] {
    const head = heads.get(topic.state.name);
    const scanned = scans.get(topic.state.name) ?? [fullScan];
    return head === undefined ? scanned : headRanges(head, scanned, topic, (partition) => this.#chunksOf(topic, partition));
  }

  async #explained(pinned: readonly PinnedTopic[], { scans, used, heads, columns }: TailPlan): Promise<string> {
    const explaining = pinned.map(async (topic): Promise<ExplainedTopic> => {
      const { name } = topic.state;
      const ranges = this.#rangesOf(topic, scans, heads);
      const within = selectCold(topic, ranges).files.map(({ file }) => file);
      return {
        lacking: await this.#ports.keyed.lacking(within, ranges),
        topic,
        scanned: scans.get(name) ?? [fullScan],
        ranges,
        need: topicNeed(ranges, columnsOf(columns, topic), used.get(name)),
        used: used.get(name),
        chunksOf: (partition) => this.#chunksOf(topic, partition),
      };
    });
    const topics = await Promise.all(explaining);
    const count = { requests: 0, bytes: 0 };
    this.phase = 'reading';
    await Promise.all(explainedFiles(topics).map((file) => this.#ports.cold.learn(file, count, this.#signal)));
    this.stats.requests = count.requests;
    this.stats.read_bytes = count.bytes;
    return explainSql(topics, this.#ports.cold);
  }

  #chunksOf(topic: PinnedTopic, partition: number): readonly TailChunk[] {
    const tails = this.#tails.get(topic.state.name) ?? [];
    return tails.find((tail) => tail.partition.partition === partition)?.lease.chunks ?? [];
  }

  async #leaseCold(lease: Lease, selected: ColdSelection, need: ColdNeed): Promise<LeasedFile[]> {
    const { stats } = this;
    const count = { requests: 0, bytes: 0 };
    const files = await Promise.all(
      selected.files.map(async ({ file, bounds }): Promise<readonly LeasedFile[]> => {
        const leased = await lease.addCold(this.#ports.cold, file, need, count, this.#signal);
        if (leased === null) {
          stats.pruned_files++;
          return [];
        }
        stats.cold_files++;
        stats.cold_rows += file.rows;
        stats.cold_bytes += leased.bytes;
        return [{ path: leased.path, partition: file.partition, ...(bounds === undefined ? {} : { bounds }) }];
      }),
    );
    stats.read_bytes += count.bytes;
    stats.requests += count.requests;
    return files.flat();
  }

  async #leaseChunks(lease: Lease, topic: PinnedTopic, ranges: readonly ScanRange[]): Promise<LeasedFile[]> {
    const files: LeasedFile[] = [];
    for (const { partition, lease: tail } of this.#tails.get(topic.state.name) ?? []) {
      const selected = selectChunks(partition, tail.chunks, ranges);
      this.stats.hot_rows += selected.rows;
      this.stats.hot_bytes += selected.bytes;
      for (const { chunk, path, bounds } of selected.chunks) {
        const leased = await lease.addChunk(path, this.#signal);
        const { typedColumns } = chunk;
        files.push({
          path: leased,
          partition: partition.partition,
          ...(bounds === undefined ? {} : { bounds }),
          ...(typedColumns === undefined ? {} : { typedColumns }),
        });
      }
    }
    return files;
  }
}

function withoutRows(pinned: readonly PinnedTopic[], plan: TailPlan): TailPlan {
  return { ...plan, scans: new Map(pinned.map((topic) => [topic.state.name, []])) };
}

function topicNamed(table: NamedTable | undefined, pinned: readonly PinnedTopic[]): PinnedTopic | undefined {
  if (table === undefined || table.schema !== undefined) return undefined;
  return pinned.find((topic) => topic.state.name.toLowerCase() === table.name.toLowerCase());
}

function requireSameCluster(token: SnapshotToken | undefined, broker: BrokerState): void {
  if (token === undefined || token.clusterId === broker.clusterId) return;
  throw new LakeError('token-invalid', `the snapshot token is of cluster ${token.clusterId}, not ${broker.clusterId}`, {
    hint: 'Ask the service that gave the token.',
  });
}

function resolveTables(
  broker: BrokerState,
  tables: readonly TableReference[],
): { readonly topics: TopicState[]; readonly systemNames: string[] } {
  const topics = new Map<string, TopicState>();
  const systemNames: string[] = [];
  for (const table of tables) {
    if (table.isSystem) systemNames.push(requireSystemTable(table.name, table.position));
    else {
      const topic = findTopic(broker, table.name, table.position);
      topics.set(topic.name, topic);
    }
  }
  return { topics: [...topics.values()], systemNames };
}

/** The view of `latest(topic)` over its source. */
function latestDefinition(topic: string): Definition {
  const drop = `DROP VIEW ${latestSchema}.${quoteName(topic)}`;
  return { name: topic, create: latestView(topic, latestSource(topic)), drop };
}

function withTried(broker: BrokerState, view: SavedView): BrokerState {
  return { ...broker, views: [...broker.views.filter(({ name }) => name !== view.name), view] };
}

function countReferences(tables: readonly TableReference[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { name, isSystem, isLatest } of tables) {
    if (isSystem) continue;
    const relation = (isLatest === true ? latestSource(name) : name).toLowerCase();
    counts.set(relation, (counts.get(relation) ?? 0) + 1);
  }
  return counts;
}

function columnsOf(columns: ReadonlyMap<string, PinnedColumns>, topic: PinnedTopic): PinnedColumns {
  return columns.get(topic.state.name) ?? { table: [], extra: [] };
}

function sameColumns(a: ReadonlyMap<string, PinnedColumns>, b: ReadonlyMap<string, PinnedColumns>): boolean {
  return [...a].every(([name, columns]) => {
    const other = b.get(name)?.extra ?? [];
    const keys = new Set(other.map(pairKey));
    return columns.extra.length === other.length && columns.extra.every((pair) => keys.has(pairKey(pair)));
  });
}

export function valueFormatOf(topic: TopicState): ValueFormat {
  const format = topic.config['lake.value.format'];
  return format === 'json' || format === 'string' || format === 'bytes' ? format : 'auto';
}

function tailPartition(topic: PinnedTopic, partition: PinnedPartition) {
  return {
    topic: topic.state.name,
    topicId: topic.state.id,
    partition: partition.partition,
    leaderEpoch: partition.leaderEpoch,
    valueFormat: valueFormatOf(topic.state),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
