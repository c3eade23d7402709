/**
 * ListConfigResources. Versions served: 0–1.
 * Behaviour: the topics, this broker, its logger, and groups with keys of their own. There are no subscriptions to client metrics, so
 * asking for those, as v0 always does, gives none. No types asks for all.
 * Ignored: nothing.
 * Errors: UNSUPPORTED_VERSION (35) where a type is asked for that Kafka does not list either.
 */
import { kafkaErrors, listConfigResourcesApi } from '../../wire/index.js';
import { resourceTypes } from '../configs/resource.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

const known: ReadonlySet<number> = new Set(Object.values(resourceTypes));
/** v0 (ListClientMetricsResources) knows no other. */
const onlyClientMetrics: readonly number[] = [resourceTypes.clientMetrics];

export function listConfigResourcesHandler(core: BrokerCore): Handler {
  return handlerOf(listConfigResourcesApi, (request, { version }) => {
    const asked = version === 0 ? onlyClientMetrics : request.resourceTypes;
    if (asked.some((type) => !known.has(type))) return { errorCode: kafkaErrors.UNSUPPORTED_VERSION, configResources: [] };
    const node = String(core.nodeId);
    const all = [
      ...[...core.groupConfigs.names].map((resourceName) => ({ resourceName, resourceType: resourceTypes.group })),
      { resourceName: node, resourceType: resourceTypes.brokerLogger },
      { resourceName: node, resourceType: resourceTypes.broker },
      ...[...core.topics.all].map(({ record }) => ({ resourceName: record.name, resourceType: resourceTypes.topic })),
    ];
    const configResources = all.filter(({ resourceType }) => asked.length === 0 || asked.includes(resourceType));
    return { errorCode: kafkaErrors.NONE, configResources };
  });
}
