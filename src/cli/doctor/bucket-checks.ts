/** The bucket: whether it answers, whose it is, whether its clock is ours, its conditional writes hold and its lists are of the present. */
import { type ClusterId, secondMs, systemClock, systemRandom } from '../../kernel/index.js';
import { readIdentity } from '../../lake/index.js';
import { type ObjectStore, probeConditionalWrites, probeLists } from '../../objects/index.js';
import { checked, fail, type Finding, ok, warn } from './finding.js';

/** Beyond it ages of objects are told wrong by as much; a request is refused by most servers at fifteen minutes. */
const skewWarnMs = 30 * secondMs;

export interface BucketView {
  readonly findings: readonly Finding[];
  /** Whose it is; `undefined` where nobody has claimed it, or it cannot be told. */
  readonly clusterId: ClusterId | undefined;
}

export async function bucketChecks(store: ObjectStore, cluster: string | undefined, mayWrite: boolean): Promise<BucketView> {
  let clusterId: ClusterId | undefined;
  let isReachable = false;
  const reached = await checked('bucket', async () => {
    for await (const info of store.list('cluster/')) if (info.key !== '') break;
    isReachable = true;
    return ok('bucket', `${store.url} answers`);
  });
  if (!isReachable) return { findings: reached, clusterId };
  const identity = await checked('identity', async () => {
    const found = await readIdentity(store);
    clusterId = found?.clusterId;
    return identityFinding(store.url, found?.clusterId, cluster);
  });
  const writes = mayWrite
    ? [
        ...(await checked('clock', () => checkClock(store))),
        ...(await checked('conditional writes', async () => {
          await probeConditionalWrites(store, systemRandom);
          const alsoInParts = store.localPath('x') === null ? ', also in parts' : '';
          return ok('conditional writes', `of racing writers one won each time${alsoInParts}`);
        })),
        ...(await checked('lists', async () => {
          const { lateMs } = await probeLists(store, systemRandom);
          return ok(
            'lists',
            lateMs === 0 ? 'show at once what was written and removed' : `show after ${Math.ceil(lateMs)} ms what was written and removed`,
          );
        })),
      ]
    : [];
  return { findings: [...reached, ...identity, ...writes], clusterId };
}

function identityFinding(url: string, bucketCluster: string | undefined, cluster: string | undefined): Finding {
  if (bucketCluster === undefined) {
    if (cluster === undefined) return ok('identity', 'nobody has claimed the prefix yet');
    const hint = 'Correct bucket.url if there should be data; else the next start claims the prefix.';
    return warn('identity', `nobody has claimed ${url}, and the data directory is of cluster ${cluster}`, hint);
  }
  if (cluster === undefined) {
    const hint = 'Point --data-dir at the data of that cluster, or restore it from the bucket.';
    return warn('identity', `the prefix is of cluster ${bucketCluster}; the data directory is of none yet`, hint);
  }
  if (cluster === bucketCluster) return ok('identity', `bucket and data directory are of cluster ${cluster}`);
  const hint = 'Use the data directory of the cluster that the bucket belongs to, or another prefix.';
  return fail('identity', `the prefix is of cluster ${bucketCluster}, the data directory of cluster ${cluster}`, hint);
}

/** Writes an object and looks when the store says that it did. Whole seconds is all that S3 tells. */
async function checkClock(store: ObjectStore): Promise<Finding> {
  const key = `cluster/probe/${systemRandom.uuid()}-clock`;
  const beforeMs = systemClock.nowMs();
  await store.put(key, Buffer.from('what time is it?'));
  try {
    const afterMs = systemClock.nowMs();
    const found = await store.head(key);
    if (found === null) return fail('clock', `${key} was written and is not there`, 'Use a store whose reads see its writes.');
    const skewMs =
      found.lastModifiedMs < beforeMs - secondMs ? found.lastModifiedMs - beforeMs : Math.max(0, found.lastModifiedMs - afterMs - secondMs);
    if (Math.abs(skewMs) <= skewWarnMs) return ok('clock', 'the clock of the bucket is that of this machine');
    const seconds = Math.round(skewMs / secondMs);
    return warn('clock', `the clock of the bucket is ${Math.abs(seconds)} s ${seconds > 0 ? 'ahead' : 'behind'}`, 'Set both by NTP.');
  } finally {
    await store.delete(key);
  }
}
