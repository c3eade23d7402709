/** Every kind of resource that has keys, by its number. The levels of loggers go another way: they cannot be replaced as a whole. */
import { LakeError } from '../../kernel/index.js';
import { brokerResource } from './broker-resource.js';
import { clientMetricsResource } from './client-metrics-resource.js';
import { groupResource } from './group-resource.js';
import { type ConfigResource, resourceTypes } from './resource.js';
import { topicResource } from './topic-resource.js';

const kinds: ReadonlyMap<number, ConfigResource> = new Map([
  [resourceTypes.topic, topicResource],
  [resourceTypes.broker, brokerResource],
  [resourceTypes.clientMetrics, clientMetricsResource],
  [resourceTypes.group, groupResource],
]);

/** Errors: `message-invalid` for a type that is not there. */
export function resourceOfType(type: number): ConfigResource {
  const kind = kinds.get(type);
  if (kind === undefined) throw new LakeError('message-invalid', `unknown resource type ${type}`);
  return kind;
}
