/**
 * Whether a bucket's lists come to show what was written and what was removed. They may be late (decision 0008), but not by more than
 * the rest of the service reckons with, and not for ever.
 */
import { LakeError, type Random, secondMs, systemClock, type Clock } from '../kernel/index.js';
import type { ObjectStore } from './object-store.js';
import { probeFolder } from './probe.js';

/** A list that is later than this cannot be worked with. The ages in `lake/garbage.ts` leave room for hours. */
const lateMsMax = 10 * secondMs;
const pauseMs = 200;

export interface ListProbe {
  /** How long it took until a list showed a change, at worst, in ms; 0 where the first one did. */
  readonly lateMs: number;
}

/** Writes an object and removes it. Errors: `store-unsafe`, and those of the store. */
export async function probeLists(
  store: ObjectStore,
  random: Random,
  options: { readonly clock?: Clock; readonly signal?: AbortSignal | undefined } = {},
): Promise<ListProbe> {
  const { clock = systemClock, signal } = options;
  const key = `${probeFolder}/${random.uuid()}-list`;
  const until = async (isShown: boolean, what: string): Promise<number> => {
    const sinceMs = clock.monotonicMs();
    for (let asked = 0; ; asked++) {
      if ((await isListed(store, key, signal)) === isShown) return asked === 0 ? 0 : clock.monotonicMs() - sinceMs;
      if (clock.monotonicMs() - sinceMs >= lateMsMax) throw unsafe(store, what);
      await clock.sleep(pauseMs, signal);
    }
  };
  try {
    await store.put(key, Buffer.from('list'), { signal });
    const written = await until(true, 'do not show what was written');
    await store.delete(key, signal);
    const removed = await until(false, 'go on showing what was removed');
    return { lateMs: Math.max(written, removed) };
  } catch (error) {
    await store.delete(key).catch(() => undefined);
    throw error;
  }
}

async function isListed(store: ObjectStore, key: string, signal: AbortSignal | undefined): Promise<boolean> {
  for await (const found of store.list(key, signal)) if (found.key === key) return true;
  return false;
}

function unsafe(store: ObjectStore, what: string): LakeError {
  return new LakeError('store-unsafe', `lists of ${store.url} ${what}, ${lateMsMax / secondMs} seconds after it was done`, {
    hint: 'Use an object store whose lists are of the present, or nearly so (Amazon S3, MinIO, versitygw, a local directory); turn off caches of lists before it.',
    facts: { store: store.url },
  });
}
