/** The topics of this broker: their records in the metadata store, their configuration, their open partitions. */
import { resolveTopicConfig, type ServerConfig, type TopicConfig } from '../config/index.js';
import {
  type Clock,
  freshId,
  isLakeError,
  LakeError,
  Mutex,
  type PartitionId,
  type Random,
  type TopicId,
  type TopicName,
  topicId,
} from '../kernel/index.js';
import type { HotLog, LogConfig, PartitionLog } from '../log/index.js';
import type { Logger } from '../telemetry/index.js';
import { offsetsTopic } from './groups/group-log.js';
import { logConfigOf } from './log-config.js';
import type { MetadataStore, TopicRecord } from './metadata-store.js';
import { checkNewName, checkPartitionRaise, isPartitionCount, topicConfigOf } from './topic-rules.js';

export interface Topic {
  readonly record: TopicRecord;
  readonly config: TopicConfig;
  readonly isTiered: boolean;
  readonly partitions: ReadonlyMap<PartitionId, PartitionLog>;
}

export interface NewTopic {
  readonly name: string;
  readonly partitions: number;
  readonly overrides: Readonly<Record<string, string>>;
}

export interface TopicPorts {
  readonly config: ServerConfig;
  readonly store: MetadataStore;
  readonly log: HotLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Large segments would hold a group's history in memory of nobody; Kafka's own value for this topic. */
const offsetsTopicOverrides = { 'cleanup.policy': 'compact', 'segment.bytes': '104857600', 'compression.type': 'producer' };

export class Topics {
  readonly #ports: TopicPorts;
  readonly #byName = new Map<string, Topic>();
  readonly #byId = new Map<TopicId, Topic>();
  /** Creations and deletions happen one at a time. */
  readonly #changing = new Mutex();
  readonly #listeners = new Set<(removed: Topic | undefined) => void>();

  private constructor(ports: TopicPorts) {
    this.#ports = ports;
  }

  /** Opens every partition of every topic; partitions that no topic owns are removed only where their topic was dropped. */
  static async open(ports: TopicPorts): Promise<Topics> {
    const topics = new Topics(ports);
    await topics.#removeStrays();
    for (const record of ports.store.topics) await topics.#open(record);
    return topics;
  }

  get all(): Iterable<Topic> {
    return this.#byName.values();
  }

  byName(name: string): Topic | undefined {
    return this.#byName.get(name);
  }

  byId(id: TopicId): Topic | undefined {
    return this.#byId.get(id);
  }

