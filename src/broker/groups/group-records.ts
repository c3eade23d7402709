/**
 * The records of `__consumer_offsets`, in the formats of Kafka's own group coordinator (OffsetCommitKey 0–1,
 * OffsetCommitValue 0–3, GroupMetadataKey 2, GroupMetadataValue 0–3), so that its tools can read them.
 *
 * | Key | | Value | |
 * |---|---|---|---|
 * | `version` int16 | 0, 1: offset · 2: group | `version` int16 | 3 is written; null value: deleted |
 * | `group` string | | offset: | `offset` int64, `leaderEpoch` int32 (v3+), `metadata` string, `commitTimestamp` int64, `expireTimestamp` int64 (v1 only) |
 * | `topic` string, `partition` int32 | offset only | group: | `protocolType` string, `generation` int32, `protocol`, `leader` nullable strings, `currentStateTimestamp` int64 (v2+), members |
 */
import type { LeaderEpoch, Offset, PartitionId, TimestampMs } from '../../kernel/index.js';
import type { GroupChange, GroupGone } from './consumer/group-changes.js';
import { consumerKeyVersions, decodeConsumerRecord } from './consumer/consumer-records.js';
import type { SavedGroup } from './saved-group.js';
import { Input, Output } from './record-bytes.js';

export interface CommittedOffset {
  readonly offset: Offset;
  readonly leaderEpoch: LeaderEpoch;
  readonly metadata: string;
  readonly committedMs: TimestampMs;
  /** What the commit itself asked for (OffsetCommit up to v4); it goes before `offsets.retention.minutes`. */
  readonly expireMs?: TimestampMs;
}

export interface OffsetKey {
  readonly group: string;
  readonly topic: string;
  readonly partition: PartitionId;
}

export type GroupRecord =
  | { readonly kind: 'offset'; readonly key: OffsetKey; readonly value: CommittedOffset | null }
  | { readonly kind: 'group'; readonly group: string; readonly value: SavedGroup | null }
  | { readonly kind: 'consumer-group'; readonly group: string; readonly change: GroupChange | GroupGone };

const offsetKeyVersion = 1;
const groupKeyVersion = 2;
const valueVersion = 3;
/** The only one of an offset with a time of its own to expire. */
const expiringVersion = 1;

/** Which partition of `__consumer_offsets` a group lives in: Java's `String.hashCode`, made non-negative by its low 31 bits. */
export function groupPartition(group: string, partitions: number): PartitionId {
  let hash = 0;
  for (let i = 0; i < group.length; i++) hash = (Math.imul(hash, 31) + group.charCodeAt(i)) | 0;
  return (hash & 0x7fffffff) % partitions;
}

export function encodeOffsetKey(key: OffsetKey): Buffer {
  return new Output().int16(offsetKeyVersion).string(key.group).string(key.topic).int32(key.partition).done();
}

export function encodeOffsetValue(value: CommittedOffset): Buffer {
  if (value.expireMs !== undefined) {
    const out = new Output().int16(expiringVersion).int64(value.offset).string(value.metadata);
    return out.int64(value.committedMs).int64(value.expireMs).done();
  }
  return new Output()
    .int16(valueVersion)
    .int64(value.offset)
    .int32(value.leaderEpoch)
    .string(value.metadata)
    .int64(value.committedMs)
    .done();
}

export function encodeGroupKey(group: string): Buffer {
  return new Output().int16(groupKeyVersion).string(group).done();
}

export function encodeGroupValue(group: SavedGroup): Buffer {
  const out = new Output()
    .int16(valueVersion)
    .string(group.protocolType)
    .int32(group.generation)
    .string(group.protocol)
    .string(group.leaderId)
    .int64(group.stateSinceMs ?? -1)
    .int32(group.members.length);
  for (const member of group.members) {
    out
      .string(member.id)
      .string(member.instanceId)
      .string(member.clientId)
      .string(member.clientHost)
      .int32(member.rebalanceTimeoutMs)
      .int32(member.sessionTimeoutMs)
      .bytes(member.subscription)
      .bytes(member.assignment);
  }
  return out.done();
}

/** `undefined` for a record of a kind or version not known here. */
export function decodeGroupRecord(key: Buffer | null, value: Buffer | null): GroupRecord | undefined {
  if (key === null) return undefined;
  try {
    const input = new Input(key);
    const version = input.int16();
    const group = input.string() ?? '';
    if (consumerKeyVersions.has(version)) {
      const change = decodeConsumerRecord(version, input, value === null ? null : new Input(value));
      return change === undefined ? undefined : { kind: 'consumer-group', group, change };
    }
    if (version === groupKeyVersion) return { kind: 'group', group, value: value === null ? null : decodeGroupValue(group, value) };
    if (version !== 0 && version !== offsetKeyVersion) return undefined;
    const offsetKey = { group, topic: input.string() ?? '', partition: input.int32() };
    return { kind: 'offset', key: offsetKey, value: value === null ? null : decodeOffsetValue(value) };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function decodeOffsetValue(bytes: Buffer): CommittedOffset {
  const input = new Input(bytes);
  const version = input.int16();
  if (version > valueVersion) throw new RangeError(`offset value version ${version}`);
  const offset = input.int64();
  const leaderEpoch = version >= 3 ? input.int32() : -1;
  const committed = { offset, leaderEpoch, metadata: input.string() ?? '', committedMs: input.int64() };
  const expireMs = version === expiringVersion ? input.int64() : -1;
  return expireMs < 0 ? committed : { ...committed, expireMs };
}

function decodeGroupValue(groupId: string, bytes: Buffer): SavedGroup {
  const input = new Input(bytes);
  const version = input.int16();
  if (version > valueVersion) throw new RangeError(`group value version ${version}`);
  const protocolType = input.string() ?? '';
  const generation = input.int32();
  const protocol = input.string();
  const leaderId = input.string();
  const stateSinceMs = version >= 2 ? input.int64() : -1;
  const count = input.int32();
  const members: SavedGroup['members'][number][] = [];
  for (let i = 0; i < count; i++) {
    const id = input.string() ?? '';
    const instanceId = version >= 3 ? input.string() : null;
    const clientId = input.string() ?? '';
    const clientHost = input.string() ?? '';
    const rebalanceTimeoutMs = version >= 1 ? input.int32() : -1;
    const sessionTimeoutMs = input.int32();
    members.push({
      id,
      instanceId,
      clientId,
      clientHost,
      rebalanceTimeoutMs: rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs,
      sessionTimeoutMs,
      subscription: input.bytes(),
      assignment: input.bytes(),
    });
  }
  return { groupId, protocolType, generation, protocol, leaderId, stateSinceMs: stateSinceMs < 0 ? null : stateSinceMs, members };
}
