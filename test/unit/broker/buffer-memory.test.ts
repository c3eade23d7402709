import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { bufferMemory, LetGo } from '../../../src/broker/net/buffer-memory.js';
import { MiB } from '../../../src/kernel/index.js';

/** Memory that is collected only as it is told. */
class Memory {
  now: number;
  collections = 0;

  constructor(now: number) {
    this.now = now;
  }

  bytes(): number {
    return this.now;
  }

  collect(): void {
    this.collections++;
  }
}

it('waits until what was let go has given its memory back, but for a little', () => {
  const memory = new Memory(300 * MiB);
  const letGo = new LetGo(memory);
  expect(letGo.isCollected(250 * MiB)).toBe(true);
  expect(memory.collections).toBe(0);
  letGo.note();
  // As much again was taken before any of it was collected.
  memory.now = 340 * MiB;
  expect(letGo.isCollected(250 * MiB)).toBe(false);
  memory.now = 333 * MiB;
  expect(letGo.isCollected(250 * MiB)).toBe(false);
  memory.now = 332 * MiB;
  expect(letGo.isCollected(250 * MiB)).toBe(true);
  letGo.note();
  // What is held is not waited for.
  memory.now = 382 * MiB;
  expect(letGo.isCollected(300 * MiB)).toBe(true);
  expect(memory.collections).toBe(4);
});

it('collects no more once it has found that all is collected', () => {
  const memory = new Memory(50 * MiB);
  const letGo = new LetGo(memory);
  letGo.isCollected(0);
  letGo.note();
  expect(Array.from({ length: 3 }, () => letGo.isCollected(0))).toEqual([true, true, true]);
  expect(memory.collections).toBe(1);
  // Garbage of others is none of what is let go next.
  memory.now = 90 * MiB;
  expect(letGo.isCollected(0)).toBe(true);
  letGo.note();
  expect(letGo.isCollected(0)).toBe(false);
  expect(memory.collections).toBe(2);
});

it('does not take for collected what others gave back', () => {
  const memory = new Memory(150 * MiB);
  const letGo = new LetGo(memory);
  letGo.isCollected(0);
  letGo.note();
  memory.now = 50 * MiB;
  expect(letGo.isCollected(0)).toBe(true);
  letGo.note();
  memory.now = 83 * MiB;
  expect(letGo.isCollected(0)).toBe(false);
});

it('goes on where other buffers have grown meanwhile, and takes them into account from then on', () => {
  const memory = new Memory(50 * MiB);
  const letGo = new LetGo(memory);
  letGo.isCollected(0);
  letGo.note();
  memory.now = 100 * MiB;
  const looks = Array.from({ length: 8 }, () => letGo.isCollected(0));
  expect(looks).toEqual([false, false, false, false, false, false, false, true]);
  letGo.note();
  expect(letGo.isCollected(0)).toBe(true);
  letGo.note();
  memory.now = 133 * MiB;
  expect(letGo.isCollected(0)).toBe(false);
});

it('collects buffers that nobody has any more, and none that somebody has', async () => {
  const kept = Buffer.allocUnsafeSlow(MiB);
  const keptRef = new WeakRef(kept);
  const ref = new WeakRef(Buffer.allocUnsafeSlow(MiB));
  // What a WeakRef was made of in a turn of the loop lives until the end of it.
  await setImmediate();
  expect(bufferMemory.bytes()).toBeGreaterThanOrEqual(MiB);
  bufferMemory.collect();
  expect([ref.deref(), keptRef.deref()]).toEqual([undefined, kept]);
});
