/**
 * From what is in a bucket to what a new data directory gets, and which boundaries move over a hole. It is plain data: written
 * down before anything is done, so that an interrupted recovery goes on with the same offsets.
 */
import type { NotedGroup, NotedTopic, SavedView } from '../../control/index.js';
import {
  type ClusterId,
  LakeError,
  type Offset,
  type PartitionId,
  type Random,
  type TimestampMs,
  type TopicId,
  type TopicName,
} from '../../kernel/index.js';
import { boundaryOf } from '../../lake/index.js';
import type { BucketContents, FoundTable } from './bucket-contents.js';
import { openingOf, type PartitionFacts, type PartitionOpening } from './opening.js';

/** The broker gives out ids in blocks of 1,000 and the state is 30 s old: a thousand blocks. */
const producerIdGap = 1_000_000n;
/** Where no state says how far they were: ids are given out one by one from 0, so none comes near. */
const producerIdUnknown = 1_000_000_000_000n;

export interface PlannedPartition extends PartitionOpening {
  readonly partition: PartitionId;
  /** False where only the table knows the partition: what was hot is not known to have been. */
  readonly isNoted: boolean;
}

export interface PlannedTopic {
  readonly name: TopicName;
  readonly id: TopicId;
  readonly isInternal: boolean;
  readonly overrides: Readonly<Record<string, string>>;
  readonly createdMs: TimestampMs;
  /** `table`: the state in the bucket is older than the topic, or there is none; its configuration is lost. */
  readonly origin: 'state' | 'table';
  /** Whether its table's boundaries are moved over the hole; by this commit. */
  readonly isCold: boolean;
  readonly commitId: string;
  readonly coldFiles: number;
  readonly coldBytes: number;
  readonly partitions: readonly PlannedPartition[];
}

export interface RecoverPlan {
  readonly clusterId: ClusterId;
  readonly plannedAtMs: TimestampMs;
  /** The state that was found; `null` where there is none that can be read. */
  readonly state: { readonly number: number; readonly writtenAtMs: TimestampMs; readonly kafka: string } | null;
  /** 64 bits as text. */
  readonly nextProducerId: string;
  readonly topics: readonly PlannedTopic[];
  readonly dropped: readonly { readonly name: TopicName; readonly id: TopicId }[];
  readonly groups: readonly NotedGroup[];
  readonly views: readonly SavedView[];
  /** What whoever runs the service should know, in sentences. */
  readonly remarks: readonly string[];
}

export interface PlanOptions {
  readonly nowMs: TimestampMs;
  readonly random: Random;
  readonly offsetGap: number;
  /** Go on where the bucket has less than was committed to it. */
  readonly acceptLoss: boolean;
}

/** Errors: `table-corrupt` where a table is behind what was committed to it, unless that is accepted. */
export function planRecovery(contents: BucketContents, options: PlanOptions): RecoverPlan {
  const { clusterId, state: found, tables, withoutTable } = contents;
  const state = found.current?.state;
  const remarks = found.passedOver.map((error) => `${error.message}; the state before it is used.`);
  if (state === undefined) {
    remarks.push(
      'There is no state of the cluster: topics are known by their tables only, with the default configuration and without committed offsets.',
    );
  } else if (state.offsetsLeftOut > 0) {
    remarks.push(`${state.offsetsLeftOut} committed offsets had found no room in the state and are lost.`);
  }
  const dropped = new Set(state?.dropped.map(({ id }) => id));
  const tableOf = new Map(tables.map((table) => [table.topicId, table]));
  const committed = committedByPartition(state?.groups ?? []);
  const noted = (state?.topics ?? []).map((topic) => {
    const table = tableOf.get(topic.id);
    requireWhole(topic, table, options, remarks);
    return plannedTopic({ topic, table, committed, options });
  });
  const knownIds = new Set(noted.map(({ id }) => id));
  const names = new Set(noted.map(({ name }) => name.toLowerCase()));
  const unknown = tables.filter(({ topicId }) => !knownIds.has(topicId) && !dropped.has(topicId));
  const byTable: PlannedTopic[] = [];
  for (const table of unknown) {
    if (names.has(table.topic.toLowerCase())) {
      remarks.push(`The table of a topic ${table.topic} of id ${table.topicId} is left aside: another topic has that name.`);
      continue;
    }
    names.add(table.topic.toLowerCase());
    remarks.push(`${table.topic} is known by its table only: it gets the default configuration, and has no committed offsets.`);
    byTable.push(plannedTopic({ topic: topicOfTable(table, options.nowMs), table, committed: new Map(), options, origin: 'table' }));
  }
  for (const { topic, missingFiles } of tables) {
    if (missingFiles.count === 0) continue;
    remarks.push(
      `${missingFiles.count} of the cold files of ${topic} are not in the bucket, or not whole: ${missingFiles.first.join(', ')}${missingFiles.count > missingFiles.first.length ? ', …' : ''}.`,
    );
  }
  for (const { topic, topicId, dataFiles } of withoutTable) {
    if (dropped.has(topicId)) continue;
    remarks.push(`${dataFiles} data files lie below topics/${topic}/${topicId} without a table: nobody refers to them.`);
  }
  const topics = [...noted, ...byTable];
  return {
    clusterId,
    plannedAtMs: options.nowMs,
    state: state === undefined ? null : { number: found.current?.number ?? 0, writtenAtMs: state.writtenAtMs, kafka: state.kafka },
    nextProducerId: (state === undefined ? producerIdUnknown : state.nextProducerId + producerIdGap).toString(),
    topics,
    dropped: state?.dropped ?? [],
    views: state?.views ?? [],
    groups: restoredGroups(state?.groups ?? [], noted, remarks),
    remarks,
  };
}

