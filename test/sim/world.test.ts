import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { run } from './scenario.js';

describe('a run', () => {
  it.each([3, 11, 42])('is the same again for seed %i, to the last line of its trace', async (seed) => {
    const [first, second] = [await run({ seed }), await run({ seed })];
    expect(second.digest).toBe(first.digest);
    expect(second.events).toBe(first.events);
  });

  it('is the same again where real cold files are asked in SQL', async () => {
    const [first, second] = [await run({ seed: 5, sql: true }), await run({ seed: 5, sql: true })];
    expect(first.failure).toBeUndefined();
    expect(first.figures.queries).toBeGreaterThan(2);
    expect(second.digest).toBe(first.digest);
    expect(second.events).toBe(first.events);
  });

  it('leaves nothing of its world in memory', async () => {
    const worlds: WeakRef<object>[] = [];
    const noted = { store: <Store>(store: Store, _process: object, world: object): Store => (worlds.push(new WeakRef(world)), store) };
    for (const seed of [3, 11]) await run({ seed, plant: noted });
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    for (let turn = 0; turn < 3; turn++) {
      await new Promise((resolve) => void setImmediate(resolve));
      collect();
    }
    expect(worlds.length).toBeGreaterThan(2);
    expect(worlds.filter((world) => world.deref() !== undefined)).toEqual([]);
  });
});
