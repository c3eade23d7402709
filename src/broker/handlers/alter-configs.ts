/**
 * AlterConfigs. Versions served: 0–2.
 * Behaviour: the keys of a topic (2), of this broker or all brokers (4) or of a group (32) become those given; what is not among them goes
 * back to its default. A change is durable and applied when it is answered. `validate_only` checks everything and changes nothing.
 * IncrementalAlterConfigs names single keys.
 * Ignored: nothing.
 * Errors, by resource: UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_TOPIC_EXCEPTION (17), INVALID_CONFIG (40, with the hint),
 * INVALID_REQUEST (42: a resource or key listed twice, no value, an internal topic, a type of resource that is not there or has no keys,
 * another broker; of a broker, a key that is read at its start or a value that cannot be used; of client metrics, any key),
 * KAFKA_STORAGE_ERROR (56).
 */
import { LakeError } from '../../kernel/index.js';
import { alterConfigsApi } from '../../wire/index.js';
import { alterResources } from '../configs/altered-resources.js';
import { resourceOfType } from '../configs/resource-kinds.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

export function alterConfigsHandler(core: BrokerCore): Handler {
  return handlerOf(alterConfigsApi, async ({ resources, validateOnly }) => ({
    responses: await alterResources(resources, ({ resourceType, resourceName, configs }) =>
      resourceOfType(resourceType).alter(core, resourceName, () => overridesOf(configs), validateOnly),
    ),
  }));
}

/** Errors: `message-invalid`. */
function overridesOf(configs: readonly { readonly name: string; readonly value: string | null }[]): Record<string, string> {
  const overrides = new Map<string, string>();
  for (const { name, value } of configs) {
    if (overrides.has(name)) throw new LakeError('message-invalid', `${name} is listed more than once`);
    if (value === null) throw new LakeError('message-invalid', `${name} has no value`);
    overrides.set(name, value);
  }
  return Object.fromEntries(overrides);
}
