import { describe, expect, it } from 'vitest';
import { nextGroupState } from '../../../src/broker/groups/group-state.js';
import type { JoinAnswer } from '../../../src/broker/groups/member.js';
import { minuteMs } from '../../../src/kernel/index.js';
import { by, join, setUp, stable, sync } from './group-fixture.js';

describe('a consumer group', () => {
  it('refuses an event that its state does not know', () => {
    expect(nextGroupState('empty', 'rebalance')).toBe('preparing-rebalance');
    expect(() => nextGroupState('empty', 'assigned')).toThrow(/cannot do this/);
  });

  it('gives a member its id before letting it in', async () => {
    const { group } = setUp();
    const first = await join(group, { isIdRequired: true }).answer;
    expect(first.errorCode).toBe(79);
    expect(first.memberId).toMatch(/^c-/);
    const second = await join(group, { isIdRequired: true, memberId: first.memberId }).answer;
    expect(second).toMatchObject({ errorCode: 0, generationId: 1, leader: first.memberId, protocolName: 'range' });
    expect(second.members.map(({ memberId }) => memberId)).toEqual([first.memberId]);
  });

  it('holds the first joins for the initial delay, and once more while members arrive', async () => {
    const { group, clock } = setUp(3000);
    const one = join(group);
    await clock.advance(2000);
    const two = join(group);
    await clock.advance(2000);
    expect(await one.isHeld()).toBe(true);
    await clock.advance(2000);
    const answers = await Promise.all([one.answer, two.answer]);
    expect(answers.map(({ generationId }) => generationId)).toEqual([1, 1]);
    expect(answers.map(({ members }) => members.length).toSorted((a, b) => a - b)).toEqual([0, 2]);
  });

  it('hands each member its own part of the assignment, after it is saved', async () => {
    const setup = setUp();
    const members = await stable(setup, 3);
    expect(setup.group.state).toBe('stable');
    expect(setup.saved.at(-1)?.members.map(({ assignment }) => assignment.toString())).toEqual(['part 0', 'part 1', 'part 2']);
    expect((await sync(setup.group, members[1]!)).assignment.toString()).toBe('part 1');
  });

  it('starts the rebalance anew where the assignment cannot be saved', async () => {
    const setup = setUp();
    const member = await join(setup.group).answer;
    setup.failSaves = true;
    expect((await sync(setup.group, member, { [member.memberId]: 'x' })).errorCode).toBe(27);
    expect(setup.group.state).toBe('preparing-rebalance');
  });

  it('rebalances when one of three leaves, and drops who does not come back', async () => {
    const setup = setUp();
    const { group, clock } = setup;
    const [a, b, c] = (await stable(setup, 3)) as [JoinAnswer, JoinAnswer, JoinAnswer];
    expect(group.leave([by(c)])).toEqual([0]);
    expect(group.heartbeat(by(a), a.generationId)).toBe(27);
    const again = join(group, { memberId: a.memberId });
    expect(await again.isHeld()).toBe(true);
    for (let i = 0; i < 5; i++) {
      await clock.advance(4500);
      group.heartbeat(by(b), b.generationId);
    }
    const answer = await again.answer;
    expect(answer).toMatchObject({ errorCode: 0, generationId: a.generationId + 1 });
    expect(group.memberCount).toBe(1);
    expect(group.heartbeat(by(b), b.generationId)).toBe(25);
  });

  it('waits for the end of a rebalance with who was a member before, but not for ever with who is new', async () => {
    const setup = setUp();
    const { group, clock } = setup;
    const [a, b] = (await stable(setup, 2)) as [JoinAnswer, JoinAnswer];
    const fresh = join(group, { rebalanceTimeoutMs: 15 * minuteMs });
    const again = join(group, { memberId: a.memberId });
    const slow = async (minutes: number): Promise<void> => {
      for (let ms = 0; ms < minutes * minuteMs; ms += 5_000) {
        await clock.advance(5_000);
        group.heartbeat(by(b), b.generationId);
      }
    };
    await slow(4);
    expect(await fresh.isHeld()).toBe(true);
    await slow(6);
    expect((await fresh.answer).errorCode).toBe(25);
    expect(await again.isHeld()).toBe(true);
    const last = join(group, { memberId: b.memberId });
    const members = await Promise.all([again.answer, last.answer]);
    expect(members.map(({ errorCode, generationId }) => [errorCode, generationId - a.generationId])).toEqual([
      [0, 1],
      [0, 1],
    ]);
  });

  it('gives a member the time of its session from the answer that it waited for', async () => {
    const setup = setUp();
    const { group, clock } = setup;
    const { memberId } = await join(group, { rebalanceTimeoutMs: minuteMs }).answer;
    const fresh = join(group, { rebalanceTimeoutMs: minuteMs });
    const leader = await join(group, { memberId, rebalanceTimeoutMs: minuteMs }).answer;
    const other = await fresh.answer;
    const waiting = sync(group, other);
    for (let i = 0; i < 5; i++) {
      await clock.advance(5_000);
      group.heartbeat(by(leader), leader.generationId);
    }
    expect((await sync(group, leader)).errorCode).toBe(0);
    expect((await waiting).errorCode).toBe(0);
    await clock.advance(9_000);
    expect(group.heartbeat(by(other), other.generationId)).toBe(0);
    await clock.advance(11_000);
    expect(group.heartbeat(by(other), other.generationId)).toBe(25);
  });

  it('is empty at once when all leave in one request, also while an id that was given out is not back', async () => {
    const setup = setUp();
    const { group } = setup;
    const [a, b] = (await stable(setup, 2)) as [JoinAnswer, JoinAnswer];
    await join(group, { isIdRequired: true }).answer;
    expect(group.leave([by(a), { memberId: 'nobody', instanceId: null }, by(b)])).toEqual([0, 25, 0]);
    expect([group.state, group.generation]).toEqual(['empty', a.generationId + 1]);
  });

  it('tells a former member that it is not known, where the last one left while an id that was given out is not back', async () => {
    const { group } = setUp();
    const a = await join(group).answer;
    await join(group, { isIdRequired: true }).answer;
    const again = join(group, { memberId: a.memberId, protocols: [{ name: 'range', metadata: Buffer.from('others') }] });
    group.leave([by(a)]);
    expect((await again.answer).errorCode).toBe(25);
    expect(group.state).toBe('preparing-rebalance');
    expect((await join(group, { memberId: a.memberId }).answer).errorCode).toBe(25);
  });

  it('removes a member whose session runs out, and keeps one that heartbeats', async () => {
    const setup = setUp();
    const { group, clock } = setup;
    const [a, b] = (await stable(setup, 2)) as [JoinAnswer, JoinAnswer];
    for (let i = 0; i < 4; i++) {
      await clock.advance(4000);
      group.heartbeat(by(a), a.generationId);
    }
    expect(group.heartbeat(by(b), b.generationId)).toBe(25);
    expect(group.heartbeat(by(a), a.generationId)).toBe(27);
  });

  it('fences other generations, unknown members and other protocols', async () => {
    const setup = setUp();
    const [a] = (await stable(setup, 1)) as [JoinAnswer];
    const { group } = setup;
    expect(group.heartbeat(by(a), 7)).toBe(22);
    expect((await sync(group, { ...a, generationId: 0 })).errorCode).toBe(22);
    expect((await sync(group, { ...a, memberId: 'nobody' })).errorCode).toBe(25);
    expect((await join(group, { protocols: [{ name: 'other', metadata: Buffer.alloc(0) }] }).answer).errorCode).toBe(23);
    expect((await join(group, { protocolType: 'connect' }).answer).errorCode).toBe(23);
    expect((await join(group, { memberId: 'nobody' }).answer).errorCode).toBe(25);
  });

  it('lets simple consumers commit only while it has no members', async () => {
    const setup = setUp();
    expect(setup.group.mayCommit(by({ memberId: '' }), -1)).toBe(0);
    const [a] = (await stable(setup, 1)) as [JoinAnswer];
    expect(setup.group.mayCommit(by({ memberId: '' }), -1)).toBe(25);
    expect(setup.group.mayCommit(by(a), a.generationId)).toBe(0);
    expect(setup.group.mayCommit(by(a), a.generationId - 1)).toBe(22);
    const joining = join(setup.group);
    const again = await join(setup.group, { memberId: a.memberId }).answer;
    await joining.answer;
    expect(setup.group.mayCommit(by(again), again.generationId)).toBe(27);
  });

  it('has room for group.max.size members', async () => {
    const setup = setUp();
    await stable(setup, 3);
    expect((await join(setup.group).answer).errorCode).toBe(81);
  });

  it('goes on where it was saved', async () => {
    const setup = setUp();
    const members = await stable(setup, 2);
    const later = setUp();
    later.group.restore(setup.saved.at(-1)!);
    expect(later.group.heartbeat(by(members[1]!), members[1]!.generationId)).toBe(0);
    expect((await sync(later.group, members[1]!)).assignment.toString()).toBe('part 1');
    await later.clock.advance(30_000);
    expect(later.group.memberCount).toBe(0);
  });

  it('answers what it holds when it is closed', async () => {
    const setup = setUp(3000);
    const held = join(setup.group);
    setup.group.close(15);
    expect((await held.answer).errorCode).toBe(15);
  });
});
