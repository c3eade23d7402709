/** Writes the broker's part of a data directory whose log is lost: cluster id, topics, logs that go on further up, committed offsets. */
import { join } from 'node:path';
import type { ServerConfig } from '../config/index.js';
import type { NotedGroup, SavedView } from '../control/index.js';
import {
  type Clock,
  type ClusterId,
  type LeaderEpoch,
  type Offset,
  type PartitionId,
  type Random,
  type TimestampMs,
  type TopicId,
  type TopicName,
} from '../kernel/index.js';
import { openHotLog, type PartitionStart } from '../log/index.js';
import type { Logger } from '../telemetry/index.js';
import { GroupLog, offsetsTopic } from './groups/group-log.js';
import { encodeOffsetKey, encodeOffsetValue } from './groups/group-records.js';
import { type DroppedTopic, MetadataStore, type TopicRecord } from './metadata-store.js';
import { clearBrokerFiles } from './recover-journal.js';
import { topicConfigOf } from './topic-rules.js';
import { Topics } from './topics.js';

/** Folders are made by threads that wait for the disk: syncs of different files overlap on most, and nobody else needs it now. */
const flushWorkers = 8;

export interface RestoredTopic {
  readonly name: TopicName;
  readonly id: TopicId;
  readonly isInternal: boolean;
  readonly overrides: Readonly<Record<string, string>>;
  readonly createdMs: TimestampMs;
  /** By partition, from 0 on without a gap. */
  readonly partitions: readonly {
    readonly partition: PartitionId;
    readonly logStartOffset: Offset;
    /** Everything below is in the table, or is never to be read. */
    readonly boundary: Offset;
    readonly openOffset: Offset;
    readonly leaderEpoch: LeaderEpoch;
  }[];
}

export interface BrokerRestore {
  readonly clusterId: ClusterId;
  readonly topics: readonly RestoredTopic[];
  readonly dropped: readonly DroppedTopic[];
  readonly views: readonly SavedView[];
  readonly nextProducerId: bigint;
  readonly groups: readonly NotedGroup[];
}

export interface RestorePorts {
  readonly config: ServerConfig;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * Writes everything anew, whatever of it was there; durable when it resolves. Not to be called while a broker runs there.
 * Errors: `config-refused` and others where a topic's configuration cannot be had here, those of the disk.
 */
export async function restoreBroker(ports: RestorePorts, restore: BrokerRestore, onPartitions: (done: number) => void): Promise<void> {
  const { config, dataDir, clock, random, logger } = ports;
  const records = restore.topics.map(recordOf);
  for (const record of records) topicConfigOf(config, record);
  await clearBrokerFiles(dataDir);
  const log = await openHotLog(
    {
      dir: join(dataDir, 'log'),
      flushPolicy: config.get('flush.policy'),
      flushWorkers,
      producerIdExpirationMs: config.get('producer.id.expiration.ms'),
    },
    { clock, random, logger },
  );
  try {
    await log.startPartitions(restore.topics.flatMap(startsOf), onPartitions);
    const { clusterId, dropped, views, nextProducerId } = restore;
    const content = { clusterId, topics: records, dropped, views, nextProducerId };
    const store = await MetadataStore.create(dataDir, config.get('node.id'), content);
    const topics = await Topics.open({ config, store, log, clock, random, logger });
    const groups = new GroupLog({
      clock,
      logger,
      partitions: () => topics.byName(offsetsTopic)?.partitions ?? new Map(),
      ensureTopic: () => topics.ensureOffsetsTopic(),
      isFlushed: true,
    });
    await groups.appendAll(
      restore.groups.map(({ group, offsets }) => ({ group, records: offsets.map((entry) => offsetRecord(group, entry)) })),
    );
  } finally {
    await log.close();
  }
}

function recordOf({ name, id, isInternal, overrides, createdMs, partitions }: RestoredTopic): TopicRecord {
  return { name, id, partitions: partitions.length, overrides, isInternal, createdMs };
}

function startsOf({ name, id, partitions }: RestoredTopic): PartitionStart[] {
  return partitions.map(({ partition, logStartOffset, boundary, openOffset, leaderEpoch }) => ({
    topic: name,
    topicId: id,
    partition,
    startOffset: openOffset,
    boundary,
    logStartOffset,
    leaderEpoch,
  }));
}

function offsetRecord(group: string, { topic, partition, ...value }: NotedGroup['offsets'][number]): { key: Buffer; value: Buffer } {
  return { key: encodeOffsetKey({ group, topic, partition }), value: encodeOffsetValue(value) };
}
