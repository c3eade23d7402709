/** Whether a bucket's conditional writes can be trusted: everything the table promises stands on them. */
import { hourMs, isLakeError, LakeError, systemClock, type Clock, type Random } from '../kernel/index.js';
import type { ObjectStore } from './object-store.js';

export interface ProbeOptions {
  /** Folder for the probe's objects. */
  readonly folder?: string;
  readonly writers?: number;
  readonly rounds?: number;
  readonly clock?: Pick<Clock, 'nowMs'>;
  readonly signal?: AbortSignal | undefined;
}

/** Of all probes. What one of them leaves that is killed, the next one removes. */
export const probeFolder = 'cluster/probe';
/** A server with a race lets several of twenty writers win in about half of the rounds; five miss it once in thirty. */
const roundsOfServer = 5;
/** `link` cannot lose a race on any file system that has it: one round tells whether it is there. */
const roundsOfDirectory = 1;
const writersAtOnce = 10;
/** Writers of an object in parts: each takes three requests. */
const partWritersAtOnce = 5;
/** What a probe left behind that was killed; a probe takes seconds. */
const leftOverMs = hourMs;

/**
 * Lets writers race for one key: exactly one must win, its bytes must be what is stored, and a late writer must be told. The
 * same again by the way that large objects take. Removes what it wrote, and what a probe that was killed has left.
 * Errors: `store-unsafe`, and those of `ObjectStore.put`.
 */
export async function probeConditionalWrites(store: ObjectStore, random: Random, options: ProbeOptions = {}): Promise<void> {
  const folder = options.folder ?? probeFolder;
  const probe = `${folder}/${random.uuid()}`;
  const isServer = store.localPath(probe) === null;
  const rounds = options.rounds ?? (isServer ? roundsOfServer : roundsOfDirectory);
  const writers = options.writers ?? writersAtOnce;
  const ways = [{ name: 'whole', inParts: false, writers }];
  if (isServer) ways.push({ name: 'parts', inParts: true, writers: Math.min(writers, partWritersAtOnce) });
  await removeLeftOvers(store, `${folder}/`, (options.clock ?? systemClock).nowMs() - leftOverMs, options.signal);
  const outcomes = await Promise.allSettled(
    ways.map(async (way) => {
      for (let round = 0; round < rounds; round++) await race(store, `${probe}-${way.name}-${round}`, way, options.signal);
    }),
  );
  const failed = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as Error] : []));
  // That it is unsafe is what must be heard, whatever else failed.
  const worst = failed.find((error) => isLakeError(error, 'store-unsafe')) ?? failed[0];
  if (worst !== undefined) throw worst;
}

async function race(
  store: ObjectStore,
  key: string,
  way: { readonly writers: number; readonly inParts: boolean },
  signal: AbortSignal | undefined,
): Promise<void> {
  const { writers, inParts } = way;
  const write = async (writer: number): Promise<number | null> => {
    try {
      await store.put(key, Buffer.from(`writer ${writer}`), { ifAbsent: true, inParts, signal });
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
    const of = `${writers} racing writers${inParts ? ' of an object in parts' : ''}`;
    // The answer to the one who won may have been lost on the way, and a second copy of its request refused: that says nothing yet.
    if (winners.length === 0 && (await isOneOf(store, key, writers, signal))) {
      throw new LakeError('store-unavailable', `${store.url}: an object was stored, and none of ${of} was told that it won`, {
        hint: 'It is tried again. If it stays so, look at what lies between here and the object store.',
        retriable: true,
      });
    }
    if (winners.length !== 1) throw unsafe(store, `${winners.length} of ${of} were told that they won`);
    if ((await write(writers)) !== null) {
      throw unsafe(store, `an object was overwritten by a write that must not${inParts ? ' (in parts)' : ''}`);
    }
    const stored = (await store.get(key, { signal })).toString();
    if (stored !== `writer ${winners[0]}`) throw unsafe(store, `writer ${winners[0]} won and "${stored}" is stored`);
  } finally {
    await store.delete(key);
  }
}

async function isOneOf(store: ObjectStore, key: string, writers: number, signal: AbortSignal | undefined): Promise<boolean> {
  const stored = await store.get(key, { signal }).catch((error: unknown) => {
    if (isLakeError(error, 'object-missing')) return null;
    throw error;
  });
  return stored !== null && Array.from({ length: writers }, (_, writer) => `writer ${writer}`).includes(stored.toString());
}

async function removeLeftOvers(store: ObjectStore, folder: string, beforeMs: number, signal: AbortSignal | undefined): Promise<void> {
  for await (const { key, lastModifiedMs } of store.list(folder, signal)) {
    if (lastModifiedMs < beforeMs) await store.delete(key, signal);
  }
}

function unsafe(store: ObjectStore, what: string): LakeError {
  return new LakeError('store-unsafe', `conditional writes of ${store.url} do not hold: ${what}`, {
    hint: 'Use an object store that honours If-None-Match (Amazon S3, MinIO, versitygw, a local directory).',
    facts: { store: store.url },
  });
}
