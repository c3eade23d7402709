/**
 * What was found damaged of a partition, noted in its folder: else a restart would serve the segment until somebody meets the damage again,
 * or, after a kill, cut it for a torn tail. A start reads the segments that are noted, and no others.
 */
import { join } from 'node:path';
import { type Disk, type Offset, toLakeError } from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';
import { allDone } from './all-done.js';
import { type DamagedSegment, decodeDamagedSegments, encodeDamagedSegments } from './checkpoint-text.js';
import type { DurableOffsets } from './durable-offsets.js';
import { readFileIfThereSync } from './durable-file.js';
import type { Flusher } from './flush-pool.js';
import { damagedSegmentsFile, offsetFile, suffixes } from './log-files.js';
import { damagedAt } from './segment-file.js';
import type { Segment } from './segment.js';

export interface DamageNotePorts {
  readonly directory: string;
  /** The partition's, in the recovery points. */
  readonly key: string;
  readonly pool: Flusher;
  readonly recoveryPoints: DurableOffsets;
  readonly logger: Logger;
}

/** Of one partition: written at once, ahead of what a start can do without, and again until it is on disk. */
export class DamageNote {
  readonly #ports: DamageNotePorts;
  #unsaved: DamagedSegment | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(ports: DamageNotePorts) {
    this.#ports = ports;
  }

  /**
   * Called once: with the first damage the partition goes offline. All below `flushedOffset` is noted for flushed, too, so that a start does
   * not take what is damaged for a torn tail, note or no note.
   */
  begin(damaged: DamagedSegment, flushedOffset: Offset): void {
    this.#ports.recoveryPoints.note(this.#ports.key, flushedOffset);
    this.#unsaved = damaged;
    void this.save();
  }

  /** Resolves when what was found is on disk, or could not be put there once more, which is told: the next call tries again. */
  save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#write());
    return this.#saving;
  }

  async #write(): Promise<void> {
    if (this.#unsaved === undefined) return;
    const { directory, pool, recoveryPoints, logger } = this.#ports;
    const bytes = Buffer.from(encodeDamagedSegments([this.#unsaved]));
    try {
      await allDone([pool.replaceFile(join(directory, damagedSegmentsFile), bytes), recoveryPoints.write()]);
      this.#unsaved = undefined;
    } catch (error) {
      logger.error('what is damaged could not be noted: a restart may forget it', { directory, error: toLakeError(error).message });
    }
  }
}

/**
 * At start, before anything is cut: reads what is noted again. Where that is whole as far as it was flushed, as after somebody has put a
 * sound copy in its place, or a copy of what the table has (all below `floor`), the note goes. Errors: `log-damaged`, where it is still
 * damaged, or ends before what was flushed of it, or is not there, or the note cannot be read.
 */
export async function recallDamage(
  disk: Disk,
  directory: string,
  segments: readonly Segment[],
  floor: Offset,
  logger: Logger,
): Promise<void> {
  const path = join(directory, damagedSegmentsFile);
  const bytes = readFileIfThereSync(disk, path);
  if (bytes === undefined) return;
  for (const { baseOffset, endOffset } of decodeDamagedSegments(bytes.toString(), path)) {
    const index = segments.findIndex((segment) => segment.baseOffset === baseOffset);
    const nextBase = segments[index + 1]?.baseOffset;
    const segment = segments[index];
    if (segment === undefined) {
      // Moved aside, and no copy in its place yet: only the note knows that it was flushed, which a recovery point may lie below.
      if (endOffset > Math.max(floor, baseOffset))
        throw damagedAt(join(directory, offsetFile(baseOffset, suffixes.log)), 0, 'it is missing');
      continue;
    }
    if (nextBase !== undefined && nextBase <= floor) continue;
    const { fault, position } = await segment.rebuild(nextBase);
    // What lies behind what was flushed may be torn since, as by the power cut that came next: recovery sees for itself.
    if (segment.nextOffset < endOffset) {
      const what = fault ?? `it ends at offset ${segment.nextOffset}, and was flushed up to ${endOffset}`;
      throw damagedAt(segment.file.path, position, what);
    }
    segment.forgetIndexesSync();
    logger.info('a segment that was damaged is whole again', { path: segment.file.path });
  }
  disk.rmSync(path, { force: true });
}
