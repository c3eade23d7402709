/**
 * IncrementalAlterConfigs. Versions served: 0–1.
 * Behaviour: keys of topics (2), of this broker or all brokers (4) and of groups (32) are set, removed, or, where they are lists, appended
 * to and subtracted from; all of a resource's keys or none. A change is durable and applied when it is answered. The level of the broker's
 * logger `root` (8) is set until the process ends. `validate_only` checks everything and changes nothing.
 * Ignored: nothing.
 * Errors, by resource: UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_TOPIC_EXCEPTION (17), INVALID_CONFIG (40, with the hint),
 * INVALID_REQUEST (42: listed twice, no value, an operation that is not there, an internal topic, a type of resource that is not there,
 * another broker; of a broker, a key that is read at its start or a value that cannot be used; of client metrics, any key),
 * KAFKA_STORAGE_ERROR (56).
 */
import { LakeError } from '../../kernel/index.js';
import { incrementalAlterConfigsApi, type IncrementalAlterConfigsRequestResource } from '../../wire/index.js';
import { alterResources } from '../configs/altered-resources.js';
import { alterLoggers } from '../configs/broker-loggers.js';
import { type KeySet, resourceTypes } from '../configs/resource.js';
import { resourceOfType } from '../configs/resource-kinds.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

type Change = IncrementalAlterConfigsRequestResource['configs'][number];

const operations = { set: 0, delete: 1, append: 2, subtract: 3 } as const;

export function incrementalAlterConfigsHandler(core: BrokerCore): Handler {
  return handlerOf(incrementalAlterConfigsApi, async ({ resources, validateOnly }) => ({
    responses: await alterResources(resources, ({ resourceType, resourceName, configs }) => {
      checkForm(configs);
      if (resourceType === resourceTypes.brokerLogger) return alterLoggers(core, resourceName, configs, validateOnly);
      return resourceOfType(resourceType).alter(core, resourceName, (current) => altered(current, configs), validateOnly);
    }),
  }));
}

/** Errors: `message-invalid`. */
function checkForm(configs: readonly Change[]): void {
  const seen = new Set<string>();
  for (const { name, configOperation, value } of configs) {
    if (seen.has(name)) throw new LakeError('message-invalid', `${name} is listed more than once`);
    seen.add(name);
    if (configOperation !== operations.delete && value === null) throw new LakeError('message-invalid', `${name} has no value`);
  }
}

/** The resource's own keys after the change. Errors: `message-invalid`, `config-invalid-value`. */
function altered({ overrides: current, valueOfKey }: KeySet, configs: readonly Change[]): Record<string, string> {
  const overrides: Record<string, string> = { ...current };
  for (const { name, configOperation, value } of configs) {
    if (configOperation === operations.delete || value === null) {
      delete overrides[name];
      continue;
    }
    switch (configOperation) {
      case operations.set:
        overrides[name] = value;
        break;
      case operations.append:
      case operations.subtract: {
        const known = valueOfKey(name) ?? [];
        if (!Array.isArray(known)) throw new LakeError('config-invalid-value', `${name} is not a list`, { hint: 'Set it instead.' });
        const given = value.split(',').map((item) => item.trim());
        const kept = (known as readonly string[]).filter((item) => !given.includes(item));
        overrides[name] = (configOperation === operations.append ? [...kept, ...given] : kept).join(',');
        break;
      }
      default:
        throw new LakeError('message-invalid', `${name}: there is no operation ${configOperation}`);
    }
  }
  return overrides;
}
