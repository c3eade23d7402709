/** Whose bucket prefix this is. Two clusters that write under one prefix would mix their logs, so the second is refused. */
import { type Clock, clusterId, type ClusterId, isLakeError, LakeError } from '../kernel/index.js';
import type { ObjectStore } from '../objects/index.js';
import { identityKey } from './bucket-layout.js';

/** `cluster/identity.json`. */
export interface BucketIdentity {
  readonly clusterId: ClusterId;
  readonly createdAtMs: number;
}

const identityFormat = 'thermocline-cluster/1';

function parseIdentity(bytes: Buffer, url: string): BucketIdentity {
  let parsed: unknown;
  try {
    parsed = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw unreadable(url, cause);
  }
  const { format, 'cluster-id': id, 'created-at-ms': createdAtMs } = (parsed ?? {}) as Record<string, unknown>;
  if (format !== identityFormat || typeof id !== 'string' || typeof createdAtMs !== 'number') throw unreadable(url, undefined);
  return { clusterId: clusterId(id), createdAtMs };
}

function unreadable(url: string, cause: unknown): LakeError {
  return new LakeError('table-corrupt', `${identityKey} in ${url} is not a cluster identity of a format known here`, {
    cause,
    hint: 'Use the version of the service that wrote it, or another bucket prefix.',
    facts: { url, key: identityKey },
  });
}

/** `null` where nobody has claimed the prefix. */
export async function readIdentity(store: ObjectStore, signal?: AbortSignal): Promise<BucketIdentity | null> {
  try {
    return parseIdentity(await store.get(identityKey, { signal }), store.url);
  } catch (error) {
    if (isLakeError(error, 'object-missing')) return null;
    throw error;
  }
}

/**
 * Claims the prefix for a cluster, or finds that it is the cluster's already. Created once by a conditional PUT; what
 * is there afterwards decides, so a lost answer or a race with another claimant needs no special case.
 * Errors: `data-dir-foreign` where it belongs to another cluster (also where the data directory is a new, empty one, whose
 * cluster id is new too), `table-corrupt`, and the store's own.
 */
export async function claimBucket(
  store: ObjectStore,
  cluster: ClusterId,
  clock: Pick<Clock, 'nowMs'>,
  signal?: AbortSignal,
): Promise<BucketIdentity> {
  let found = await readIdentity(store, signal);
  if (found === null) {
    const document = { 'format': identityFormat, 'cluster-id': cluster, 'created-at-ms': clock.nowMs() };
    let failure: unknown;
    try {
      await store.put(identityKey, Buffer.from(`${JSON.stringify(document, null, 2)}\n`), { ifAbsent: true, signal });
    } catch (error) {
      if (!isLakeError(error, 'object-exists', 'store-unavailable')) throw error;
      failure = error;
    }
    found = await readIdentity(store, signal);
    if (found === null) throw failure ?? new LakeError('store-unsafe', `${identityKey} in ${store.url} vanished after it was written`);
  }
  if (found.clusterId === cluster) return found;
  throw new LakeError(
    'data-dir-foreign',
    `${store.url} belongs to cluster ${found.clusterId}; this data directory is of cluster ${cluster}`,
    {
      hint:
        `Point --data-dir at the data of cluster ${found.clusterId}, or use another bucket prefix. If that data is lost, ` +
        `make a new folder of it with \`thermocline recover --bucket ${store.url} --data-dir NEWFOLDER\`.`,
      facts: { url: store.url, bucketCluster: found.clusterId, dataDirCluster: cluster },
    },
  );
}
