/**
 * IncrementalAlterConfigs. Versions served: 0–1.
 * Behaviour: keys of topics are set, removed, or, where they are lists, appended to and subtracted from; all of a topic's keys or
 * none. A change is durable and applied when it is answered. `validate_only` checks everything and changes nothing.
 * Ignored: nothing.
 * Errors, by resource: UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_TOPIC_EXCEPTION (17), INVALID_CONFIG (40, with the hint),
 * INVALID_REQUEST (42: listed twice, no value, an operation that is not there, an internal topic, or what is no topic: a
 * broker's keys are read at its start), KAFKA_STORAGE_ERROR (56).
 */
import { LakeError } from '../../kernel/index.js';
import { incrementalAlterConfigsApi, type IncrementalAlterConfigsRequestResource } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { alterTopics, type SetTopic } from './altered-topic.js';
import { type Handler, handlerOf } from './handler.js';

const operations = { set: 0, delete: 1, append: 2, subtract: 3 } as const;

export function incrementalAlterConfigsHandler(core: BrokerCore): Handler {
  return handlerOf(incrementalAlterConfigsApi, async ({ resources, validateOnly }) => ({
    responses: await alterTopics(core, resources, altered, validateOnly),
  }));
}

/** The topic's own keys after the change. Errors: `message-invalid`, `config-invalid-value`. */
function altered({ overrides: current, config }: SetTopic, { configs }: IncrementalAlterConfigsRequestResource): Record<string, string> {
  const overrides: Record<string, string> = { ...current };
  const seen = new Set<string>();
  for (const { name, configOperation, value } of configs) {
    if (seen.has(name)) throw new LakeError('message-invalid', `${name} is listed more than once`);
    seen.add(name);
    if (configOperation !== operations.delete && value === null) throw new LakeError('message-invalid', `${name} has no value`);
  }
  for (const { name, configOperation, value } of configs) {
    if (configOperation === operations.delete || value === null) {
      delete overrides[name];
      continue;
    }
    const known = config.entries().find((entry) => entry.name === name);
    switch (configOperation) {
      case operations.set:
        overrides[name] = value;
        break;
      case operations.append:
      case operations.subtract: {
        if (known !== undefined && !Array.isArray(known.value)) {
          throw new LakeError('config-invalid-value', `${name} is not a list`, { hint: 'Set it instead.' });
        }
        const items = (known?.value ?? []) as readonly string[];
        const given = value.split(',').map((item) => item.trim());
        const kept = items.filter((item) => !given.includes(item));
        overrides[name] = (configOperation === operations.append ? [...kept, ...given] : kept).join(',');
        break;
      }
      default:
        throw new LakeError('message-invalid', `${name}: there is no operation ${configOperation}`);
    }
  }
  return overrides;
}
