/**
 * What the roles tell each other besides Kafka's protocol. Each method is named after the role that answers it. The broker
 * is the hub: tier and gateway connect to it, and it passes a `tier.*` call from the gateway on to a tier daemon.
 */
import type { ClusterId, LeaderEpoch, Offset, PartitionId, TimestampMs, TopicId, TopicName } from '../kernel/index.js';

export type Role = 'broker' | 'tier' | 'gateway';

/** First message on a connection, from the side that connects. */
export interface Hello {
  readonly role: Role;
  readonly pid: number;
  /** Of this package; a peer of another version is refused. */
  readonly version: string;
}

export interface PartitionState {
  readonly partition: PartitionId;
  readonly logStartOffset: Offset;
  /** First offset that is on local disk. */
  readonly localStartOffset: Offset;
  /** First offset served hot. */
  readonly boundary: Offset;
  /** First offset that is not yet known to be on disk. */
  readonly flushedOffset: Offset;
  readonly highWatermark: Offset;
  readonly lastStableOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
  readonly hotBytes: number;
  /** Of them at or above the boundary: what is not in the table too. Within a segment by the share of its offsets. */
  readonly tailBytes: number;
  readonly segments: number;
  /** Below it each key of a compacted topic is there once; it grows with each compaction. Absent from older brokers. */
  readonly compactedOffset?: Offset;
  /** Why the partition is offline, where it is. */
  readonly offline?: string;
  /** What to do about that. */
  readonly offlineHint?: string;
}

export interface TopicState {
  readonly name: TopicName;
  readonly id: TopicId;
  readonly isInternal: boolean;
  /** Whether the topic is tiered: `remote.storage.enable` as resolved. */
  readonly isTiered: boolean;
  /** Resolved topic configuration, every key, as text. */
  readonly config: Readonly<Record<string, string>>;
  /** Only the keys set on the topic itself. */
  readonly overrides: Readonly<Record<string, string>>;
  readonly partitions: readonly PartitionState[];
}

/** A SELECT kept under a name, which SQL uses as it does a topic's. */
export interface SavedView {
  readonly name: string;
  readonly sql: string;
  readonly description?: string;
  /** When it was saved last. */
  readonly savedMs: TimestampMs;
}

export interface BrokerState {
  readonly clusterId: ClusterId;
  readonly nodeId: number;
  /** Kafka listener, `host:port`, that the roles may use. */
  readonly kafka: string;
  readonly topics: readonly TopicState[];
  /** Deleted topics whose tables may still be in the bucket. */
  readonly dropped: readonly { readonly name: TopicName; readonly id: TopicId }[];
  /** By name. */
  readonly views: readonly SavedView[];
  readonly diskFreeBytes: number;
}

export interface FlushedPartition {
  readonly partition: PartitionId;
  readonly flushedOffset: Offset;
  readonly lastStableOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
}

export interface BoundaryMove {
  readonly partition: PartitionId;
  readonly boundary: Offset;
  readonly logStartOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
}

/** Cold records of a partition that are asked for by time. */
export interface ColdRange {
  readonly topicId: TopicId;
  readonly partition: PartitionId;
  readonly fromOffset: Offset;
  /** Where the asker looks for itself. */
  readonly belowOffset: Offset;
}

/** What a topic was at a time. */
export interface TopicAsOf {
  readonly topicId: TopicId;
  /** From when on that is known. */
  readonly sinceMs: TimestampMs;
  /** Left out where it is not known. */
  readonly cut?: {
    /** At most the time asked for: the records below the ends are exactly those that had been appended then. */
    readonly atMs: TimestampMs;
    readonly partitions: readonly { readonly partition: PartitionId; readonly endOffset: Offset }[];
  };
}

/** What had been appended to a topic at a time; the index is the partition. */
export interface AppendCut {
  readonly atMs: TimestampMs;
  readonly endOffsets: readonly Offset[];
}

