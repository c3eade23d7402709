/**
 * From spooled batches to a cold file that is fit to be committed: stage, encode, upload, read back, compare. Nothing here
 * changes the table; a cut that fails at any point leaves at most an object that nothing refers to.
 *
 *     pieces ──stage──► raw columns ──encode──► Parquet ──upload──► bucket ──read back──► digests equal ──► prepared
 */
import { join } from 'node:path';
import { type ColumnPair, composeDigests, type EncodeResult, pairKey, type StageResult, type TypedColumn } from '../columns/index.js';
import { invariant, isLakeError, LakeError, type LeaderEpoch, type Offset, type PartitionId, retry, secondMs } from '../kernel/index.js';
import { dataFileKey, type NewColdFile, type RangeMove } from '../lake/index.js';
import { withDeadline } from './deadline.js';
import type { PartitionSpool, Piece } from './partition-spool.js';
import type { TierPorts } from './ports.js';
import type { TopicSettings } from './settings.js';

/** A range that is uploaded and verified (or has no rows): all that its commit needs. */
export interface PreparedCut {
  readonly move: RangeMove;
  /** Columns the file was encoded with. */
  readonly columns: readonly TypedColumn[];
  readonly rows: number;
  readonly rawBytes: number;
  readonly fileBytes: number;
}

export interface CutOrder {
  readonly tablePrefix: string;
  readonly topic: TopicSettings;
  readonly partition: PartitionId;
  /** The table's boundary. */
  readonly from: Offset;
  /** Exclusive; the end of the pieces, or beyond `from` without any where the log began later. */
  readonly to: Offset;
  readonly logStartOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
  readonly spool: PartitionSpool;
  /** In offset order, closed. */
  readonly pieces: readonly Piece[];
  /** Gives each pair its place in the table, the same for all partitions of the topic. */
  readonly assign: (pairs: readonly ColumnPair[]) => readonly TypedColumn[];
  readonly signal: AbortSignal;
}

/** A worker that dies is replaced, so its job is tried again at once; what fails for another reason is the caller's. */
const jobRetry = { firstMs: 100, maxMs: 2 * secondMs, tries: 3 };
/** What holds up the next try of a failed cut is short. */
const removalMs = 5 * secondMs;
const uploadRetry = { firstMs: 200, maxMs: 5 * secondMs, tries: 4 };

/** Stages one closed piece; all who ask share one job. */
export function stagePiece(
  ports: TierPorts,
  order: Pick<CutOrder, 'topic' | 'partition' | 'spool' | 'signal'>,
  piece: Piece,
): Promise<StageResult> {
  invariant(piece.isClosed, 'only a closed piece is staged', { path: piece.path });
  if (piece.staging !== undefined) return piece.staging;
  const staging = ports.stageSlots.run(async () => {
    const result = await runJob(ports, order.signal, 'staging', (signal) =>
      ports.workers.run(
        {
          kind: 'stage',
          spools: [{ path: piece.path, bytes: piece.bytes }],
          partition: order.partition,
          baseOffset: piece.baseOffset,
          endOffset: piece.endOffset,
          abortedTransactions: [...piece.aborted.values()],
          valueFormat: order.topic.valueFormat,
          outPath: piece.stagedPath,
        },
        signal,
      ),
    );
    ports.counters.stageCpuMs += result.cpuMs;
    if (result.rawBatches > 0) {
      ports.logger.error('batches could not be decoded; their bytes are kept in _raw_batch', {
        partition: order.partition,
        batches: result.rawBatches,
        baseOffset: piece.baseOffset,
        endOffset: piece.endOffset,
      });
    }
    await order.spool.noteStaged(piece, result);
    return result;
  }, order.signal);
  piece.staging = staging;
  // A failure is seen by the cut that needs the piece, which begins it anew.
  staging.catch(() => {
    piece.staging = undefined;
  });
  return staging;
}

/** Errors: `verify-failed`, `worker-died`, `timeout`, `cancelled`, and those of store and workers. */
export async function prepareCut(ports: TierPorts, order: CutOrder): Promise<PreparedCut> {
  const staged: StageResult[] = [];
  for (const piece of order.pieces) staged.push(await stagePiece(ports, order, piece));
  const baseOffset = order.pieces[0]?.baseOffset ?? order.from;
  const lastOffset = order.to - 1;
  const rows = staged.reduce((sum, result) => sum + result.rows, 0);
  const rawBytes = staged.reduce((sum, result) => sum + result.rawBytes, 0);
  const move = {
    partition: order.partition,
    from: order.from,
    to: order.to,
    leaderEpoch: order.leaderEpoch,
    logStartOffset: order.logStartOffset,
  };
  if (rows === 0) return { move: { ...move, files: [] }, columns: [], rows, rawBytes, fileBytes: 0 };
  const columns = order.assign(uniquePairs(staged));
  const unique = ports.random.uuid();
  const outPath = join(ports.spoolDir, `${unique}.parquet`);
  try {
    const encoded = await runJob(ports, order.signal, 'encoding', async (signal) => {
      await ports.disk.rm(outPath, { force: true });
      const footer = { 'thermocline.table': order.tablePrefix, 'thermocline.partition': String(order.partition) };
      return ports.workers.run(
        { kind: 'encode', staged, typedColumns: columns, valueFormat: order.topic.valueFormat, footer, outPath },
        signal,
      );
    });
    ports.counters.encodeCpuMs += encoded.cpuMs;
    const digest = composeDigests(...staged.map((result) => result.digest));
    if (encoded.rows !== rows || encoded.digest !== digest) {
      throw differs(order, 'the encoder', { rows, digest }, encoded);
    }
    const key = dataFileKey(order.tablePrefix, {
      partition: order.partition,
      baseOffset,
      lastOffset,
      unique,
    });
    await storeOrRemove(ports, order, key, encoded, { columns, rows, digest, bytes: encoded.bytes, baseOffset, lastOffset });
    const withRows = staged.filter((result) => result.rows > 0);
    const file: NewColdFile = {
      key,
      partition: order.partition,
      baseOffset,
      lastOffset,
      rows,
      bytes: encoded.bytes,
      minTimestampMs: Math.min(...withRows.map((result) => result.minTimestampMs ?? Number.MIN_SAFE_INTEGER)),
      maxTimestampMs: Math.max(...withRows.map((result) => result.maxTimestampMs ?? Number.MAX_SAFE_INTEGER)),
      fieldIds: encoded.metrics.filter((metric) => metric.nulls < metric.values).map((metric) => metric.fieldId),
      digest,
      rawBytes,
      metrics: encoded.metrics,
      splitOffsets: encoded.splitOffsets,
    };
    return { move: { ...move, files: [file] }, columns, rows, rawBytes, fileBytes: encoded.bytes };
  } finally {
    await ports.disk.rm(outPath, { force: true });
  }
}

