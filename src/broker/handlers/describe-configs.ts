/**
 * DescribeConfigs. Versions served: 1–4.
 * Behaviour: every key of a topic or of this broker with its value, type, source, synonyms and documentation (where asked for).
 * Ignored: nothing.
 * Errors, by resource: UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_TOPIC_EXCEPTION (17), INVALID_REQUEST (42: another broker, or a
 * resource type that is not there).
 */
import {
  type ConfigEntry,
  type KeyType,
  serverKeySpecs,
  type TopicConfigEntry,
  type TopicConfigSource,
  topicKeySpec,
} from '../../config/index.js';
import { isTopicName } from '../../kernel/index.js';
import {
  describeConfigsApi,
  type DescribeConfigsRequestResource,
  type DescribeConfigsResponseConfig,
  type DescribeConfigsResponseResult,
  kafkaErrors,
  type MessageInput,
} from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

const resourceTypes = { topic: 2, broker: 4 } as const;
/** Kafka's ConfigSource. */
const configSources = { topic: 1, server: 4, default: 5 } as const satisfies Record<TopicConfigSource, number>;
/** Kafka's ConfigType. */
const configTypes = { boolean: 1, string: 2, int: 3, long: 5, double: 6, list: 7, enum: 2 } as const satisfies Record<KeyType, number>;

type Config = MessageInput<DescribeConfigsResponseConfig>;
type Result = MessageInput<DescribeConfigsResponseResult>;

interface Detail {
  readonly includeSynonyms: boolean;
  readonly includeDocumentation: boolean;
}

export function kafkaConfigSource(source: TopicConfigSource): number {
  return configSources[source];
}

export function describeConfigsHandler(core: BrokerCore): Handler {
  return handlerOf(describeConfigsApi, (request) => ({ results: request.resources.map((resource) => describe(core, resource, request)) }));
}

function describe(core: BrokerCore, resource: DescribeConfigsRequestResource, detail: Detail): Result {
  const { resourceType, resourceName, configurationKeys } = resource;
  const isAll = configurationKeys === null || configurationKeys.length === 0;
  const answer = (errorCode: number, errorMessage: string, configs: readonly Config[]): Result => ({
    errorCode,
    errorMessage,
    resourceType,
    resourceName,
    configs: isAll ? configs : configs.filter(({ name }) => configurationKeys.includes(name)),
  });
  if (resourceType === resourceTypes.topic) {
    const topic = core.topics.byName(resourceName);
    if (topic !== undefined) {
      const configs = topic.config.entries().map((entry) => topicEntry(entry, detail));
      return answer(kafkaErrors.NONE, '', configs);
    }
    return isTopicName(resourceName)
      ? answer(kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION, `there is no topic ${resourceName}`, [])
      : answer(kafkaErrors.INVALID_TOPIC_EXCEPTION, 'that is not the name of a topic', []);
  }
  if (resourceType === resourceTypes.broker && (resourceName === '' || resourceName === String(core.nodeId))) {
    const configs = core.config.entries().map((entry) => serverEntry(entry, detail));
    return answer(kafkaErrors.NONE, '', configs);
  }
  return answer(kafkaErrors.INVALID_REQUEST, `there is no resource ${resourceType}:${resourceName}; this is broker ${core.nodeId}`, []);
}

function topicEntry(entry: TopicConfigEntry, detail: Detail): Config {
  const { name, text, source, serverName } = entry;
  const spec = topicKeySpec(name);
  const own = source === 'topic' ? [{ name, value: text, source: configSources.topic }] : [];
  const server = source === 'server' && serverName !== undefined ? [{ name: serverName, value: text, source: configSources.server }] : [];
  const byDefault = [{ name: serverName ?? name, value: spec.defaultText, source: configSources.default }];
  return {
    name,
    value: text,
    readOnly: false,
    configSource: configSources[source],
    isSensitive: false,
    synonyms: detail.includeSynonyms ? [...own, ...server, ...byDefault] : [],
    configType: configTypes[spec.type],
    documentation: detail.includeDocumentation ? spec.doc : null,
  };
}

function serverEntry(entry: ConfigEntry, detail: Detail): Config {
  const spec = serverKeySpecs.get(entry.name);
  const isSensitive = spec?.isSecret === true;
  const source = entry.source === 'default' ? configSources.default : configSources.server;
  return {
    name: entry.name,
    value: isSensitive ? null : entry.text,
    readOnly: true,
    configSource: source,
    isSensitive,
    synonyms: detail.includeSynonyms && !isSensitive ? [{ name: entry.name, value: entry.text, source }] : [],
    configType: configTypes[spec?.type ?? 'string'],
    documentation: detail.includeDocumentation ? (spec?.doc ?? null) : null,
  };
}
