/** Configuration of this broker, by its id, and of all brokers, by the empty name: what was set at the start, and while it ran (KIP-226). */
import { checkDynamicKeys, type DynamicLevel, isDynamicKey, serverKeySpecs } from '../../config/index.js';
import type { BrokerCore } from '../core.js';
import { allBrokers } from '../metadata-store.js';
import { type ConfigResource, configTypes, type DescribedConfig, type Detail, requireThisBroker, serverSource } from './resource.js';

export const brokerResource: ConfigResource = {
  describe: (core, name, detail) => {
    const { config } = core;
    const isOfAll = levelOf(core, name) === 'brokers';
    // Of all brokers only what is set to all is known, as in Kafka.
    const names = isOfAll ? Object.keys(config.overridesAt('brokers')) : config.entries().map((entry) => entry.name);
    return names.map((key) => described(core, key, detail, isOfAll));
  },
  alter: (core, name, changeOf, isValidateOnly) => {
    const { config, store, topics } = core;
    const level = levelOf(core, name);
    return topics.reconfigure(() => {
      const overrides = changeOf({ overrides: config.overridesAt(level), valueOfKey: (key) => config.entry(key)?.value });
      checkDynamicKeys(overrides);
      const keep = async (): Promise<void> => {
        await store.setConfigured({ kind: 'broker', name, overrides });
        config.set(level, overrides);
        core.logger.info('broker configured', { level, ...overrides });
      };
      return { server: config.preview(level, overrides), keep: isValidateOnly ? undefined : keep };
    });
  },
};

function levelOf(core: BrokerCore, name: string): DynamicLevel {
  if (name === allBrokers) return 'brokers';
  requireThisBroker(core, name);
  return 'broker';
}

/** A secret has neither a value nor synonyms. */
function described(core: BrokerCore, name: string, detail: Detail, isOfAllOnly: boolean): DescribedConfig {
  const spec = serverKeySpecs.get(name)!;
  const settings = core.config.settings(name).filter(({ source }) => !isOfAllOnly || source === 'brokers');
  const isSensitive = spec.isSecret === true;
  const synonyms = settings.map((set) => ({ name, value: set.text, source: serverSource(set.source) }));
  return {
    name,
    value: isSensitive ? null : settings[0]!.text,
    readOnly: !isDynamicKey(name),
    configSource: serverSource(settings[0]!.source),
    isSensitive,
    synonyms: detail.includeSynonyms && !isSensitive ? synonyms : [],
    configType: configTypes[spec.type],
    documentation: detail.includeDocumentation ? spec.doc : null,
  };
}
