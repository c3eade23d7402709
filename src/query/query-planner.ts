/**
 * Settles what a query reads: which columns its topics have, and what its optimized plan can find rows in.
 *
 * The columns of a query are those of the whole pinned log, so the tail is staged whole before the analysis, as long as it is
 * small; only of a large one no more is staged than the analysis says is needed, and then columns seen nowhere else but in the
 * rest of it are unknown to the query.
 */
import { type ColumnPair, maxTypedColumns, pairKey } from '../columns/index.js';
import { errorFromPlain, type LakeError, MiB, sum } from '../kernel/index.js';
import type { Definition, ParsedStatement } from './engine-protocol.js';
import { type ColumnKnowledge, withColumnAdvice } from './error-advice.js';
import { headRanges } from './head-ranges.js';
import { latestDefinition, type NamedRelations } from './named-relations.js';
import type { ParameterValue } from './parameters.js';
import { type PinnedColumns, type PinnedTopic, pinnedColumns } from './pin.js';
import { fullScan, type ScanRange, type Scans } from './ranges.js';
import type { RunContext } from './run-context.js';
import type { ScanHead } from './scan-head.js';
import type { ScanSummary } from './scan-summary.js';
import type { TableScans } from './scan-plan.js';
import type { StagedTails } from './staged-tails.js';
import { scansKey } from './statement-cache.js';
import { TailBudget } from './tail.js';
import { analysisTable } from './views.js';

/** A tail estimated below this is staged whole: one to two seconds of work the first time, then only what is new. */
const exactTailBytes = 256 * MiB;

/** A statement with what it needs beside its topics. */
export interface Question {
  readonly statement: ParsedStatement;
  readonly prelude: readonly string[];
  readonly relations: NamedRelations;
  readonly parameters: readonly (readonly [string, ParameterValue])[];
  /** Saved views that the statement reads, in an order in which they can be made. */
  readonly views: readonly Definition[];
}

export interface QueryPlan {
  readonly scans: Scans;
  readonly used: ReadonlyMap<string, ReadonlySet<string>>;
  readonly heads: ReadonlyMap<string, ScanHead>;
  readonly summaries: ReadonlyMap<string, ScanSummary>;
  readonly columns: ReadonlyMap<string, PinnedColumns>;
}

const nothingKnown = { scans: new Map(), used: new Map(), heads: new Map(), summaries: new Map() };

export class QueryPlanner {
  readonly #run: RunContext;
  readonly #tails: StagedTails;

  constructor(run: RunContext, tails: StagedTails) {
    this.#run = run;
    this.#tails = tails;
  }

