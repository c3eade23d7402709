/**
 * Life of a classic consumer group (protocol.md §4.7), as data.
 *
 * ```
 *                rebalance                all-joined                 assigned
 *   ┌─────────► EMPTY ─────► PREPARING-REBALANCE ─────► COMPLETING-REBALANCE ─────► STABLE
 *   │                          │    ▲        ▲                 │ rebalance            │ rebalance
 *   └───────── emptied ────────┘    │        └─────────────────┘                      │
 *                                   └─────────────────────────────────────────────────┘
 *   removed: from anywhere to DEAD, which nothing leaves.
 * ```
 */
import { invariant } from '../../kernel/index.js';

export type GroupState = 'empty' | 'preparing-rebalance' | 'completing-rebalance' | 'stable' | 'dead';
export type GroupEvent = 'rebalance' | 'all-joined' | 'assigned' | 'emptied' | 'removed';

/** As Kafka's protocol spells them. */
export const groupStateNames = {
  'empty': 'Empty',
  'preparing-rebalance': 'PreparingRebalance',
  'completing-rebalance': 'CompletingRebalance',
  'stable': 'Stable',
  'dead': 'Dead',
} as const satisfies Record<GroupState, string>;

/** `null`: the event cannot happen there. */
const transitions: Record<GroupState, Record<GroupEvent, GroupState | null>> = {
  'empty': { 'rebalance': 'preparing-rebalance', 'all-joined': null, 'assigned': null, 'emptied': null, 'removed': 'dead' },
  'preparing-rebalance': {
    'rebalance': null,
    'all-joined': 'completing-rebalance',
    'assigned': null,
    'emptied': 'empty',
    'removed': 'dead',
  },
  'completing-rebalance': {
    'rebalance': 'preparing-rebalance',
    'all-joined': null,
    'assigned': 'stable',
    'emptied': null,
    'removed': 'dead',
  },
  'stable': { 'rebalance': 'preparing-rebalance', 'all-joined': null, 'assigned': null, 'emptied': null, 'removed': 'dead' },
  'dead': { 'rebalance': null, 'all-joined': null, 'assigned': null, 'emptied': null, 'removed': null },
};

export function nextGroupState(state: GroupState, event: GroupEvent): GroupState {
  const next = transitions[state][event];
  invariant(next !== null, 'a group cannot do this in its state', { state, event });
  return next;
}
