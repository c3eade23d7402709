/**
 * What classic consumers say to each other through the group ("consumer" protocol: ConsumerProtocolSubscription and -Assignment), read
 * and written here only while a group has members of both kinds, or goes from one kind to the other.
 *
 * | Subscription | `version` int16, topics [string], user data bytes; v1+: owned [topic string, partitions [int32]]; v2+: generation int32; v3+: rack string |
 * | Assignment | `version` int16, [topic string, partitions [int32]], user data bytes |
 */
import type { PartitionId } from '../../../kernel/index.js';
import { Input, Output } from '../record-bytes.js';
import { listPartitionSets, noPartitions, type PartitionSets, partitionSetsOf } from './partitions.js';
import type { TopicView } from './subscriptions.js';

export const consumerProtocolType = 'consumer';

export interface Subscription {
  readonly topics: readonly string[];
  readonly owned: PartitionSets;
}

/** `undefined` where it cannot be read. Topics that are not there are left out of what is owned. */
export function decodeSubscription(bytes: Buffer, topics: TopicView): Subscription | undefined {
  return readable(() => {
    const input = new Input(bytes);
    const version = input.int16();
    const names = input.array(() => input.string() ?? '');
    input.bytes();
    return { topics: names, owned: version >= 1 && !input.isAtEnd ? readPartitions(input, topics) : noPartitions };
  });
}

/** `undefined` where it cannot be read; no bytes at all are no partitions. */
export function decodeAssignment(bytes: Buffer, topics: TopicView): PartitionSets | undefined {
  if (bytes.length === 0) return noPartitions;
  return readable(() => {
    const input = new Input(bytes);
    input.int16();
    return readPartitions(input, topics);
  });
}

/** Topics that are not there any more are left out. */
export function encodeAssignment(sets: PartitionSets, topicName: TopicView['nameOf']): Buffer {
  const named = listPartitionSets(sets).flatMap(({ topicId, partitions }) => {
    const name = topicName(topicId);
    return name === undefined ? [] : [{ name, partitions }];
  });
  const out = new Output().int16(0).int32(named.length);
  for (const { name, partitions } of named) {
    out.string(name).int32(partitions.length);
    for (const partition of partitions) out.int32(partition);
  }
  return out.int32(-1).done();
}

function readPartitions(input: Input, topics: TopicView): PartitionSets {
  const listed = input.array((): { name: string; partitions: PartitionId[] } => ({
    name: input.string() ?? '',
    partitions: input.array(() => input.int32()),
  }));
  return partitionSetsOf(
    listed.flatMap(({ name, partitions }) => {
      const id = topics.topic(name)?.id;
      return id === undefined ? [] : [{ topicId: id, partitions }];
    }),
  );
}

function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
