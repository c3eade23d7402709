import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AnswerRoom } from '../../../src/broker/handlers/handler.js';
import { AnswerBudget, type AnswerTaker } from '../../../src/broker/net/answer-budget.js';
import { MiB, systemClock } from '../../../src/kernel/index.js';

const signal = new AbortController().signal;

/** What buffers take: what clients hold, and garbage. */
const memory = {
  heldBytes: 0,
  garbageBytes: 0,
  collections: 0,
  bytes: () => memory.heldBytes + memory.garbageBytes,
  collect: () => void memory.collections++,
};

/** A client whose answers lie unsent until it takes them. */
class Taker implements AnswerTaker {
  readonly #budget: AnswerBudget;
  unsentBytes = 0;
  unsentSinceMs = 0;
  isShed = false;
  hasTaken: boolean;

  constructor(budget: AnswerBudget, hasTaken = true) {
    this.#budget = budget;
    this.hasTaken = hasTaken;
  }

  holds(bytes: number): void {
    const change = bytes - this.unsentBytes;
    this.unsentBytes = bytes;
    memory.heldBytes += change;
    this.unsentSinceMs = performance.now();
    this.#budget.changed(this, change);
  }

  shedAnswers(): void {
    this.isShed = true;
    this.holds(0);
  }
}

