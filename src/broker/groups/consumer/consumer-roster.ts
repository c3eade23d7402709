/**
 * Who is in a consumer group: its members, which of them has an instance id, what each is to have, and who has which partition. What
 * changes is noted for whoever saves the group.
 */
import type { PartitionId, TopicId } from '../../../kernel/index.js';
import { type ConsumerMember, hasMoved, isOtherwiseDescribed } from './consumer-member.js';
import type { Dirt } from './group-changes.js';
import { areSamePartitions, eachPartition, noPartitions, type PartitionSets } from './partitions.js';

export class ConsumerRoster {
  readonly #dirt: Dirt;
  readonly #members = new Map<string, ConsumerMember>();
  /** Instance id → member id. */
  readonly #statics = new Map<string, string>();
  readonly #targets = new Map<string, PartitionSets>();
  readonly #owners = new Map<TopicId, Map<PartitionId, string>>();

  constructor(dirt: Dirt) {
    this.#dirt = dirt;
  }

  get size(): number {
    return this.#members.size;
  }

  all(): Iterable<ConsumerMember> {
    return this.#members.values();
  }

  has(id: string): boolean {
    return this.#members.has(id);
  }

  member(id: string): ConsumerMember | undefined {
    return this.#members.get(id);
  }

  staticMember(instanceId: string): ConsumerMember | undefined {
    return this.#members.get(this.#statics.get(instanceId) ?? '');
  }

  /** What a member is to have; nothing where nobody has said so yet. */
  target(id: string): PartitionSets {
    return this.#targets.get(id) ?? noPartitions;
  }

  /** `undefined` where nobody has said what it is to have. */
  targetOrNone(id: string): PartitionSets | undefined {
    return this.#targets.get(id);
  }

  setTarget(id: string, partitions: PartitionSets): void {
    const before = this.#targets.get(id);
    if (before !== undefined && areSamePartitions(before, partitions)) return;
    this.#targets.set(id, partitions);
    this.#dirt.targets.add(id);
  }

  /** Also of what its owner has yet to give up. */
  isHeldByOther(id: string, topic: TopicId, partition: PartitionId): boolean {
    const owner = this.#owners.get(topic)?.get(partition);
    return owner !== undefined && owner !== id;
  }

  /** A new member, or one in the place of what it was. */
  put(member: ConsumerMember): void {
    const before = this.#members.get(member.id);
    if (before === undefined || isOtherwiseDescribed(before, member)) this.#dirt.members.add(member.id);
    if (before === undefined || hasMoved(before, member)) this.#dirt.currents.add(member.id);
    if (before !== undefined) this.#disown(before);
    if (before !== undefined && before.instanceId !== member.instanceId) this.#forgetInstance(before);
    if (member.instanceId !== null) this.#statics.set(member.instanceId, member.id);
    this.#members.set(member.id, member);
    for (const held of [member.assigned, member.pendingRevocation]) {
      for (const [topic, partition] of eachPartition(held)) {
        let owners = this.#owners.get(topic);
        if (owners === undefined) this.#owners.set(topic, (owners = new Map()));
        owners.set(partition, member.id);
      }
    }
  }

  /** It must be there. What it had is free. */
  remove(id: string): void {
    const member = this.#members.get(id)!;
    this.#disown(member);
    this.#members.delete(id);
    this.#forgetInstance(member);
    this.#targets.delete(id);
    this.#dirt.members.add(id);
    this.#dirt.targets.add(id);
    this.#dirt.currents.add(id);
  }

  #disown(member: ConsumerMember): void {
    for (const held of [member.assigned, member.pendingRevocation]) {
      for (const [topic, partition] of eachPartition(held)) {
        const owners = this.#owners.get(topic);
        if (owners?.get(partition) === member.id) owners.delete(partition);
        if (owners?.size === 0) this.#owners.delete(topic);
      }
    }
  }

  #forgetInstance({ id, instanceId }: ConsumerMember): void {
    if (instanceId !== null && this.#statics.get(instanceId) === id) this.#statics.delete(instanceId);
  }
}
