/** Configuration of groups: what members of the new protocol (KIP-848) obey, by group, whether there is a group of that id or not. */
import { type GroupConfig, type GroupConfigEntry, groupKeySpec } from '../../config/index.js';
import { LakeError } from '../../kernel/index.js';
import { type ConfigResource, configSources, configTypes, type DescribedConfig, type Detail, type KeySet } from './resource.js';

const sourceBelow = { server: configSources.staticBroker, default: configSources.default } as const;

export const groupResource: ConfigResource = {
  describe: (core, name, detail) => {
    if (name === '') throw new LakeError('message-invalid', 'group name must not be empty');
    return core.groupConfigs
      .of(name)
      .entries()
      .map((entry) => described(entry, detail));
  },
  alter: (core, name, changeOf, isValidateOnly) => {
    const { groupConfigs } = core;
    const changed = (overrides: KeySet['overrides']): KeySet['overrides'] => {
      const after = changeOf(keySet(overrides, groupConfigs.of(name)));
      // As from Kafka, what cannot be changed that way is told first.
      if (name === '') throw new LakeError('message-invalid', 'default group resources are not allowed');
      return after;
    };
    return groupConfigs.alter(name, changed, isValidateOnly);
  },
};

function keySet(overrides: KeySet['overrides'], config: GroupConfig): KeySet {
  return { overrides, valueOfKey: (name) => config.entries().find((entry) => entry.name === name)?.value };
}

function described({ name, text, source, below }: GroupConfigEntry, detail: Detail): DescribedConfig {
  const spec = groupKeySpec(name);
  const own = source === 'group' ? [{ name, value: text, source: configSources.group }] : [];
  const synonyms = [...own, ...below.map((set) => ({ name: set.name, value: set.text, source: sourceBelow[set.source] }))];
  return {
    name,
    value: text,
    readOnly: spec.absent !== undefined,
    configSource: synonyms[0]!.source,
    isSensitive: false,
    synonyms: detail.includeSynonyms ? synonyms : [],
    configType: configTypes[spec.type],
    documentation: detail.includeDocumentation ? spec.doc : null,
  };
}
