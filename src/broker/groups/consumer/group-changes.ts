/** What of a consumer group must be written down: gathered while the group changes, taken when it is saved. */
import type { ConsumerMember } from './consumer-member.js';
import type { PartitionSets } from './partitions.js';

export type GroupChange =
  | { readonly kind: 'epoch'; readonly epoch: number; readonly metadataHash: string }
  | { readonly kind: 'assignment-epoch'; readonly epoch: number }
  /** What a member said of itself; null: it is gone. */
  | { readonly kind: 'member'; readonly id: string; readonly member: ConsumerMember | null }
  | { readonly kind: 'target'; readonly id: string; readonly partitions: PartitionSets | null }
  /** How far a member has come. */
  | { readonly kind: 'current'; readonly id: string; readonly member: ConsumerMember | null };

/** A group that is there no more. */
export interface GroupGone {
  readonly kind: 'gone';
}

/** A group as it was saved. */
export interface SavedConsumerGroup {
  readonly epoch: number;
  readonly assignmentEpoch: number;
  /** Empty where none was written. */
  readonly metadataHash: string;
  readonly members: ReadonlyMap<string, ConsumerMember>;
  readonly targets: ReadonlyMap<string, PartitionSets>;
}

/** Names of what has changed; the values are read when they are written, so that the last one is. */
export class Dirt {
  isEpoch = false;
  isAssignmentEpoch = false;
  readonly members = new Set<string>();
  readonly targets = new Set<string>();
  readonly currents = new Set<string>();

  get isNone(): boolean {
    return !this.isEpoch && !this.isAssignmentEpoch && this.members.size + this.targets.size + this.currents.size === 0;
  }

  /** What it has gathered; it begins anew. */
  take(): Dirt {
    const taken = new Dirt();
    taken.addAll(this);
    this.isEpoch = false;
    this.isAssignmentEpoch = false;
    for (const names of [this.members, this.targets, this.currents]) names.clear();
    return taken;
  }

  addAll(other: Dirt): void {
    this.isEpoch ||= other.isEpoch;
    this.isAssignmentEpoch ||= other.isAssignmentEpoch;
    for (const id of other.members) this.members.add(id);
    for (const id of other.targets) this.targets.add(id);
    for (const id of other.currents) this.currents.add(id);
  }
}
