/** `system.tables`, `system.topics`, `system.columns`, `system.partitions`, `system.cold_files`, `system.holes`, `system.views`, `system.queries`: the service about itself, as small tables of one query. */
import { LakeError, nearestName, sum } from '../kernel/index.js';
import type { BrokerState } from '../control/index.js';
import { quoteText } from '../columns/index.js';
import { logStartOf, type TableSnapshot } from '../lake/index.js';
import { columnsTableColumns, columnsTableRows, type DescribedTopic } from './columns-table.js';
import type { QueryProgress } from './progress.js';
import { systemSchema } from './statement.js';

/** A query under way or ended lately. */
export interface QuerySummary extends QueryProgress {
  readonly id: string;
  readonly sql: string;
  readonly state: 'running' | 'done' | 'failed' | 'cancelled';
  readonly startedMs: number;
  readonly error?: string;
}

export interface SystemSource {
  readonly broker: BrokerState;
  /** Of each topic, or where no table asked about needs them, those that are known. */
  readonly snapshots: readonly TableSnapshot[];
  readonly queries: readonly QuerySummary[];
  /** What is known of columns: those of the table, and of the hot tail as far as queries have staged it. */
  readonly columns: readonly DescribedTopic[];
}

type Cell = string | number | boolean | null;

interface SystemTable {
  readonly columns: readonly (readonly [string, string])[];
  rows(source: SystemSource): Cell[][];
}

const iso = (ms: number): string => new Date(ms).toISOString();
/** Outside of what a date can say, a file's bound has no time to show. */
const isoOrNull = (ms: number): string | null => (Math.abs(ms) <= 8.64e15 ? iso(ms) : null);

const systemTables: Readonly<Record<string, SystemTable>> = {
  tables: {
    columns: [
      ['name', 'VARCHAR'],
      ['kind', 'VARCHAR'],
    ],
    rows: ({ broker }) => [
      ...broker.topics.filter((topic) => !topic.isInternal).map((topic) => [topic.name, 'topic']),
      ...broker.views.map((view) => [view.name, 'view']),
      ...Object.keys(systemTables).map((name) => [`system.${name}`, 'system']),
    ],
  },
  topics: {
    columns: [
      ['topic', 'VARCHAR'],
      ['topic_id', 'VARCHAR'],
      ['partitions', 'INTEGER'],
      ['is_tiered', 'BOOLEAN'],
      ['hot_bytes', 'BIGINT'],
      ['cold_files', 'BIGINT'],
      ['cold_rows', 'BIGINT'],
      ['cold_bytes', 'BIGINT'],
    ],
    rows: ({ broker, snapshots }) =>
      broker.topics
        .filter((topic) => !topic.isInternal)
        .map((topic) => {
          const files = snapshots.find((snapshot) => snapshot.topicId === topic.id)?.files ?? [];
          return [
            topic.name,
            topic.id,
            topic.partitions.length,
            topic.isTiered,
            sum(topic.partitions.map((partition) => partition.hotBytes)),
            files.length,
            sum(files.map((file) => file.rows)),
            sum(files.map((file) => file.bytes)),
          ];
        }),
  },
  columns: {
    columns: columnsTableColumns,
    rows: ({ columns }) => columnsTableRows(columns),
  },
  partitions: {
    columns: [
      ['topic', 'VARCHAR'],
      ['partition', 'INTEGER'],
      ['log_start', 'BIGINT'],
      ['local_start', 'BIGINT'],
      ['boundary', 'BIGINT'],
      ['flushed', 'BIGINT'],
      ['last_stable', 'BIGINT'],
      ['high_watermark', 'BIGINT'],
      ['leader_epoch', 'INTEGER'],
      ['hot_bytes', 'BIGINT'],
      ['segments', 'INTEGER'],
      ['offline', 'VARCHAR'],
    ],
    rows: ({ broker, snapshots }) =>
      broker.topics
        .filter((topic) => !topic.isInternal)
        .flatMap((topic) => {
          const vector = snapshots.find((snapshot) => snapshot.topicId === topic.id)?.partitions ?? [];
          return topic.partitions.map((state) => [
            topic.name,
            state.partition,
            Math.max(state.logStartOffset, logStartOf(vector, state.partition)),
            state.localStartOffset,
            state.boundary,
            state.flushedOffset,
            state.lastStableOffset,
            state.highWatermark,
            state.leaderEpoch,
            state.hotBytes,
            state.segments,
            state.offline ?? null,
          ]);
        }),
  },
  cold_files: {
    columns: [
      ['topic', 'VARCHAR'],
      ['partition', 'INTEGER'],
      ['base_offset', 'BIGINT'],
      ['last_offset', 'BIGINT'],
      ['rows', 'BIGINT'],
      ['bytes', 'BIGINT'],
      ['min_timestamp', 'TIMESTAMPTZ'],
      ['max_timestamp', 'TIMESTAMPTZ'],
      ['key', 'VARCHAR'],
    ],
    rows: ({ snapshots }) =>
      snapshots.flatMap((snapshot) =>
        snapshot.files.map((file) => [
          snapshot.topic,
          file.partition,
          file.baseOffset,
          file.lastOffset,
          file.rows,
          file.bytes,
          isoOrNull(file.minTimestampMs),
          isoOrNull(file.maxTimestampMs),
          file.key,
        ]),
      ),
  },
  holes: {
    columns: [
      ['topic', 'VARCHAR'],
      ['partition', 'INTEGER'],
      ['from_offset', 'BIGINT'],
      ['to_offset', 'BIGINT'],
      ['leader_epoch', 'INTEGER'],
      ['recovered', 'TIMESTAMPTZ'],
    ],
    rows: ({ snapshots }) =>
      snapshots.flatMap(({ topic, holes }) =>
        holes.map((hole) => [topic, hole.partition, hole.from, hole.to, hole.leaderEpoch, isoOrNull(hole.atMs)]),
      ),
  },
  views: {
    columns: [
      ['view', 'VARCHAR'],
      ['sql', 'VARCHAR'],
      ['description', 'VARCHAR'],
      ['saved', 'TIMESTAMPTZ'],
    ],
    rows: ({ broker }) => broker.views.map((view) => [view.name, view.sql, view.description ?? null, iso(view.savedMs)]),
  },
  queries: {
    columns: [
      ['id', 'VARCHAR'],
      ['sql', 'VARCHAR'],
      ['state', 'VARCHAR'],
      ['started', 'TIMESTAMPTZ'],
      ['elapsed_ms', 'BIGINT'],
      ['rows', 'BIGINT'],
      ['error', 'VARCHAR'],
    ],
    rows: ({ queries }) =>
      queries.map((query) => [
        query.id,
        query.sql,
        query.state,
        iso(query.startedMs),
        Math.round(query.elapsedMs),
        query.rows,
        query.error ?? null,
      ]),
  },
};

