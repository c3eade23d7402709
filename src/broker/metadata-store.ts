/**
 * What the broker must not forget beside the log: its cluster, its topics, the dropped topics whose tables may still be in
 * the bucket, saved views, keys set on groups and on the broker while it ran, and how far producer ids are given out. Boundary and log start are the log room's.
 *
 * | File | Content |
 * |---|---|
 * | `meta.properties` | `cluster.id`, `node.id`; written once (the form Kafka's brokers use) |
 * | `metadata.json` | everything else; replaced as a whole, one change at a time |
 */
import { join } from 'node:path';
import {
  type ClusterId,
  clusterId,
  type Disk,
  isErrno,
  freshId,
  isTopicId,
  isTopicName,
  LakeError,
  Mutex,
  type Random,
  readIfThere,
  systemDisk,
  type TimestampMs,
  toLakeError,
  type TopicId,
  type TopicName,
  writeDurably,
} from '../kernel/index.js';
import type { SavedView } from '../control/index.js';
import { isSavedView, requireNoView, withView } from './view-rules.js';

export interface TopicRecord {
  readonly name: TopicName;
  readonly id: TopicId;
  readonly partitions: number;
  /** Only the keys set on the topic itself. */
  readonly overrides: Readonly<Record<string, string>>;
  readonly isInternal: boolean;
  readonly createdMs: TimestampMs;
}

export interface DroppedTopic {
  readonly name: TopicName;
  readonly id: TopicId;
}

/** What is configured beside topics: groups by id, `broker` by its node id, and all brokers, which is `broker` by the empty name. */
export type ConfiguredKind = 'group' | 'broker';

/** The name that stands for all brokers. */
export const allBrokers = '';

export interface Configured {
  readonly kind: ConfiguredKind;
  readonly name: string;
  /** Never empty. */
  readonly overrides: Readonly<Record<string, string>>;
}

/** Groups and brokers with keys of their own: at some 200 bytes each, the file stays below 2 MB for them. */
export const configuredMax = 10_000;

interface Content {
  readonly topics: readonly TopicRecord[];
  readonly dropped: readonly DroppedTopic[];
  readonly views: readonly SavedView[];
  readonly configured: readonly Configured[];
  /** First producer id that was never given out, as text (64 bits). */
  readonly nextProducerId: bigint;
  /** How often the content was changed. */
  readonly revision: number;
}

const formatVersion = 1;
const empty = { topics: [], dropped: [], views: [], configured: [], nextProducerId: 0n };

export class MetadataStore {
  readonly clusterId: ClusterId;
  readonly #disk: Disk;
  readonly #path: string;
  readonly #writing = new Mutex();
  #content: Content;

  private constructor(disk: Disk, path: string, cluster: ClusterId, content: Content) {
    this.#disk = disk;
    this.#path = path;
    this.clusterId = cluster;
    this.#content = content;
  }

  /** Opens or creates the store in a data directory that exists. Errors: `internal` naming the file that cannot be read. */
  static async open(dataDir: string, nodeId: number, random: Random, disk: Disk = systemDisk): Promise<MetadataStore> {
    const cluster = await openClusterId(disk, join(dataDir, 'meta.properties'), nodeId, random);
    const path = join(dataDir, 'metadata.json');
    const text = await readIfThere(disk, path);
    const content = text === undefined ? { ...empty, revision: 0 } : parseContent(path, text);
    return new MetadataStore(disk, path, cluster, content);
  }

  /** Writes a store whose content is known from elsewhere, in the place of one that was there. Errors: the operating system's. */
  static async create(
    dataDir: string,
    nodeId: number,
    { clusterId: cluster, ...known }: Omit<Content, 'revision' | 'configured'> & { readonly clusterId: ClusterId },
    disk: Disk = systemDisk,
  ): Promise<MetadataStore> {
    const path = join(dataDir, 'metadata.json');
    const content = { ...empty, ...known, revision: 0 };
    await writeClusterId(disk, join(dataDir, 'meta.properties'), nodeId, cluster);
    await writeDurably(disk, path, formatContent(content));
    return new MetadataStore(disk, path, cluster, content);
  }

  get topics(): readonly TopicRecord[] {
    return this.#content.topics;
  }