  /** Called after a topic came or went (then with it). Returns its own removal. */
  onChange(listener: (removed: Topic | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * What a topic would be, without creating it. Errors: `topic-name-invalid`, `topic-exists`, `request-invalid` (number of
   * partitions), and those of the configuration.
   */
  check(topic: NewTopic): TopicConfig {
    checkNewName(topic.name, this.#names(), this.#ports.store.views);
    if (!isPartitionCount(topic.partitions, this.#ports.config)) {
      throw new LakeError('request-invalid', `topic ${topic.name} cannot have ${topic.partitions} partitions`, {
        hint: `Ask for 1 to ${this.#ports.config.get('topic.max.partitions')} partitions (topic.max.partitions), or −1 for the default.`,
        facts: { topic: topic.name, partitions: topic.partitions },
      });
    }
    return resolveTopicConfig(this.#ports.config, topic.overrides);
  }

  /** Creates a topic; it is durable and open when this resolves. Errors: as `check`, and those of the disk. */
  create(topic: NewTopic): Promise<Topic> {
    return this.#changing.run(() => {
      this.check(topic);
      return this.#create(topic.name as TopicName, topic.partitions, topic.overrides, false);
    });
  }

  /** The topic, created with the server's defaults where it is not there yet. */
  async createIfAbsent(name: string): Promise<Topic> {
    if (name === offsetsTopic) await this.ensureOffsetsTopic();
    try {
      return this.#byName.get(name) ?? (await this.create({ name, partitions: this.#ports.config.get('num.partitions'), overrides: {} }));
    } catch (error) {
      const there = this.#byName.get(name);
      if (isLakeError(error, 'topic-exists') && there !== undefined) return there;
      throw error;
    }
  }

  async ensureOffsetsTopic(): Promise<void> {
    if (this.#byName.has(offsetsTopic)) return;
    await this.#changing.run(async () => {
      if (this.#byName.has(offsetsTopic)) return;
      await this.#create(offsetsTopic, this.#ports.config.get('offsets.topic.num.partitions'), offsetsTopicOverrides, true);
    });
  }

  /**
   * Changes the keys that are set on a topic; durable and applied when this resolves. Errors: `topic-unknown`, `config-refused` where
   * tiering would end and a part is cold, and those of the configuration and the disk; nothing is changed then.
   */
  alter(
    id: TopicId,
    overridesOf: (topic: Topic) => Readonly<Record<string, string>>,
    { isValidateOnly = false }: { readonly isValidateOnly?: boolean } = {},
  ): Promise<void> {
    return this.#changing.run(async () => {
      const topic = this.#byId.get(id);
      if (topic === undefined) throw new LakeError('topic-unknown', `there is no topic of id ${id} any more`);
      const overrides = overridesOf(topic);
      const config = resolveTopicConfig(this.#ports.config, overrides);
      const logConfig = logConfigOf(config, false);
      requireTiering(topic, logConfig);
      if (isValidateOnly) return;
      await this.#untieringFirst([{ topic, logConfig }], () => this.#ports.store.setOverrides(id, overrides));
      this.#configure({ ...topic, record: { ...topic.record, overrides } }, config, logConfig);
      this.#ports.logger.info('topic configured', { topic: topic.record.name, topicId: id, ...overrides });
      this.#tell(undefined);
    });
  }

  /**
   * Has all topics follow other server-wide defaults. `keep` makes those durable and the broker's own, once every topic was found to do
   * with them; without it nothing is changed. Errors: those of `change`, of the configuration, naming the topic, and of `keep`; nothing
   * is changed then.
   */
  reconfigure(change: () => { readonly server: ServerConfig; readonly keep: (() => Promise<void>) | undefined }): Promise<void> {
    return this.#changing.run(async () => {
      const { server, keep } = change();
      const next = [...this.#byName.values()].map((topic) => {
        const config = topicConfigOf(server, topic.record);
        const logConfig = logConfigOf(config, topic.record.isInternal);
        requireTiering(topic, logConfig);
        return { topic, config, logConfig };
      });
      if (keep === undefined) return;
      await this.#untieringFirst(next, keep);
      for (const { topic, config, logConfig } of next) this.#configure(topic, config, logConfig);
      this.#tell(undefined);
    });
  }

