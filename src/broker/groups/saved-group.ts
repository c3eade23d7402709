/** A classic group as it is written to `__consumer_offsets`, and as another run of the broker finds it. */
import type { TimestampMs } from '../../kernel/index.js';
import type { MemberProtocol } from './member.js';

export interface SavedGroup {
  readonly groupId: string;
  readonly protocolType: string;
  readonly generation: number;
  readonly protocol: string | null;
  readonly leaderId: string | null;
  /** Since when it is in its state; null where that is not known. */
  readonly stateSinceMs: TimestampMs | null;
  readonly members: readonly {
    readonly id: string;
    readonly instanceId: string | null;
    readonly clientId: string;
    readonly clientHost: string;
    readonly sessionTimeoutMs: number;
    readonly rebalanceTimeoutMs: number;
    readonly subscription: Buffer;
    readonly assignment: Buffer;
    /** All that it supports; it is not written down, and then it is the one of the group. */
    readonly protocols?: readonly MemberProtocol[];
  }[];
}
