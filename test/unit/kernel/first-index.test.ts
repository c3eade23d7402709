import { describe, expect, it } from 'vitest';
import { firstIndex } from '../../../src/kernel/index.js';

describe('the first index', () => {
  it('is the one from which on the condition holds, for any length and place', () => {
    for (let length = 0; length < 20; length++) {
      for (let place = 0; place <= length; place++) {
        expect(firstIndex(length, (index) => index >= place)).toBe(place);
        if (length > 0) expect(firstIndex(length, (index) => index >= place, 1)).toBe(Math.max(1, place));
      }
    }
  });

  it('asks of no thing that is not there', () => {
    const asked: number[] = [];
    expect(firstIndex(0, (index) => asked.push(index) > 0, 1)).toBe(1);
    expect(asked).toEqual([]);
  });
});
