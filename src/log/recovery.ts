/**
 * Opens the folder of one partition. After a clean stop indexes are taken as they are; after anything else every segment that
 * reaches above the recovery point is read and checked.
 *
 * What is found at offset X where the batches stop being good:
 *
 * | X is                                          | then                                                             |
 * |-----------------------------------------------|------------------------------------------------------------------|
 * | at or above the recovery point                | a torn tail: cut at X, in a new leader epoch                      |
 * | below it, and the boundary is at or above it  | only copies of cold records are missing: cut, begin at the boundary; |
 * |                                               | where records above the boundary lie behind: damage, as below    |
 * | below it otherwise                            | damage: the partition stays offline, nothing is touched          |
 *
 * A segment that was found damaged before (`damage-note.ts`) is read first, so that nothing of it is cut.
 *
 * Every start that is not clean begins a new leader epoch, also where nothing was cut: after a power cut a file may simply be
 * shorter, at the end of a batch, and an offset must not be used twice in one epoch.
 */
import { join } from 'node:path';
import { type Disk, isLakeError, LakeError, type Offset, type TopicId, toLakeError, zeroTopicId } from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';
import { batchBaseOffset, batchLastOffset, batchLeaderEpoch } from '../wire/index.js';
import { AppendTimes, type AppendTimesPorts } from './append-times.js';
import { findBatchBehind } from './batch-search.js';
import { farWindowBytes, type WalkEnd, walkSegment } from './batch-walk.js';
import { finishSwaps } from './compaction-swap.js';
import { decodeEpochs, decodePartitionMetadata, encodeEpochs } from './checkpoint-text.js';
import { recallDamage } from './damage-note.js';
import { readFileIfThereSync, replaceFileSync } from './durable-file.js';
import { LeaderEpochs } from './leader-epochs.js';
import { appendTimesFile, leaderEpochFile, offsetFile, offsetOfFile, partitionMetadataFile, suffixes } from './log-files.js';
import { ProducerSnapshotFiles } from './producer-snapshot-files.js';
import { ProducerStates } from './producer-states.js';
import { SegmentFile } from './segment-file.js';
import { SegmentList } from './segment-list.js';
import { Segment, type SegmentOptions, type SegmentPorts } from './segment.js';

const defaultIndexIntervalBytes = 4096;

export interface RecoveryRequest {
  readonly directory: string;
  /** Everything below is on disk, as far as was noted. */
  readonly recoveryPoint: Offset;
  readonly logStartOffset: Offset;
  readonly boundary: Offset;
  readonly isClean: boolean;
  /** Below it was compacted; above it too, where a pass was interrupted. */
  readonly compactedOffset: Offset;
  readonly producerIdExpirationMs: number;
  readonly nowMs: number;
  readonly ports: SegmentPorts;
  readonly appendTimes: AppendTimesPorts;
  readonly logger: Logger;
}

export interface RecoveredPartition {
  readonly topicId: TopicId;
  readonly segments: SegmentList;
  readonly logStartOffset: Offset;
  readonly boundary: Offset;
  readonly epochs: LeaderEpochs;
  readonly producers: ProducerStates;
  readonly producerSnapshots: ProducerSnapshotFiles;
  /** Of a partition that is not damaged. */
  readonly appendTimes: AppendTimes | undefined;
  /** Segments that may hold bytes no flush has covered. */
  readonly unflushed: readonly Segment[];
  /** Why the partition cannot be used. */
  readonly damage: LakeError | undefined;
}

