/**
 * Commits whose records are on their way to the log, and what they commit. What is deleted meanwhile comes behind them there, so it must
 * not be seen again in memory when they arrive.
 */
import type { PartitionId } from '../../kernel/index.js';

/** What a position is of. */
export interface OffsetPlace {
  readonly topic: string;
  readonly partition: PartitionId;
}

export type IsPosition = (topic: string, partition: PartitionId) => boolean;

/** Whether a position is one of these. */
export function isOneOf(places: Iterable<OffsetPlace>): IsPosition {
  const topics = new Map<string, Set<PartitionId>>();
  for (const { topic, partition } of places) {
    const partitions = topics.get(topic);
    if (partitions === undefined) topics.set(topic, new Set([partition]));
    else partitions.add(partition);
  }
  return (topic, partition) => topics.get(topic)?.has(partition) === true;
}

interface Deletion {
  readonly isDeleted: IsPosition;
  /** Whether it could be written. */
  readonly isGone: Promise<boolean>;
}

interface Commit {
  readonly places: readonly OffsetPlace[];
  /** Since it was appended. */
  readonly deletions: Set<Deletion>;
}

export class CommitsUnderWay {
  readonly #ofGroups = new Map<string, Set<Commit>>();

  /** Groups with commits under way. */
  groupIds(): Iterable<string> {
    return this.#ofGroups.keys();
  }

  /** What a group's commits under way are of; a place as often as it is in them. */
  places(groupId: string): readonly OffsetPlace[] {
    return [...(this.#ofGroups.get(groupId) ?? [])].flatMap(({ places }) => places);
  }

  /** Appends a commit of a group; resolves to which of its positions were deleted meanwhile. Errors: those of `append`. */
  async append(groupId: string, places: readonly OffsetPlace[], append: () => Promise<void>): Promise<IsPosition> {
    const commit: Commit = { places, deletions: new Set() };
    let ofGroup = this.#ofGroups.get(groupId);
    if (ofGroup === undefined) this.#ofGroups.set(groupId, (ofGroup = new Set()));
    ofGroup.add(commit);
    try {
      await append();
      const gone: IsPosition[] = [];
      // Those too that begin meanwhile: as long as it is not seen in memory, it is under way.
      for (const { isDeleted, isGone } of commit.deletions) if (await isGone) gone.push(isDeleted);
      return (topic, partition) => gone.some((isDeleted) => isDeleted(topic, partition));
    } finally {
      ofGroup.delete(commit);
      if (ofGroup.size === 0) this.#ofGroups.delete(groupId);
    }
  }

  /** Positions of a group are deleted by records that are appended now; they stay where those cannot be written. */
  deleted(groupId: string, isDeleted: IsPosition, written: Promise<unknown>): void {
    const isGone = written.then(
      () => true,
      () => false,
    );
    for (const { deletions } of this.#ofGroups.get(groupId) ?? []) deletions.add({ isDeleted, isGone });
  }
}
