/** Reads segments whole where somebody met what is no batch in them: each once at a time, however many met it. */
import { isLakeError, type LakeError } from '../kernel/index.js';
import { damagedAt } from './segment-file.js';
import type { Segment } from './segment.js';

export class SegmentExaminer {
  readonly #underWay = new Map<Segment, Promise<LakeError | undefined>>();

  /** What is damaged of it, if anything is. Errors: `log-offline` where the disk cannot be read, or the segment was given up. */
  damageOf(segment: Segment): Promise<LakeError | undefined> {
    const underWay = this.#underWay.get(segment);
    if (underWay !== undefined) return underWay;
    const examined = examine(segment).finally(() => this.#underWay.delete(segment));
    this.#underWay.set(segment, examined);
    return examined;
  }
}

async function examine(segment: Segment): Promise<LakeError | undefined> {
  const { path } = segment.file;
  segment.file.retain();
  try {
    const { fault, position } = await segment.verify();
    return fault === undefined ? undefined : damagedAt(path, position, fault);
  } catch (error) {
    if (isLakeError(error, 'log-damaged')) return error;
    throw error;
  } finally {
    segment.file.release();
  }
}
