/**
 * From cold files to one that may take their place: small ones put together, or a file without the head that log start has passed. The
 * table is not touched; a rewrite that fails at any point leaves at most an object that nothing refers to.
 *
 *     inputs ──fetch──► local files ──compact──► Parquet ──upload──► bucket ──read back──► digests equal ──► rewrite
 */
import { join } from 'node:path';
import { type ColdFileFooter, type CompactResult, readFileFooter, type TypedColumn } from '../columns/index.js';
import { isLakeError, LakeError, type Offset, retry } from '../kernel/index.js';
import { type ColdFile, dataFileKey, type FileRewrite, type NewColdFile } from '../lake/index.js';
import type { CacheLease, LocalCache } from '../objects/index.js';
import { withDeadline } from './deadline.js';
import type { TierPorts } from './ports.js';
import type { TopicSettings } from './settings.js';
import { requireSameContent, runJob, storeVerified, transferMs, transferRetry } from './store-file.js';

export interface RewriteOrder {
  readonly tablePrefix: string;
  readonly topic: TopicSettings;
  /** Of the table; the output has those that any input has. */
  readonly columns: readonly TypedColumn[];
  /** Neighbours of one partition, in offset order; at least one. */
  readonly inputs: readonly ColdFile[];
  /** The partition's log start: rows below stay behind. */
  readonly logStartOffset: Offset;
  /** Raw bytes the output may have; of more inputs than that the last ones are left out. */
  readonly rawBytesMax: number;
  readonly signal: AbortSignal;
}

export interface PreparedRewrite {
  /** `null` where the inputs, looked at closely, are not worth it. */
  readonly rewrite: FileRewrite | null;
  /** Raw bytes by key, as the footers say: of all that were looked at, and of the output. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Over all of these; undefined where they have no rows. */
  readonly rawBytesPerRow: number | undefined;
  readonly inputBytes: number;
  /** Wall time at which the output's upload began. */
  readonly beganMs: number;
}

interface Input {
  readonly file: ColdFile;
  readonly lease: CacheLease;
  readonly footer: ColdFileFooter;
}

/** Errors: `cold-corrupt` (facts: `path`, `key`), `verify-failed`, `worker-died`, `timeout`, `cancelled`, those of store and workers. */
export async function prepareRewrite(ports: TierPorts, cache: LocalCache, order: RewriteOrder): Promise<PreparedRewrite> {
  const fetched: Input[] = [];
  const outPath = join(ports.spoolDir, `${ports.random.uuid()}.compacted`);
  try {
    for (const file of order.inputs) fetched.push(await fetchInput(ports, cache, file, order.signal));
    const inputs = withinBytes(fetched, order.rawBytesMax);
    const first = inputs[0]?.file;
    const rows = inputs.reduce((sum, { file }) => sum + file.rows, 0);
    const sizes = new Map(fetched.map(({ file, footer }) => [file.key, footer.rawBytes]));
    const known = { sizes, rawBytesPerRow: perRow(fetched), inputBytes: inputs.reduce((sum, { file }) => sum + file.bytes, 0) };
    const isHead = first !== undefined && first.baseOffset < order.logStartOffset;
    if (first === undefined || (inputs.length === 1 && !isHead)) return { rewrite: null, ...known, beganMs: ports.clock.nowMs() };
    const columns = columnsOf(inputs, order.columns);
    const compacted = await runJob(ports, order.signal, 'compacting', async (signal) => {
      await ports.disk.rm(outPath, { force: true });
      return ports.workers.run(
        {
          kind: 'compact',
          inputs: inputs.map(({ file, lease, footer }) => ({
            path: lease.path,
            digest: footer.digest,
            baseOffset: file.baseOffset,
            lastOffset: file.lastOffset,
          })),
          partition: first.partition,
          ...(isHead ? { fromOffset: order.logStartOffset } : {}),
          typedColumns: columns,
          footer: { 'thermocline.table': order.tablePrefix, 'thermocline.partition': String(first.partition) },
          outPath,
        },
        signal,
      );
    });
    ports.counters.compactCpuMs += compacted.cpuMs;
    const beganMs = ports.clock.nowMs();
    const keys = inputs.map(({ file }) => file.key);
    if (!isHead) requireSameContent('the compaction', { partition: first.partition, rows, digest: compacted.digest }, compacted);
    const outputs = compacted.rows === 0 ? [] : [await store(ports, order, first, columns, compacted)];
    for (const output of outputs) sizes.set(output.key, output.rawBytes);
    return { rewrite: { partition: first.partition, inputs: keys, outputs }, ...known, beganMs };
  } finally {
    for (const { lease } of fetched) lease.release();
    await ports.disk.rm(outPath, { force: true });
  }
}

