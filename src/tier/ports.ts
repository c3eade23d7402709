/** What the daemon works with, given to each of its parts. */
import type { BatchRebuilder, ColumnWorkers, TimeLookup } from '../columns/index.js';
import type { LogReader } from '../client/index.js';
import type { ControlPeer } from '../control/index.js';
import type { Clock, Disk, Random, Semaphore } from '../kernel/index.js';
import type { ObjectStore } from '../objects/index.js';
import type { Logger } from '../telemetry/index.js';
import type { TierSettings } from './settings.js';

/** Numbers that only grow, since the start. */
export interface TierCounters {
  commits: number;
  commitsLost: number;
  rows: number;
  rawBytes: number;
  fileBytes: number;
  stageCpuMs: number;
  encodeCpuMs: number;
  verifyCpuMs: number;
  compactCpuMs: number;
  rewrites: number;
  /** Inputs of rewrites, and their bytes. */
  rewrittenFiles: number;
  rewrittenBytes: number;
  sweptObjects: number;
  sweptBytes: number;
  upkeepFailures: number;
  scrubbedFiles: number;
  scrubbedBytes: number;
  scrubFindings: number;
  expiredFiles: number;
  expiredBytes: number;
}

export interface TierPorts {
  readonly store: ObjectStore;
  readonly reader: LogReader;
  /** The broker, over whatever connection there is at the moment; `peer-gone` while there is none. */
  readonly broker: Pick<ControlPeer, 'call'>;
  readonly workers: ColumnWorkers;
  /** For cold reads: in threads of its own, so that neither they nor the commits wait for the other. */
  readonly rebuilder: BatchRebuilder;
  readonly findTimestamp: TimeLookup;
  readonly clock: Clock;
  readonly random: Random;
  /** Where `spoolDir` lies. */
  readonly disk: Disk;
  readonly logger: Logger;
  readonly settings: TierSettings;
  /** This daemon's own folder for spools, staged and encoded files. */
  readonly spoolDir: string;
  /** Aborted when the daemon stops. */
  readonly stop: AbortSignal;
  readonly counters: TierCounters;
  readonly stageSlots: Semaphore;
  readonly cutSlots: Semaphore;
}