/** Never throws for what is wrong with one partition: that is its `damage`. */
export async function recoverPartition(request: RecoveryRequest): Promise<RecoveredPartition> {
  const { directory } = request;
  const { disk } = request.ports.openFiles;
  const producers = new ProducerStates(request.producerIdExpirationMs);
  const producerSnapshots = new ProducerSnapshotFiles(directory, disk);
  let topicId = zeroTopicId;
  let segments: Segment[] = [];
  try {
    topicId = readTopicId(disk, directory);
    await finishSwaps(request.ports.openFiles, directory);
    removeLeftovers(disk, directory);
    segments = openSegments(request);
    noteUnbroken(request, segments.at(-1));
    await recallDamage(disk, directory, segments, Math.max(request.boundary, request.logStartOffset), request.logger);
    const known = { producers, producerSnapshots };
    return { topicId, ...(await recover(request, segments, known)), ...known, damage: undefined };
  } catch (error) {
    const damage = isLakeError(error, 'log-damaged') ? error : toLakeError(error, 'log-offline', directory);
    request.logger.error('partition stays offline', { directory, error: damage.message });
    if (segments.length === 0)
      segments = [
        new Segment(
          directory,
          0,
          new SegmentFile(join(directory, offsetFile(0, suffixes.log)), 0, request.ports.openFiles),
          request.ports,
          segmentOptions(request),
        ),
      ];
    const { logStartOffset } = request;
    return {
      topicId,
      segments: new SegmentList(segments),
      logStartOffset,
      boundary: request.boundary,
      epochs: new LeaderEpochs(),
      producers,
      producerSnapshots,
      appendTimes: undefined,
      unflushed: [],
      damage,
    };
  }
}

async function recover(
  request: RecoveryRequest,
  segments: Segment[],
  { producers, producerSnapshots }: Pick<RecoveredPartition, 'producers' | 'producerSnapshots'>,
): Promise<Pick<RecoveredPartition, 'segments' | 'logStartOffset' | 'boundary' | 'epochs' | 'appendTimes' | 'unflushed'>> {
  const { directory, boundary, recoveryPoint, ports } = request;
  const { logStartOffset } = request;
  const floor = Math.max(boundary, logStartOffset);
  const unflushed = await findEnd(request, segments, floor);
  const last = segments.at(-1);
  if (last === undefined || last.nextOffset < floor) {
    if (last !== undefined || floor > 0)
      request.logger.warn('the log begins anew at its boundary', { directory, end: last?.nextOffset ?? 0, floor });
    if (recoveryPoint > floor)
      throw damage(directory, `it ends at ${last?.nextOffset ?? 0}, below its recovery point ${recoveryPoint}`, recoveryPoint);
    const fresh = Segment.createSync(directory, floor, ports, segmentOptions(request));
    segments.push(fresh);
    unflushed.push(fresh);
  } else if (last.nextOffset < recoveryPoint) {
    throw damage(directory, `it ends at ${last.nextOffset}, below its recovery point ${recoveryPoint}`, recoveryPoint);
  }
  for (const segment of segments.slice(0, -1)) segment.seal();
  const list = new SegmentList(segments);
  if (list.unbrokenFrom > floor) throw damage(directory, `segments between ${floor} and ${list.unbrokenFrom} are missing`, floor);
  const epochs = await recoverEpochs(request, list);
  await recoverProducers(request, list, producers, producerSnapshots);
  const { nextOffset: endOffset, lastAppendMs: lastWriteMs } = list.active;
  const log = { endOffset, lastWriteMs, nowMs: request.nowMs };
  const appendTimes = AppendTimes.open(join(directory, appendTimesFile), log, request.appendTimes);
  return { segments: list, logStartOffset, boundary, epochs, appendTimes, unflushed };
}

function segmentOptions({ nowMs }: RecoveryRequest): SegmentOptions {
  return { nowMs, indexIntervalBytes: defaultIndexIntervalBytes };
}

function readTopicId(disk: Disk, directory: string): TopicId {
  const path = join(directory, partitionMetadataFile);
  const bytes = readFileIfThereSync(disk, path);
  if (bytes === undefined) throw damage(directory, `it has no ${partitionMetadataFile}`, 0);
  return decodePartitionMetadata(bytes.toString(), path);
}

/** What a kill left half removed or half written, and indexes without their segment. */
function removeLeftovers(disk: Disk, directory: string): void {
  const names = disk.readdirSync(directory);
  const bases = new Set(names.map((name) => offsetOfFile(name, suffixes.log)));
  for (const name of names) {
    const indexed = offsetOfFile(name, suffixes.index) ?? offsetOfFile(name, suffixes.timeIndex);
    const isOrphan = indexed !== undefined && !bases.has(indexed);
    if (isOrphan || name.endsWith(suffixes.deleted) || name.endsWith(suffixes.temporary))
      disk.rmSync(join(directory, name), { force: true });
  }
}