describe('the budget of answers', () => {
  let budget: AnswerBudget;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'clearInterval'] });
    Object.assign(memory, { heldBytes: 0, garbageBytes: 0, collections: 0 });
    budget = new AnswerBudget(systemClock, memory);
  });
  afterEach(() => vi.useRealTimers());

  const now = (wantedBytes: number, hasTaken = true): AnswerRoom => {
    const room = budget.reserve(new Taker(budget, hasTaken), wantedBytes, signal);
    if (room instanceof Promise) throw new Error('it waits');
    return room;
  };
  /** Whether it still waits. */
  const waiting = (
    wantedBytes: number,
    { hasTaken = true, leaving = signal } = {},
  ): { room?: AnswerRoom; readonly granted: Promise<AnswerRoom> } => {
    const granted = budget.reserve(new Taker(budget, hasTaken), wantedBytes, leaving);
    if (!(granted instanceof Promise)) throw new Error('it does not wait');
    const state: { room?: AnswerRoom; granted: Promise<AnswerRoom> } = { granted };
    void granted.then((room) => {
      state.room = room;
    });
    return state;
  };
  /** Promises have called who waits for them. */
  const settled = (): Promise<void> => Promise.resolve();

  it('gives what is asked for, then what is left, then the least, and counts what is released once', () => {
    const rooms = [now(150 * MiB), now(100 * MiB), now(50 * MiB), now(1000)];
    expect(rooms.map(({ bytes }) => bytes)).toEqual([150 * MiB, 42 * MiB, MiB, 1000]);
    for (const room of rooms) room.release();
    for (const room of rooms) room.release();
    expect(now(1000 * MiB).bytes).toBe(192 * MiB);
  });

  it('lets answers wait above its bound, and reads them in their order as others are taken', async () => {
    const taker = new Taker(budget);
    taker.holds(256 * MiB);
    const [first, second] = [waiting(50 * MiB), waiting(MiB)];
    taker.holds(255 * MiB);
    await settled();
    expect(first.room?.bytes).toBe(MiB);
    expect(second.room).toBeUndefined();
    first.room!.release();
    await settled();
    expect(second.room?.bytes).toBe(MiB);
    second.room!.release();
    taker.holds(0);
    expect(now(1000 * MiB).bytes).toBe(192 * MiB);
  });

  it('gives a stranger half of it all, and lets it wait behind those who have taken answers', async () => {
    expect(now(1000 * MiB, false).bytes).toBe(96 * MiB);
    expect(now(50 * MiB, false).bytes).toBe(MiB);
    const known = now(1000 * MiB);
    expect(known.bytes).toBe(95 * MiB);
    const stranger = waiting(20 * MiB, { hasTaken: false });
    const rooms = Array.from({ length: 64 }, () => now(20 * MiB));
    expect(new Set(rooms.map(({ bytes }) => bytes))).toEqual(new Set([MiB]));
    const late = waiting(20 * MiB);
    known.release();
    await settled();
    expect([late.room?.bytes, stranger.room?.bytes]).toEqual([20 * MiB, MiB]);
  });

  it('sheds the largest of those that have taken nothing for long, and only as many as it must', async () => {
    const [old, large, fresh] = [new Taker(budget), new Taker(budget), new Taker(budget)];
    old.holds(40 * MiB);
    large.holds(80 * MiB);
    vi.advanceTimersByTime(5000);
    fresh.holds(136 * MiB);
    const late = waiting(10 * MiB);
    vi.advanceTimersByTime(250);
    await settled();
    expect(late.room?.bytes).toBe(10 * MiB);
    expect([old, large, fresh].map(({ isShed }) => isShed)).toEqual([false, true, false]);
  });

  it('sheds for those who wait as soon as the others have had their time, and until there is room for more than the least', async () => {
    const takers = Array.from({ length: 6 }, () => new Taker(budget));
    for (const taker of takers) taker.holds(40 * MiB);
    for (let i = 0; i < 16; i++) now(MiB);
    const [one, other] = [waiting(20 * MiB), waiting(20 * MiB)];
    vi.advanceTimersByTime(4900);
    await settled();
    expect(one.room).toBeUndefined();
    vi.advanceTimersByTime(400);
    await settled();
    expect([one.room?.bytes, other.room?.bytes]).toEqual([MiB, MiB]);
    expect(takers.filter(({ isShed }) => isShed)).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
    expect(now(20 * MiB).bytes).toBe(14 * MiB);
  });

  it('sheds a little at a time, so that what is let go can be collected', () => {
    const takers = Array.from({ length: 51 }, () => new Taker(budget));
    for (const taker of takers) taker.holds(5 * MiB);
    const shed = (): number => takers.filter(({ isShed }) => isShed).length;
    vi.advanceTimersByTime(5000);
    expect(shed()).toBe(7);
    vi.advanceTimersByTime(250);
    expect(shed()).toBe(13);
    vi.advanceTimersByTime(1000);
    expect(shed()).toBe(13);
  });

  it('sheds no more while what it shed before still takes its memory', () => {
    const takers = Array.from({ length: 51 }, () => new Taker(budget));
    for (const taker of takers) taker.holds(5 * MiB);
    const shed = (): number => takers.filter(({ isShed }) => isShed).length;
    vi.advanceTimersByTime(5000);
    expect(shed()).toBe(7);
    memory.garbageBytes = 35 * MiB;
    vi.advanceTimersByTime(250);
    expect(shed()).toBe(7);
    memory.garbageBytes = 0;
    vi.advanceTimersByTime(250);
    expect(shed()).toBe(13);
  });

  it('collects only before somebody is shed, of what was shed before', () => {
    const [first, second] = [new Taker(budget), new Taker(budget)];
    first.holds(40 * MiB);
    // Answers that are being read: the pressure lasts, and nobody can be shed for it.
    for (let i = 0; i < 65; i++) now(152 * MiB);
    waiting(MiB);
    vi.advanceTimersByTime(5000);
    expect(first.isShed).toBe(true);
    vi.advanceTimersByTime(4000);
    expect(memory.collections).toBe(0);
    second.holds(MiB);
    vi.advanceTimersByTime(5000);
    expect([second.isShed, memory.collections]).toEqual([true, 1]);
    vi.advanceTimersByTime(4000);
    expect(memory.collections).toBe(1);
  });

  it('keeps nothing of a client that leaves while it waits', async () => {
    const taker = new Taker(budget);
    taker.holds(256 * MiB);
    const leaving = new AbortController();
    const [left, next] = [waiting(20 * MiB, { leaving: leaving.signal }), waiting(20 * MiB)];
    leaving.abort();
    await settled();
    expect(left.room?.bytes).toBe(0);
    taker.holds(150 * MiB);
    await settled();
    expect(next.room?.bytes).toBe(20 * MiB);
    expect((await budget.reserve(taker, 20 * MiB, leaving.signal)).bytes).toBe(20 * MiB);
    taker.holds(256 * MiB);
    expect((await budget.reserve(taker, 20 * MiB, leaving.signal)).bytes).toBe(0);
  });
});
