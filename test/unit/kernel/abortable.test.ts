import { describe, expect, it } from 'vitest';
import { abortable } from '../../../src/kernel/index.js';

const never = new Promise<never>(() => undefined);

describe('abortable', () => {
  it('is the work where no signal fires', async () => {
    expect(await abortable(Promise.resolve(1), undefined)).toBe(1);
    expect(await abortable(Promise.resolve(2), new AbortController().signal)).toBe(2);
    await expect(abortable(Promise.reject(new Error('failed')), new AbortController().signal)).rejects.toThrow('failed');
  });

  it('ends the wait with the reason of the signal, or with one of its own', async () => {
    const gone = new AbortController();
    const waiting = abortable(never, gone.signal);
    const named = abortable(never, gone.signal, () => new Error('given up'));
    gone.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    await expect(named).rejects.toThrow('given up');
    await expect(abortable(never, gone.signal)).rejects.toThrow('gone');
  });

  it('lets nothing go unhandled where the work fails after the wait has ended', async () => {
    let fail: (error: Error) => void = () => undefined;
    const work = new Promise<void>((_, reject) => (fail = reject));
    await expect(abortable(work, AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
    fail(new Error('too late'));
    await new Promise((resolve) => setImmediate(resolve));
  });
});
