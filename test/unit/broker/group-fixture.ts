// A classic group on a clock that stands still, and members that join and sync.
import { expect } from 'vitest';
import { Group } from '../../../src/broker/groups/group.js';
import type { SavedGroup } from '../../../src/broker/groups/saved-group.js';
import type { JoinAnswer, JoinRequest, MemberIdentity, SyncAnswer } from '../../../src/broker/groups/member.js';
import { systemRandom } from '../../../src/kernel/index.js';
import { ManualClock, settle } from './manual-clock.js';

export interface Setup {
  readonly clock: ManualClock;
  readonly group: Group;
  readonly saved: SavedGroup[];
  failSaves: boolean;
}

export function setUp(initialRebalanceDelayMs = 0): Setup {
  const clock = new ManualClock();
  const saved: SavedGroup[] = [];
  const setup: Setup = {
    clock,
    saved,
    failSaves: false,
    group: new Group('g', {
      clock,
      random: systemRandom,
      settings: { initialRebalanceDelayMs, maxSize: 3 },
      save: async (group) => {
        if (setup.failSaves) throw new Error('no disk');
        saved.push(group.snapshot());
      },
    }),
  };
  return setup;
}

export function joinRequest(over: Partial<JoinRequest> = {}): JoinRequest {
  return {
    groupId: 'g',
    memberId: '',
    instanceId: null,
    clientId: 'c',
    clientHost: '/127.0.0.1',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: Buffer.from('topics') }],
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 20_000,
    isIdRequired: false,
    canSkipAssignment: false,
    ...over,
  };
}

/** Joins, and tells whether the answer is held. */
export function join(group: Group, over: Partial<JoinRequest> = {}): { answer: Promise<JoinAnswer>; isHeld: () => Promise<boolean> } {
  const answer = Promise.resolve(group.join(joinRequest(over)));
  let isDone = false;
  void answer.then(() => {
    isDone = true;
  });
  return {
    answer,
    isHeld: async () => {
      await settle();
      return !isDone;
    },
  };
}

export function sync(
  group: Group,
  member: JoinAnswer,
  assignments: Record<string, string> = {},
  instanceId: string | null = null,
): Promise<SyncAnswer> {
  return Promise.resolve(
    group.sync({
      ...by(member, instanceId),
      generationId: member.generationId,
      protocolType: null,
      protocolName: null,
      assignments: Object.entries(assignments).map(([memberId, text]) => ({ memberId, assignment: Buffer.from(text) })),
    }),
  );
}

/** A stable group of as many members as asked for. */
export async function stable(setup: Setup, members: number): Promise<JoinAnswer[]> {
  let joined: JoinAnswer[] = [await join(setup.group).answer];
  while (joined.length < members) {
    const fresh = join(setup.group);
    const again = joined.map(({ memberId }) => join(setup.group, { memberId }).answer);
    joined = [...(await Promise.all(again)), await fresh.answer];
  }
  const leader = joined.find(({ memberId, leader: id }) => memberId === id)!;
  const assignments = Object.fromEntries(joined.map(({ memberId }, i) => [memberId, `part ${i}`]));
  const syncs = joined.map((member) => sync(setup.group, member, member === leader ? assignments : {}));
  for (const answer of await Promise.all(syncs)) expect(answer.errorCode).toBe(0);
  return joined;
}

/** Who an answer made a member. */
export function by({ memberId }: Pick<JoinAnswer, 'memberId'>, instanceId: string | null = null): MemberIdentity {
  return { memberId, instanceId };
}
