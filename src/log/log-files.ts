/**
 * The only place that knows what files and folders of the hot log are called. All names are Apache Kafka's, but for
 * `append-times`, `damaged-segments`, `boundary-checkpoint` and the lock, so that Kafka's own tools read a partition's folder.
 *
 * | name                                | holds                                                        |
 * |-------------------------------------|--------------------------------------------------------------|
 * | `<topic>-<partition>/`              | one partition                                                |
 * | `<base>.log`                        | record batches (v2) from that offset on                      |
 * | `<base>.index` · `<base>.timeindex` | sparse: offset → position · timestamp → offset               |
 * | `<offset>.snapshot`                 | producer state of everything below that offset               |
 * | `leader-epoch-checkpoint`           | epochs and where they begin                                  |
 * | `partition.metadata`                | the topic's id                                               |
 * | `append-times`                      | when records were appended (ours)                            |
 * | `damaged-segments`                  | those that were found damaged (ours)                         |
 * | `<anything>.<id>-creating`/`-delete`| folders of partitions that do not exist yet · any more       |
 * | `<base>.log.swap`                   | a compacted segment that counts instead of those it covers   |
 * | `*.deleted`, `*.tmp`, `*.cleaned`   | files of no meaning, removed at start                        |
 */
import { isTopicName, type Offset, type PartitionId, type TopicName } from '../kernel/index.js';

export const suffixes = {
  log: '.log',
  index: '.index',
  timeIndex: '.timeindex',
  snapshot: '.snapshot',
  deleted: '.deleted',
  temporary: '.tmp',
  cleaned: '.cleaned',
  swap: '.swap',
} as const;

export const leaderEpochFile = 'leader-epoch-checkpoint';
export const partitionMetadataFile = 'partition.metadata';
export const appendTimesFile = 'append-times';
export const damagedSegmentsFile = 'damaged-segments';
export const recoveryPointFile = 'recovery-point-offset-checkpoint';
export const logStartFile = 'log-start-offset-checkpoint';
export const boundaryFile = 'boundary-checkpoint';
export const cleanerFile = 'cleaner-offset-checkpoint';
export const cleanShutdownFile = '.kafka_cleanshutdown';

/** Longest name a file system takes. */
const nameBytesMax = 255;
const offsetDigits = 20;

/** `42` → `00000000000000000042.log`. */
export function offsetFile(offset: Offset, suffix: string): string {
  return `${String(offset).padStart(offsetDigits, '0')}${suffix}`;
}

/** The offset in a file's name, or `undefined` where the name is not of that kind. */
export function offsetOfFile(name: string, suffix: string): Offset | undefined {
  if (name.length !== offsetDigits + suffix.length || !name.endsWith(suffix)) return undefined;
  const digits = name.slice(0, offsetDigits);
  if (!/^\d{20}$/.test(digits)) return undefined;
  const offset = Number(digits);
  return Number.isSafeInteger(offset) ? offset : undefined;
}

export function partitionDirectory(topic: TopicName, partition: PartitionId): string {
  return `${topic}-${partition}`;
}

/** What a folder's name says, or `undefined` where it is not a partition's. */
export function partitionOfDirectory(name: string): { readonly topic: TopicName; readonly partition: PartitionId } | undefined {
  const match = /^(.+)-(0|[1-9]\d{0,8})$/.exec(name);
  if (match === null) return undefined;
  const [, topic, partition] = match as unknown as [string, string, string];
  return isTopicName(topic) ? { topic, partition: Number(partition) } : undefined;
}

export type PassingKind = 'creating' | 'delete';

/** The name of a partition's folder while it is made or after it was given up: never a partition's own. */
export function passingDirectory(topic: TopicName, partition: PartitionId, id: string, kind: PassingKind): string {
  const rest = `-${partition}.${id}-${kind}`;
  return `${topic.slice(0, nameBytesMax - rest.length)}${rest}`;
}

export function isPassingDirectory(name: string): boolean {
  return /\.[^.]+-(creating|delete)$/.test(name);
}
