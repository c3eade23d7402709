/** A member of a consumer group (KIP-848): what it said of itself, and how far it has come towards its target. */
import { type AssignmentEpochs, noEpochs } from './assignment-epochs.js';
import { areSamePartitions, noPartitions, type PartitionSets } from './partitions.js';

/**
 * ```
 *              target moved, nothing to give up
 *            ┌────────────────────────────────┐
 *            ▼                                │
 *   ┌──► STABLE ───────────────────────► UNRELEASED   waits for what another member still has
 *   │        │  target takes something away   │
 *   │        ▼                                ▼
 *   └── UNREVOKED ◄───────────────────────────┘       waits until the member no longer reports it
 * ```
 */
export type MemberState = 'stable' | 'unrevoked' | 'unreleased';

/** Epochs that say something else in a heartbeat. */
export const joinEpoch = 0;
export const leaveEpoch = -1;
/** A static member goes and will be back: its partitions wait for it. */
export const staticLeaveEpoch = -2;

/** A member that speaks the classic protocol in a consumer group, while the group is upgraded or downgraded. */
export interface ClassicSide {
  readonly sessionTimeoutMs: number;
  readonly protocols: readonly { readonly name: string; readonly metadata: Buffer }[];
}

export interface ConsumerMember {
  readonly id: string;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  /** Sorted, without repetition. */
  readonly topicNames: readonly string[];
  /** Empty: none. */
  readonly topicRegex: string;
  readonly rebalanceTimeoutMs: number;
  readonly serverAssignor: string | null;
  readonly classic: ClassicSide | null;
  readonly epoch: number;
  readonly previousEpoch: number;
  readonly state: MemberState;
  readonly assigned: PartitionSets;
  readonly pendingRevocation: PartitionSets;
  /** Of what is assigned, and what is to be given up. */
  readonly assignedAt: AssignmentEpochs;
}

export function freshMember(id: string): ConsumerMember {
  return {
    id,
    instanceId: null,
    rackId: null,
    clientId: '',
    clientHost: '',
    topicNames: [],
    topicRegex: '',
    rebalanceTimeoutMs: -1,
    serverAssignor: null,
    classic: null,
    epoch: joinEpoch,
    previousEpoch: joinEpoch,
    state: 'stable',
    assigned: noPartitions,
    pendingRevocation: noPartitions,
    assignedAt: noEpochs,
  };
}

export function hasOtherSubscription(a: ConsumerMember, b: ConsumerMember): boolean {
  return (
    a.topicRegex !== b.topicRegex || a.topicNames.length !== b.topicNames.length || a.topicNames.some((name, i) => name !== b.topicNames[i])
  );
}

/** Whether a member says something else of itself. */
export function isOtherwiseDescribed(a: ConsumerMember, b: ConsumerMember): boolean {
  return (
    a.instanceId !== b.instanceId ||
    a.rackId !== b.rackId ||
    a.clientId !== b.clientId ||
    a.clientHost !== b.clientHost ||
    a.rebalanceTimeoutMs !== b.rebalanceTimeoutMs ||
    a.serverAssignor !== b.serverAssignor ||
    a.classic !== b.classic ||
    hasOtherSubscription(a, b)
  );
}

/** Whether a member has come further, or been set back. */
export function hasMoved(a: ConsumerMember, b: ConsumerMember): boolean {
  return (
    a.epoch !== b.epoch ||
    a.previousEpoch !== b.previousEpoch ||
    a.state !== b.state ||
    !areSamePartitions(a.assigned, b.assigned) ||
    !areSamePartitions(a.pendingRevocation, b.pendingRevocation)
  );
}
