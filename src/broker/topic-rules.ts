/** Which names, sizes and configurations a topic may have. */
import { resolveTopicConfig, type ServerConfig, type TopicConfig } from '../config/index.js';
import type { SavedView } from '../control/index.js';
import { isTopicName, LakeError, toLakeError, type TopicName } from '../kernel/index.js';
import type { TopicRecord } from './metadata-store.js';
import { requireNoView } from './view-rules.js';

/** Names that SQL needs for itself. */
const reservedName = /^system$/i;
/** Topics that Kafka's brokers keep for themselves; created by the broker or not at all. */
const internalNames: ReadonlySet<string> = new Set(['__consumer_offsets', '__transaction_state']);

/** Kafka's metrics cannot tell `a.b` from `a_b`, and SQL cannot tell names that differ only in case. */
function collisionKey(name: string): string {
  return name.replaceAll('.', '_').toLowerCase();
}

/** Errors: `topic-name-invalid`, `topic-exists`. */
export function checkNewName(name: string, existing: Iterable<TopicName>, views: readonly SavedView[]): asserts name is TopicName {
  const refuse = (why: string, hint: string): LakeError =>
    new LakeError('topic-name-invalid', `topic name "${name.slice(0, 260)}" cannot be used: ${why}`, { hint, facts: { topic: name } });
  if (!isTopicName(name)) throw refuse('it is not a legal name', 'Use 1 to 249 of the characters a-z A-Z 0-9 . _ - and not "." or "..".');
  if (reservedName.test(name)) throw refuse('it is the SQL schema of the service itself', 'Choose another name.');
  if (internalNames.has(name)) throw refuse("it is the broker's own", 'Choose another name.');
  requireNoView(name, views);
  const key = collisionKey(name);
  for (const other of existing) {
    if (other === name) throw new LakeError('topic-exists', `topic ${name} is there already`, { facts: { topic: name } });
    if (collisionKey(other) === key)
      throw refuse(`it differs from ${other} only in case, or in "." and "_"`, 'Choose a name that is told apart.');
  }
}

/** Errors: `request-invalid` where `count` is not more than a topic has, or more than a topic may have. */
export function checkPartitionRaise({ name, partitions }: TopicRecord, count: number, config: ServerConfig): void {
  const facts = { topic: name, partitions, count };
  if (count <= partitions) {
    throw new LakeError('request-invalid', `topic ${name} has ${partitions} partitions: ${count} would be no more`, {
      hint: 'Partitions are added, never taken away: ask for a larger number.',
      facts,
    });
  }
  if (!isPartitionCount(count, config)) {
    throw new LakeError('request-invalid', `topic ${name} cannot have ${count} partitions`, {
      hint: `Ask for at most ${config.get('topic.max.partitions')} (topic.max.partitions).`,
      facts,
    });
  }
}

/** Whether a number of partitions can be created. −1 stands for the default and is to be resolved first. */
export function isPartitionCount(count: number, config: ServerConfig): boolean {
  return Number.isInteger(count) && count >= 1 && count <= config.get('topic.max.partitions');
}

/** The configuration that a topic which is there has by a server's defaults. Errors: those of the configuration, naming the topic. */
export function topicConfigOf(
  server: ServerConfig,
  { name, overrides, isInternal }: Omit<TopicRecord, 'id' | 'partitions' | 'createdMs'>,
): TopicConfig {
  try {
    return resolveTopicConfig(server, overrides, { isInternal });
  } catch (cause) {
    const error = toLakeError(cause);
    throw new LakeError(error.code, `topic ${name} cannot have its configuration here: ${error.message}`, {
      cause,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      facts: { ...error.facts, topic: name },
    });
  }
}