  get dropped(): readonly DroppedTopic[] {
    return this.#content.dropped;
  }

  /** By name. */
  get views(): readonly SavedView[] {
    return this.#content.views;
  }

  /** Groups and brokers with keys of their own. */
  get configured(): readonly Configured[] {
    return this.#content.configured;
  }

  /** Above every producer id that was given out. */
  get nextProducerId(): bigint {
    return this.#content.nextProducerId;
  }

  /** How often anything here was changed, over all runs. */
  get revision(): number {
    return this.#content.revision;
  }

  /** Adds a topic in the place of one of its name, which is there only where it could not be struck out after a failed creation. */
  addTopic(topic: TopicRecord): Promise<void> {
    return this.#change((content) => {
      requireNoView(topic.name, content.views);
      return { ...content, topics: [...content.topics.filter(({ name }) => name !== topic.name), topic] };
    });
  }

  /** Saves a view, in the place of one of its name. Errors: `view-invalid`, `view-exists`. */
  putView(view: SavedView): Promise<void> {
    return this.#change((content) => ({ ...content, views: withView(view, content.views, content.topics) }));
  }

  /** Resolves to false where there is none. */
  async removeView(name: string): Promise<boolean> {
    if (!this.#content.views.some((view) => view.name === name)) return false;
    await this.#change((content) => ({ ...content, views: content.views.filter((view) => view.name !== name) }));
    return true;
  }

  /** Changes how many partitions a topic has. */
  setPartitions(id: TopicId, partitions: number): Promise<void> {
    return this.#change((content) => ({
      ...content,
      topics: content.topics.map((topic) => (topic.id === id ? { ...topic, partitions } : topic)),
    }));
  }

  /** Replaces the keys that are set on a topic. */
  setOverrides(id: TopicId, overrides: Readonly<Record<string, string>>): Promise<void> {
    return this.#change((content) => ({
      ...content,
      topics: content.topics.map((topic) => (topic.id === id ? { ...topic, overrides } : topic)),
    }));
  }

  /** Replaces the keys that are set on a group or on brokers; none forgets it. Errors: `config-refused` where there are too many. */
  setConfigured(configured: Configured): Promise<void> {
    return this.#change((content) => {
      const others = content.configured.filter(({ kind, name }) => kind !== configured.kind || name !== configured.name);
      const isSet = Object.keys(configured.overrides).length > 0;
      if (isSet && others.length >= configuredMax) throw tooManyConfigured(configured);
      return { ...content, configured: isSet ? [...others, configured] : others };
    });
  }

  /** Forgets a topic; `isKeptAsDropped` keeps its name and id until its table is gone. */
  removeTopic(id: TopicId, isKeptAsDropped: boolean): Promise<void> {
    return this.#change((content) => {
      const topic = content.topics.find((known) => known.id === id);
      const added = topic !== undefined && isKeptAsDropped ? [{ name: topic.name, id }] : [];
      return { ...content, topics: content.topics.filter((known) => known.id !== id), dropped: [...content.dropped, ...added] };
    });
  }

  forgetDropped(id: TopicId): Promise<void> {
    return this.#change((content) => ({ ...content, dropped: content.dropped.filter((topic) => topic.id !== id) }));
  }

  /** Takes `count` producer ids that nobody has or will have; resolves to the first once that is durable. */
  async takeProducerIds(count: number): Promise<bigint> {
    let first = 0n;
    await this.#change((content) => {
      first = content.nextProducerId;
      return { ...content, nextProducerId: first + BigInt(count) };
    });
    return first;
  }

  /** The new content is seen only once it is on disk. Errors: `internal` with the file's name. */
  #change(next: (content: Content) => Content): Promise<void> {
    return this.#writing.run(async () => {
      const content = { ...next(this.#content), revision: this.#content.revision + 1 };
      try {
        await writeDurably(this.#disk, this.#path, formatContent(content));
      } catch (error) {
        throw toLakeError(error, isErrno(error, 'ENOSPC') ? 'disk-full' : 'internal', `metadata cannot be written to ${this.#path}`);
      }
      this.#content = content;
    });
  }
}

