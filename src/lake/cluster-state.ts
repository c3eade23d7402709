/**
 * What the bucket keeps of the service beside the tables: its topics, the committed offsets of its groups, how far logs and producer
 * ids had come. With the tables it is enough to start again (`thermocline recover`). One JSON object, `docs/formats/bucket.md`.
 */
import type { NotedGroup, NotedOffset, NotedPartition, NotedTopic, SavedView } from '../control/index.js';
import {
  clusterId,
  type ClusterId,
  isTopicId,
  isTopicName,
  LakeError,
  type TimestampMs,
  type TopicId,
  type TopicName,
} from '../kernel/index.js';

export interface ClusterState {
  readonly clusterId: ClusterId;
  readonly writtenAtMs: TimestampMs;
  /** Where the broker's clients found it, `host:port`: whether it is still alive is asked there. */
  readonly kafka: string;
  /** Above every producer id that was given out. */
  readonly nextProducerId: bigint;
  readonly topics: readonly NotedTopic[];
  /** Deleted topics whose tables may still be in the bucket. */
  readonly dropped: readonly { readonly name: TopicName; readonly id: TopicId }[];
  readonly groups: readonly NotedGroup[];
  readonly views: readonly SavedView[];
  /** Committed offsets that found no room. */
  readonly offsetsLeftOut: number;
}

const formatName = 'thermocline-cluster-state/';
const formatVersion = 1;

type Row = readonly unknown[];
type Fields = Readonly<Record<string, unknown>>;

export function encodeClusterState(state: ClusterState): Buffer {
  return Buffer.from(
    `${JSON.stringify({
      'format': `${formatName}${formatVersion}`,
      'cluster-id': state.clusterId,
      'written-at-ms': state.writtenAtMs,
      'kafka': state.kafka,
      'next-producer-id': state.nextProducerId.toString(),
      'topics': state.topics.map((topic) => ({
        'name': topic.name,
        'id': topic.id,
        'internal': topic.isInternal,
        'tiered': topic.isTiered,
        'created-at-ms': topic.createdMs,
        'overrides': topic.overrides,
        'partitions': topic.partitions.map((p) => [p.logStartOffset, p.boundary, p.highWatermark, p.leaderEpoch]),
      })),
      'dropped': state.dropped.map(({ name, id }) => ({ name, id })),
      'groups': state.groups.map(({ group, offsets }) => ({ 'group': group, 'offsets': offsetsByTopic(offsets) })),
      'offsets-left-out': state.offsetsLeftOut,
      ...(state.views.length === 0 ? {} : { views: state.views.map(viewFields) }),
    })}\n`,
  );
}

function viewFields({ name, sql, description, savedMs }: SavedView): Fields {
  return { name, sql, ...(description === undefined ? {} : { description }), 'saved-at-ms': savedMs };
}

/** Topic → [[partition, offset, leader epoch, committed at ms, metadata], …]. */
function offsetsByTopic(offsets: readonly NotedOffset[]): Record<string, Row[]> {
  const byTopic: Record<string, Row[]> = {};
  for (const { topic, partition, offset, leaderEpoch, committedMs, metadata } of offsets) {
    (byTopic[topic] ??= []).push([partition, offset, leaderEpoch, committedMs, metadata]);
  }
  return byTopic;
}

/**
 * Errors: `unsupported` where a newer version of the service wrote it, `table-corrupt` for anything else that is not one; both
 * name the key.
 */
