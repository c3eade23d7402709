/**
 * A byte of a segment changes on the broker's disk, of what was flushed and lies below the recovery point. Somebody has to find it, however
 * the broker dies meanwhile: its partition goes offline, says where and what to do, and stays so over restarts until the sound byte is back.
 * Until then it may refuse; it may give nothing of what is damaged for a record, and lose nothing.
 */
import { join } from 'node:path';
import { isLakeError, type LakeError, type Offset } from '../../src/kernel/index.js';
import { decodeOffsets } from '../../src/log/checkpoint-text.js';
import type { PartitionLog } from '../../src/log/index.js';
import { boundaryFile, offsetOfFile, partitionOfDirectory, recoveryPointFile, suffixes } from '../../src/log/log-files.js';
import { batchAt, batchBytes, batchLastOffset } from '../../src/wire/index.js';
import { stream, type Seeded } from '../support/seed.js';
import type { World } from './world.js';

/** So many runs have one: it keeps a partition from all else that is checked, for a part of the run. */
const rotsIn = 0.1;

/** Not in those that ask in SQL, which cannot ask the broker what is damaged. */
export function hasRot(seed: number): boolean {
  return stream(seed ^ 0x207).float() < rotsIn;
}

/** So many of those that begin are of what is nowhere else. */
const hotIn = 0.8;
/** Until there is any: it is tiered soon. */
const retryMs = 250;
const triesMax = 80;

interface Target {
  readonly path: string;
  readonly position: number;
  readonly bytes: number;
  readonly lastOffset: Offset;
  /** At or above the table's boundary: no copy of what is cold. */
  readonly isHot: boolean;
}

/** Behind the leader epoch, which no checksum covers and nothing is compared with. */
const epochEnd = batchAt.leaderEpoch + 4;

export class HotRot {
  readonly #world: World;
  readonly #logDir: string;
  /** Found, and long ago enough that it is noted: not to be forgotten by a start. */
  readonly #noted = new Map<string, Offset>();
  /** Of what has rotted since it was mended last, whatever became of it. */
  readonly #lastOffsets = new Map<string, Offset>();

  /** What calls off beginnings and mendings that are to come. */
  readonly #toCome: (() => void)[] = [];

  constructor(world: World, dataDir: string) {
    this.#world = world;
    this.#logDir = join(dataDir, 'log');
  }