  /**
   * Topics that are not to be tiered any more are not from now on, before that is durable: no boundary moves once it was seen that none has.
   * What a tier daemon commits meanwhile is told to nobody, and stays unread.
   */
  async #untieringFirst(
    next: readonly { readonly topic: Topic; readonly logConfig: LogConfig }[],
    keep: () => Promise<void>,
  ): Promise<void> {
    const ending = next.filter(({ topic, logConfig }) => topic.isTiered && !logConfig.isTiered).map(({ topic }) => topic);
    for (const topic of ending) this.#list({ ...topic, isTiered: false });
    try {
      await keep();
    } catch (error) {
      for (const topic of ending) this.#list(topic);
      throw error;
    }
  }

  #configure(topic: Topic, config: TopicConfig, logConfig: LogConfig): void {
    for (const partition of topic.partitions.values()) partition.updateConfig(logConfig);
    this.#list({ ...topic, config, isTiered: logConfig.isTiered });
  }

  /**
   * Raises the number of a topic's partitions; they are durable and open when this resolves. Errors: `topic-unknown`, `request-invalid`
   * where that is no raise or too many, and those of the disk; nothing is changed then.
   */
  addPartitions(id: TopicId, count: number, { isValidateOnly = false }: { readonly isValidateOnly?: boolean } = {}): Promise<void> {
    return this.#changing.run(async () => {
      const topic = this.#byId.get(id);
      if (topic === undefined) throw new LakeError('topic-unknown', `there is no topic of id ${id} any more`);
      const { record, partitions } = topic;
      checkPartitionRaise(record, count, this.#ports.config);
      if (isValidateOnly) return;
      await this.#ports.store.setPartitions(id, count);
      const grown = new Map(partitions);
      try {
        await this.#openPartitions(grown, { ...record, partitions: count }, logConfigOf(topic.config, record.isInternal));
      } catch (error) {
        await this.#removePartitions(record.name, partitions.size, count);
        await this.#ports.store.setPartitions(id, partitions.size);
        throw error;
      }
      this.#list({ ...topic, record: { ...record, partitions: count }, partitions: grown });
      this.#ports.logger.info('partitions added', { topic: record.name, topicId: id, partitions: count });
      this.#tell(undefined);
    });
  }

  #list(topic: Topic): void {
    this.#byName.set(topic.record.name, topic);
    this.#byId.set(topic.record.id, topic);
  }

  /** Forgets a topic and removes its files; it is remembered as dropped until its table, if it has one, is gone too. */
  delete(topic: Topic): Promise<void> {
    return this.#changing.run(async () => {
      const { record } = topic;
      if (!this.#byId.has(record.id)) throw new LakeError('topic-unknown', `topic ${record.name} is gone already`);
      await this.#ports.store.removeTopic(record.id, true);
      this.#byName.delete(record.name);
      this.#byId.delete(record.id);
      this.#tell(topic);
      await this.#ports.log.deletePartitions(record.name, [...topic.partitions.keys()]);
      this.#ports.logger.info('topic deleted', { topic: record.name, topicId: record.id });
    });
  }

  *#names(): Iterable<TopicName> {
    for (const topic of this.#byName.values()) yield topic.record.name;
  }

  async #create(name: TopicName, partitions: number, overrides: Readonly<Record<string, string>>, isInternal: boolean): Promise<Topic> {
    const { store, clock, random, logger } = this.#ports;
    const id = topicId(freshId((length) => random.bytes(length)));
    const record: TopicRecord = { name, id, partitions, overrides, isInternal, createdMs: clock.nowMs() };
    await store.addTopic(record);
    let topic: Topic;
    try {
      topic = await this.#open(record);
    } catch (error) {
      // Files first: where they cannot all be removed, a start opens the topic instead of finding files that nobody owns.
      await this.#removePartitions(name, 0, partitions);
      await store.removeTopic(id, false);
      throw error;
    }
    logger.info('topic created', { topic: name, topicId: id, partitions });
    this.#tell(undefined);
    return topic;
  }

  async #open(record: TopicRecord): Promise<Topic> {
    const config = resolveTopicConfig(this.#ports.config, record.overrides, { isInternal: record.isInternal });
    const logConfig = logConfigOf(config, record.isInternal);
    const partitions = new Map<PartitionId, PartitionLog>();
    await this.#openPartitions(partitions, record, logConfig);
    const topic: Topic = { record, config, isTiered: logConfig.isTiered, partitions };
    this.#list(topic);
    return topic;
  }

  /** Opens what is not in `partitions` yet. */
  async #openPartitions(partitions: Map<PartitionId, PartitionLog>, record: TopicRecord, logConfig: LogConfig): Promise<void> {
    const missing = range(partitions.size, record.partitions);
    const opened = await this.#ports.log.createPartitions(record.name, record.id, missing, logConfig);
    for (const log of opened) partitions.set(log.partition, log);
  }

  async #removePartitions(name: TopicName, from: PartitionId, until: PartitionId): Promise<void> {
    await this.#ports.log.deletePartitions(name, range(from, until));
  }

  async #removeStrays(): Promise<void> {
    const { log, store, logger } = this.#ports;
    const owned = new Set(store.topics.map((topic) => topic.id));
    for (const stray of log.partitions.values()) {
      if (owned.has(stray.topicId)) continue;
      const facts = { topic: stray.topic, topicId: stray.topicId, partition: stray.partition, bytes: stray.hotBytes };
      if (store.dropped.some((dropped) => dropped.id === stray.topicId)) {
        await log.deletePartitions(stray.topic, [stray.partition]);
        logger.info('what was left of a deleted topic is removed', facts);
      } else {
        logger.warn('a partition lies in the log that no topic owns; it is kept and not served', facts);
      }
    }
  }

  #tell(removed: Topic | undefined): void {
    for (const listener of this.#listeners) listener(removed);
  }
}

/** Tiering ends only where nothing is cold yet (`docs/decisions/0014-tiering-taken-back.md`). */
function requireTiering({ record, isTiered, partitions }: Topic, next: LogConfig): void {
  if (!isTiered || next.isTiered) return;
  if (![...partitions.values()].some(({ mayBeCold }) => mayBeCold)) return;
  throw new LakeError('config-refused', `${record.name} has a cold part: remote.storage.enable cannot be taken back`, {
    hint: 'Create another topic with remote.storage.enable=false and copy what is still needed.',
    facts: { key: 'remote.storage.enable' },
  });
}

function range(from: PartitionId, until: PartitionId): PartitionId[] {
  return Array.from({ length: Math.max(0, until - from) }, (_none, i) => from + i);
}