function openSegments(request: RecoveryRequest): Segment[] {
  const { directory, ports } = request;
  const { disk } = ports.openFiles;
  const bases = disk.readdirSync(directory).flatMap((name) => offsetOfFile(name, suffixes.log) ?? []);
  return bases
    .sort((a, b) => a - b)
    .map((base) => {
      const path = join(directory, offsetFile(base, suffixes.log));
      const { size, mtimeMs, birthtimeMs } = disk.statSync(path);
      const lastAppendMs = Math.min(Math.floor(mtimeMs), request.nowMs);
      const segment = new Segment(directory, base, new SegmentFile(path, size, ports.openFiles), ports, {
        ...segmentOptions(request),
        nowMs: lastAppendMs,
      });
      if (size > 0) segment.firstAppendMs = birthtimeMs > 0 ? Math.min(Math.floor(birthtimeMs), lastAppendMs) : lastAppendMs;
      return segment;
    });
}

/**
 * Says of the segment that was written last from where on each offset is in a batch, so that a base offset above the one it must be is
 * damage. In all others, and below that, it is damage only where it contradicts the next batch, or the beginning of the next segment.
 *
 * That a partition has no compaction checkpoint would not do: a kill within its first pass leaves compacted segments without one (as in
 * Kafka, which writes `cleaner-offset-checkpoint` behind a pass), and gaps outlive a topic's cleanup policy. But a pass takes sealed
 * segments only, and makes its files durable in a folder that has the next segment by then; so the last one was never compacted. There is
 * one way to it: a start that found a compacted segment torn, cut it and dropped all behind, so that appends went on there. Such a start
 * begins a new leader epoch at that place, and what lies above the beginning of the latest epoch was appended since, one batch after the
 * other.
 */
function noteUnbroken(request: RecoveryRequest, last: Segment | undefined): void {
  const latest = readEpochs(request)?.entries.at(-1);
  if (last !== undefined && latest !== undefined)
    last.unbrokenFrom = Math.max(last.baseOffset, latest.startOffset, request.compactedOffset);
}

/** Opens or checks each segment and cuts what lies behind the last good batch. Answers those that were not known to be flushed. */
async function findEnd(request: RecoveryRequest, segments: Segment[], floor: Offset): Promise<Segment[]> {
  const { directory, isClean, recoveryPoint, boundary } = request;
  const unflushed: Segment[] = [];
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i] as Segment;
    const nextBase = segments[i + 1]?.baseOffset;
    const isAboveRecoveryPoint = nextBase === undefined || nextBase > recoveryPoint;
    const mustCheck = !isClean && isAboveRecoveryPoint;
    if (mustCheck) unflushed.push(segment);
    // A clean stop notes the end of the log: one above it is not believed without its checksums.
    const isEndKnown = (): boolean => nextBase !== undefined || segment.nextOffset <= recoveryPoint;
    const isIndexed = !mustCheck && (await segment.openIndexed(nextBase)) && isEndKnown();
    const end = isIndexed ? undefined : await segment.rebuild(nextBase);
    const stop = segment.nextOffset;
    const isHole = nextBase !== undefined && nextBase !== stop;
    if (end?.fault === undefined && !isHole) continue;
    const what = end?.fault ?? `the next segment begins at ${nextBase}`;
    // All of a segment below the floor, and a hole below it, are copies that may be missing.
    const isCopyOnly = nextBase !== undefined && nextBase <= floor && stop <= nextBase;
    const isBelowWhatWasFlushed = stop < recoveryPoint && recoveryPoint > boundary;
    const isBelowFloor = async (): Promise<boolean> =>
      stop < floor && !(end?.isCutOff === true && (await isAllOf(segments, i, end, floor)));
    if (!isCopyOnly && (isBelowWhatWasFlushed || (await isBelowFloor())))
      throw damage(segment.file.path, `${what}, at offset ${stop}`, recoveryPoint, end?.position);
    if (end !== undefined && end.position < segment.bytes) {
      request.logger.warn('cut a torn tail', { path: segment.file.path, offset: stop, bytes: segment.bytes - end.position, what });
      segment.file.cutSync(end.position);
      if (!unflushed.includes(segment)) unflushed.push(segment);
    }
    if (isCopyOnly) continue;
    for (const later of segments.splice(i + 1)) {
      request.logger.warn('dropped a segment behind a torn tail', { directory, baseOffset: later.baseOffset, bytes: later.bytes });
      await later.remove();
    }
  }
  return unflushed;
}

