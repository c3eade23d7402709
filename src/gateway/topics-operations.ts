/** What the routes of topics say of themselves. */
import { count, flag, json, list, mapOf, object, type Operation, orNull, type Schema, shared, text, topicInPath } from './operation.js';
import { roleProblems } from './route-problems.js';

const summaryFields = {
  name: text(),
  id: text(),
  internal: flag(),
  tiered: flag(),
  partitions: count(),
  records: count('from the log start on, both tiers'),
  hot_bytes: count(),
};

const topic = object({
  ...summaryFields,
  config: mapOf(text(), 'every key as resolved'),
  overrides: mapOf(text(), 'the keys set on the topic itself'),
  partitions: list(
    object(
      { partition: count(), log_start_offset: count(), high_watermark: count(), leader_epoch: count() },
      { offline: text('why it is') },
    ),
  ),
});

const storage = object(
  {
    topic: text(),
    id: text(),
    tiered: flag(),
    metadata_version: orNull(count('of the table')),
    cold_rows: orNull(count()),
    cold_bytes: orNull(count()),
    hot_bytes: count(),
    partitions: list(
      object(
        {
          partition: count(),
          log_start_offset: count(),
          local_start_offset: count('first offset on local disk'),
          boundary: count('first offset served hot'),
          flushed_offset: count(),
          high_watermark: count(),
          hot_bytes: count(),
          segments: count(),
          cold_bytes: orNull(count()),
          cold_files: orNull(count()),
          pending_bytes: orNull(count('fetched and not yet committed')),
          lag_records: orNull(count('not yet committed')),
        },
        {
          holes: list(object({ from: count(), to: count() }), 'what a recovery could not bring back; `to` is exclusive'),
          error: text('why the last cut of it failed'),
        },
      ),
    ),
  },
  { note: text('why the cold side is not known') },
);

export const topicsSchemas: Readonly<Record<string, Schema>> = { TopicSummary: object(summaryFields), Topic: topic, Storage: storage };

export const topicsOperations: readonly Operation[] = [
  {
    id: 'listTopics',
    tag: 'topics',
    method: 'get',
    path: '/v1/topics',
    summary: 'All topics',
    answers: { 200: { description: 'the topics', content: json(object({ topics: list(shared('TopicSummary')) })) } },
    problems: roleProblems,
  },
  {
    id: 'getTopic',
    tag: 'topics',
    method: 'get',
    path: '/v1/topics/{topic}',
    summary: 'A topic with its configuration and partitions',
    parameters: [topicInPath],
    answers: { 200: { description: 'the topic', content: json(shared('Topic')) } },
    problems: ['topic-unknown', ...roleProblems],
  },
  {
    id: 'getStorage',
    tag: 'topics',
    method: 'get',
    path: '/v1/topics/{topic}/storage',
    summary: 'Where the records of a topic lie',
    description: 'While the tier daemon is away what it knows is null, and `note` says so.',
    parameters: [topicInPath],
    answers: { 200: { description: 'both tiers', content: json(shared('Storage')) } },
    problems: ['topic-unknown', ...roleProblems],
  },
];
