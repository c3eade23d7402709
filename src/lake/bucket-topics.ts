/** Which topics a bucket has tables of, as its folders say: for a bucket whose notes about the cluster are missing. */
import { vacatedKey } from '../iceberg/index.js';
import { clusterId, type ClusterId, LakeError, type TopicId, type TopicName } from '../kernel/index.js';
import type { ObjectStore } from '../objects/index.js';
import { parseTopicKey, tablePrefix, topicsPrefix } from './bucket-layout.js';
import { clusterIdProperty } from './new-table.js';

export interface BucketTopic {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  /** One of its table's metadata files, the youngest. */
  readonly metadataKey: string;
}

interface Folder {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  metadata: { readonly key: string; readonly atMs: number } | undefined;
  isVacated: boolean;
}

/** Lists everything below `topics/`. Of folders of the same name the one that was written to last counts. Errors: those of the store. */
export async function bucketTopics(store: ObjectStore, signal?: AbortSignal): Promise<readonly BucketTopic[]> {
  const folders = new Map<TopicId, Folder>();
  for await (const { key, lastModifiedMs } of store.list(topicsPrefix, signal)) {
    const named = parseTopicKey(key);
    if (named === null) continue;
    const folder = folders.get(named.topicId) ?? { ...named, metadata: undefined, isVacated: false };
    folders.set(named.topicId, folder);
    if (key === vacatedKey(tablePrefix(named.topic, named.topicId))) folder.isVacated = true;
    else if (key.endsWith('.metadata.json') && lastModifiedMs >= (folder.metadata?.atMs ?? Number.NEGATIVE_INFINITY))
      folder.metadata = { key, atMs: lastModifiedMs };
  }
  const byName = new Map<TopicName, BucketTopic & { readonly atMs: number }>();
  for (const { topic, topicId, metadata, isVacated } of folders.values()) {
    if (metadata === undefined || isVacated || (byName.get(topic)?.atMs ?? Number.NEGATIVE_INFINITY) > metadata.atMs) continue;
    byName.set(topic, { topic, topicId, metadataKey: metadata.key, atMs: metadata.atMs });
  }
  return [...byName.values()];
}

/** Whose table it is, as its own metadata says. Errors: `table-corrupt`, those of the store. */
export async function clusterOfTable(store: ObjectStore, metadataKey: string, signal?: AbortSignal): Promise<ClusterId> {
  const bytes = await store.get(metadataKey, { signal });
  try {
    const { properties } = JSON.parse(bytes.toString('utf8')) as { readonly properties: Readonly<Record<string, string>> };
    return clusterId(properties[clusterIdProperty] ?? '');
  } catch (cause) {
    throw new LakeError('table-corrupt', `${metadataKey} does not say whose table it is`, {
      hint: 'Name the bucket URL the service ran with, with its prefix.',
      facts: { key: metadataKey },
      cause,
    });
  }
}