function uniquePairs(staged: readonly StageResult[]): readonly ColumnPair[] {
  const pairs = new Map<string, ColumnPair>();
  for (const result of staged) for (const pair of result.pairs) pairs.set(pairKey(pair), pair);
  return [...pairs.values()];
}

/** The name is this attempt's alone, so an object that is there already is an earlier try whose answer was lost. */
async function upload(ports: TierPorts, order: CutOrder, key: string, encoded: EncodeResult): Promise<void> {
  await retry(
    async () => {
      try {
        await withDeadline(`upload of ${key}`, transferMs(ports, encoded.bytes), ports.clock, order.signal, (signal) =>
          ports.store.put(key, { path: encoded.path }, { ifAbsent: true, signal }),
        );
      } catch (error) {
        if (!isLakeError(error, 'object-exists')) throw error;
      }
    },
    uploadRetry,
    ports,
    order.signal,
  );
}

interface Expected {
  readonly columns: readonly TypedColumn[];
  readonly rows: number;
  readonly digest: string;
  readonly bytes: number;
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
}

/** An object that is not to be committed is removed where that is quick; else it is swept later. Nobody else knows its name. */
async function storeOrRemove(ports: TierPorts, order: CutOrder, key: string, encoded: EncodeResult, expected: Expected): Promise<void> {
  try {
    await upload(ports, order, key, encoded);
    await verify(ports, order, key, expected);
  } catch (error) {
    try {
      await withDeadline(`removing ${key}`, removalMs, ports.clock, ports.stop, (signal) => ports.store.delete(key, signal));
    } catch (cause) {
      if (!ports.stop.aborted) ports.logger.warn('an object nobody refers to stays until it is swept', { key, error: cause });
    }
    throw error;
  }
}

/** Reads the very object back from the bucket and compares it with what the raw batches said. */
async function verify(ports: TierPorts, order: CutOrder, key: string, expected: Expected): Promise<void> {
  const local = ports.store.localPath(key);
  const path = local ?? join(ports.spoolDir, `${ports.random.uuid()}.readback`);
  try {
    if (local === null) {
      await retry(
        async () => {
          await ports.disk.rm(path, { force: true });
          await withDeadline(`reading back ${key}`, transferMs(ports, expected.bytes), ports.clock, order.signal, (signal) =>
            ports.store.download(key, path, signal),
          );
        },
        uploadRetry,
        ports,
        order.signal,
      );
    }
    const verified = await runJob(ports, order.signal, 'verifying', (signal) =>
      ports.workers.run(
        {
          kind: 'verify',
          path,
          partition: order.partition,
          baseOffset: expected.baseOffset,
          lastOffset: expected.lastOffset,
          rows: expected.rows,
          digest: expected.digest,
          typedColumns: expected.columns,
          valueFormat: order.topic.valueFormat,
          typedRowGroups: ports.settings.verifyTypedRowGroups,
        },
        signal,
      ),
    );
    ports.counters.verifyCpuMs += verified.cpuMs;
    if (verified.rows !== expected.rows || verified.digest !== expected.digest) throw differs(order, key, expected, verified);
  } finally {
    if (local === null) await ports.disk.rm(path, { force: true });
  }
}

interface Content {
  readonly rows: number;
  readonly digest: string;
}

function differs(order: CutOrder, where: string, expected: Content, found: Content): LakeError {
  return new LakeError(
    'verify-failed',
    `${where} has ${found.rows} rows, digest ${found.digest}; the log said ${expected.rows}, ${expected.digest}`,
    {
      hint: 'Nothing was committed or evicted. Check memory and disks; keep the spool folder for a report.',
      facts: { partition: order.partition, from: order.from, rows: expected.rows, digest: expected.digest },
    },
  );
}

function runJob<T>(ports: TierPorts, stop: AbortSignal, what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return retry(() => withDeadline(what, ports.settings.jobTimeoutMs, ports.clock, stop, work), jobRetry, ports, stop);
}

/** Deadline for moving so many bytes to or from the bucket. */
export function transferMs(ports: TierPorts, bytes: number): number {
  return ports.settings.bucketTimeoutMs + (bytes / ports.settings.transferBytesPerSecondMin) * secondMs;
}
