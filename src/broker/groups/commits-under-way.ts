/**
 * Commits whose records are on their way to the log. What is deleted meanwhile comes behind them there, so it must not be seen again
 * in memory when they arrive.
 */
import type { PartitionId } from '../../kernel/index.js';

export type IsPosition = (topic: string, partition: PartitionId) => boolean;

interface Commit {
  isVoid: IsPosition;
}

export class CommitsUnderWay {
  readonly #ofGroups = new Map<string, Set<Commit>>();

  /** Appends a commit of a group; resolves to which of its positions were deleted meanwhile. Errors: those of `append`. */
  async append(groupId: string, append: () => Promise<void>): Promise<IsPosition> {
    const commit: Commit = { isVoid: () => false };
    let ofGroup = this.#ofGroups.get(groupId);
    if (ofGroup === undefined) this.#ofGroups.set(groupId, (ofGroup = new Set()));
    ofGroup.add(commit);
    try {
      await append();
      return commit.isVoid;
    } finally {
      ofGroup.delete(commit);
      if (ofGroup.size === 0) this.#ofGroups.delete(groupId);
    }
  }

  /** Positions of a group are deleted by records that are appended now. */
  deleted(groupId: string, isDeleted: IsPosition): void {
    for (const commit of this.#ofGroups.get(groupId) ?? []) {
      const { isVoid } = commit;
      commit.isVoid = (topic, partition) => isVoid(topic, partition) || isDeleted(topic, partition);
    }
  }
}