/** What a file's rows took in the log, as its footer says. Errors: `cold-corrupt`, those of the store. */
export async function rawBytesOf(ports: TierPorts, cache: LocalCache, file: ColdFile, signal: AbortSignal): Promise<number> {
  const { footer, lease } = await fetchInput(ports, cache, file, signal);
  lease.release();
  return footer.rawBytes;
}

async function fetchInput(ports: TierPorts, cache: LocalCache, file: ColdFile, signal: AbortSignal): Promise<Input> {
  const fetch = (): Promise<CacheLease> =>
    withDeadline(`fetching ${file.key}`, transferMs(ports, file.bytes), ports.clock, signal, (inner) =>
      cache.fetchToLocal(file.key, file.bytes, inner),
    );
  const lease = await retry(fetch, transferRetry, ports, signal);
  try {
    return { file, lease, footer: readFileFooter(lease.path, ports.disk) };
  } catch (cause) {
    lease.release();
    // A disk that cannot read says nothing about the file.
    if (!isLakeError(cause, 'cold-corrupt')) throw cause;
    throw new LakeError('cold-corrupt', `${file.key}: ${cause.message}`, {
      cause,
      hint: 'Scrub the topic, and restore the object from a copy of the bucket.',
      facts: { key: file.key, path: lease.path },
    });
  }
}

/** The table says how many rows a file has, not how many bytes they took in the log: that is known once the footers are there. */
function withinBytes(inputs: readonly Input[], rawBytesMax: number): readonly Input[] {
  let bytes = 0;
  const end = inputs.findIndex(({ footer }) => {
    bytes += footer.rawBytes;
    return bytes > rawBytesMax;
  });
  return end < 0 ? inputs : inputs.slice(0, Math.max(1, end));
}

function perRow(inputs: readonly Input[]): number | undefined {
  const rows = inputs.reduce((sum, { file }) => sum + file.rows, 0);
  return rows === 0 ? undefined : inputs.reduce((sum, { footer }) => sum + footer.rawBytes, 0) / rows;
}

function columnsOf(inputs: readonly Input[], columns: readonly TypedColumn[]): readonly TypedColumn[] {
  const wanted = new Set(inputs.flatMap(({ footer }) => footer.typedFieldIds));
  return columns.filter((column) => wanted.has(column.fieldId));
}

async function store(
  ports: TierPorts,
  order: RewriteOrder,
  { partition }: ColdFile,
  columns: readonly TypedColumn[],
  compacted: CompactResult,
): Promise<NewColdFile> {
  const { baseOffset, lastOffset, rows, digest, typedDigest, bytes, rawBytes, metrics, splitOffsets } = compacted;
  const key = dataFileKey(order.tablePrefix, { partition, baseOffset, lastOffset, unique: ports.random.uuid() });
  const { valueFormat } = order.topic;
  await storeVerified(
    ports,
    compacted,
    { key, partition, valueFormat, columns, rows, digest, typedDigest, baseOffset, lastOffset },
    order.signal,
  );
  return {
    key,
    partition,
    baseOffset,
    lastOffset,
    rows,
    bytes,
    minTimestampMs: compacted.minTimestampMs ?? Number.MIN_SAFE_INTEGER,
    maxTimestampMs: compacted.maxTimestampMs ?? Number.MAX_SAFE_INTEGER,
    fieldIds: metrics.filter((metric) => metric.nulls < metric.values).map((metric) => metric.fieldId),
    digest,
    rawBytes,
    metrics,
    splitOffsets,
  };
}
