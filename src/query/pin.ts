/**
 * A pin: the exact rows one question is asked of. Per topic a table snapshot and per partition [log start, end), where the end is
 * the last stable offset, flushed; a record acknowledged before the query began lies below it. An `as_of` narrows it, to the bounds of
 * a token or to what had been appended at a time.
 */
import { type ColumnPair, maxTypedColumns, pairKey, pairsToAdd, type TypedColumn } from '../columns/index.js';
import type {
  BrokerState,
  ControlMethod,
  ControlParams,
  ControlResult,
  CallOptions,
  PartitionState,
  TopicState,
} from '../control/index.js';
import { type ClusterId, LakeError, type LeaderEpoch, nearestName, type Offset, type PartitionId } from '../kernel/index.js';
import { boundaryOf, logStartOf, type TableSnapshot } from '../lake/index.js';
import { givesColumns } from './format-of-then.js';
import type { Moment, TopicMoment } from './moment.js';
import type { Tables } from './tables.js';
import type { SnapshotToken, TokenTopic } from './token.js';

/** The broker, over the control socket. */
export interface ControlPort {
  call<M extends ControlMethod>(method: M, params: ControlParams<M>, options?: CallOptions): Promise<ControlResult<M>>;
}

export interface PinnedPartition {
  readonly partition: PartitionId;
  /** The larger of the broker's log start and the table's: whichever has heard first of what was deleted. */
  readonly startOffset: Offset;
  /** The table snapshot's: below is cold, from here on is hot. */
  readonly boundary: Offset;
  /** Exclusive. */
  readonly endOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
  /** How far the hot log is compacted: what was staged before it grew is not what is there now. */
  readonly compactedOffset: Offset;
  /** Bytes of record batches from the boundary to the end, estimated from the partition's mean. */
  readonly tailBytesEstimate: number;
  /** As of a token: rows from here on were hot then. */
  readonly hotFrom?: Offset;
}

export interface PinnedTopic {
  readonly state: TopicState;
  readonly snapshot: TableSnapshot;
  readonly partitions: readonly PinnedPartition[];
  /** Whether values of hot rows give columns: by the format of now, or of the token. */
  readonly isTyped: boolean;
  /** Only the columns of an earlier answer. */
  readonly asOf?: TokenTopic;
  /** As of a time: the columns are those of now. */
  readonly isPast?: boolean;
}

/** Topics a query may name, by lower-case name: SQL does not tell case apart, and no two topics differ only in it. */
export function findTopic(broker: BrokerState, name: string, position?: number): TopicState {
  const wanted = name.toLowerCase();
  const found = broker.topics.find((topic) => topic.name.toLowerCase() === wanted && !topic.isInternal);
  if (found !== undefined) return found;
  const near = nearestName(
    name,
    [...broker.topics.filter((topic) => !topic.isInternal), ...broker.views].map((named) => named.name),
  );
  throw new LakeError('topic-unknown', `there is no topic ${name}`, {
    hint: near === undefined ? 'Ask system.topics for the names.' : `Did you mean ${near}?`,
    facts: { topic: name, position },
  });
}

/** The bounds that `as_of` sets. */
export type PinBounds = { readonly kind: 'token'; readonly token: SnapshotToken } | { readonly kind: 'time'; readonly moment: Moment };

/** Errors: those of broker and table, `log-offline`, `token-invalid`, `token-gone`, `as-of-gone`. */
export async function pinTopic(
  ports: { readonly control: ControlPort; readonly tables: Tables },
  broker: BrokerState,
  topic: TopicState,
  bounds: PinBounds | undefined,
  signal: AbortSignal,
): Promise<PinnedTopic> {
  const asOf = bounds?.kind === 'token' ? topicOfToken(bounds.token, topic) : undefined;
  const [snapshot, ends] = await Promise.all([
    ports.tables.snapshot(broker.clusterId, topic, signal),
    bounds === undefined ? stableEnds(ports.control, topic, signal) : new Map<PartitionId, End>(),
  ]);
  const partitions = [...topic.partitions, ...onlyInTable(topic, snapshot)].map((state): PinnedPartition => {
    const boundary = boundaryOf(snapshot.partitions, state.partition);
    const end = ends.get(state.partition) ?? { offset: state.lastStableOffset, leaderEpoch: state.leaderEpoch };
    const endOffset = Math.max(end.offset, boundary);
    return {
      partition: state.partition,
      startOffset: Math.max(state.logStartOffset, logStartOf(snapshot.partitions, state.partition)),
      boundary,
      endOffset,
      leaderEpoch: end.leaderEpoch,
      compactedOffset: state.compactedOffset ?? 0,
      tailBytesEstimate: estimateBytes(state, boundary, endOffset),
    };
  });
  const pinned = { state: topic, snapshot, isTyped: asOf?.isTyped ?? givesColumns(topic) };
  if (bounds?.kind === 'time') return { ...pinned, isPast: true, partitions: partitionsAt(topic, partitions, bounds.moment.get(topic.id)) };
  if (asOf === undefined) return { ...pinned, partitions };
  return { ...pinned, partitions: narrowed(topic, partitions, asOf, snapshot.holes), asOf };
}

