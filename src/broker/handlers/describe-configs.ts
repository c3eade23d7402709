/**
 * DescribeConfigs. Versions served: 1–4.
 * Behaviour: every key of a topic (2), of this broker (4; by the empty name what is set to all brokers), of a group (32) or of a
 * subscription to client metrics (16) with its value, type, source, synonyms and documentation (where asked for); the level of the broker's
 * one logger (8). Groups and subscriptions need not be there, as in Kafka. What is shown and cannot be set is read-only: what a broker reads
 * at its start, keys of share and streams groups, subscriptions.
 * Ignored: nothing.
 * Errors, by resource: UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_TOPIC_EXCEPTION (17), INVALID_REQUEST (42: another broker, no name, or a
 * resource type that is not there).
 */
import { messageWithHint, toLakeError } from '../../kernel/index.js';
import {
  describeConfigsApi,
  type DescribeConfigsRequestResource,
  type DescribeConfigsResponseResult,
  kafkaErrors,
  type MessageInput,
} from '../../wire/index.js';
import { describeLoggers } from '../configs/broker-loggers.js';
import { type DescribedConfig, type Detail, resourceTypes } from '../configs/resource.js';
import { resourceOfType } from '../configs/resource-kinds.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

type Result = MessageInput<DescribeConfigsResponseResult>;

export function describeConfigsHandler(core: BrokerCore): Handler {
  return handlerOf(describeConfigsApi, (request) => ({ results: request.resources.map((resource) => describe(core, resource, request)) }));
}

function describe(
  core: BrokerCore,
  { resourceType, resourceName, configurationKeys }: DescribeConfigsRequestResource,
  detail: Detail,
): Result {
  const isAsked = ({ name }: DescribedConfig): boolean =>
    configurationKeys === null || configurationKeys.length === 0 || configurationKeys.includes(name);
  try {
    const configs =
      resourceType === resourceTypes.brokerLogger
        ? describeLoggers(core, resourceName)
        : resourceOfType(resourceType).describe(core, resourceName, detail);
    return { errorCode: kafkaErrors.NONE, errorMessage: '', resourceType, resourceName, configs: configs.filter(isAsked) };
  } catch (error) {
    const refusal = toLakeError(error);
    return { errorCode: refusal.kafkaCode, errorMessage: messageWithHint(refusal), resourceType, resourceName, configs: [] };
  }
}
