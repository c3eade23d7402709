/**
 * The one place that knows how objects are named. A table lies in the folder of its topic's id, so that a topic made anew
 * under an old name never meets its predecessor.
 *
 *     topics/<topic>/<topic id>/metadata/v<N>.metadata.json, …
 *     topics/<topic>/<topic id>/data/p=<partition>/<base>-<last>-<unique>.parquet      offsets in 20 digits
 *     topics/<topic>/<topic id>/metadata/vacated.json                                  where the topic was deleted
 *     cluster/identity.json
 *     cluster/state/v<N>.json
 *     cluster/dropped/<topic>/<topic id>                                               until its folder is empty for good
 */
import { invariant, isTopicId, isTopicName, type Offset, type PartitionId, type TopicId, type TopicName } from '../kernel/index.js';

/** Who the bucket prefix belongs to. */
export const identityKey = 'cluster/identity.json';

/** Above the numbered states of the cluster; the highest is the current one. */
export const clusterStatesPrefix = 'cluster/state/';

/** Above the notes of tables whose topic was deleted. */
export const droppedPrefix = 'cluster/dropped/';

/** Above every topic's folder. */
export const topicsPrefix = 'topics/';

const offsetDigits = 20;
const dataPathPattern = /(?:^|\/)data\/p=(\d{1,10})\/(\d{20})-(\d{20})-([A-Za-z0-9-]+)\.parquet$/;
const topicPathPattern = /^topics\/([^/]+)\/([^/]+)\//;

export function clusterStateKey(number: number): string {
  return `${clusterStatesPrefix}v${number}.json`;
}

/** N of `cluster/state/v<N>.json`; `null` for another name. */
export function clusterStateNumber(key: string): number | null {
  const digits = /^cluster\/state\/v([1-9]\d{0,14})\.json$/.exec(key)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** A table's folder, without a slash at its end. */
export function tablePrefix(topic: TopicName, topicId: TopicId): string {
  return `${topicsPrefix}${topic}/${topicId}`;
}

export function dataPrefix(table: string): string {
  return `${table}/data/`;
}

export function metadataPrefix(table: string): string {
  return `${table}/metadata/`;
}

/** What a data file's name says. */
export interface DataFileName {
  readonly partition: PartitionId;
  readonly baseOffset: Offset;
  /** Inclusive. */
  readonly lastOffset: Offset;
  /** Different for every attempt at writing the range, so that no attempt can overwrite another. */
  readonly unique: string;
}

function paddedOffset(offset: Offset): string {
  invariant(Number.isSafeInteger(offset) && offset >= 0, 'an offset in an object name is a safe, non-negative integer', { offset });
  return String(offset).padStart(offsetDigits, '0');
}

/** Object key of a data file. */
export function dataFileKey(table: string, name: DataFileName): string {
  invariant(name.baseOffset <= name.lastOffset, 'a cold file stands for at least one offset', { ...name });
  return `${table}/data/p=${name.partition}/${paddedOffset(name.baseOffset)}-${paddedOffset(name.lastOffset)}-${name.unique}.parquet`;
}

/** Reads the name at the end of a key or location, whatever stands before the table's folder; `null` where it is none of ours. */
export function parseDataFilePath(path: string): DataFileName | null {
  const match = dataPathPattern.exec(path);
  if (match === null) return null;
  const [, partition = '', base = '', last = '', unique = ''] = match;
  const name = { partition: Number(partition), baseOffset: Number(base), lastOffset: Number(last), unique };
  return Number.isSafeInteger(name.baseOffset) && Number.isSafeInteger(name.lastOffset) ? name : null;
}

/** The topic whose folder a key lies in; `null` outside of all. */
export function parseTopicKey(key: string): { readonly topic: TopicName; readonly topicId: TopicId } | null {
  const [, topic = '', topicId = ''] = topicPathPattern.exec(key) ?? [];
  return isTopicName(topic) && isTopicId(topicId) ? { topic, topicId } : null;
}
