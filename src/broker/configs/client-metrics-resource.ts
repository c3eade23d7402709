/**
 * Subscriptions to metrics of clients (KIP-714). Nothing here receives such metrics, so there is no subscription and none can be made:
 * each is described by its defaults, as one in Kafka of which nothing is set.
 */
import { LakeError } from '../../kernel/index.js';
import { type ConfigResource, configSources, configTypes, type DescribedConfig } from './resource.js';

const notReceived = 'Metrics of clients are not received here: shown as Kafka’s default, and cannot be set.';
const keys: readonly { readonly name: string; readonly type: 'int' | 'list'; readonly value: string }[] = [
  { name: 'interval.ms', type: 'int', value: '300000' },
  { name: 'match', type: 'list', value: '' },
  { name: 'metrics', type: 'list', value: '' },
];

export const clientMetricsResource: ConfigResource = {
  describe: (_core, name, { includeDocumentation }) => {
    requireName(name);
    return keys.map(
      ({ name: key, type, value }): DescribedConfig => ({
        name: key,
        value,
        readOnly: true,
        configSource: configSources.default,
        isSensitive: false,
        synonyms: [],
        configType: configTypes[type],
        documentation: includeDocumentation ? notReceived : null,
      }),
    );
  },
  alter: async (_core, name, changeOf) => {
    requireName(name);
    const overrides = changeOf({ overrides: {}, valueOfKey: (key) => (keys.find((known) => known.name === key)?.type === 'int' ? 0 : []) });
    const names = Object.keys(overrides);
    if (names.length === 0) return;
    const unknown = names.find((key) => !keys.some((known) => known.name === key));
    if (unknown !== undefined) throw new LakeError('message-invalid', `unknown client metrics configuration: ${unknown}`);
    throw new LakeError('message-invalid', 'metrics of clients are not received here', {
      hint: 'Take metrics from the clients themselves; those of the broker are at /metrics of the gateway.',
    });
  },
};

function requireName(name: string): void {
  if (name === '') throw new LakeError('message-invalid', 'client metrics subscription name must not be empty');
}
