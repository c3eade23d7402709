/** Puts the files of a query within reach of its engine, or explains which those would be. */
import { setMaxListeners } from 'node:events';
import { type AnalyzedScan, type AnalyzedStage, type AnalyzeOrder, type Stage, stages } from './analyzed.js';
import { answeredFiles, noneAnswered } from './answered-files.js';
import { type ColdSelection, type Lease, newestOfPartitions, type SelectedFile, selectChunks, selectCold } from './lease.js';
import type { ColdNeed } from './cold/need.js';
import { type ExplainedTopic, explainedFiles, explainSql } from './explain.js';
import { latestDefinition, type NamedRelations } from './named-relations.js';
import type { PinnedTopic } from './pin.js';
import { splitAt } from './format-of-then.js';
import { columnsOf, type QueryPlan, type QueryPlanner } from './query-planner.js';
import type { QueryStats } from './query-stats.js';
import { fullScan, type ScanRange } from './ranges.js';
import type { NarrowedSelection } from './keys/keyed-files.js';
import { LastRecord } from './keys/last-record.js';
import type { RememberedRows } from './keys/remembered-files.js';
import type { RunContext } from './run-context.js';
import type { TopicReach } from './scan-bounds.js';
import type { StagedTails } from './staged-tails.js';
import { type LeasedFile, needOf, readsTypedColumns, recordsNeed, recordsView, topicNeed, topicView, type ViewSource } from './views.js';

/** From so many computed columns on, what DuckDB's planner takes grows faster than they do. */
const wideColumnsMin = 64;
const noneUnread = { remembered: new Map<string, number>(), keyless: new Set<string>() };

export class QueryFiles {
  /** A topic's columns are computed from values, and many of them are looked at. */
  isWide = false;
  /** Rows that are read: of cold files those in row groups within reach. */
  rows = 0;
  readonly #scans: AnalyzedScan[] = [];
  readonly #sources: (readonly [path: string, scan: number])[] = [];
  readonly #run: RunContext;
  readonly #tails: StagedTails;
  readonly #planner: QueryPlanner;
  /** Ends what is on its way where one file has failed. */
  readonly #failed = new AbortController();
  readonly #signal: AbortSignal;

