import { describe, expect, it } from 'vitest';
import { run } from './scenario.js';

describe('a run', () => {
  it.each([3, 11, 42])('is the same again for seed %i, to the last line of its trace', async (seed) => {
    const [first, second] = [await run({ seed }), await run({ seed })];
    expect(second.digest).toBe(first.digest);
    expect(second.events).toBe(first.events);
  });
});
