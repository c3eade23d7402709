/** Everything in the bucket that a service can be restored from: whose it is, the newest state, every topic's table. */
import { type ManifestReader, vacatedKey } from '../../iceberg/index.js';
import { type Clock, type ClusterId, LakeError, type Random, type TopicId, type TopicName } from '../../kernel/index.js';
import {
  findClusterState,
  type FoundState,
  openTopicTable,
  parseDataFilePath,
  parseTopicKey,
  readIdentity,
  tablePrefix,
  type TableSnapshot,
  topicsPrefix,
} from '../../lake/index.js';
import type { ObjectStore } from '../../objects/index.js';

/** Tables read at the same time: each is a list, a metadata file and its manifests, one after the other. */
const tablesAtOnce = 16;
/** Keys of missing files that are named, of one table. */
const missingNamed = 10;

export interface FoundTable {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly partitions: TableSnapshot['partitions'];
  readonly coldFiles: number;
  readonly coldBytes: number;
  /** Data files that the table names and the bucket does not have, or in another length: the first few, and how many. */
  readonly missingFiles: { readonly count: number; readonly first: readonly string[] };
}

export interface BucketContents {
  readonly clusterId: ClusterId;
  readonly state: FoundState;
  readonly tables: readonly FoundTable[];
  /** Folders of topics with data files and no table: what an interrupted first commit or a deletion leaves. */
  readonly withoutTable: readonly { readonly topic: TopicName; readonly topicId: TopicId; readonly dataFiles: number }[];
}

export interface RecoverPorts {
  readonly store: ObjectStore;
  /** One for reading and committing: most of what is committed to was read a moment before. */
  readonly manifests: ManifestReader;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** How far the reading is: called often, to be drawn now and then. */
export type OnRead = (done: { readonly objects: number; readonly tables: number; readonly coldFiles: number }) => void;

interface Folder {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  /** Bytes by key. */
  readonly dataFiles: Map<string, number>;
  hasMetadata: boolean;
  /** Its topic was deleted; what is left of it is removed by the daemon. */
  isDropped: boolean;
}

/**
 * Reads all of it; keys of one folder are in memory at a time, for each table that is read. Errors: `object-missing` where the prefix
 * belongs to nobody, `unsupported`, `table-corrupt`, `data-dir-foreign` (a table of another cluster), those of the store.
 */
export async function readBucket(ports: RecoverPorts, onRead: OnRead): Promise<BucketContents> {
  const { store, signal } = ports;
  const identity = await readIdentity(store, signal);
  if (identity === null) {
    throw new LakeError('object-missing', `${store.url} holds no service: it has no cluster/identity.json`, {
      hint: 'Name the bucket URL the service ran with, with its prefix.',
      facts: { url: store.url },
    });
  }
  const state = await findClusterState(store, signal);
  const { current } = state;
  if (current !== undefined && current.state.clusterId !== identity.clusterId) {
    throw new LakeError(
      'data-dir-foreign',
      `${store.url} belongs to cluster ${identity.clusterId}; its newest state is of cluster ${current.state.clusterId}`,
      { hint: 'Two buckets were copied into one: restore each from its own.', facts: { url: store.url } },
    );
  }
  return { clusterId: identity.clusterId, state, ...(await readTables(ports, identity.clusterId, onRead)) };
}

async function readTables(
  ports: RecoverPorts,
  clusterId: ClusterId,
  onRead: OnRead,
): Promise<Pick<BucketContents, 'tables' | 'withoutTable'>> {
  const { store, signal } = ports;
  const tables: FoundTable[] = [];
  const withoutTable: { topic: TopicName; topicId: TopicId; dataFiles: number }[] = [];
  const reading = new Set<Promise<unknown>>();
  const failures: unknown[] = [];
  let objects = 0;
  let coldFiles = 0;

  const begin = async (folder: Folder): Promise<void> => {
    if (folder.isDropped) return;
    if (!folder.hasMetadata) {
      withoutTable.push({ topic: folder.topic, topicId: folder.topicId, dataFiles: folder.dataFiles.size });
      return;
    }
    // The listing waits where all slots are taken, so that folders do not gather in memory.
    while (reading.size >= tablesAtOnce) await Promise.race(reading);
    if (failures.length > 0) return;
    const task = readTable(ports, clusterId, folder)
      .then((table) => {
        tables.push(table);
        coldFiles += table.coldFiles;
        onRead({ objects, tables: tables.length, coldFiles });
      })
      .catch((error: unknown) => failures.push(error))
      .finally(() => reading.delete(task));
    reading.add(task);
  };

  let folder: Folder | undefined;
  for await (const { key, bytes } of store.list(topicsPrefix, signal)) {
    objects++;
    if (objects % 1000 === 0) onRead({ objects, tables: tables.length, coldFiles });
    const topic = parseTopicKey(key);
    if (topic === null) continue;
    if (folder?.topicId !== topic.topicId || folder.topic !== topic.topic) {
      if (folder !== undefined) await begin(folder);
      folder = { ...topic, dataFiles: new Map(), hasMetadata: false, isDropped: false };
    }
    if (parseDataFilePath(key) !== null) folder.dataFiles.set(key, bytes);
    else if (key === vacatedKey(tablePrefix(folder.topic, folder.topicId))) folder.isDropped = true;
    else if (key.endsWith('.metadata.json')) folder.hasMetadata = true;
    if (failures.length > 0) break;
  }
  if (folder !== undefined && failures.length === 0) await begin(folder);
  await Promise.all(reading);
  if (failures.length > 0) throw failures[0];
  onRead({ objects, tables: tables.length, coldFiles });
  return { tables, withoutTable };
}

async function readTable(
  { store, manifests, clock, random, signal }: RecoverPorts,
  clusterId: ClusterId,
  { topic, topicId, dataFiles }: Folder,
): Promise<FoundTable> {
  const snapshot = await openTopicTable(store, { topic, topicId, clusterId }, { clock, random, reader: manifests }).load(signal);
  const missing = snapshot.files.filter((file) => dataFiles.get(file.key) !== file.bytes).map((file) => file.key);
  return {
    topic,
    topicId,
    partitions: snapshot.partitions,
    coldFiles: snapshot.files.length,
    coldBytes: snapshot.files.reduce((bytes, file) => bytes + file.bytes, 0),
    missingFiles: { count: missing.length, first: missing.slice(0, missingNamed) },
  };
}