  constructor(run: RunContext, tails: StagedTails, planner: QueryPlanner) {
    this.#run = run;
    this.#tails = tails;
    this.#planner = planner;
    this.#signal = AbortSignal.any([run.signal, this.#failed.signal]);
    // Each file that waits for its turn listens.
    setMaxListeners(0, this.#signal);
  }

  reachOf(pinned: readonly PinnedTopic[], plan: QueryPlan, relations: NamedRelations): Promise<TopicReach[]> {
    return Promise.all(
      pinned.map(async (topic) => {
        const ranges = this.#planner.rangesOf(topic, plan);
        const { cold, answered } = withoutAnswered(topic, plan, this.#select(topic, plan, ranges));
        const narrowed = await this.#run.ports.keyed.narrow(cold, ranges);
        const left = relations.readsLatestOnly(topic)
          ? await this.#run.ports.remembered.split(topic, narrowed, ranges)
          : { cold: this.#newestFirst(narrowed), remembered: [] };
        return { topic, ranges, answered, ...left };
      }),
    );
  }

  /** The line of a key's last record, as `LastRecord` has it. */
  async lastRecord(topic: PinnedTopic, key: Buffer, plan: QueryPlan, maxScanBytes: number): Promise<string | undefined> {
    const ranges = this.#planner.rangesOf(topic, plan);
    const cold = await this.#run.ports.keyed.narrow(this.#select(topic, plan, ranges), ranges);
    this.#run.record.phase = 'reading';
    this.#noteBoundary(topic);
    return new LastRecord(this.#run, this.#tails, { key, topic, ranges, cold }).line(maxScanBytes);
  }

  #noteBoundary({ state, partitions }: PinnedTopic): void {
    this.#run.record.stats.boundary[state.name] = Object.fromEntries(partitions.map(({ partition, boundary }) => [partition, boundary]));
  }

  /** Notes of which partitions files are left for later. Where a filter is missing, most of the newest files would not hold the key. */
  #newestFirst(narrowed: NarrowedSelection): ColdSelection {
    if (this.#run.records?.lastOf === undefined || narrowed.unfiltered > 0) return narrowed;
    const { cold, unread } = newestOfPartitions(narrowed);
    this.#run.record.unread = unread;
    return cold;
  }

  #select(topic: PinnedTopic, plan: QueryPlan, ranges: readonly ScanRange[]): ColdSelection {
    const readsTyped = this.#run.records === undefined && readsTypedColumns(columnsOf(plan, topic), plan.used.get(topic.state.name));
    return selectCold(topic, ranges, readsTyped);
  }

  /** Puts the files into the lease of the engine; answers the SQL of the views over them. */
  async lease(into: Lease, reach: readonly TopicReach[], plan: QueryPlan, relations: NamedRelations): Promise<string[]> {
    this.#run.record.phase = 'reading';
    const hitsBefore = this.#run.ports.cold.hits;
    const views: string[] = [];
    for (const { topic, ranges, cold: selected, answered, remembered } of reach) {
      const before = { ...this.#run.record.stats };
      this.#run.record.stats.pruned_files += selected.prunedFiles;
      this.#run.record.stats.metadata_files += answered.files.length;
      this.#noteBoundary(topic);
      const usedColumns = plan.used.get(topic.state.name);
      const pinnedOnes = columnsOf(plan, topic);
      const need: ColdNeed = this.#run.records === undefined ? topicNeed(ranges, pinnedOnes, usedColumns) : recordsNeed(ranges);
      const [read, kept] = await this.#all([
        this.#leaseCold(into, topic, selected, need),
        this.#leaseRemembered(into, topic, remembered, need),
      ]);
      const source = {
        ...(usedColumns === undefined ? {} : { used: usedColumns }),
        columns: pinnedOnes,
        cold: [...(read ?? []), ...(kept ?? [])],
        tail: await this.#leaseChunks(into, topic, ranges),
        answered,
        isTyped: topic.isTyped,
      };
      this.#tell(topic, source, before);
      const isComputed = topic.isTyped && selected.files.some((file) => file.reformedFrom !== undefined);
      if (isComputed || source.tail.some(({ typedColumns }) => typedColumns === undefined)) {
        this.isWide ||= (usedColumns?.size ?? pinnedOnes.table.length + pinnedOnes.extra.length) > wideColumnsMin;
      }
      if (this.#run.records !== undefined) views.push(recordsView({ ...source, name: topic.state.name }));
      else views.push(...relations.of(topic).map((name) => topicView({ ...source, name })));
      if (relations.readsLatest(topic)) views.push(latestDefinition(topic.state.name).create);
    }
    this.#run.record.stats.cache_hits += this.#run.ports.cold.hits - hitsBefore;
    return views;
  }

  /** What has come within reach of the run, and how long that took. */
  analyzed(): AnalyzeOrder {
    const { stats, stages: times } = this.#run.record;
    const { staged_rows: rows, cold_files: files, read_bytes: bytes, requests } = stats;
    const done: Readonly<Partial<Record<Stage, Omit<AnalyzedStage, 'stage' | 'ms'>>>> = {
      stage: { rows },
      read: { files, bytes, requests },
    };
    return {
      stages: stages.map((stage) => ({ stage, ms: times.msOf(stage), ...done[stage] })),
      scans: this.#scans,
      sources: this.#sources,
    };
  }

  /** `before`: what had been counted when the topic's turn came. */
  #tell({ state }: PinnedTopic, { cold, tail }: Pick<ViewSource, 'cold' | 'tail'>, before: QueryStats): void {
    const { stats } = this.#run.record;
    const left = [
      ['pruned', stats.pruned_files - before.pruned_files],
      ['answered from metadata', stats.metadata_files - before.metadata_files],
      ['last rows kept', stats.remembered_files - before.remembered_files],
    ] as const;
    const detail = left.flatMap(([what, count]) => (count > 0 ? `${what} ${count}` : [])).join(', ');
    for (const [tier, files, rows, bytes] of [
      ['cold', cold, stats.cold_rows - before.cold_rows, stats.cold_bytes - before.cold_bytes],
      ['hot', tail, stats.hot_rows - before.hot_rows, stats.hot_bytes - before.hot_bytes],
    ] as const) {
      const paths = new Set(files.map(({ path }) => path));
      for (const path of paths) this.#sources.push([path, this.#scans.length]);
      this.#scans.push({ topic: state.name, tier, files: paths.size, rows, bytes, detail: tier === 'cold' ? detail : '' });
    }
  }

  async explained(pinned: readonly PinnedTopic[], plan: QueryPlan, relations: NamedRelations): Promise<string> {
    const explaining = pinned.map(async (topic): Promise<ExplainedTopic> => {
      const { name } = topic.state;
      const ranges = this.#planner.rangesOf(topic, plan);
      const { cold, answered } = withoutAnswered(topic, plan, this.#select(topic, plan, ranges));
      const need = topicNeed(ranges, columnsOf(plan, topic), plan.used.get(name));
      const selected = new Map(cold.files.map((one) => [one.file.key, one]));
      const within = cold.files.map(({ file }) => file);
      const { remembered, keyless } = relations.readsLatestOnly(topic) ? await this.#run.ports.remembered.unread(topic, cold) : noneUnread;
      return {
        lacking: new Set([...(await this.#run.ports.keyed.lacking(within, ranges)), ...keyless]),
        answered: new Set(answered.files.map(({ key }) => key)),
        remembered,
        topic,
        scanned: plan.scans.get(name) ?? [fullScan],
        ranges,
        needOf: (file) => needOf(need, selected.get(file.key) ?? {}, topic.isTyped),
        used: plan.used.get(name),
        chunksOf: (partition) => this.#tails.chunksOf(topic, partition),
      };
    });
    const topics = await Promise.all(explaining);
    const count = { requests: 0, bytes: 0 };
    this.#run.record.phase = 'reading';
    await Promise.all(explainedFiles(topics).map((file) => this.#run.ports.cold.learn(file, count, this.#run.signal)));
    this.#run.record.stats.requests = count.requests;
    this.#run.record.stats.read_bytes = count.bytes;
    return explainSql(topics, this.#run.ports.cold);
  }

  /** All of them, or none: where one fails nothing comes into the lease any more, which may soon be another query's. */
  async #all<T>(work: readonly Promise<T>[]): Promise<T[]> {
    for (const one of work) one.catch((error: unknown) => this.#failed.abort(error));
    const outcomes = await Promise.allSettled(work);
    this.#signal.throwIfAborted();
    return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  }

  async #leaseCold(into: Lease, { isTyped }: PinnedTopic, selected: ColdSelection, need: ColdNeed): Promise<LeasedFile[]> {
    const { stats } = this.#run.record;
    const count = { requests: 0, bytes: 0 };
    const files = await this.#all(
      selected.files.map(async (one): Promise<readonly LeasedFile[]> => {
        const { file, pinned, bounds, reformedFrom } = one;
        const leased = await into.addCold(this.#run.ports.cold, file, needOf(need, one, isTyped), count, this.#signal);
        if (leased === null) {
          stats.pruned_files++;
          return [];
        }
        stats.cold_files++;
        stats.cold_rows += file.rows;
        stats.cold_bytes += leased.bytes;
        this.rows += leased.rows;
        if (reformedFrom !== undefined) return splitAt(reformedFrom, file, pinned, leased.path);
        return [{ path: leased.path, partition: file.partition, ...(bounds === undefined ? {} : { bounds }) }];
      }),
    );
    stats.read_bytes += count.bytes;
    stats.requests += count.requests;
    return files.flat();
  }

  async #leaseRemembered(into: Lease, topic: PinnedTopic, remembered: readonly RememberedRows[], need: ColdNeed): Promise<LeasedFile[]> {
    const { stats } = this.#run.record;
    const gone: SelectedFile[] = [];
    const kept = await this.#all(
      remembered.map(async ({ path, bytes, instead, parts, forget }): Promise<readonly LeasedFile[]> => {
        try {
          const leased = await into.addChunk(path, this.#signal);
          stats.remembered_files += instead.length;
          stats.cold_bytes += bytes;
          return parts.map((part) => ({ path: leased, ...part }));
        } catch {
          // Another query's may have taken its place meanwhile.
          this.#signal.throwIfAborted();
          await forget();
          gone.push(...instead);
          return [];
        }
      }),
    );
    return [...kept.flat(), ...(await this.#leaseCold(into, topic, { files: gone, prunedFiles: 0 }, need))];
  }

  async #leaseChunks(into: Lease, topic: PinnedTopic, ranges: readonly ScanRange[]): Promise<LeasedFile[]> {
    const files: LeasedFile[] = [];
    for (const { partition, lease: tail } of this.#tails.of(topic)) {
      const selected = selectChunks(partition, tail.chunks, ranges);
      this.#run.record.stats.hot_rows += selected.rows;
      this.rows += selected.rows;
      this.#run.record.stats.hot_bytes += selected.bytes;
      for (const { chunk, path, bounds } of selected.chunks) {
        const leased = await into.addChunk(path, this.#signal);
        const { typedColumns, staged } = chunk;
        files.push({
          path: leased,
          partition: partition.partition,
          ...(bounds === undefined ? {} : { bounds }),
          ...(staged === undefined ? {} : { staged }),
          ...(typedColumns === undefined ? {} : { typedColumns, lacksColumns: chunk.pairs.length > typedColumns.length }),
        });
      }
    }
    return files;
  }
}

function withoutAnswered(
  { state }: PinnedTopic,
  { scans, summaries, used }: QueryPlan,
  selected: ColdSelection,
): Pick<TopicReach, 'cold' | 'answered'> {
  const summary = summaries.get(state.name);
  const ranges = scans.get(state.name);
  // Where no row is wanted there is no range, whatever the plan has scanned.
  if (summary === undefined || ranges?.length !== summary.inner.length) return { cold: selected, answered: noneAnswered };
  return answeredFiles(selected, ranges, summary, used.get(state.name)?.has('_partition_id') ?? true);
}
