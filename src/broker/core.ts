/** The parts of a broker that its handlers share. */
import type { DynamicServerConfig, HostPort } from '../config/index.js';
import type { Clock, ClusterId, Random } from '../kernel/index.js';
import type { BatchThreads, HotLog } from '../log/index.js';
import type { Logger } from '../telemetry/index.js';
import type { AppendLines } from './append-lines.js';
import type { ColdReader } from './cold/cold-reader.js';
import type { HydrationPace } from './cold/hydration-pace.js';
import type { ColdTier } from './cold-tier.js';
import type { FetchSessions } from './fetch/fetch-sessions.js';
import type { GroupCoordinator } from './groups/coordinator.js';
import type { GroupConfigs } from './groups/group-configs.js';
import type { MetadataStore } from './metadata-store.js';
import type { ProducerIds } from './producer-ids.js';
import type { Topics } from './topics.js';

/** Counted since the start. */
export interface BrokerCounters {
  producedBytes: number;
  producedRecords: number;
  fetchedBytes: number;
  fetchedColdBytes: number;
  evictedBytes: number;
  /** Passes of compaction, and the records they dropped. */
  compactionPasses: number;
  compactedRecords: number;
}

export interface DiskState {
  readonly freeBytes: number;
  /** Of the whole disk. */
  readonly totalBytes: number;
  /** Below `disk.reserve.bytes`: produce is refused. */
  readonly isBelowReserve: boolean;
  /** Asks for a round of upkeep behind whatever is under way: a log start has moved, and segments below it can go. */
  maintainSoon(): void;
}

export interface BrokerCore {
  readonly config: DynamicServerConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly nodeId: number;
  readonly clusterId: ClusterId;
  readonly store: MetadataStore;
  readonly topics: Topics;
  readonly log: HotLog;
  readonly batchThreads: BatchThreads;
  readonly appendLines: AppendLines;
  /** Where the log's partitions lie: an absolute path. */
  readonly logDir: string;
  readonly groups: GroupCoordinator;
  readonly groupConfigs: GroupConfigs;
  readonly producerIds: ProducerIds;
  readonly fetchSessions: FetchSessions;
  readonly cold: ColdReader;
  /** Told what producers feel; absent where cold reads do not yield to them. */
  readonly pace: HydrationPace | undefined;
  readonly coldTier: ColdTier;
  readonly counters: BrokerCounters;
  readonly disk: DiskState;
  /** What clients are told to connect to; known once the listener is up. */
  readonly advertised: () => HostPort;
}