/** A table that is behind what its broker knew to be committed has lost commits, or is another one. */
function requireWhole(topic: NotedTopic, table: FoundTable | undefined, options: PlanOptions, remarks: string[]): void {
  for (const [partition, noted] of topic.partitions.entries()) {
    const boundary = boundaryOf(table?.partitions ?? [], partition);
    if (boundary >= noted.boundary) continue;
    const what =
      table === undefined
        ? `${topic.name} has no table, and offsets up to ${noted.boundary} of partition ${partition} were committed to it`
        : `the table of ${topic.name} ends at offset ${boundary} of partition ${partition}, and ${noted.boundary} was committed`;
    if (!options.acceptLoss) {
      throw new LakeError('table-corrupt', what, {
        hint: `Bring back the newest metadata below topics/${topic.name}/${topic.id}/metadata, or go on without what is missing by --accept-loss.`,
        facts: { topic: topic.name, topicId: topic.id, partition, boundary, noted: noted.boundary },
      });
    }
    remarks.push(`${what}: what is missing is lost.`);
  }
}

function topicOfTable(table: FoundTable, nowMs: TimestampMs): NotedTopic {
  return { name: table.topic, id: table.topicId, isInternal: false, isTiered: true, overrides: {}, createdMs: nowMs, partitions: [] };
}

type Committed = ReadonlyMap<string, PartitionFacts['committed']>;

function committedByPartition(groups: readonly NotedGroup[]): Committed {
  const byPartition = new Map<string, PartitionFacts['committed'][number][]>();
  for (const { offsets } of groups) {
    for (const { topic, partition, offset, leaderEpoch } of offsets) {
      const key = `${topic}/${partition}`;
      const known = byPartition.get(key);
      if (known === undefined) byPartition.set(key, [{ offset, leaderEpoch }]);
      else known.push({ offset, leaderEpoch });
    }
  }
  return byPartition;
}

function plannedTopic(of: {
  readonly topic: NotedTopic;
  readonly table: FoundTable | undefined;
  readonly committed: Committed;
  readonly options: PlanOptions;
  readonly origin?: PlannedTopic['origin'];
}): PlannedTopic {
  const { topic, table, committed, options, origin = 'state' } = of;
  const count = Math.max(topic.partitions.length, (table?.partitions.at(-1)?.partition ?? -1) + 1);
  const isCold = topic.isTiered || table !== undefined;
  const partitions = Array.from({ length: count }, (_, partition): PlannedPartition => {
    const noted = topic.partitions[partition];
    const opening = openingOf({
      table: table?.partitions.find((candidate) => candidate.partition === partition),
      noted,
      committed: committed.get(`${topic.name}/${partition}`) ?? [],
      isCold,
      offsetGap: options.offsetGap,
    });
    return { partition, isNoted: noted !== undefined, ...opening };
  });
  return {
    name: topic.name,
    id: topic.id,
    isInternal: topic.isInternal,
    overrides: topic.overrides,
    createdMs: topic.createdMs,
    origin,
    isCold,
    commitId: options.random.uuid(),
    coldFiles: table?.coldFiles ?? 0,
    coldBytes: table?.coldBytes ?? 0,
    partitions,
  };
}

/**
 * What groups have committed in topics that are restored. In a topic of which nothing is left a position below its log start would
 * be out of range, and a consumer might jump to the end: it is moved to the log start, before which there is nothing.
 */
function restoredGroups(groups: readonly NotedGroup[], topics: readonly PlannedTopic[], remarks: string[]): NotedGroup[] {
  const byName = new Map<string, PlannedTopic>(topics.map((topic) => [topic.name, topic]));
  let strays = 0;
  const restored = groups.map(({ group, offsets }) => ({
    group,
    offsets: offsets.flatMap((entry) => {
      const topic = byName.get(entry.topic);
      const partition = topic?.partitions[entry.partition];
      if (topic === undefined || partition === undefined) {
        strays++;
        return [];
      }
      const committedMs = Math.max(entry.committedMs, topic.createdMs);
      const isBelowAll = !topic.isCold && entry.offset < partition.logStartOffset;
      return [isBelowAll ? { ...entry, committedMs, offset: partition.logStartOffset, leaderEpoch: -1 } : { ...entry, committedMs }];
    }),
  }));
  if (strays > 0) remarks.push(`${strays} committed offsets of partitions that are not there are left out.`);
  return restored.filter(({ offsets }) => offsets.length > 0);
}

/** One partition of a report, as people and programs read it. */
export interface RecoveredRow {
  readonly topic: TopicName;
  readonly partition: PartitionId;
  readonly log_start_offset: Offset;
  /** Below it the records are in the bucket. */
  readonly cold_end_offset: Offset;
  /** What was certainly written and is gone; null where nothing is known to be. */
  readonly lost_from: Offset | null;
  /** Exclusive. */
  readonly lost_to: Offset | null;
  /** First offset of what is produced from now on. */
  readonly opens_at: Offset;
  readonly leader_epoch: number;
  readonly known_by: 'state' | 'table';
}

export function recoveredRows(plan: RecoverPlan): RecoveredRow[] {
  return plan.topics
    .filter((topic) => !topic.isInternal)
    .flatMap((topic) =>
      topic.partitions.map(
        (partition): RecoveredRow => ({
          topic: topic.name,
          partition: partition.partition,
          log_start_offset: partition.logStartOffset,
          cold_end_offset: partition.boundary,
          lost_from: partition.lost?.from ?? null,
          lost_to: partition.lost?.to ?? null,
          opens_at: partition.openOffset,
          leader_epoch: partition.leaderEpoch,
          known_by: partition.isNoted ? 'state' : 'table',
        }),
      ),
    );
}
