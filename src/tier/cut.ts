/**
 * From spooled batches to a cold file that is fit to be committed: stage, encode, upload, read back, compare. Nothing here
 * changes the table; a cut that fails at any point leaves at most an object that nothing refers to.
 *
 *     pieces ──stage──► raw columns ──encode──► Parquet ──upload──► bucket ──read back──► digests equal ──► prepared
 */
import { join } from 'node:path';
import { type ColumnPair, composeDigests, pairKey, type StageResult, type TypedColumn } from '../columns/index.js';
import { invariant, type LeaderEpoch, type Offset, type PartitionId } from '../kernel/index.js';
import { dataFileKey, type NewColdFile, type RangeMove } from '../lake/index.js';
import type { PartitionSpool, Piece } from './partition-spool.js';
import type { TierPorts } from './ports.js';
import type { TopicSettings } from './settings.js';
import { requireSameContent, runJob, storeVerified } from './store-file.js';

/** A range that is uploaded and verified (or has no rows): all that its commit needs. */
export interface PreparedCut {
  readonly move: RangeMove;
  /** Columns the file was encoded with. */
  readonly columns: readonly TypedColumn[];
  readonly rows: number;
  readonly rawBytes: number;
  readonly fileBytes: number;
  /** Wall time before its upload began. */
  readonly beganMs: number;
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
  const beganMs = ports.clock.nowMs();
  const rows = staged.reduce((sum, result) => sum + result.rows, 0);
  const rawBytes = staged.reduce((sum, result) => sum + result.rawBytes, 0);
  const move = {
    partition: order.partition,
    from: order.from,
    to: order.to,
    leaderEpoch: order.leaderEpoch,
    logStartOffset: order.logStartOffset,
  };
  if (rows === 0) return { move: { ...move, files: [] }, columns: [], rows, rawBytes, fileBytes: 0, beganMs };
  const columns = order.assign(uniquePairs(staged));
  const unique = ports.random.uuid();
  const outPath = join(ports.spoolDir, `${unique}.parquet`);
  try {
    const encoded = await runJob(ports, order.signal, 'encoding', async (signal) => {
      await ports.disk.rm(outPath, { force: true });
      const footer = { 'thermocline.table': order.tablePrefix, 'thermocline.partition': String(order.partition) };
      return ports.workers.run(
        { kind: 'encode', staged, typedColumns: columns, valueFormat: order.topic.valueFormat, footer, isForBucket: true, outPath },
        signal,
      );
    });
    ports.counters.encodeCpuMs += encoded.cpuMs;
    const digest = composeDigests(...staged.map((result) => result.digest));
    requireSameContent('the encoder', { partition: order.partition, rows, digest }, encoded);
    const key = dataFileKey(order.tablePrefix, {
      partition: order.partition,
      baseOffset,
      lastOffset,
      unique,
    });
    const { partition, topic, signal } = order;
    await storeVerified(
      ports,
      encoded,
      { key, partition, valueFormat: topic.valueFormat, columns, rows, digest, baseOffset, lastOffset },
      signal,
    );
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
    return { move: { ...move, files: [file] }, columns, rows, rawBytes, fileBytes: encoded.bytes, beganMs };
  } finally {
    await ports.disk.rm(outPath, { force: true });
  }
}

function uniquePairs(staged: readonly StageResult[]): readonly ColumnPair[] {
  const pairs = new Map<string, ColumnPair>();
  for (const result of staged) for (const pair of result.pairs) pairs.set(pairKey(pair), pair);
  return [...pairs.values()];
}
