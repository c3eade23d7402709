import { describe, expect, it } from 'vitest';
import { type Clock, systemClock, systemRandom } from '../../../src/kernel/index.js';
import {
  answerLost,
  faultyStore,
  isOutcomeUnknown,
  MemoryStore,
  probeConditionalWrites,
  probeLists,
  unavailable,
  type ObjectStore,
} from '../../../src/objects/index.js';

const memory = (): MemoryStore => new MemoryStore({ clock: systemClock });
const left = async (store: ObjectStore): Promise<number> => {
  let count = 0;
  for await (const info of store.list('')) count += info.bytes > 0 ? 1 : 0;
  return count;
};
/** A store with its `put` replaced. */
const withPut = (inner: MemoryStore, put: ObjectStore['put']): ObjectStore => {
  const store = faultyStore(inner, {});
  return { ...store, put, list: (prefix) => inner.list(prefix) };
};

describe('the probe of conditional writes', () => {
  it('passes on a store that keeps its word and leaves nothing behind', async () => {
    const store = memory();
    await probeConditionalWrites(store, systemRandom);
    expect(await left(store)).toBe(0);
  });

  it('fails where conditions are ignored', async () => {
    const inner = memory();
    const store = withPut(inner, (key, body) => inner.put(key, body));
    await expect(probeConditionalWrites(store, systemRandom)).rejects.toMatchObject({ code: 'store-unsafe', message: /10 of 10/ });
    expect(await left(store)).toBe(0);
  });

  it('fails where the condition is checked some time before the write', async () => {
    const inner = memory();
    const store = withPut(inner, async (key, body, options) => {
      if (options?.ifAbsent === true && (await inner.head(key)) !== null) return inner.put(key, body, options);
      await Promise.resolve();
      return inner.put(key, body);
    });
    await expect(probeConditionalWrites(store, systemRandom)).rejects.toMatchObject({ code: 'store-unsafe' });
  });

  it('fails where a loser overwrites what the winner wrote', async () => {
    const inner = memory();
    const store = withPut(inner, async (key, body, options) => {
      const isThere = (await inner.head(key)) !== null;
      await inner.put(key, body);
      if (isThere) await inner.put(key, body, options);
    });
    await expect(probeConditionalWrites(store, systemRandom)).rejects.toMatchObject({ code: 'store-unsafe' });
  });

  it('passes on what went wrong otherwise, after cleaning up', async () => {
    const inner = memory();
    const store = faultyStore(inner, {
      before: (call) => {
        if (call.operation === 'put' && call.index === 3) throw unavailable(call);
      },
    });
    await expect(probeConditionalWrites(store, systemRandom)).rejects.toMatchObject({ code: 'store-unavailable' });
    expect(await left(inner)).toBe(0);
  });

  it('is tried again where an object was stored and its writer was not told', async () => {
    const inner = memory();
    const store = withPut(inner, async (key, body, options) => {
      await inner.put(key, body, options).catch(() => undefined);
      await inner.put(key, body, options);
    });
    await expect(probeConditionalWrites(store, systemRandom)).rejects.toMatchObject({ code: 'store-unavailable', retriable: true });
    expect(await left(store)).toBe(0);
  });
});

describe('the probe of lists', () => {
  /** Moves when somebody sleeps. */
  const stepped = (): Clock => {
    let nowMs = 0;
    return { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: async (ms) => void (nowMs += ms) };
  };
  /** A store whose lists are so much behind. */
  const late = (inner: MemoryStore, clock: Clock, lateMs: number): ObjectStore => {
    const changes: { readonly atMs: number; readonly key: string; readonly isThere: boolean }[] = [];
    const store = faultyStore(inner, {
      after: ({ operation, key }) => {
        if (operation === 'put' || operation === 'delete') changes.push({ atMs: clock.nowMs(), key, isThere: operation === 'put' });
      },
    });
    return {
      ...store,
      async *list(prefix) {
        const seen = changes.filter(({ atMs, key }) => key.startsWith(prefix) && atMs <= clock.nowMs() - lateMs);
        if (seen.at(-1)?.isThere === true) yield { key: seen.at(-1)!.key, bytes: 1, lastModifiedMs: 0 };
      },
    };
  };

  it('says how late they are', async () => {
    const store = memory();
    expect(await probeLists(store, systemRandom)).toEqual({ lateMs: 0 });
    expect(await left(store)).toBe(0);
    const clock = stepped();
    expect(await probeLists(late(memory(), clock, 1_000), systemRandom, { clock })).toEqual({ lateMs: 1_000 });
  });

  it('refuses a store whose lists do not show for ten seconds what was written, or removed', async () => {
    const clock = stepped();
    const inner = memory();
    await expect(probeLists(late(inner, clock, 20_000), systemRandom, { clock })).rejects.toMatchObject({
      code: 'store-unsafe',
      message: /do not show what was written, 10 seconds/,
    });
    expect(await left(inner)).toBe(0);
    const kept = memory();
    const remembering: ObjectStore = {
      ...faultyStore(kept, {}),
      list: async function* (key) {
        yield { key, bytes: 1, lastModifiedMs: 0 };
      },
    };
    await expect(probeLists(remembering, systemRandom, { clock })).rejects.toMatchObject({ message: /go on showing what was removed/ });
  });
});

describe('a faulty store', () => {
  it('can fail before anything is done, after it was done, and alter what is read', async () => {
    const inner = memory();
    const store = faultyStore(inner, {
      before: (call) => {
        if (call.key === 'never') throw unavailable(call);
      },
      after: (call) => {
        if (call.key === 'lost' && call.operation === 'put') throw answerLost(call);
      },
      alter: (call, bytes) => (call.key === 'altered' ? Buffer.from('other') : bytes),
    });
    await expect(store.put('never', Buffer.from('x'))).rejects.toMatchObject({ code: 'store-unavailable' });
    expect(await inner.head('never')).toBeNull();
    const error: unknown = await store.put('lost', Buffer.from('x')).catch((cause: unknown) => cause);
    expect(isOutcomeUnknown(error)).toBe(true);
    expect((await store.get('lost')).toString()).toBe('x');
    await store.put('altered', Buffer.from('x'));
    expect((await store.get('altered')).toString()).toBe('other');
  });
});