export function parseClusterState(bytes: Buffer, key: string): ClusterState {
  try {
    const document = JSON.parse(bytes.toString('utf8')) as unknown;
    const fields = asFields(document);
    requireVersion(fields['format'], key);
    return {
      clusterId: clusterId(checked('cluster-id', fields['cluster-id'], isId)),
      writtenAtMs: checked('written-at-ms', fields['written-at-ms'], isWhole),
      kafka: checked('kafka', fields['kafka'], isText),
      nextProducerId: BigInt(checked('next-producer-id', fields['next-producer-id'], isDigits)),
      topics: asList(fields['topics']).map((topic) => parseTopic(asFields(topic))),
      dropped: asList(fields['dropped']).map((topic) => nameAndId(asFields(topic))),
      groups: asList(fields['groups']).map((group) => parseGroup(asFields(group))),
      // Left out where there are none, and before there were any.
      views: asList(fields['views'] ?? []).map((view) => parseView(asFields(view))),
      offsetsLeftOut: checked('offsets-left-out', fields['offsets-left-out'], isWhole),
    };
  } catch (cause) {
    if (cause instanceof LakeError) throw cause;
    throw new LakeError('table-corrupt', `${key} is not a state of a cluster: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
      hint: 'Remove the object; the one written before it is used then.',
      facts: { key },
    });
  }
}

function requireVersion(format: unknown, key: string): void {
  const version = typeof format === 'string' && format.startsWith(formatName) ? Number(format.slice(formatName.length)) : Number.NaN;
  if (version === formatVersion) return;
  if (!Number.isSafeInteger(version) || version < formatVersion) throw new TypeError('it names no format of one');
  throw new LakeError('unsupported', `${key} was written by a newer version of the service (format ${version})`, {
    hint: 'Use that version, or a later one.',
    facts: { key, format: version },
  });
}

function parseTopic(fields: Fields): NotedTopic {
  const overrides = asFields(fields['overrides']);
  for (const value of Object.values(overrides)) checked('overrides', value, isText);
  return {
    ...nameAndId(fields),
    isInternal: checked('internal', fields['internal'], isBoolean),
    isTiered: checked('tiered', fields['tiered'], isBoolean),
    createdMs: checked('created-at-ms', fields['created-at-ms'], isWhole),
    overrides: overrides as Readonly<Record<string, string>>,
    partitions: asList(fields['partitions']).map((row): NotedPartition => {
      const [logStartOffset, boundary, highWatermark, leaderEpoch] = asList(row);
      return {
        logStartOffset: checked('log start', logStartOffset, isWhole),
        boundary: checked('boundary', boundary, isWhole),
        highWatermark: checked('high watermark', highWatermark, isWhole),
        leaderEpoch: checked('leader epoch', leaderEpoch, isWholeOrNone),
      };
    }),
  };
}

function nameAndId(fields: Fields): { readonly name: TopicName; readonly id: TopicId } {
  const { name, id } = fields;
  if (typeof name !== 'string' || !isTopicName(name)) throw new TypeError('a topic has no name');
  if (typeof id !== 'string' || !isTopicId(id)) throw new TypeError(`topic ${name} has no id`);
  return { name, id };
}

function parseView(fields: Fields): SavedView {
  const { description } = fields;
  return {
    name: checked('name of a view', fields['name'], isText),
    sql: checked('sql', fields['sql'], isText),
    ...(description === undefined ? {} : { description: checked('description', description, isText) }),
    savedMs: checked('saved-at-ms', fields['saved-at-ms'], isWhole),
  };
}

function parseGroup(fields: Fields): NotedGroup {
  const offsets = Object.entries(asFields(fields['offsets'])).flatMap(([topic, rows]) =>
    asList(rows).map((row): NotedOffset => {
      const [partition, offset, leaderEpoch, committedMs, metadata] = asList(row);
      if (!isWhole(partition)) throw new TypeError('a committed offset has no partition');
      return {
        topic,
        partition,
        offset: checked('offset', offset, isWhole),
        leaderEpoch: checked('leader epoch', leaderEpoch, isWholeOrNone),
        committedMs: checked('committed at', committedMs, isWhole),
        metadata: checked('metadata', metadata, isText),
      };
    }),
  );
  return { group: checked('group', fields['group'], isText), offsets };
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isBoolean = (value: unknown): value is boolean => typeof value === 'boolean';
const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isWholeOrNone = (value: unknown): value is number => isWhole(value) || value === -1;
const isDigits = (value: unknown): value is string => typeof value === 'string' && /^\d{1,19}$/.test(value);
const isId = (value: unknown): value is string => typeof value === 'string' && isTopicId(value);

function checked<T>(what: string, value: unknown, holds: (value: unknown) => value is T): T {
  if (holds(value)) return value;
  throw new TypeError(`${what} is ${JSON.stringify(value) ?? 'missing'}`);
}

function asList(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value as readonly unknown[];
  throw new TypeError('a list is missing');
}

function asFields(value: unknown): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw new TypeError('an object is missing');
}