/** Partitions that only the table knows of: where no broker is asked but a bucket's notes, these may be the older ones. */
function onlyInTable(topic: TopicState, snapshot: TableSnapshot): PartitionState[] {
  return snapshot.partitions
    .filter(({ partition }) => topic.partitions.every((state) => state.partition !== partition))
    .map(({ partition, logStartOffset, boundary, leaderEpoch }) => ({
      partition,
      logStartOffset,
      localStartOffset: boundary,
      boundary,
      flushedOffset: boundary,
      highWatermark: boundary,
      lastStableOffset: boundary,
      leaderEpoch,
      hotBytes: 0,
      tailBytes: 0,
      segments: 0,
    }));
}

interface End {
  readonly offset: Offset;
  readonly leaderEpoch: LeaderEpoch;
}

/** Partitions whose whole log is known to be on disk need no flush: the broker said so after the query had begun. */
async function stableEnds(control: ControlPort, topic: TopicState, signal: AbortSignal): Promise<ReadonlyMap<PartitionId, End>> {
  for (const state of topic.partitions) requireOnline(topic, state);
  const unflushed = topic.partitions.filter((state) => state.flushedOffset < state.highWatermark);
  const ends = new Map<PartitionId, End>(
    topic.partitions.map((state) => [
      state.partition,
      { offset: Math.min(state.lastStableOffset, state.flushedOffset), leaderEpoch: state.leaderEpoch },
    ]),
  );
  if (unflushed.length === 0) return ends;
  const partitions = unflushed.map((state) => ({ partition: state.partition, upTo: 'end' as const }));
  const answer = await control.call('broker.flush', { topicId: topic.id, partitions }, { signal });
  for (const flushed of answer.partitions) {
    ends.set(flushed.partition, { offset: Math.min(flushed.lastStableOffset, flushed.flushedOffset), leaderEpoch: flushed.leaderEpoch });
  }
  return ends;
}

/** Errors: `log-offline`. */
function requireOnline({ name }: TopicState, { partition, offline, offlineHint }: PartitionState): void {
  if (offline === undefined) return;
  throw new LakeError('log-offline', `${name}-${partition} is offline: ${offline}`, {
    hint: offlineHint ?? 'Look at the disk under data.dir. Restart the broker; where a file is damaged, restore it from a copy first.',
    facts: { topic: name, partition },
  });
}

function estimateBytes(state: PartitionState, boundary: Offset, endOffset: Offset): number {
  const local = state.highWatermark - state.localStartOffset;
  return local <= 0 ? 0 : (state.hotBytes * Math.max(0, endOffset - boundary)) / local;
}

function topicOfToken(token: SnapshotToken, topic: TopicState): TokenTopic {
  const found = token.topics.find((entry) => entry.topicId === topic.id);
  if (found !== undefined) return found;
  throw new LakeError('token-invalid', `the snapshot token does not cover topic ${topic.name}`, {
    hint: 'Pass the snapshot of an answer over the same topics; a topic that was deleted and created again is another one.',
    facts: { topic: topic.name, topicId: topic.id },
  });
}

/** The bounds of the token. Errors: `token-gone` where rows within them are no longer kept, `log-offline` where that cannot be told. */
function narrowed(
  topic: TopicState,
  partitions: readonly PinnedPartition[],
  asOf: TokenTopic,
  holes: TableSnapshot['holes'],
): PinnedPartition[] {
  const lost: string[] = [];
  const kept = asOf.partitions.flatMap((bound): PinnedPartition[] => {
    const now = partitions.find((partition) => partition.partition === bound.partition);
    const isEmpty = bound.endOffset <= bound.logStartOffset;
    if (isEmpty) return [];
    if (now === undefined || now.startOffset > bound.logStartOffset) {
      lost.push(
        `${topic.name}-${bound.partition} [${bound.logStartOffset}, ${Math.min(bound.endOffset, now?.startOffset ?? bound.endOffset)})`,
      );
      return [];
    }
    if (now.endOffset < bound.endOffset) {
      const state = topic.partitions.find(({ partition }) => partition === bound.partition);
      // A log that seems to end early because a start reads it no further has lost nothing yet.
      if (state !== undefined) requireOnline(topic, state);
      lost.push(`${topic.name}-${bound.partition} [${now.endOffset}, ${bound.endOffset})`);
    }
    for (const hole of holes) {
      // In a token of before the recovery the range had rows.
      const [from, to] = [Math.max(hole.from, bound.logStartOffset), Math.min(hole.to, bound.endOffset)];
      if (hole.partition === bound.partition && bound.leaderEpoch < hole.leaderEpoch && from < to)
        lost.push(`${topic.name}-${bound.partition} [${from}, ${to})`);
    }
    const { hotFrom } = bound;
    return [{ ...endingAt(now, bound.endOffset), startOffset: bound.logStartOffset, ...(hotFrom === undefined ? {} : { hotFrom }) }];
  });
  if (lost.length === 0) return kept;
  throw new LakeError('token-gone', `rows of the snapshot are no longer kept: ${lost.join(', ')}`, {
    hint: 'Ask again without as_of.',
    facts: { topic: topic.name },
  });
}