  /** Stages what the query needs of the tail, and settles columns and scans. */
  async plan(pinned: readonly PinnedTopic[], question: Question): Promise<QueryPlan> {
    const budget = new TailBudget(this.#run.ports.limits.tailMaxBytes);
    if (this.#run.records !== undefined) {
      const { ranges } = this.#run.records;
      const scans = new Map(pinned.map((topic) => [topic.state.name, ranges]));
      this.#tails.refuseLarge(pinned, scans);
      await this.#tails.lease(pinned, scans, budget);
      const head = ranges[0]?.head;
      const heads = head === undefined ? [] : pinned.map((topic) => [topic.state.name, head] as const);
      return { scans, used: new Map(), heads: new Map(heads), summaries: new Map(), columns: new Map() };
    }
    const estimate = sum(pinned.flatMap((topic) => topic.partitions.map((partition) => partition.tailBytesEstimate)));
    if (estimate <= exactTailBytes) {
      this.#tails.refuseLarge(pinned, undefined);
      await this.#tails.lease(pinned, undefined, budget);
      // As of a time, what is known to have come later is null, as it is once it is in the table.
      const later = (topic: PinnedTopic): readonly ColumnPair[] =>
        topic.isPast === true ? this.#run.ports.tails.knownPairs(topic.state.id) : [];
      const columns = this.#columns(pinned, later);
      const { error, ...analysis } = await this.#analyze(pinned, columns, question);
      if (error !== undefined) throw withColumnAdvice(error, this.#columnKnowledge(pinned, columns, false));
      return { ...analysis, columns };
    }
    const known = (topic: PinnedTopic): readonly ColumnPair[] => this.#run.ports.tails.knownPairs(topic.state.id);
    const first = this.#columns(pinned, known);
    const analysis = await this.#analyze(pinned, first, question);
    // A name that is not known yet may stand in any part of the tail.
    const scans = analysis.error === undefined ? analysis.scans : undefined;
    this.#tails.refuseLarge(pinned, scans);
    await this.#tails.lease(pinned, scans, budget);
    const columns = this.#columns(pinned, known);
    if (analysis.error === undefined && sameColumns(first, columns)) {
      const { error: _, ...same } = analysis;
      return { ...same, columns };
    }
    const second = await this.#analyze(pinned, columns, question);
    if (second.error !== undefined) throw withColumnAdvice(second.error, this.#columnKnowledge(pinned, columns, true));
    // What was staged for the first plan must be enough for the second: where they differ, the first one's ranges hold.
    return { scans: scans ?? second.scans, used: second.used, heads: new Map(), summaries: new Map(), columns };
  }

  async #analyze(
    pinned: readonly PinnedTopic[],
    columns: ReadonlyMap<string, PinnedColumns>,
    { statement, relations, parameters, prelude, views }: Question,
  ): Promise<Omit<QueryPlan, 'columns'> & { readonly error?: LakeError }> {
    const tables = [
      ...pinned.flatMap((topic) => relations.of(topic).map((name) => analysisTable(name, columnsOf({ columns }, topic)))),
      ...pinned.filter((topic) => relations.readsLatest(topic)).map(({ state }) => latestDefinition(state.name)),
    ];
    const { sql } = statement;
    // What a system table holds is part of the prelude, and new each time.
    const key = statement.isRepeatable && prelude.length === 0 ? scansKey(sql, parameters, [...tables, ...views]) : undefined;
    let known = key === undefined ? undefined : this.#run.ports.statements.scans(key);
    if (known === undefined) {
      const engine = await this.#run.engine();
      const answer = await engine.ask({ type: 'analyze', sql, tables, views, prelude, parameters }, 'analyzed');
      if (answer.error !== undefined) return { ...nothingKnown, error: errorFromPlain(answer.error) };
      known = answer.scans;
      if (key !== undefined) this.#run.ports.statements.keepScans(key, known);
    }
    const found = new Map(known ?? []);
    const scans = new Map<string, readonly ScanRange[]>();
    const used = new Map<string, ReadonlySet<string>>();
    const heads = new Map<string, ScanHead>();
    const summaries = new Map<string, ScanSummary>();
    for (const topic of pinned) {
      const named = relations.of(topic);
      // Fewer scans than the text has: something was optimized away, which says nothing about files.
      if (named.some((name) => (found.get(name)?.ranges.length ?? 0) < relations.timesNamed(name))) continue;
      const read = named.map((name): TableScans => found.get(name) ?? { ranges: [], columns: [] });
      scans.set(
        topic.state.name,
        read.flatMap(({ ranges }) => ranges),
      );
      used.set(topic.state.name, new Set(read.flatMap((scan) => scan.columns)));
      const [{ head, summary } = { head: undefined, summary: undefined }] = read;
      if (named.length > 1 || relations.readsLatest(topic)) continue;
      if (head !== undefined) heads.set(topic.state.name, head);
      if (summary !== undefined) summaries.set(topic.state.name, summary);
    }
    return { scans, used, heads, summaries };
  }

  #columns(pinned: readonly PinnedTopic[], known: (topic: PinnedTopic) => readonly ColumnPair[]): Map<string, PinnedColumns> {
    return new Map(
      pinned.map((topic) => {
        const tail = this.#tails
          .of(topic)
          .flatMap(({ partition, lease }) =>
            lease.chunks.filter((chunk) => chunk.baseOffset < partition.endOffset).flatMap((chunk) => chunk.pairs),
          );
        return [topic.state.name, pinnedColumns(topic, [...tail, ...known(topic)])];
      }),
    );
  }

  #columnKnowledge(pinned: readonly PinnedTopic[], columns: ReadonlyMap<string, PinnedColumns>, isPartial: boolean): ColumnKnowledge[] {
    return pinned.map((topic) => {
      const { asOf: _, ...now } = topic;
      const later = topic.asOf === undefined ? [] : this.#run.ports.tails.knownPairs(topic.state.id);
      const { table, extra } = pinnedColumns(now, later);
      const laterNames = topic.asOf === undefined ? [] : [...table, ...extra].map((column) => column.name);
      const seen = columnsOf({ columns }, topic);
      const isCapped = seen.table.length + seen.extra.length >= maxTypedColumns;
      return { topic: topic.state.name, laterNames, isPartial, isCapped };
    });
  }

  /** What of the topic is looked at: by the plan's bounds, and where it asks for some rows only, by where those can be. */
  rangesOf(topic: PinnedTopic, { scans, heads }: Pick<QueryPlan, 'scans' | 'heads'>): readonly ScanRange[] {
    const head = heads.get(topic.state.name);
    const scanned = scans.get(topic.state.name) ?? [fullScan];
    return head === undefined ? scanned : headRanges(head, scanned, topic, (partition) => this.#tails.chunksOf(topic, partition));
  }
}

export function withoutRows(pinned: readonly PinnedTopic[], plan: QueryPlan): QueryPlan {
  return { ...plan, scans: new Map(pinned.map((topic) => [topic.state.name, []])) };
}

export function columnsOf({ columns }: Pick<QueryPlan, 'columns'>, topic: PinnedTopic): PinnedColumns {
  return columns.get(topic.state.name) ?? { table: [], extra: [], isTableFull: false };
}

function sameColumns(a: ReadonlyMap<string, PinnedColumns>, b: ReadonlyMap<string, PinnedColumns>): boolean {
  return [...a].every(([name, columns]) => {
    const other = b.get(name)?.extra ?? [];
    const keys = new Set(other.map(pairKey));
    return columns.extra.length === other.length && columns.extra.every((pair) => keys.has(pairKey(pair)));
  });
}
