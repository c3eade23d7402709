/**
 * Consumer groups in `__consumer_offsets`, in the formats of Kafka's own coordinator, so that its tools can read them. All values
 * are of version 0, in the compact encoding.
 *
 * | Key version | Key | Value |
 * |---|---|---|
 * | 3 | group | `epoch` int32; tag 0: hash of the topics int64 |
 * | 5 | group, member | `instanceId`, `rackId`, `clientId`, `clientHost`, `topics` [string], `regex`, `rebalanceTimeoutMs` int32, `assignor`; tag 0: classic side |
 * | 6 | group | `assignmentEpoch` int32 |
 * | 7 | group, member | [`topicId` uuid, `partitions` [int32]] |
 * | 8 | group, member | `epoch` int32, `previousEpoch` int32, `state` int8, assigned and pending revocation as in 7; tag 0 of each topic: since which epochs [int32] |
 */
import { type PartitionId, type TopicId, topicId } from '../../../kernel/index.js';
import { Input, Output } from '../record-bytes.js';
import { type AssignmentEpochs, assignmentEpoch } from './assignment-epochs.js';
import { type ClassicSide, type ConsumerMember, freshMember, joinEpoch, type MemberState } from './consumer-member.js';
import type { GroupChange, GroupGone } from './group-changes.js';
import { listPartitionSets, type PartitionSets, partitionSetsOf } from './partitions.js';

const keyVersions = { 'epoch': 3, 'member': 5, 'assignment-epoch': 6, 'target': 7, 'current': 8 } as const;
export const consumerKeyVersions: ReadonlySet<number> = new Set(Object.values(keyVersions));

const valueVersion = 0;
const stateNumbers: Readonly<Record<MemberState, number>> = { stable: 0, unrevoked: 1, unreleased: 2 };

interface EncodedRecord {
  readonly key: Buffer;
  readonly value: Buffer | null;
}

export function encodeChange(group: string, change: GroupChange): EncodedRecord {
  const key = new Output().int16(keyVersions[change.kind]).string(group);
  switch (change.kind) {
    case 'epoch':
      return { key: key.done(), value: encodeEpoch(change.epoch, change.metadataHash) };
    case 'assignment-epoch':
      return { key: key.done(), value: new Output().int16(valueVersion).int32(change.epoch).uvarint(0).done() };
    case 'member':
      return { key: key.string(change.id).done(), value: change.member === null ? null : encodeMember(change.member) };
    case 'target':
      return { key: key.string(change.id).done(), value: change.partitions === null ? null : encodeTarget(change.partitions) };
    case 'current':
      return { key: key.string(change.id).done(), value: change.member === null ? null : encodeCurrent(change.member) };
  }
}

/** What says that a group is no consumer group any more; its members' records are to be ended as well. */
export function encodeGone(group: string): readonly EncodedRecord[] {
  const ended = (version: number): EncodedRecord => ({ key: new Output().int16(version).string(group).done(), value: null });
  return [ended(keyVersions['assignment-epoch']), ended(keyVersions.epoch)];
}

function encodeEpoch(epoch: number, metadataHash: string): Buffer {
  const out = new Output().int16(valueVersion).int32(epoch);
  if (metadataHash === '') return out.uvarint(0).done();
  return out.uvarint(1).uvarint(0).uvarint(8).raw(Buffer.from(metadataHash, 'hex')).done();
}

function encodeMember(member: ConsumerMember): Buffer {
  const out = new Output()
    .int16(valueVersion)
    .compactString(member.instanceId)
    .compactString(member.rackId)
    .compactString(member.clientId)
    .compactString(member.clientHost);
  out.compactArray(member.topicNames, (name) => void out.compactString(name));
  out.compactString(member.topicRegex === '' ? null : member.topicRegex);
  out.int32(member.rebalanceTimeoutMs).compactString(member.serverAssignor);
  if (member.classic === null) return out.uvarint(0).done();
  const classic = encodeClassic(member.classic);
  return out.uvarint(1).uvarint(0).uvarint(classic.length).raw(classic).done();
}

/** A nullable struct is led by a byte that says whether it is there. */
function encodeClassic({ sessionTimeoutMs, protocols }: ClassicSide): Buffer {
  const out = new Output().int8(1).int32(sessionTimeoutMs);
  out.compactArray(protocols, ({ name, metadata }) => void out.compactString(name).compactBytes(metadata).uvarint(0));
  return out.uvarint(0).done();
}

function encodeTarget(partitions: PartitionSets): Buffer {
  const out = new Output().int16(valueVersion);
  writePartitions(out, partitions);
  return out.uvarint(0).done();
}

function encodeCurrent(member: ConsumerMember): Buffer {
  const out = new Output().int16(valueVersion).int32(member.epoch).int32(member.previousEpoch).int8(stateNumbers[member.state]);
  writePartitions(out, member.assigned, member.assignedAt);
  writePartitions(out, member.pendingRevocation, member.assignedAt);
  return out.uvarint(0).done();
}

