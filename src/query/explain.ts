/**
 * The answer to `EXPLAIN SELECT …`: per topic, tier and partition what would be read, what not and why, and what of it has to come from
 * the bucket. Nothing is read for it but footers of cold files, some at most, and the tail as any query stages it.
 */
import { sum } from '../kernel/index.js';
import { type ColdFile, filesOfPartition } from '../lake/index.js';
import type { ColdReads } from './cold/cold-reads.js';
import type { ColdNeed } from './cold/need.js';
import { selectChunks } from './lease.js';
import type { PinnedPartition, PinnedTopic } from './pin.js';
import { everything, type ScanRange, touches } from './ranges.js';
import type { TailChunk } from './tail.js';
import { type Cell, rowsSql } from './told-rows.js';

/** Of more files than this that are read in parts, the rest is reckoned without its footers: as if read whole. */
export const explainedFootersMax = 256;
const rowsKept = 'last rows kept';
/** Characters of a list of columns. */
const columnsTextMax = 200;

export interface ExplainedTopic {
  readonly topic: PinnedTopic;
  /** As the plan has them, and narrowed to the rows that a LIMIT lets through. */
  readonly scanned: readonly ScanRange[];
  readonly ranges: readonly ScanRange[];
  /** Of a file that is read. */
  readonly needOf: (file: ColdFile) => ColdNeed;
  /** Object keys of files without the keys asked for, by their filters. */
  readonly lacking: ReadonlySet<string>;
  /** And of files that need not be read for what the table knows of them. */
  readonly answered: ReadonlySet<string>;
  /** And of files of which kept rows are read, with the bytes of these. */
  readonly remembered: ReadonlyMap<string, number>;
  readonly used: ReadonlySet<string> | undefined;
  readonly chunksOf: (partition: number) => readonly TailChunk[];
}

const columns = [
  ['topic', 'VARCHAR'],
  ['tier', 'VARCHAR'],
  ['partition', 'INTEGER'],
  ['files', 'BIGINT'],
  ['pruned', 'BIGINT'],
  ['pruned_by', 'VARCHAR'],
  ['row_groups', 'BIGINT'],
  ['columns', 'VARCHAR'],
  ['rows', 'BIGINT'],
  ['bytes', 'BIGINT'],
  ['fetch_bytes', 'BIGINT'],
  ['requests', 'BIGINT'],
  ['cached_bytes', 'BIGINT'],
] as const;

/** A SELECT of the rows. */
export function explainSql(topics: readonly ExplainedTopic[], cold: ColdReads): string {
  const rows = topics.flatMap((one) =>
    one.topic.partitions.flatMap((partition) => [coldRow(one, partition, cold), hotRow(one, partition)]),
  );
  return rowsSql(columns, rows);
}

/** Cold files whose footers the answer is the better for. */
export function explainedFiles(topics: readonly ExplainedTopic[]): readonly ColdFile[] {
  return topics
    .flatMap((one) =>
      one.topic.partitions.flatMap((partition) => coldFiles(one, partition).filter((file) => reasonOf(one, partition, file) === undefined)),
    )
    .slice(0, explainedFootersMax);
}

function coldFiles({ topic }: ExplainedTopic, { partition }: PinnedPartition): readonly ColdFile[] {
  return filesOfPartition(topic.snapshot, partition);
}

/** Why a file is left out; undefined where it is not. */
function reasonOf(
  { scanned, ranges, lacking, answered, remembered }: ExplainedTopic,
  pinned: PinnedPartition,
  file: ColdFile,
): string | undefined {
  if (file.lastOffset < pinned.startOffset) return 'log start';
  if (file.baseOffset >= pinned.endOffset) return 'as of';
  const only = (of: readonly ScanRange[], keep: readonly ('offsets' | 'timestampsMs')[]): boolean =>
    touches(
      of.map((range) => ({
        partitions: range.partitions,
        ...(range.partitionList === undefined ? {} : { partitionList: range.partitionList }),
        offsets: keep.includes('offsets') ? range.offsets : everything,
        timestampsMs: keep.includes('timestampsMs') ? range.timestampsMs : everything,
      })),
      file,
    );
  if (!only(scanned, [])) return 'partition';
  if (!only(scanned, ['offsets'])) return 'offset';
  if (!only(scanned, ['offsets', 'timestampsMs'])) return 'time';
  if (!touches(scanned, file) || lacking.has(file.key)) return 'key';
  if (remembered.has(file.key)) return rowsKept;
  if (answered.has(file.key)) return 'answered from metadata';
  return touches(ranges, file) ? undefined : 'limit';
}

function coldRow(one: ExplainedTopic, pinned: PinnedPartition, cold: ColdReads): Cell[] {
  const reasons = new Map<string, number>();
  const prune = (reason: string): void => void reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  const sums = { files: 0, groups: 0, rows: 0, bytes: 0, fetch: 0, requests: 0, cached: 0 };
  let hasGroups = true;
  for (const file of coldFiles(one, pinned)) {
    const reason = reasonOf(one, pinned, file);
    const cost = reason === undefined ? cold.costOf(file, one.needOf(file)) : undefined;
    const keptBytes = reason === rowsKept ? (one.remembered.get(file.key) ?? 0) : 0;
    sums.bytes += keptBytes;
    sums.cached += keptBytes;
    if (cost === undefined) prune(reason ?? 'row groups');
    else {
      sums.files++;
      sums.rows += cost.rows;
      sums.bytes += cost.bytes;
      sums.fetch += cost.fetchBytes;
      sums.requests += cost.requests;
      sums.cached += cost.cachedBytes;
      if (cost.groups === undefined) hasGroups = false;
      else sums.groups += cost.groups;
    }
  }
  return [
    one.topic.state.name,
    'cold',
    pinned.partition,
    sums.files,
    sum([...reasons.values()]),
    reasons.size === 0 ? null : [...reasons].map(([reason, count]) => `${reason} ${count}`).join(', '),
    hasGroups ? sums.groups : null,
    columnsText(one.used),
    sums.rows,
    sums.bytes,
    sums.fetch,
    sums.requests,
    sums.cached,
  ];
}

function hotRow(one: ExplainedTopic, pinned: PinnedPartition): Cell[] {
  const chunks = one.chunksOf(pinned.partition);
  const selected = selectChunks(pinned, chunks, one.ranges);
  const pruned = chunks.length - selected.chunks.length;
  return [
    one.topic.state.name,
    'hot',
    pinned.partition,
    selected.chunks.length,
    pruned,
    null,
    null,
    columnsText(one.used),
    selected.rows,
    selected.bytes,
    0,
    0,
    selected.bytes,
  ];
}

function columnsText(used: ReadonlySet<string> | undefined): string {
  if (used === undefined) return 'all';
  const text = [...used].sort().join(', ');
  return text.length <= columnsTextMax ? text : `${text.slice(0, columnsTextMax)}…`;
}
