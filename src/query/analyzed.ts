/**
 * The answer to `EXPLAIN ANALYZE SELECT …`: the query is run, and in the place of its rows comes where its time went. The service tells of
 * the stages before the run and of what it put within reach; the engine adds DuckDB's own profile of the run, operator by operator.
 */
import { sum } from '../kernel/index.js';
import { isJsonObject, type JsonObject, type JsonValue } from './scan-plan.js';
import { type Cell, rowsSql } from './told-rows.js';

/** What a query does before its run, one after the other; the tail is staged in the midst of planning. */
export const stages = ['wait', 'parse', 'pin', 'stage', 'plan', 'read'] as const;
export type Stage = (typeof stages)[number];

/** How long a query has been in each stage. A later try goes on where the one before has stopped. */
export class StageTimes {
  readonly #nowMs: () => number;
  readonly #spentMs = new Map<Stage, number>();
  #stage: Stage = 'wait';
  #sinceMs: number;

  /** `sinceMs`: when the query was taken. */
  constructor(nowMs: () => number, sinceMs: number) {
    this.#nowMs = nowMs;
    this.#sinceMs = sinceMs;
  }

  enter(stage: Stage): void {
    const nowMs = this.#nowMs();
    this.#spentMs.set(this.#stage, this.msOf(this.#stage) + nowMs - this.#sinceMs);
    this.#sinceMs = nowMs;
    this.#stage = stage;
  }

  /** Of the stages that were left. */
  msOf(stage: Stage): number {
    return this.#spentMs.get(stage) ?? 0;
  }
}

/** A stage before the run, with what it has done. */
export interface AnalyzedStage {
  readonly stage: Stage;
  readonly ms: number;
  readonly rows?: number;
  readonly files?: number;
  readonly bytes?: number;
  readonly requests?: number;
}

/** What of a topic lay within reach of the run in one tier. */
export interface AnalyzedScan {
  readonly topic: string;
  readonly tier: 'cold' | 'hot';
  readonly files: number;
  /** As far as the files' metadata say: DuckDB's own count is of estimates. */
  readonly rows: number;
  readonly bytes: number;
  /** What was left out, and what stood in its place. */
  readonly detail: string;
}

export interface AnalyzeOrder {
  readonly stages: readonly AnalyzedStage[];
  readonly scans: readonly AnalyzedScan[];
  /** By a file as SQL names it: which of the scans it is of. */
  readonly sources: readonly (readonly [path: string, scan: number])[];
}

const columns = [
  ['step', 'VARCHAR'],
  ['topic', 'VARCHAR'],
  ['tier', 'VARCHAR'],
  ['ms', 'DOUBLE'],
  ['rows', 'BIGINT'],
  ['files', 'BIGINT'],
  ['bytes', 'BIGINT'],
  ['requests', 'BIGINT'],
  ['detail', 'VARCHAR'],
] as const;

/** Characters of an operator's particulars. */
const detailCharsMax = 200;
/** Of an operator: told elsewhere, or only guessed. */
const untold: ReadonlySet<string> = new Set(['Function', 'Filename(s)', 'Total Files Read', 'Estimated Cardinality', 'Table', 'Type']);
const tierOfStage: Readonly<Partial<Record<Stage, string>>> = { stage: 'hot', read: 'cold' };

interface Operator {
  readonly name: string;
  readonly depth: number;
  /** Of all threads together. */
  readonly ms: number;
  /** Passed on. */
  readonly rows: number;
  readonly scan: number | undefined;
  readonly detail: string;
}

/**
 * A SELECT of what there is to tell. `profile` is what DuckDB answers to `EXPLAIN (ANALYZE, FORMAT json)`, `runMs` how long that took.
 */
export function analyzedSql({ stages: done, scans, sources }: AnalyzeOrder, profile: JsonObject, runMs: number): string {
  const operators = operatorsOf(profile, new Map(sources));
  const before = done.map(({ stage, ms, rows, files, bytes, requests }): Cell[] => [
    stage,
    null,
    tierOfStage[stage] ?? null,
    shownMs(ms),
    rows ?? null,
    files ?? null,
    bytes ?? null,
    requests ?? null,
    null,
  ]);
  const [top] = operators;
  const cpuMs = shownMs(numberOf(profile, 'cpu_time') * 1000);
  const peak = numberOf(profile, 'system_peak_buffer_memory');
  const run: Cell[] = ['run', null, null, shownMs(runMs), top?.rows ?? 0, null, numberOf(profile, 'total_bytes_read'), null];
  const scanned = scans.map(({ topic, tier, files, rows, bytes, detail }, at): Cell[] => {
    const own = operators.filter(({ scan }) => scan === at);
    return ['scan', topic, tier, shownMs(sum(own.map(({ ms }) => ms))), rows, files, bytes, null, detail === '' ? null : detail];
  });
  const plan = operators.map(({ name, depth, ms, rows, scan, detail }): Cell[] => {
    const of = scan === undefined ? undefined : scans[scan];
    return [
      `${'  '.repeat(depth + 1)}${name}`,
      of?.topic ?? null,
      of?.tier ?? null,
      shownMs(ms),
      rows,
      null,
      null,
      null,
      detail === '' ? null : detail,
    ];
  });
  const total: Cell[] = ['total', null, null, shownMs(sum(done.map(({ ms }) => ms)) + runMs), null, null, null, null, null];
  const ran = [...run, `${cpuMs} ms of CPU, at most ${peak} bytes of memory`];
  return rowsSql(columns, [...before, ran, ...scanned, ...plan, total]);
}

function shownMs(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

function numberOf(node: JsonObject, key: string): number {
  const value = node[key];
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}

function childrenOf(node: JsonObject): readonly JsonObject[] {
  const list = node['children'];
  return Array.isArray(list) ? (list as readonly JsonValue[]).filter(isJsonObject) : [];
}

/** From the top down, each before those that it reads from. */
function operatorsOf(profile: JsonObject, sources: ReadonlyMap<string, number>): Operator[] {
  const found: Operator[] = [];
  const visit = (node: JsonObject, depth: number): void => {
    if (node['operator_type'] === 'EXPLAIN_ANALYZE') {
      for (const child of childrenOf(node)) visit(child, depth);
      return;
    }
    const more = isJsonObject(node['extra_info']) ? node['extra_info'] : {};
    found.push({
      name: textOf(node['operator_name']).trim(),
      depth,
      ms: numberOf(node, 'operator_timing') * 1000,
      rows: numberOf(node, 'operator_cardinality'),
      scan: scanOf(more, sources),
      detail: detailOf(more),
    });
    for (const child of childrenOf(node)) visit(child, depth + 1);
  };
  for (const child of childrenOf(profile)) visit(child, 0);
  return found;
}

/** The files of one operator are all of one topic and tier. */
function scanOf(more: JsonObject, sources: ReadonlyMap<string, number>): number | undefined {
  const names = more['Filename(s)'];
  const [first] = typeof names === 'string' ? names.split(', ') : Array.isArray(names) ? (names as readonly JsonValue[]) : [];
  return typeof first === 'string' ? sources.get(first) : undefined;
}

function detailOf(more: JsonObject): string {
  const parts = Object.entries(more).flatMap(([name, value]) => {
    if (untold.has(name) || value === undefined || value === '') return [];
    const text = Array.isArray(value) ? (value as readonly JsonValue[]).map(textOf).join(', ') : textOf(value);
    return `${name.toLowerCase()}: ${text.replaceAll(/\s+/g, ' ')}`;
  });
  const text = parts.join('; ');
  return text.length <= detailCharsMax ? text : `${text.slice(0, detailCharsMax)}…`;
}
