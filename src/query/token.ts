/**
 * A token: what a question was asked of, so that it can be asked of the same rows again. Not a snapshot of the table: records are
 * immutable, so bounds of offsets and a set of columns say it all, and compaction or expiry of snapshots cannot hurt it.
 *
 * | form          | what follows                                                                        |
 * |---------------|-------------------------------------------------------------------------------------|
 * | `t2.<text>`   | base64url of brotli of JSON, the partitions' numbers as columns of differences      |
 * | `t1.<text>`   | base64url of raw-deflated JSON, a list a partition: read, no longer written         |
 * | `h2.<hex>`    | a handle to such a text where it is too long for its place: see `token-handles.ts`   |
 * | `h1.<uuid>`   | an older handle, which did not outlive its service                                  |
 */
import { brotliCompressSync, brotliDecompressSync, constants, inflateRawSync } from 'node:zlib';
import { type ColumnKind, columnKinds, type ColumnPair } from '../columns/index.js';
import { type ClusterId, LakeError, type LeaderEpoch, MiB, type Offset, type PartitionId, type TopicId } from '../kernel/index.js';

export interface TokenPartition {
  readonly partition: PartitionId;
  readonly logStartOffset: Offset;
  /** Exclusive. */
  readonly endOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
  /** Rows from here on were hot. Told together with `isTyped`. */
  readonly hotFrom?: Offset;
}

export interface TokenTopic {
  readonly topicId: TopicId;
  /** The table's columns up to this field id… */
  readonly maxFieldId: number;
  /** …and pairs that only the tail had. */
  readonly extraPairs: readonly ColumnPair[];
  /** Whether values of hot rows gave columns; left out where there were none, and in older tokens. */
  readonly isTyped?: boolean;
  readonly partitions: readonly TokenPartition[];
}

export interface SnapshotToken {
  readonly clusterId: ClusterId;
  readonly topics: readonly TokenTopic[];
}

const inlinePrefix = 't2.';
const olderPrefix = 't1.';
const inflatedBytesMax = 16 * MiB;
/** Every answer has a token: the best quality takes twenty times as long, for a fifth less of a long one. */
const quickly = { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } };

interface Wire {
  readonly c: string;
  readonly t: readonly {
    readonly i: string;
    readonly f: number;
    readonly x: readonly (readonly [string, number])[];
    readonly p: readonly (readonly number[])[];
    /** Whether hot rows gave columns, and of each partition how many offsets were hot. */
    readonly v?: number;
    readonly h?: readonly number[];
  }[];
}

function invalidToken(reason: string, cause?: unknown): LakeError {
  return new LakeError('token-invalid', `the snapshot token cannot be read: ${reason}`, {
    hint: 'Pass the snapshot of an earlier answer as it was given, or a time as 2001-03-04T05:06:07Z or epoch milliseconds.',
    ...(cause === undefined ? {} : { cause }),
  });
}

export function encodeToken(token: SnapshotToken): string {
  const wire: Wire = {
    c: token.clusterId,
    t: token.topics.map((topic) => ({
      i: topic.topicId,
      f: topic.maxFieldId,
      x: topic.extraPairs.map((pair) => [pair.name, columnKinds.indexOf(pair.kind)] as const),
      p: columnsOf(topic.partitions),
      ...(topic.isTyped === undefined
        ? {}
        : { v: topic.isTyped ? 1 : 0, h: topic.partitions.map((p) => p.endOffset - (p.hotFrom ?? p.endOffset)) }),
    })),
  };
  return inlinePrefix + brotliCompressSync(JSON.stringify(wire), quickly).toString('base64url');
}

/** Of a token that is no handle. Errors: `token-invalid`. */
export function decodeToken(text: string): SnapshotToken {
  const isOlder = text.startsWith(olderPrefix);
  if (!isOlder && !text.startsWith(inlinePrefix)) throw invalidToken('unknown form');
  let wire: Wire;
  try {
    const packed = Buffer.from(text.slice(inlinePrefix.length), 'base64url');
    const limit = { maxOutputLength: inflatedBytesMax };
    const bytes = isOlder ? inflateRawSync(packed, limit) : brotliDecompressSync(packed, limit);
    wire = JSON.parse(bytes.toString()) as Wire;
  } catch (error) {
    throw invalidToken('damaged', error);
  }
  if (typeof wire !== 'object' || wire === null || typeof wire.c !== 'string' || !Array.isArray(wire.t)) throw invalidToken('damaged');
  return { clusterId: wire.c as ClusterId, topics: wire.t.map((topic) => topicOf(isOlder ? topic : { ...topic, p: rowsOf(topic?.p) })) };
}

/** Partition, log start, records from there to the end, leader epoch: a column each; all but the third as the difference to the one before. */
function columnsOf(partitions: readonly TokenPartition[]): number[][] {
  return [
    differences(partitions.map((p) => p.partition)),
    differences(partitions.map((p) => p.logStartOffset)),
    partitions.map((p) => p.endOffset - p.logStartOffset),
    differences(partitions.map((p) => p.leaderEpoch)),
  ];
}

function differences(numbers: readonly number[]): number[] {
  return numbers.map((number, index) => number - (numbers[index - 1] ?? 0));
}

/** The other way round. Errors: `token-invalid`. */
function rowsOf(columns: unknown): number[][] {
  if (!Array.isArray(columns) || columns.length !== 4 || !columns.every((column) => Array.isArray(column))) throw invalidToken('damaged');
  const [partitions, starts, records, epochs] = columns as [number[], number[], number[], number[]];
  if ([starts, records, epochs].some((column) => column.length !== partitions.length)) throw invalidToken('damaged');
  let [partition, start, epoch] = [0, 0, 0];
  return partitions.map((step, index) => {
    partition += step;
    start += starts[index] ?? 0;
    epoch += epochs[index] ?? 0;
    return [partition, start, start + (records[index] ?? 0), epoch];
  });
}

function topicOf(wire: Wire['t'][number]): TokenTopic {
  const isSound =
    typeof wire.i === 'string' &&
    Number.isSafeInteger(wire.f) &&
    Array.isArray(wire.x) &&
    wire.x.every((pair) => Array.isArray(pair) && typeof pair[0] === 'string' && columnKinds[pair[1] as number] !== undefined) &&
    Array.isArray(wire.p) &&
    wire.p.every((p) => Array.isArray(p) && p.length === 4 && p.every((n) => Number.isSafeInteger(n))) &&
    (wire.v === undefined ||
      (Array.isArray(wire.h) && wire.h.length === wire.p.length && wire.h.every((n) => Number.isSafeInteger(n) && n >= 0)));
  if (!isSound) throw invalidToken('damaged');
  return {
    topicId: wire.i as TopicId,
    maxFieldId: wire.f,
    extraPairs: wire.x.map(([name, kind]) => ({ name, kind: columnKinds[kind] as ColumnKind })),
    ...(wire.v === undefined ? {} : { isTyped: wire.v === 1 }),
    partitions: wire.p.map(([partition = 0, logStartOffset = 0, endOffset = 0, leaderEpoch = 0], at) => ({
      partition,
      logStartOffset,
      endOffset,
      leaderEpoch,
      ...(wire.v === undefined ? {} : { hotFrom: endOffset - (wire.h?.[at] ?? 0) }),
    })),
  };
}