  /** Folders of partitions with a segment that has rotted. */
  get #folders(): readonly string[] {
    return this.rotten().map((path) => path.slice(0, path.lastIndexOf('/')));
  }

  /** Segments that are still there. */
  rotten(): readonly string[] {
    return this.#world.diskA.rotten().filter((path) => {
      const [folder = '', file = ''] = path.slice(this.#logDir.length + 1).split('/');
      return partitionOfDirectory(folder) !== undefined && offsetOfFile(file, suffixes.log) !== undefined;
    });
  }

  /** Whether damage that was met, and may be dropped by now, is what has rotted. */
  hasSpoiled(error: LakeError): boolean {
    return this.#lastOffsets.has(String(error.facts['path']));
  }

  /** Whether a partition is offline for what has rotted, and says what to do. */
  explains(error: unknown): boolean {
    if (!isLakeError(error, 'log-damaged') || error.hint === undefined) return false;
    const path = String(error.facts['path']);
    return this.#folders.some((folder) => path === folder || path.startsWith(`${folder}/`));
  }

  isIn(log: { readonly topic: string; readonly partition: number }): boolean {
    return this.#folders.includes(join(this.#logDir, `${log.topic}-${log.partition}`));
  }

  /** In one of the partitions that have none yet, mostly of what the table has not; as soon as there is any. */
  begin(random: Seeded, began: () => void): void {
    const wantsHot = random.float() < hotIn;
    const tryOnce = (triesLeft: number): void => {
      const all = this.#targets();
      const targets = wantsHot ? all.filter(({ isHot }) => isHot) : all;
      if (targets.length > 0) {
        this.#rot(random.pick(targets), random);
        began();
      } else if (triesLeft > 0) {
        this.#callOff(this.#world.scheduler.after(retryMs, () => tryOnce(triesLeft - 1)));
      }
    };
    tryOnce(triesMax);
  }

  #rot({ path, position, bytes, lastOffset }: Target, random: Seeded): void {
    // Half of them in the header, which is small and says most.
    const within = random.float() < 0.5 ? random.whole(0, batchAt.records) : random.whole(0, bytes);
    const at = within >= batchAt.leaderEpoch && within < epochEnd ? epochEnd : within;
    this.#world.diskA.rot(path, position + at, 1 << random.whole(0, 8));
    this.#lastOffsets.set(path, lastOffset);
    this.#world.scheduler.trace('world', `byte ${at} of the batch at ${position} of ${path}, which ends at offset ${lastOffset}, rots`);
  }

  #targets(): readonly Target[] {
    const { diskA } = this.#world;
    const offsetsIn = (name: string): ReadonlyMap<string, Offset> => {
      const bytes = diskA.syncedBytes(join(this.#logDir, name));
      return bytes === undefined ? new Map() : decodeOffsets(bytes.toString(), name);
    };
    const [points, boundaries] = [offsetsIn(recoveryPointFile), offsetsIn(boundaryFile)];
    return diskA.namesIn(this.#logDir).flatMap((folder) => {
      const named = partitionOfDirectory(folder);
      if (named === undefined || named.topic.startsWith('__') || this.isIn(named)) return [];
      const [below, boundary] = [points.get(folder) ?? 0, boundaries.get(folder) ?? 0];
      const names = diskA.namesIn(join(this.#logDir, folder));
      return names.flatMap((name) => this.#batchesOf(join(this.#logDir, folder, name), offsetOfFile(name, suffixes.log), below, boundary));
    });
  }

  #batchesOf(path: string, baseOffset: Offset | undefined, below: Offset, boundary: Offset): readonly Target[] {
    const synced = this.#world.diskA.syncedBytes(path);
    const found: Target[] = [];
    if (synced === undefined || baseOffset === undefined) return found;
    for (let [next, position] = [baseOffset, 0]; next < below && position < synced.length; ) {
      const [bytes, lastOffset] = [batchBytes(synced, position), batchLastOffset(synced, position)];
      found.push({ path, position, bytes, lastOffset, isHot: lastOffset >= boundary });
      next = lastOffset + 1;
      position += bytes;
    }
    return found;
  }

  #callOff(work: () => void): void {
    this.#toCome.push(work);
  }

  /** Nothing comes any more of what was to. */
  leave(): void {
    for (const callOff of this.#toCome.splice(0)) callOff();
  }

  mendIn(ms: number): void {
    this.#callOff(this.#world.scheduler.after(ms, () => this.mend()));
  }

  /** Somebody stops the broker and puts the sound bytes back. */
  mend(): void {
    if (this.rotten().length === 0) return;
    this.#world.scheduler.trace('world', `the sound bytes are back: ${this.rotten().join(', ')}`);
    this.#world.killBroker();
    this.#world.diskA.mend();
    this.#noted.clear();
    this.#lastOffsets.clear();
  }

  /** Whether all that has rotted, and is still there, is known to the broker. */
  isAllFound(): boolean {
    const partitions = this.#world.broker?.core.log.partitions;
    return (
      partitions !== undefined &&
      this.#folders.every((folder) => this.explains(partitions.get(folder.slice(this.#logDir.length + 1))?.offline))
    );
  }

  /** What is found by now must not be forgotten. */
  noteFound(): void {
    for (const path of this.rotten()) this.#noted.set(path, this.#lastOffsets.get(path) ?? 0);
  }

  /** Whether a start has forgotten what was noted of a partition. A copy of what the table has need not be known. */
  isForgotten(log: PartitionLog): boolean {
    const folder = join(this.#logDir, `${log.topic}-${log.partition}`);
    const there = this.rotten();
    return [...this.#noted].some(
      ([path, lastOffset]) =>
        path.startsWith(`${folder}/`) && there.includes(path) && lastOffset >= log.boundary && log.offline === undefined,
    );
  }
}