function tooManyConfigured({ kind, name }: Configured): LakeError {
  return new LakeError('config-refused', `${configuredMax} groups and brokers have keys of their own: ${kind} ${name} cannot have any`, {
    hint: 'Take keys back from groups that are gone, or set them to all groups by the broker’s keys.',
    facts: { kind, name },
  });
}

async function openClusterId(disk: Disk, path: string, nodeId: number, random: Random): Promise<ClusterId> {
  const text = await readIfThere(disk, path);
  if (text === undefined) {
    const id = clusterId(freshId((length) => random.bytes(length)));
    await writeClusterId(disk, path, nodeId, id);
    return id;
  }
  const id = /^cluster\.id=(\S+)$/m.exec(text)?.[1];
  if (id === undefined || !isTopicId(id)) throw damaged(path, 'it names no cluster.id');
  return clusterId(id);
}

function writeClusterId(disk: Disk, path: string, nodeId: number, id: ClusterId): Promise<void> {
  return writeDurably(disk, path, `version=1\ncluster.id=${id}\nnode.id=${nodeId}\n`);
}

function damaged(path: string, what: string, cause?: unknown): LakeError {
  return new LakeError('internal', `${path} cannot be read: ${what}`, {
    hint: 'Restore the file from a backup, or move the data directory away and `thermocline recover` from the bucket.',
    facts: { path },
    cause,
  });
}

function formatContent(content: Content): string {
  return `${JSON.stringify({ version: formatVersion, ...content, nextProducerId: content.nextProducerId.toString() }, null, 1)}\n`;
}

function parseContent(path: string, text: string): Content {
  let parsed: Partial<Record<'version' | keyof Content, unknown>>;
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch (error) {
    throw damaged(path, 'it is not JSON', error);
  }
  if (parsed.version !== formatVersion) throw damaged(path, `its version is ${String(parsed.version)}, not ${formatVersion}`);
  if (!Array.isArray(parsed.topics) || !parsed.topics.every(isTopicRecord)) throw damaged(path, 'its list of topics is not one');
  if (!Array.isArray(parsed.dropped) || !parsed.dropped.every(isNameAndId)) throw damaged(path, 'its list of dropped topics is not one');
  // Before there were views, none was written.
  const views = parsed.views ?? [];
  if (!Array.isArray(views) || !views.every(isSavedView)) throw damaged(path, 'its list of views is not one');
  // Nor could anything but topics be configured.
  const configured = parsed.configured ?? [];
  if (!Array.isArray(configured) || !configured.every(isConfigured)) throw damaged(path, 'its list of what is configured is not one');
  if (typeof parsed.nextProducerId !== 'string' || !/^\d{1,19}$/.test(parsed.nextProducerId))
    throw damaged(path, 'nextProducerId is not one');
  // Nor were changes counted.
  const revision = parsed.revision ?? 0;
  if (typeof revision !== 'number' || !Number.isSafeInteger(revision)) throw damaged(path, 'its revision is no number');
  return { topics: parsed.topics, dropped: parsed.dropped, views, configured, nextProducerId: BigInt(parsed.nextProducerId), revision };
}

function isNameAndId(value: unknown): value is DroppedTopic {
  const topic = value as Partial<Record<keyof DroppedTopic, unknown>> | null;
  return typeof topic?.name === 'string' && isTopicName(topic.name) && typeof topic.id === 'string' && isTopicId(topic.id);
}

function isConfigured(value: unknown): value is Configured {
  const { kind, name, overrides } = (value ?? {}) as Partial<Record<keyof Configured, unknown>>;
  const isKnown = kind === 'group' || kind === 'broker';
  return isKnown && typeof name === 'string' && isTexts(overrides);
}

function isTexts(value: unknown): value is Record<string, string> {
  return typeof value === 'object' && value !== null && Object.values(value).every((text) => typeof text === 'string');
}

function isTopicRecord(value: unknown): value is TopicRecord {
  const topic = value as Partial<Record<keyof TopicRecord, unknown>>;
  return (
    isNameAndId(value) &&
    Number.isInteger(topic.partitions) &&
    typeof topic.overrides === 'object' &&
    typeof topic.isInternal === 'boolean' &&
    typeof topic.createdMs === 'number'
  );
}