function writePartitions(out: Output, sets: PartitionSets, epochs?: AssignmentEpochs): void {
  out.compactArray(listPartitionSets(sets), ({ topicId: id, partitions }) => {
    out.raw(Buffer.from(id, 'base64url'));
    out.compactArray(partitions, (partition) => void out.int32(partition));
    if (epochs === undefined) return void out.uvarint(0);
    const since = new Output();
    since.compactArray(partitions, (partition) => void since.int32(assignmentEpoch(epochs, id, partition)));
    const tag = since.done();
    out.uvarint(1).uvarint(0).uvarint(tag.length).raw(tag);
  });
}

/** Reads on behind the group of a key; `undefined` for a value version not known here. Throws a RangeError where bytes are missing. */
export function decodeConsumerRecord(keyVersion: number, key: Input, value: Input | null): GroupChange | GroupGone | undefined {
  if (value !== null && value.int16() !== valueVersion) return undefined;
  if (keyVersion === keyVersions.epoch) return value === null ? { kind: 'gone' } : decodeEpoch(value);
  if (keyVersion === keyVersions['assignment-epoch'])
    return value === null ? undefined : { kind: 'assignment-epoch', epoch: value.int32() };
  const id = key.string() ?? '';
  if (keyVersion === keyVersions.member) return { kind: 'member', id, member: value === null ? null : decodeMember(id, value) };
  if (keyVersion === keyVersions.target) return { kind: 'target', id, partitions: value === null ? null : readPartitions(value) };
  return { kind: 'current', id, member: value === null ? null : decodeCurrent(id, value) };
}

function decodeEpoch(value: Input): GroupChange {
  const epoch = value.int32();
  let metadataHash = '';
  value.tags((tag, bytes) => {
    if (tag === 0) metadataHash = bytes.toString('hex');
  });
  return { kind: 'epoch', epoch, metadataHash };
}

function decodeMember(id: string, value: Input): ConsumerMember {
  const member = {
    ...freshMember(id),
    instanceId: value.compactString(),
    rackId: value.compactString(),
    clientId: value.compactString() ?? '',
    clientHost: value.compactString() ?? '',
    topicNames: value.compactArray(() => value.compactString() ?? ''),
    topicRegex: value.compactString() ?? '',
    rebalanceTimeoutMs: value.int32(),
    serverAssignor: value.compactString(),
  };
  let classic: ClassicSide | null = null;
  value.tags((tag, bytes) => {
    if (tag === 0) classic = decodeClassic(new Input(bytes));
  });
  return { ...member, classic };
}

function decodeClassic(value: Input): ClassicSide | null {
  if (value.int8() < 0) return null;
  const sessionTimeoutMs = value.int32();
  const protocols = value.compactArray(() => {
    const protocol = { name: value.compactString() ?? '', metadata: value.compactBytes() };
    value.tags(() => undefined);
    return protocol;
  });
  return { sessionTimeoutMs, protocols };
}

function decodeCurrent(id: string, value: Input): ConsumerMember {
  const epoch = value.int32();
  const previousEpoch = value.int32();
  const number = value.int8();
  const state = (Object.keys(stateNumbers) as MemberState[]).find((name) => stateNumbers[name] === number);
  if (state === undefined) throw new RangeError(`member state ${number}`);
  const assignedAt = new Map<TopicId, Map<PartitionId, number>>();
  const read = (): PartitionSets =>
    readPartitions(value, (topic, partitions, epochs) => {
      const known = assignedAt.get(topic) ?? new Map<PartitionId, number>();
      // As in Kafka, where there are none, or not as many as partitions, it is the member's own; a static one that is away has none.
      const isTold = epochs.length === partitions.length;
      for (const [i, partition] of partitions.entries()) known.set(partition, isTold ? epochs[i]! : Math.max(joinEpoch, epoch));
      assignedAt.set(topic, known);
    });
  const assigned = read();
  return { ...freshMember(id), epoch, previousEpoch, state, assigned, pendingRevocation: read(), assignedAt };
}

type TakeEpochs = (topic: TopicId, partitions: readonly PartitionId[], epochs: readonly number[]) => void;

function readPartitions(value: Input, takeEpochs?: TakeEpochs): PartitionSets {
  return partitionSetsOf(
    value.compactArray((): { topicId: TopicId; partitions: PartitionId[] } => {
      const id = topicId(value.raw(16).toString('base64url'));
      const partitions = value.compactArray(() => value.int32());
      let epochs: readonly number[] = [];
      value.tags((tag, bytes) => {
        if (tag !== 0) return;
        const since = new Input(bytes);
        epochs = since.compactArray(() => since.int32());
      });
      takeEpochs?.(id, partitions, epochs);
      return { topicId: id, partitions };
    }),
  );
}
