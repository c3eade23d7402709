/**
 * IncrementalAlterConfigs. Versions served: 0–1.
 * Behaviour: keys of topics are set, removed, or, where they are lists, appended to and subtracted from; all of a topic's keys or
 * none. A change is durable and applied when it is answered. `validate_only` checks everything and changes nothing.
 * Ignored: nothing.
 * Errors, by resource: UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_TOPIC_EXCEPTION (17), INVALID_CONFIG (40, with the hint),
 * INVALID_REQUEST (42: listed twice, no value, an operation that is not there, an internal topic, or what is no topic: a
 * broker's keys are read at its start), KAFKA_STORAGE_ERROR (56).
 */
import { isTopicName, LakeError, toLakeError } from '../../kernel/index.js';
import {
  incrementalAlterConfigsApi,
  type IncrementalAlterConfigsRequestResource,
  type IncrementalAlterConfigsResponseResource,
  kafkaErrors,
} from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import type { Topic } from '../topics.js';
import { type Handler, handlerOf } from './handler.js';

const topicResource = 2;
const operations = { set: 0, delete: 1, append: 2, subtract: 3 } as const;

export function incrementalAlterConfigsHandler(core: BrokerCore): Handler {
  return handlerOf(incrementalAlterConfigsApi, async ({ resources, validateOnly }) => {
    const responses: IncrementalAlterConfigsResponseResource[] = [];
    for (const resource of resources) {
      const { resourceType, resourceName } = resource;
      const isTwice = resources.some((other) => other !== resource && isSame(other, resource));
      const refusal = isTwice
        ? { errorCode: kafkaErrors.INVALID_REQUEST, errorMessage: `${resourceName} is listed more than once` }
        : await alter(core, resource, validateOnly);
      responses.push({ resourceType, resourceName, ...refusal });
    }
    return { responses };
  });
}

function isSame(a: IncrementalAlterConfigsRequestResource, b: IncrementalAlterConfigsRequestResource): boolean {
  return a.resourceType === b.resourceType && a.resourceName === b.resourceName;
}

type Outcome = Pick<IncrementalAlterConfigsResponseResource, 'errorCode' | 'errorMessage'>;

async function alter(core: BrokerCore, resource: IncrementalAlterConfigsRequestResource, isValidateOnly: boolean): Promise<Outcome> {
  const refuse = (errorCode: number, errorMessage: string): Outcome => ({ errorCode, errorMessage });
  const { resourceType, resourceName } = resource;
  if (resourceType !== topicResource) return refuse(kafkaErrors.INVALID_REQUEST, 'only topics are configured while the broker runs');
  if (!isTopicName(resourceName)) return refuse(kafkaErrors.INVALID_TOPIC_EXCEPTION, 'that is not the name of a topic');
  const topic = core.topics.byName(resourceName);
  if (topic === undefined) return refuse(kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION, `there is no topic ${resourceName}`);
  if (topic.record.isInternal) return refuse(kafkaErrors.INVALID_REQUEST, `${resourceName} is the broker's own and stays as it is`);
  try {
    await core.topics.alter(topic.record.id, (current) => altered(current, resource), { isValidateOnly });
    return { errorCode: kafkaErrors.NONE, errorMessage: null };
  } catch (error) {
    const { kafkaCode, message, hint } = toLakeError(error);
    return refuse(kafkaCode === -1 ? kafkaErrors.KAFKA_STORAGE_ERROR : kafkaCode, hint === undefined ? message : `${message}. ${hint}`);
  }
}

/** The topic's own keys after the change. Errors: `message-invalid`, `config-invalid-value`. */
function altered({ record, config }: Topic, { configs }: IncrementalAlterConfigsRequestResource): Record<string, string> {
  const overrides: Record<string, string> = { ...record.overrides };
  const seen = new Set<string>();
  for (const { name, configOperation, value } of configs) {
    if (seen.has(name)) throw new LakeError('message-invalid', `${name} is listed more than once`);
    seen.add(name);
    if (configOperation === operations.delete) {
      delete overrides[name];
      continue;
    }
    if (value === null) throw new LakeError('message-invalid', `${name} has no value`);
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
        const current = (known?.value ?? []) as readonly string[];
        const given = value.split(',').map((item) => item.trim());
        const kept = current.filter((item) => !given.includes(item));
        overrides[name] = (configOperation === operations.append ? [...kept, ...given] : kept).join(',');
        break;
      }
      default:
        throw new LakeError('message-invalid', `${name}: there is no operation ${configOperation}`);
    }
  }
  return overrides;
}
