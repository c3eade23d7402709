/** What a plan may put within reach: refused before a cold file is read, with what it would have been and how to ask for less. */
import { LakeError, sum } from '../kernel/index.js';
import type { AnsweredFiles } from './answered-files.js';
import type { RememberedRows } from './keys/remembered-files.js';
import { type ColdSelection, selectChunks } from './lease.js';
import type { PinnedTopic } from './pin.js';
import { fullScan, type ScanRange, type Scans } from './ranges.js';
import type { StagedTails } from './staged-tails.js';

/** Of a topic: a query has to say from when, or from which offset on. */
export const timeBoundKey = 'query.require.time.bound';

/** Errors: `query-unbounded`. */
export function requireTimeBounds(pinned: readonly PinnedTopic[], scans: Scans): void {
  for (const { state } of pinned) {
    if (state.config[timeBoundKey] !== 'true') continue;
    const ranges = scans.get(state.name) ?? [fullScan];
    const isBounded = (range: ScanRange): boolean => Number.isFinite(range.timestampsMs.min) || Number.isFinite(range.offsets.min);
    if (ranges.every(isBounded)) continue;
    throw new LakeError('query-unbounded', `a query of ${state.name} has to say from when on, or from which offset`, {
      hint: `Add WHERE _timestamp >= now() - INTERVAL '1 hour' (or _offset >= …) to each reading of it; LIMIT alone bounds nothing. The topic has ${timeBoundKey}=true.`,
      facts: { topic: state.name },
    });
  }
}

/** What of a topic is within a query's reach. */
export interface TopicReach {
  readonly topic: PinnedTopic;
  readonly ranges: readonly ScanRange[];
  readonly cold: ColdSelection;
  /** Of its cold files, those that the table's metadata answers for; not among `cold`. */
  readonly answered: AnsweredFiles;
  /** And those of which only kept rows are read. */
  readonly remembered: readonly RememberedRows[];
}

/** Bytes of the cold files and of the staged hot chunks in which the scans can find rows. Errors: `query-too-large`. */
export function requireScanBytes(reach: readonly TopicReach[], tails: StagedTails, maxBytes: number): void {
  const sizes = reach.map(({ topic, ranges, cold: { files }, remembered }) => {
    const cold = sum(files.map(({ file }) => file.bytes)) + sum(remembered.map(({ bytes }) => bytes));
    const hot = sum(tails.of(topic).map(({ partition, lease }) => selectChunks(partition, lease.chunks, ranges).bytes));
    return { topic: topic.state.name, cold, hot };
  });
  const coldBytes = sum(sizes.map(({ cold }) => cold));
  const hotBytes = sum(sizes.map(({ hot }) => hot));
  const scanBytes = coldBytes + hotBytes;
  if (scanBytes <= maxBytes) return;
  const largest = sizes.reduce((a, b) => (b.cold + b.hot > a.cold + a.hot ? b : a));
  throw new LakeError(
    'query-too-large',
    `the query would read up to ${scanBytes} bytes (${coldBytes} cold, ${hotBytes} hot); ${maxBytes} are allowed`,
    {
      hint: `Narrow _timestamp, _offset or _partition_id of ${largest.topic}, or raise limits.max_scan_bytes within query.scan.max.bytes.`,
      facts: { scanBytes, coldBytes, hotBytes, maxBytes, topic: largest.topic },
    },
  );
}