function endingAt(now: PinnedPartition, endOffset: Offset): PinnedPartition {
  const share = now.endOffset <= now.boundary ? 0 : Math.max(0, endOffset - now.boundary) / (now.endOffset - now.boundary);
  return { ...now, endOffset, tailBytesEstimate: now.tailBytesEstimate * share };
}

/**
 * What had been appended at a time, from the log start of now on: what retention has removed since is not asked for. Errors: `as-of-gone`
 * where nothing is left of what a partition held.
 */
function partitionsAt(topic: TopicState, partitions: readonly PinnedPartition[], at: TopicMoment | undefined): PinnedPartition[] {
  const then = partitions.map((now) => endingAt(now, at?.ends.get(now.partition) ?? 0));
  const gone = then.filter(({ endOffset, startOffset }) => endOffset > 0 && endOffset < startOffset);
  if (gone.length > 0) {
    const lost = gone.map(
      ({ partition, endOffset, startOffset }) => `${topic.name}-${partition} ended at ${endOffset}, now begins at ${startOffset}`,
    );
    throw new LakeError('as-of-gone', `what was in the log then is no longer kept: ${lost.join(', ')}`, {
      hint: 'Ask as of a later time; retention has removed what was before.',
      facts: { topic: topic.name },
    });
  }
  return then.filter(({ endOffset, startOffset }) => endOffset > startOffset);
}

/** The columns a query sees: those of the table and of its tail, or, as of a token, the token's. */
export interface PinnedColumns {
  /** In the table. */
  readonly table: readonly TypedColumn[];
  /** Only in the tail, as far as the table could take them: above its limit neither tier shows more. */
  readonly extra: readonly ColumnPair[];
  /** The table has all the columns it may have, so that cold files may hold fields without one. */
  readonly isTableFull: boolean;
}

export function pinnedColumns(topic: PinnedTopic, tailPairs: readonly ColumnPair[]): PinnedColumns {
  const { columns } = topic.snapshot;
  const { asOf } = topic;
  if (asOf === undefined) return mergedColumns(columns, tailPairs);
  const extraNames = new Set(asOf.extraPairs.map(pairKey));
  const table = columns.filter((column) => column.fieldId <= asOf.maxFieldId || extraNames.has(pairKey(column)));
  const known = new Set(table.map(pairKey));
  return { table, extra: asOf.extraPairs.filter((pair) => !known.has(pairKey(pair))), isTableFull: isFull(columns) };
}

/** Those of a table, and beside them what only a tail has. */
export function mergedColumns(table: readonly TypedColumn[], tailPairs: readonly ColumnPair[]): PinnedColumns {
  return { table, extra: pairsToAdd(table, tailPairs), isTableFull: isFull(table) };
}

function isFull(table: readonly TypedColumn[]): boolean {
  return table.length >= maxTypedColumns;
}

/** The token of what a query was asked of. */
export function tokenOf(
  clusterId: ClusterId,
  topics: readonly { readonly topic: PinnedTopic; readonly columns: PinnedColumns }[],
): SnapshotToken {
  return {
    clusterId,
    topics: topics.map(({ topic, columns }) => topic.asOf ?? tokenTopicOf(topic, columns)),
  };
}

function tokenTopicOf({ state, partitions, isTyped }: PinnedTopic, { table, extra }: PinnedColumns): TokenTopic {
  // Without columns it makes no difference what was hot.
  const hasColumns = table.length + extra.length > 0;
  return {
    topicId: state.id,
    maxFieldId: table.reduce((highest, column) => Math.max(highest, column.fieldId), 0),
    extraPairs: extra,
    ...(hasColumns ? { isTyped } : {}),
    partitions: partitions.map(({ partition, startOffset, boundary, endOffset, leaderEpoch }) => ({
      partition,
      logStartOffset: startOffset,
      endOffset,
      leaderEpoch,
      ...(hasColumns ? { hotFrom: Math.min(endOffset, Math.max(startOffset, boundary)) } : {}),
    })),
  };
}