/** What the bucket keeps of the broker, so that it alone restores the service: positions of one partition, … */
export interface NotedPartition {
  readonly logStartOffset: Offset;
  /** 0 where nothing is known to be cold. */
  readonly boundary: Offset;
  readonly highWatermark: Offset;
  readonly leaderEpoch: LeaderEpoch;
  /** Where set, the other numbers may be lower than they were. */
  readonly isOffline?: boolean;
}

/** … a topic, … */
export interface NotedTopic {
  readonly name: TopicName;
  readonly id: TopicId;
  readonly isInternal: boolean;
  readonly isTiered: boolean;
  /** Only the keys set on the topic itself. */
  readonly overrides: Readonly<Record<string, string>>;
  readonly createdMs: TimestampMs;
  /** Index is the partition. */
  readonly partitions: readonly NotedPartition[];
}

/** … a committed offset, … */
export interface NotedOffset {
  readonly topic: string;
  readonly partition: PartitionId;
  readonly offset: Offset;
  readonly leaderEpoch: LeaderEpoch;
  readonly metadata: string;
  readonly committedMs: TimestampMs;
}

/** … and a consumer group. */
export interface NotedGroup {
  readonly group: string;
  readonly offsets: readonly NotedOffset[];
}

/** What a part of `broker.cluster-state` carries; the offsets of one group may come in several. */
export interface NotedGroups {
  readonly groups: readonly NotedGroup[];
}

export interface TierTopicStatus {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly metadataVersion: number;
  readonly files: number;
  readonly coldBytes: number;
  readonly coldRows: number;
  readonly partitions: readonly {
    readonly partition: PartitionId;
    readonly boundary: Offset;
    /** As the table has it; the log start is the larger of this and the broker's. */
    readonly logStartOffset: Offset;
    readonly files: number;
    readonly bytes: number;
    /** Raw bytes fetched and not yet committed. */
    readonly pendingBytes: number;
    /** Ranges [from, to) whose records a recovery could not bring back; absent where there are none. */
    readonly holes?: readonly { readonly from: Offset; readonly to: Offset }[];
    readonly error?: string;
  }[];
}

/** One number of one metric, as it crosses a process border. */
export interface ControlSample {
  readonly name: string;
  readonly value: number;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Every method: what is asked, what is answered. Methods marked *streams* send parts before the result. */
export interface ControlMethods {
  /** Everything the other roles need to know of the broker. `topic` narrows it to one. */
  'broker.describe': { params: { readonly topic?: string }; result: BrokerState };

  /** Flushes each partition at least to `upTo` (or to its end) by the ordinary group flush. */
  'broker.flush': {
    params: {
      readonly topicId: TopicId;
      readonly partitions: readonly { readonly partition: PartitionId; readonly upTo: Offset | 'end' }[];
    };
    result: { readonly partitions: readonly FlushedPartition[] };
  };

  /**
   * What topics were at a time, by the broker's clock when it appended; one time for all of them, where all know of it. What is told is
   * flushed. Errors: `as-of-future`, `topic-unknown`.
   */
  'broker.as-of': {
    params: { readonly topicIds: readonly TopicId[]; readonly atMs: TimestampMs };
    result: { readonly topics: readonly TopicAsOf[] };
  };

  /**
   * What had been appended at times from one on, in even steps and at most some 64, as long as it lies below the given ends (0 for a
   * partition that is not named).
   */
  'broker.append-cuts': {
    params: {
      readonly topicId: TopicId;
      readonly afterMs: TimestampMs;
      readonly ends: readonly { readonly partition: PartitionId; readonly endOffset: Offset }[];
    };
    result: { readonly cuts: readonly AppendCut[] };
  };

  /**
   * Reads the segments of [from, to) whole: batches that came of them are damaged. Where the log is, its partition is offline when this is
   * answered, with `damage`; else it was the asker's copy. Errors: `topic-unknown`, `partition-unknown`, `log-offline`.
   */
  'broker.examine': {
    params: { readonly topicId: TopicId; readonly partition: PartitionId; readonly from: Offset; readonly to: Offset };
    result: { readonly damage?: string };
  };

