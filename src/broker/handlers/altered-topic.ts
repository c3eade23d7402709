/** Changing what is set on a topic, for both APIs that do: which resources can be changed, and how a refusal is answered. */
import { resolveTopicConfig, type TopicConfig } from '../../config/index.js';
import { isTopicName, messageWithHint, toLakeError } from '../../kernel/index.js';
import { kafkaErrors } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import type { Topic } from '../topics.js';

const topicResource = 2;

interface Resource {
  readonly resourceType: number;
  readonly resourceName: string;
}

interface Outcome {
  readonly errorCode: number;
  readonly errorMessage: string | null;
}

/** What is set on a topic, and what follows from it. */
export interface SetTopic {
  readonly overrides: Readonly<Record<string, string>>;
  readonly config: TopicConfig;
}

/**
 * Alters resources one after the other and answers each in its place. `overridesOf` gives the topic's own keys after the change, and may
 * throw `message-invalid` and `config-invalid-value`.
 */
export async function alterTopics<R extends Resource>(
  core: BrokerCore,
  resources: readonly R[],
  overridesOf: (topic: SetTopic, resource: R) => Readonly<Record<string, string>>,
  isValidateOnly: boolean,
): Promise<(Resource & Outcome)[]> {
  const responses: (Resource & Outcome)[] = [];
  for (const resource of resources) {
    const { resourceType, resourceName } = resource;
    const isTwice = resources.some((other) => other !== resource && isSame(other, resource));
    const outcome = isTwice
      ? { errorCode: kafkaErrors.INVALID_REQUEST, errorMessage: `${resourceName} is listed more than once` }
      : await alter(core, resource, (topic) => overridesOf(topic, resource), isValidateOnly);
    responses.push({ resourceType, resourceName, ...outcome });
  }
  return responses;
}

function isSame(a: Resource, b: Resource): boolean {
  return a.resourceType === b.resourceType && a.resourceName === b.resourceName;
}

async function alter(
  core: BrokerCore,
  { resourceType, resourceName }: Resource,
  overridesOf: (topic: SetTopic) => Readonly<Record<string, string>>,
  isValidateOnly: boolean,
): Promise<Outcome> {
  const refuse = (errorCode: number, errorMessage: string): Outcome => ({ errorCode, errorMessage });
  if (resourceType !== topicResource) return refuse(kafkaErrors.INVALID_REQUEST, 'only topics are configured while the broker runs');
  if (!isTopicName(resourceName)) return refuse(kafkaErrors.INVALID_TOPIC_EXCEPTION, 'that is not the name of a topic');
  const topic = core.topics.byName(resourceName);
  if (topic?.record.isInternal === true)
    return refuse(kafkaErrors.INVALID_REQUEST, `${resourceName} is the broker's own and stays as it is`);
  try {
    if (topic === undefined) {
      // What is wrong with the keys comes first, as from Kafka.
      resolveTopicConfig(core.config, overridesOf({ overrides: {}, config: resolveTopicConfig(core.config, {}) }));
      return refuse(kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION, `there is no topic ${resourceName}`);
    }
    const setOf = ({ record, config }: Topic): SetTopic => ({ overrides: record.overrides, config });
    await core.topics.alter(topic.record.id, (current) => overridesOf(setOf(current)), { isValidateOnly });
    return { errorCode: kafkaErrors.NONE, errorMessage: null };
  } catch (error) {
    const refusal = toLakeError(error);
    const { kafkaCode } = refusal;
    return refuse(kafkaCode === -1 ? kafkaErrors.KAFKA_STORAGE_ERROR : kafkaCode, messageWithHint(refusal));
  }
}
