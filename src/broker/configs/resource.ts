/** What can be configured, as Kafka numbers it, and what each kind of it answers. */
import type { ConfigSource, KeyType, TopicConfigSource } from '../../config/index.js';
import { LakeError } from '../../kernel/index.js';
import type { DescribeConfigsResponseConfig, MessageInput } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';

/** Kafka's ConfigResource.Type. */
export const resourceTypes = { topic: 2, broker: 4, brokerLogger: 8, clientMetrics: 16, group: 32 } as const;

/** Kafka's ConfigSource. */
export const configSources = {
  topic: 1,
  dynamicBroker: 2,
  dynamicBrokers: 3,
  staticBroker: 4,
  default: 5,
  brokerLogger: 6,
  group: 8,
} as const;

/** Kafka's ConfigType; 0 is none. */
export const configTypes = { boolean: 1, string: 2, int: 3, long: 5, double: 6, list: 7, enum: 2 } as const satisfies Record<
  KeyType,
  number
>;

export type DescribedConfig = MessageInput<DescribeConfigsResponseConfig>;

/** What is asked for of each key beside its value. */
export interface Detail {
  readonly includeSynonyms: boolean;
  readonly includeDocumentation: boolean;
}

/** Keys that are set on a resource, and what follows from them. */
export interface KeySet {
  readonly overrides: Readonly<Record<string, string>>;
  /** A key's value, set or by default; `undefined` for a key that is not known. */
  readonly valueOfKey: (name: string) => unknown;
}

/** The keys of a resource after a change. May throw `message-invalid` and `config-invalid-value`. */
export type ChangeOf = (current: KeySet) => Readonly<Record<string, string>>;

export interface ConfigResource {
  /** Every key there is. Errors: `topic-unknown`, `topic-name-invalid`, `message-invalid` for a name that is none here. */
  describe(core: BrokerCore, name: string, detail: Detail): readonly DescribedConfig[];
  /** Durable and applied when it resolves. Errors: as `describe`, those of the configuration, of the change and of the disk. */
  alter(core: BrokerCore, name: string, changeOf: ChangeOf, isValidateOnly: boolean): Promise<void>;
}

const serverSources: Readonly<Record<ConfigSource, number>> = {
  default: configSources.default,
  file: configSources.staticBroker,
  environment: configSources.staticBroker,
  flag: configSources.staticBroker,
  brokers: configSources.dynamicBrokers,
  broker: configSources.dynamicBroker,
};

export function serverSource(source: ConfigSource): number {
  return serverSources[source];
}

/** Where a topic's value comes from; `server` is the broker's key that it goes by, if any. */
export function topicSource(core: BrokerCore, source: TopicConfigSource, server: string | undefined): number {
  if (source === 'topic') return configSources.topic;
  const set = source === 'server' && server !== undefined ? core.config.entry(server) : undefined;
  return set === undefined ? configSources.default : serverSource(set.source);
}

/** Whether a name is this broker's id. Errors: `message-invalid`. */
export function requireThisBroker(core: BrokerCore, name: string): void {
  if (!/^-?\d{1,10}$/.test(name)) throw new LakeError('message-invalid', `node id must be an integer, but it is: ${name}`);
  if (Number(name) === core.nodeId) return;
  throw new LakeError('message-invalid', `unexpected broker id, expected ${core.nodeId}, but received ${name}`);
}
