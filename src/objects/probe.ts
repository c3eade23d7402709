/** Whether a bucket's conditional writes can be trusted: everything the table promises stands on them. */
import { isLakeError, LakeError, type Random } from '../kernel/index.js';
import type { ObjectStore } from './object-store.js';

export interface ProbeOptions {
  /** Folder for the probe's objects. */
  readonly folder?: string;
  readonly writers?: number;
  readonly rounds?: number;
  readonly signal?: AbortSignal;
}

/** A server with a race lets several of twenty writers win in about half of the rounds; five miss it once in thirty. */
const roundsOfServer = 5;
/** `link` cannot lose a race on any file system that has it: one round tells whether it is there. */
const roundsOfDirectory = 1;
const writersAtOnce = 10;

/**
 * Lets writers race for one key: exactly one must win, its bytes must be what is stored, and a late writer must be told.
 * Removes what it wrote. Errors: `store-unsafe`, and those of `ObjectStore.put`.
 */
export async function probeConditionalWrites(store: ObjectStore, random: Random, options: ProbeOptions = {}): Promise<void> {
  const folder = options.folder ?? 'cluster/probe';
  const probe = `${folder}/${random.uuid()}`;
  const rounds = options.rounds ?? (store.localPath(probe) === null ? roundsOfServer : roundsOfDirectory);
  const writers = options.writers ?? writersAtOnce;
  for (let round = 0; round < rounds; round++) await race(store, `${probe}-${round}`, writers, options.signal);
}

async function race(store: ObjectStore, key: string, writers: number, signal: AbortSignal | undefined): Promise<void> {
  const write = async (writer: number): Promise<number | null> => {
    try {
      await store.put(key, Buffer.from(`writer ${writer}`), { ifAbsent: true, signal });
      return writer;
    } catch (error) {
      if (isLakeError(error, 'object-exists')) return null;
      throw error;
    }
  };
  try {
    const settled = await Promise.allSettled(Array.from({ length: writers }, (_, writer) => write(writer)));
    const failed = settled.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason as Error;
    const winners = settled.flatMap((outcome) => (outcome.status === 'fulfilled' && outcome.value !== null ? [outcome.value] : []));
    if (winners.length !== 1) throw unsafe(store, `${winners.length} of ${writers} racing writers were told that they won`);
    if ((await write(writers)) !== null) throw unsafe(store, 'an object was overwritten by a write that must not');
    const stored = (await store.get(key, { signal })).toString();
    if (stored !== `writer ${winners[0]}`) throw unsafe(store, `writer ${winners[0]} won and "${stored}" is stored`);
  } finally {
    await store.delete(key);
  }
}

function unsafe(store: ObjectStore, what: string): LakeError {
  return new LakeError('store-unsafe', `conditional writes of ${store.url} do not hold: ${what}`, {
    hint: 'Use an object store that honours If-None-Match (Amazon S3, MinIO, versitygw, a local directory).',
    facts: { store: store.url },
  });
}
