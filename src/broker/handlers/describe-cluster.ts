/**
 * DescribeCluster. Versions served: 0–2.
 * Behaviour: one broker, which is the controller too.
 * Ignored: whether fenced brokers are wanted (there are none).
 * Errors: UNSUPPORTED_ENDPOINT_TYPE (115, neither brokers nor controllers), MISMATCHED_ENDPOINT_TYPE (114, controllers: this is a
 * listener of brokers).
 */
import { describeClusterApi, kafkaErrors } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { authorizedOperations } from './authorized-operations.js';
import { type Handler, handlerOf } from './handler.js';

const endpointTypes = { broker: 1, controller: 2 } as const;

export function describeClusterHandler(core: BrokerCore): Handler {
  return handlerOf(describeClusterApi, ({ endpointType, includeClusterAuthorizedOperations }) => {
    if (endpointType !== endpointTypes.broker) {
      const isKnown = endpointType === endpointTypes.controller;
      return {
        errorCode: isKnown ? kafkaErrors.MISMATCHED_ENDPOINT_TYPE : kafkaErrors.UNSUPPORTED_ENDPOINT_TYPE,
        errorMessage: isKnown ? 'this is an endpoint of brokers, not of controllers' : `there is no endpoint type ${endpointType}`,
        clusterId: '',
        brokers: [],
      };
    }
    const { host, port } = core.advertised();
    return {
      errorCode: kafkaErrors.NONE,
      clusterId: core.clusterId,
      controllerId: core.nodeId,
      brokers: [{ brokerId: core.nodeId, host, port, rack: null, isFenced: false }],
      clusterAuthorizedOperations: authorizedOperations('cluster', includeClusterAuthorizedOperations),
    };
  });
}
