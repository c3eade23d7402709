/** Puts consumer groups together from their records while `__consumer_offsets` is replayed. */
import { type ConsumerMember, freshMember } from './consumer-member.js';
import type { GroupChange, GroupGone, SavedConsumerGroup } from './group-changes.js';
import type { PartitionSets } from './partitions.js';

interface Gathered {
  epoch: number | undefined;
  assignmentEpoch: number;
  metadataHash: string;
  readonly described: Map<string, ConsumerMember>;
  readonly currents: Map<string, ConsumerMember>;
  readonly targets: Map<string, PartitionSets>;
}

export class SavedConsumerGroups {
  readonly #groups = new Map<string, Gathered>();

  take(id: string, change: GroupChange | GroupGone): void {
    let group = this.#groups.get(id);
    if (group === undefined) {
      group = { epoch: undefined, assignmentEpoch: 0, metadataHash: '', described: new Map(), currents: new Map(), targets: new Map() };
      this.#groups.set(id, group);
    }
    switch (change.kind) {
      case 'gone':
        this.#groups.delete(id);
        return;
      case 'epoch':
        group.epoch = change.epoch;
        group.metadataHash = change.metadataHash;
        return;
      case 'assignment-epoch':
        group.assignmentEpoch = change.epoch;
        return;
      case 'member':
        put(group.described, change.id, change.member);
        return;
      case 'current':
        put(group.currents, change.id, change.member);
        return;
      case 'target':
        put(group.targets, change.id, change.partitions);
    }
  }

  /** Every group that has an epoch: what else there is are ends of groups that are gone. */
  *all(): Generator<readonly [string, SavedConsumerGroup], void, undefined> {
    for (const [id, { epoch, assignmentEpoch, metadataHash, described, currents, targets }] of this.#groups) {
      if (epoch === undefined) continue;
      const members = new Map([...described].map(([memberId, said]) => [memberId, joined(said, currents.get(memberId))]));
      yield [id, { epoch, assignmentEpoch, metadataHash, members, targets }];
    }
  }
}

function put<T>(map: Map<string, T>, id: string, value: T | null): void {
  if (value === null) map.delete(id);
  else map.set(id, value);
}

function joined(said: ConsumerMember, current: ConsumerMember = freshMember(said.id)): ConsumerMember {
  const { epoch, previousEpoch, state, assigned, pendingRevocation, assignedAt } = current;
  return { ...said, epoch, previousEpoch, state, assigned, pendingRevocation, assignedAt };
}