/**
 * Of a segment that ends below the floor in a batch that is cut off: whether nothing from the floor on lies behind. All below a floor was
 * flushed before that moved: where something lies behind, the log did not end there, but is damaged.
 */
async function isAllOf(segments: readonly Segment[], index: number, { position }: WalkEnd, floor: Offset): Promise<boolean> {
  const { file, bytes } = segments[index] as Segment;
  return index === segments.length - 1 && (await findBatchBehind(file, position, bytes, floor)) === undefined;
}

function readEpochs(request: RecoveryRequest): LeaderEpochs | undefined {
  const path = join(request.directory, leaderEpochFile);
  const bytes = readFileIfThereSync(request.ports.openFiles.disk, path);
  return bytes === undefined ? undefined : new LeaderEpochs(decodeEpochs(bytes.toString(), path));
}

async function recoverEpochs(request: RecoveryRequest, segments: SegmentList): Promise<LeaderEpochs> {
  const path = join(request.directory, leaderEpochFile);
  const { disk } = request.ports.openFiles;
  const read = readEpochs(request);
  const epochs = read ?? (await epochsOfBatches(segments));
  const { latest } = epochs;
  const endOffset = segments.active.nextOffset;
  // Epochs above the end are forgotten only once the next one is known to be newer than they were.
  const isCut = epochs.cutAbove(endOffset);
  const isNew = (!request.isClean || isCut || latest < 0) && epochs.assign(latest + 1, endOffset);
  const isForgotten = epochs.forgetBelow(request.logStartOffset);
  if (isCut || isNew || isForgotten || read === undefined) replaceFileSync(disk, path, Buffer.from(encodeEpochs(epochs.entries)));
  return epochs;
}

async function epochsOfBatches(segments: SegmentList): Promise<LeaderEpochs> {
  const epochs = new LeaderEpochs();
  await eachBatch(segments, segments.all[0]?.baseOffset ?? 0, (window, at) => {
    epochs.assign(batchLeaderEpoch(window, at), batchBaseOffset(window, at));
  });
  return epochs;
}

async function recoverProducers(
  request: RecoveryRequest,
  segments: SegmentList,
  producers: ProducerStates,
  snapshots: ProducerSnapshotFiles,
): Promise<void> {
  const { nowMs } = request;
  const bases = new Set(segments.all.map((segment) => segment.baseOffset));
  producers.load(snapshots.loadSync(segments.active.nextOffset, bases, request.logger), nowMs);
  const from = Math.max(segments.unbrokenFrom, snapshots.savedTo);
  await eachBatch(segments, from, (window, at) => {
    if (batchBaseOffset(window, at) >= from) producers.note(window, at, batchLastOffset(window, at), nowMs);
  });
}

/** Of all segments that reach above `from`. An index would save little, and could lead astray: nobody mends one before it is open. */
async function eachBatch(segments: SegmentList, from: Offset, visit: (window: Buffer, at: number) => void): Promise<void> {
  for (const segment of segments.all) {
    if (segment.nextOffset <= from) continue;
    segment.file.retain();
    try {
      await walkSegment(segment.file, { from: 0, to: segment.bytes, windowBytes: farWindowBytes }, (window, at) => {
        visit(window, at);
        return true;
      });
    } finally {
      segment.file.release();
    }
  }
}

function damage(path: string, what: string, recoveryPoint: Offset, position?: number): LakeError {
  return new LakeError('log-damaged', `${path} is damaged in what was flushed: ${what}`, {
    hint: 'Look at the disk and its messages. Restore the folder from a copy, or delete the topic; nothing was cut.',
    facts: { path, recoveryPoint, position },
  });
}
