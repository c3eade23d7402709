/**
 * ListConfigResources. Versions served: 0–1.
 * Behaviour: the topics and this broker. Subscriptions to client metrics, configured groups and loggers do not exist here, so asking for
 * those, as v0 always does, gives none. No types asks for all.
 * Ignored: nothing.
 * Errors: UNSUPPORTED_VERSION (35) where a type is asked for that Kafka does not list either.
 */
import { kafkaErrors, listConfigResourcesApi } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

const resourceTypes = { topic: 2, broker: 4, brokerLogger: 8, clientMetrics: 16, group: 32 } as const;
const known: ReadonlySet<number> = new Set(Object.values(resourceTypes));
/** v0 (ListClientMetricsResources) knows no other. */
const onlyClientMetrics: readonly number[] = [resourceTypes.clientMetrics];

export function listConfigResourcesHandler(core: BrokerCore): Handler {
  return handlerOf(listConfigResourcesApi, (request, { version }) => {
    const asked = version === 0 ? onlyClientMetrics : request.resourceTypes;
    if (asked.some((type) => !known.has(type))) return { errorCode: kafkaErrors.UNSUPPORTED_VERSION, configResources: [] };
    const isAsked = (type: number): boolean => asked.length === 0 || asked.includes(type);
    const topics = isAsked(resourceTypes.topic) ? [...core.topics.all].map(({ record }): string => record.name) : [];
    const brokers = isAsked(resourceTypes.broker) ? [String(core.nodeId)] : [];
    return {
      errorCode: kafkaErrors.NONE,
      configResources: [
        ...topics.map((resourceName) => ({ resourceName, resourceType: resourceTypes.topic })),
        ...brokers.map((resourceName) => ({ resourceName, resourceType: resourceTypes.broker })),
      ],
    };
  });
}