  /**
   * Reads all of a topic's hot log that is flushed again, now, and does about damage what its scrub in the background does. *Streams* a
   * `HotScrubPart`, with an empty payload, as each partition has been read, and every few seconds between. Errors: `topic-unknown`,
   * `overloaded` where others wait for theirs already.
   */
  'broker.scrub': {
    params: { readonly topic: string };
    result: { readonly bytes: number; readonly findings: number };
  };

  /** A commit is durable (or was found so at start): the broker notes it, fsynced, and may evict. Never goes back. */
  'broker.boundary-moved': {
    params: { readonly topicId: TopicId; readonly commitId: string; readonly partitions: readonly BoundaryMove[] };
    result: { readonly accepted: readonly PartitionId[]; readonly alarms: readonly string[] };
  };

  /** Rolls active segments and drops every local copy below the boundary, of one topic or of all. */
  'broker.evict': {
    params: { readonly topic?: string };
    result: { readonly evictedSegments: number; readonly evictedBytes: number; readonly topics: readonly TopicState[] };
  };

  /** Saves a view, in the place of one of its name; durable when answered. Errors: `view-invalid`, `view-exists`. */
  'broker.put-view': {
    params: { readonly name: string; readonly sql: string; readonly description?: string };
    result: { readonly view: SavedView; readonly isNew: boolean };
  };
  /** Errors: `view-unknown`. */
  'broker.drop-view': { params: { readonly name: string }; result: Record<string, never> };

  /** The table and objects of a deleted topic are gone; the broker forgets it. */
  'broker.topic-dropped': { params: { readonly topicId: TopicId }; result: Record<string, never> };

  /**
   * What the bucket is to keep of the broker. Cheap without offsets; with them it *streams* all that groups have committed
   * (`NotedGroups`, at most 1,000 offsets a part).
   */
  'broker.cluster-state': {
    params: { readonly withOffsets: boolean };
    result: {
      readonly clusterId: ClusterId;
      readonly kafka: string;
      /** Above every id that was given out; 64 bits as text. */
      readonly nextProducerId: string;
      readonly topics: readonly NotedTopic[];
      readonly dropped: readonly { readonly name: TopicName; readonly id: TopicId }[];
      readonly views: readonly SavedView[];
      /** Another one whenever committed offsets have changed, and after each start of the broker. */
      readonly offsetsRevision: string;
      /** False where a part of `__consumer_offsets` cannot be read: groups may be missing. */
      readonly areOffsetsWhole: boolean;
    };
  };

  /** Cuts and commits everything acknowledged before the call, of one topic or of all tiered ones. */
  'tier.flush': {
    params: { readonly topic?: string };
    result: {
      readonly topics: readonly { readonly topic: TopicName; readonly topicId: TopicId; readonly partitions: readonly BoundaryMove[] }[];
    };
  };

  /**
   * *Streams* record batches from the batch that covers `offset` on, each part a run of whole batches with contiguous
   * offsets (`HydratedPart`), until `maxBytes` or the boundary is reached. At least one batch where offset < boundary.
   */
  'tier.hydrate': {
    params: { readonly topicId: TopicId; readonly partition: PartitionId; readonly offset: Offset; readonly maxBytes: number };
    result: { readonly nextOffset: Offset; readonly bytes: number };
  };

  /**
   * First cold record at or above `fromOffset` whose timestamp is ≥ `timestampMs`; `null` where the cold side has none. It speaks for
   * everything below `belowOffset`, the boundary as the broker knows it, which another daemon may have moved. Errors:
   * `cold-unavailable` where the table ends below that.
   */
  'tier.offset-for-timestamp': {
    params: ColdRange & { readonly timestampMs: TimestampMs };
    result: { readonly found: { readonly offset: Offset; readonly timestampMs: TimestampMs; readonly leaderEpoch: LeaderEpoch } | null };
  };

