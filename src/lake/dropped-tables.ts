/**
 * Tables of deleted topics, noted in the bucket until their folders have been emptied for good. A daemon that died, or whose
 * request was still on its way, when a table was dropped may leave an object behind that; so each folder is emptied once more when
 * nothing of that time can be under way any more. The mark in the folder itself stays: whoever slept over
 * the deletion, however long, finds it before a commit counts.
 */
import { isTopicId, isTopicName, type TimestampMs, type TopicId, type TopicName } from '../kernel/index.js';
import type { ObjectStore } from '../objects/index.js';
import { droppedPrefix } from './bucket-layout.js';

export interface DroppedTable {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  /** By the store's clock. */
  readonly droppedMs: TimestampMs;
}

function noteKey({ topic, topicId }: Pick<DroppedTable, 'topic' | 'topicId'>): string {
  return `${droppedPrefix}${topic}/${topicId}`;
}

/** Errors: those of the store. */
export async function noteDroppedTable(
  store: ObjectStore,
  table: Pick<DroppedTable, 'topic' | 'topicId'>,
  signal?: AbortSignal,
): Promise<void> {
  const key = noteKey(table);
  // The first note counts: a drop that is tried again does not begin its time anew.
  if ((await store.head(key, signal)) === null) await store.put(key, Buffer.from('{}\n'), { signal });
}

/** What is noted. Errors: those of the store. */
export async function* droppedTables(store: ObjectStore, signal?: AbortSignal): AsyncGenerator<DroppedTable> {
  for await (const { key, lastModifiedMs } of store.list(droppedPrefix, signal)) {
    const [topic = '', topicId = ''] = key.slice(droppedPrefix.length).split('/');
    if (isTopicName(topic) && isTopicId(topicId)) yield { topic, topicId, droppedMs: lastModifiedMs };
  }
}

export async function forgetDroppedTable(store: ObjectStore, table: DroppedTable, signal?: AbortSignal): Promise<void> {
  await store.delete(noteKey(table), signal);
}
