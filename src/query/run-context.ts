/** What the steps of a query share: the service's parts, and what belongs to this query alone. */
import type { LogReader } from '../client/index.js';
import type { ColdReads } from './cold/cold-reads.js';
import type { EngineSession } from './engine.js';
import type { KeyedFiles } from './keys/keyed-files.js';
import type { RememberedFiles } from './keys/remembered-files.js';
import type { ControlPort } from './pin.js';
import type { ServiceLimits } from './query-limits.js';
import type { RunRecord } from './query-stats.js';
import type { RecordsPlan } from './records-plan.js';
import type { StatementCache } from './statement-cache.js';
import type { QuerySummary } from './system-tables.js';
import type { Tables } from './tables.js';
import type { TailCache } from './tail.js';

export interface RunPorts {
  readonly control: ControlPort;
  readonly reader: LogReader;
  readonly tables: Tables;
  readonly tails: TailCache;
  readonly cold: ColdReads;
  readonly keyed: KeyedFiles;
  readonly remembered: RememberedFiles;
  readonly statements: StatementCache;
  readonly limits: ServiceLimits;
  readonly queries: () => readonly QuerySummary[];
  readonly nowMs: () => number;
}

export interface RunContext {
  readonly ports: RunPorts;
  /** The query's engine, from its first call on. Errors: those of `EnginePool.claim`. */
  readonly engine: () => Promise<EngineSession>;
  /** Of the records and key routes, whose questions are ours. */
  readonly records: RecordsPlan | undefined;
  readonly signal: AbortSignal;
  readonly record: RunRecord;
}
