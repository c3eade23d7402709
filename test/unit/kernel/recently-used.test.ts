import { describe, expect, it } from 'vitest';
import { RecentlyUsed } from '../../../src/kernel/index.js';

describe('what was used last', () => {
  it('stays within the bound on its weight, and what was used the longest ago goes', () => {
    const kept = new RecentlyUsed<string, number>(10);
    kept.set('a', 1, 4);
    kept.set('b', 2, 4);
    expect(kept.get('a')).toBe(1);
    kept.set('c', 3, 4);
    expect([kept.get('a'), kept.get('b'), kept.get('c'), kept.weight]).toEqual([1, undefined, 3, 8]);
  });

  it('counts what is put again once, and keeps the newest however heavy it is', () => {
    const kept = new RecentlyUsed<string, number>(10);
    kept.set('a', 1, 4);
    kept.set('a', 2, 5);
    expect([kept.get('a'), kept.weight]).toEqual([2, 5]);
    kept.set('b', 3, 40);
    expect([kept.get('a'), kept.get('b'), kept.weight]).toEqual([undefined, 3, 40]);
    kept.delete('b');
    expect(kept.weight).toBe(0);
  });
});
