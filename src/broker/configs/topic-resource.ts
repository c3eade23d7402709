/** Configuration of topics: their own keys, over the broker's defaults. */
import { resolveTopicConfig, type TopicConfig, type TopicConfigEntry, topicKeySpec } from '../../config/index.js';
import { isTopicName, LakeError } from '../../kernel/index.js';
import type { BrokerCore } from '../core.js';
import type { Topic } from '../topics.js';
import {
  type ConfigResource,
  configSources,
  configTypes,
  type DescribedConfig,
  type Detail,
  type KeySet,
  serverSource,
  topicSource,
} from './resource.js';

export const topicResource: ConfigResource = {
  describe: (core, name, detail) =>
    requireTopic(core, name)
      .config.entries()
      .map((entry) => described(core, entry, detail)),
  alter: async (core, name, changeOf, isValidateOnly) => {
    requireName(name);
    const topic = core.topics.byName(name);
    if (topic?.record.isInternal === true) throw new LakeError('message-invalid', `${name} is the broker's own and stays as it is`);
    // What is wrong with the keys comes first, as from Kafka.
    if (topic === undefined) resolveTopicConfig(core.config, changeOf(keySet({}, resolveTopicConfig(core.config, {}))));
    const { record } = requireTopic(core, name);
    await core.topics.alter(record.id, (current) => changeOf(keySet(current.record.overrides, current.config)), { isValidateOnly });
  },
};

function keySet(overrides: KeySet['overrides'], config: TopicConfig): KeySet {
  return { overrides, valueOfKey: (name) => config.entries().find((entry) => entry.name === name)?.value };
}

function requireName(name: string): void {
  if (!isTopicName(name)) throw new LakeError('topic-name-invalid', 'that is not the name of a topic');
}

function requireTopic(core: BrokerCore, name: string): Topic {
  requireName(name);
  const topic = core.topics.byName(name);
  if (topic === undefined) throw new LakeError('topic-unknown', `there is no topic ${name}`);
  return topic;
}

function described(core: BrokerCore, entry: TopicConfigEntry, detail: Detail): DescribedConfig {
  const { name, text, source, serverName } = entry;
  const spec = topicKeySpec(name);
  return {
    name,
    value: text,
    readOnly: false,
    configSource: topicSource(core, source, serverName),
    isSensitive: false,
    synonyms: detail.includeSynonyms ? synonymsOf(core, entry) : [],
    configType: configTypes[spec.type],
    documentation: detail.includeDocumentation ? spec.doc : null,
  };
}

/** What a topic has by its kind of storage (`retention.ms`, `remote.storage.enable`) is shown as the default, whatever the key's is. */
function synonymsOf(core: BrokerCore, { name, text, source, serverName }: TopicConfigEntry): NonNullable<DescribedConfig['synonyms']> {
  const own = source === 'topic' ? [{ name, value: text, source: configSources.topic }] : [];
  if (serverName === undefined) return own;
  const settings = core.config.settings(serverName);
  return [...own, ...settings.map((set) => ({ name: serverName, value: set.text, source: serverSource(set.source) }))];
}