/** Errors: `query-invalid` with the nearest name. */
export function requireSystemTable(name: string, position: number): string {
  const lower = name.toLowerCase();
  if (Object.hasOwn(systemTables, lower)) return lower;
  const near = nearestName(lower, Object.keys(systemTables));
  throw new LakeError('query-invalid', `there is no table system.${name}`, {
    hint: near === undefined ? `There are ${Object.keys(systemTables).join(', ')}.` : `Did you mean system.${near}?`,
    facts: { position },
  });
}

/** Whether the table tells of cold files, so that table snapshots are needed. */
export function needsSnapshots(name: string): boolean {
  return name === 'topics' || name === 'columns' || name === 'cold_files' || name === 'holes';
}

/** SQL that makes the tables and fills them. */
export function systemSetup(names: readonly string[], source: SystemSource): string[] {
  if (names.length === 0) return [];
  const statements = [`CREATE SCHEMA ${systemSchema}`];
  for (const name of new Set(names)) {
    const table = systemTables[name];
    if (table === undefined) continue;
    statements.push(...tableOf(name, table, source));
  }
  return statements;
}

/** In the place of a topic's rows: its columns. Answers what to set up and what to ask. */
export function describedTopic(topic: DescribedTopic): { readonly setup: readonly string[]; readonly sql: string } {
  const columns = columnsTableColumns.slice(1).map(([name]) => name);
  const rows = columnsTableRows([topic]);
  const table = { columns: columnsTableColumns, rows: () => rows };
  const setup = [`CREATE SCHEMA ${systemSchema}`, ...tableOf('columns', table, undefined)];
  return { setup, sql: `SELECT ${columns.join(', ')} FROM ${systemSchema}.columns` };
}

function tableOf<S>(name: string, table: { readonly columns: SystemTable['columns']; rows(source: S): Cell[][] }, source: S): string[] {
  const definition = table.columns.map(([column, type]) => `"${column}" ${type}`).join(', ');
  const statements = [`CREATE TABLE ${systemSchema}.${name} (${definition})`];
  const rows = table.rows(source).map((cells) => Object.fromEntries(cells.map((cell, at) => [table.columns[at]?.[0] ?? '', cell])));
  const structure = JSON.stringify([Object.fromEntries(table.columns)]);
  if (rows.length > 0) {
    statements.push(
      `INSERT INTO ${systemSchema}.${name} SELECT unnest(from_json(${quoteText(JSON.stringify(rows))}, ${quoteText(structure)}), recursive := true)`,
    );
  }
  return statements;
}
