/** What a query may use: the server's limits, and what a request may lower. */
import { LakeError } from '../kernel/index.js';
import type { GivenParameter } from './parameters.js';

/**
 * The server's. Each is of one query but for the cache; at most `concurrency` run at once, so that all together take no more memory than
 * `concurrency` times `memoryBytes` (and what their processes take themselves), and no more spilled bytes than `spillBytes`.
 */
export interface ServiceLimits {
  readonly tailMaxBytes: number;
  readonly memoryBytes: number;
  readonly timeoutMs: number;
  readonly concurrency: number;
  readonly cacheBytes: number;
  /** Largest Parquet file that an answer may be; it lies on the disk until it is sent. */
  readonly parquetBytesMax: number;
  /** A query begins on no snapshot that was loaded longer ago: its files stay for `tier.sweep.grace.ms` and a query's time. */
  readonly snapshotUsableMs: number;
  /** Bytes that one query may put within reach; no bound where left out. */
  readonly scanMaxBytes?: number;
  /** Rows of one answer; no bound where left out. */
  readonly maxRows?: number;
  /** Disk that the running queries together may spill to; as much as the cache where left out. */
  readonly spillBytes?: number;
  /** How far query engines give way to whoever else is on the machine, 0 … 19; not at all where not set. */
  readonly niceness?: number;
  /** Queries that wait for a turn, and how long; 32 and 10 s where left out. */
  readonly queueMax?: number;
  readonly queueWaitMs?: number;
}

export interface RequestLimits {
  readonly timeout_ms?: number;
  /** More rows than this end the answer with `query-too-large`. */
  readonly max_rows?: number;
  /** More bytes within reach than this, and the query is refused before it reads. */
  readonly max_scan_bytes?: number;
}

const limitNames: readonly string[] = ['timeout_ms', 'max_rows', 'max_scan_bytes'] satisfies (keyof RequestLimits)[];

export interface QueryRequest {
  readonly sql: string;
  /** By position or by name. */
  readonly params?: readonly GivenParameter[] | Readonly<Record<string, GivenParameter>>;
  /** A token of an earlier answer, or a time: ISO 8601 (UTC without a zone) or epoch ms. */
  readonly asOf?: string;
  readonly limits?: RequestLimits;
}

export interface RecordsRequest {
  readonly topic: string;
  /** Inclusive. */
  readonly fromMs?: number | undefined;
  /** Exclusive. */
  readonly toMs?: number | undefined;
  readonly partition?: number | undefined;
  /** Only offsets from here on. */
  readonly offset?: number | undefined;
  readonly limit?: number | undefined;
  readonly order?: 'offset' | 'time' | undefined;
  /** Only what follows this record in the order asked for. */
  readonly after?: RecordPlace | undefined;
  /** A token of an earlier answer, or a time: ISO 8601 (UTC without a zone) or epoch ms. */
  readonly asOf?: string | undefined;
}

/** Where a record stands among the others, in either order. */
export interface RecordPlace {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
}

/** Longer SQL is refused before it is parsed. */
const sqlCharsMax = 1024 * 1024;

export interface CheckedLimits {
  readonly timeoutMs: number;
  readonly maxRows: number;
  readonly maxScanBytes: number;
}

/** Errors: `request-invalid`. */
export function checkedLimits(server: ServiceLimits, limits: unknown): CheckedLimits {
  const fields = limits === undefined || limits === null ? {} : limits;
  if (typeof fields !== 'object' || Array.isArray(fields))
    throw invalidRequest('limits is not an object', 'Give {"timeout_ms", "max_rows", "max_scan_bytes"}.');
  const given: Record<string, number> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (!limitNames.includes(name)) throw invalidRequest(`limits.${name} is not known`, `The limits are ${limitNames.join(', ')}.`);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1)
      throw invalidRequest(`limits.${name} is not a whole number above 0`, 'Correct it.');
    given[name] = value;
  }
  const lower = (name: keyof RequestLimits, most: number): number => Math.min(most, given[name] ?? most);
  return {
    timeoutMs: lower('timeout_ms', server.timeoutMs),
    maxRows: lower('max_rows', server.maxRows ?? Number.MAX_SAFE_INTEGER),
    maxScanBytes: lower('max_scan_bytes', server.scanMaxBytes ?? Number.MAX_SAFE_INTEGER),
  };
}

export function requireSql(sql: unknown): string {
  if (typeof sql !== 'string' || sql.trim() === '')
    throw new LakeError('query-invalid', 'there is no SQL', { hint: 'Ask one read-only SELECT over topics.' });
  if (sql.length > sqlCharsMax)
    throw new LakeError('query-invalid', `the SQL has ${sql.length} characters; ${sqlCharsMax} are allowed`, { hint: 'Shorten it.' });
  if (sql.includes('\0')) throw new LakeError('query-invalid', 'the SQL holds a NUL character', { hint: 'Write chr(0) instead.' });
  return sql;
}

export function requireRecordsRequest(request: RecordsRequest): RecordsRequest {
  for (const value of Object.values(request.after ?? {}))
    if (!Number.isSafeInteger(value)) throw invalidRequest('the place to go on after is damaged', 'Pass the cursor as it was given.');
  for (const name of ['fromMs', 'toMs', 'partition', 'offset', 'limit'] as const) {
    const value = request[name];
    const isTime = name === 'fromMs' || name === 'toMs';
    if (value !== undefined && (!Number.isSafeInteger(value) || (!isTime && value < 0))) {
      throw invalidRequest(`${name} is not a whole number`, `Give ${name} as digits.`);
    }
  }
  return request;
}

function invalidRequest(message: string, hint: string): LakeError {
  return new LakeError('request-invalid', message, { hint });
}
