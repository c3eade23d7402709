import { describe, expect, it } from 'vitest';
import { Mutex, Semaphore, SingleFlight } from '../../../src/kernel/index.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('bounds on what is under way', () => {
  it('lets in as many as the limit, queues as many as the queue, and refuses the next', async () => {
    const semaphore = new Semaphore(2, 1);
    const first = await semaphore.acquire();
    await semaphore.acquire();
    const third = semaphore.acquire();
    await expect(semaphore.acquire()).rejects.toMatchObject({ code: 'overloaded' });
    expect(semaphore.queued).toBe(1);
    first();
    first();
    await third;
    expect(semaphore.held).toBe(2);
  });

  it('takes a waiter that was aborted out of the queue', async () => {
    const semaphore = new Semaphore(1, 5);
    const release = await semaphore.acquire();
    const abort = new AbortController();
    const waiting = semaphore.acquire(abort.signal);
    const last = semaphore.acquire();
    abort.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    release();
    await last;
    expect(semaphore.queued).toBe(0);
  });

  it('runs one at a time in order of asking', async () => {
    const mutex = new Mutex();
    const order: string[] = [];
    const work = async (name: string): Promise<void> =>
      mutex.run(async () => {
        order.push(`${name} in`);
        await turn();
        order.push(`${name} out`);
      });
    await Promise.all([work('a'), work('b'), work('c')]);
    expect(order).toEqual(['a in', 'a out', 'b in', 'b out', 'c in', 'c out']);
  });

  it('shares one flight among all who ask while it is under way', async () => {
    const flights = new SingleFlight<string, number>();
    let started = 0;
    const work = async (): Promise<number> => {
      started++;
      await turn();
      return started;
    };
    expect(await Promise.all([flights.run('a', work), flights.run('a', work)])).toEqual([1, 1]);
    expect(await flights.run('a', work)).toBe(2);
  });

  it('lets a caller leave shared work, and ends the work when the last has left', async () => {
    const flights = new SingleFlight<string, string>();
    const ended: unknown[] = [];
    const work = (signal: AbortSignal): Promise<string> =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          ended.push(signal.reason);
          reject(signal.reason as Error);
        });
      });
    const [first, second] = [new AbortController(), new AbortController()];
    const waits = [flights.run('a', work, first.signal), flights.run('a', work, second.signal)];
    first.abort(new Error('one left'));
    await expect(waits[0]).rejects.toThrow('one left');
    expect(ended).toEqual([]);
    second.abort(new Error('the last left'));
    await expect(waits[1]).rejects.toThrow('the last left');
    expect(ended).toHaveLength(1);
    expect(await flights.run('a', async () => 'anew')).toBe('anew');
  });
});
