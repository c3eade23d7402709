/**
 * AlterConfigs. Versions served: 0–2.
 * Behaviour: the keys of a topic become those given; what is not among them goes back to its default. A change is durable and
 * applied when it is answered. `validate_only` checks everything and changes nothing. IncrementalAlterConfigs names single keys.
 * Ignored: nothing.
 * Errors, by resource: UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_TOPIC_EXCEPTION (17), INVALID_CONFIG (40, with the hint),
 * INVALID_REQUEST (42: a resource or key listed twice, no value, an internal topic, or what is no topic: a broker's keys are read at
 * its start), KAFKA_STORAGE_ERROR (56).
 */
import { LakeError } from '../../kernel/index.js';
import { alterConfigsApi } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { alterTopics } from './altered-topic.js';
import { type Handler, handlerOf } from './handler.js';

export function alterConfigsHandler(core: BrokerCore): Handler {
  return handlerOf(alterConfigsApi, async ({ resources, validateOnly }) => ({
    responses: await alterTopics(core, resources, (_topic, { configs }) => overridesOf(configs), validateOnly),
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