  /** The cold record at or above `fromOffset` with the largest timestamp (the first of several); `null` where there is none. As above. */
  'tier.max-timestamp': {
    params: ColdRange;
    result: { readonly found: { readonly offset: Offset; readonly timestampMs: TimestampMs; readonly leaderEpoch: LeaderEpoch } | null };
  };

  /** Something in the list of topics changed: look again soon. */
  'tier.topics-changed': { params: Record<string, never>; result: Record<string, never> };

  /** Numbers of the role, by metric name and labels (the names of `telemetry`). */
  'broker.metrics': { params: Record<string, never>; result: { readonly samples: readonly ControlSample[] } };
  'tier.metrics': { params: Record<string, never>; result: { readonly samples: readonly ControlSample[] } };

  /** *Streams* one `ScrubbedFile` a cold file, with an empty payload, as each has been read; of one topic or of all tiered ones. */
  'tier.scrub': {
    params: { readonly topic?: string };
    result: { readonly files: number; readonly bytes: number; readonly findings: number; readonly holes: number };
  };

  'tier.status': { params: { readonly topic?: string }; result: { readonly topics: readonly TierTopicStatus[] } };
}

/** What a part of `broker.scrub` carries: a partition after it, or what was read and found so far. */
export type HotScrubPart = ScrubbedPartition | { readonly soFar: { readonly bytes: number; readonly findings: number } };

/** A partition after a scrub. */
export interface ScrubbedPartition {
  readonly partition: PartitionId;
  readonly bytes: number;
  readonly findings: number;
  /** Why it takes nothing. */
  readonly offline?: string;
}

export type ControlMethod = keyof ControlMethods;
export type ControlParams<M extends ControlMethod> = ControlMethods[M]['params'];
export type ControlResult<M extends ControlMethod> = ControlMethods[M]['result'];

/** What a part of a hydration carries beside its bytes. */
export interface HydratedPart {
  readonly baseOffset: Offset;
  /** Offset after the last batch of this part (its last offset delta spans holes). */
  readonly nextOffset: Offset;
  /** Where the hydration will end; told with the first part for which it is known. */
  readonly endOffset?: Offset;
}

/** A cold file that was read again; with a problem where it is not what was committed. */
export interface ScrubbedFile {
  readonly topic: TopicName;
  readonly partition: PartitionId;
  readonly key: string;
  readonly rows: number;
  readonly bytes: number;
  readonly problem?: string;
  /** What to do about it. */
  readonly hint?: string;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called in order for each part of a streaming method; the sender waits while the returned promise is pending. */
  readonly onPart?: (facts: unknown, payload: Buffer) => void | Promise<void>;
  /** Deadline in ms; `timeout` after it. */
  readonly timeoutMs?: number;
}

export interface ServeContext {
  /** The peer that asks. */
  readonly peer: Hello;
  /** Aborted when the caller cancels or its connection ends. */
  readonly signal: AbortSignal;
  /** Sends one part of a streaming answer; resolves when the peer can take more. */
  readonly sendPart: (facts: unknown, payload: Uint8Array) => Promise<void>;
}

/** The methods a role answers. What is not here is answered with `unsupported`. */
export type ControlHandlers = {
  readonly [M in ControlMethod]?: (params: ControlParams<M>, context: ServeContext) => Promise<ControlResult<M>>;
};

/** One end of a connection: asks the peer, and answers it with the handlers given when it was made. */
export interface ControlPeer {
  readonly peer: Hello;
  /** Errors: whatever the peer threw, `peer-gone`, `timeout`, `cancelled`. */
  call<M extends ControlMethod>(method: M, params: ControlParams<M>, options?: CallOptions): Promise<ControlResult<M>>;
  /** Resolves when the connection has ended, for whatever reason. */
  readonly closed: Promise<void>;
  close(): void;
}
