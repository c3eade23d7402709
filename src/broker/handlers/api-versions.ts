/**
 * ApiVersions. Versions served: 0–5.
 * Behaviour: lists every API served; Produce from 0 (see wire). One feature is finalized: `group.version` 1, the new group protocol
 * (KIP-848). A feature that can be switched off (its least version is 0) is named as supported from v4 on only, as in Kafka: older
 * clients take it for malformed. From v5 on a client may say which cluster and broker it means to have reached (KIP-1242), and is told
 * where this is another one. A version above ours is answered by the connection itself, in v0 with error 35 and our range (KIP-511).
 * Ignored: nothing.
 * Errors: INVALID_REQUEST (42) where the client's software name or version is malformed (v3+), or where it names a cluster without a
 * broker or a broker without a cluster (v5+); REBOOTSTRAP_REQUIRED (129) where it means another cluster or broker (v5+).
 */
import { type Api, apiVersionsApi, type ApiVersionsRequest, kafkaErrors } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { finalizedFeatures, supportedFeatures } from './features.js';
import { type Handler, handlerOf } from './handler.js';

const softwarePattern = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;

const zeroFeaturesSince = 4;
const softwareSince = 3;
/** `nodeId` of a client that does not say which broker it means. */
const anyNode = -1;

export function apiVersionsHandler(core: BrokerCore, served: () => readonly Api[]): Handler {
  return handlerOf(apiVersionsApi, (request, { version }) => {
    const refusal = refusalOf(core, request, version);
    if (refusal !== kafkaErrors.NONE) return { errorCode: refusal, apiKeys: [] };
    return {
      errorCode: kafkaErrors.NONE,
      supportedFeatures: version >= zeroFeaturesSince ? supportedFeatures : [],
      finalizedFeaturesEpoch: 0,
      finalizedFeatures,
      apiKeys: served().map(({ key, advertisedMinVersion, maxVersion }) => ({ apiKey: key, minVersion: advertisedMinVersion, maxVersion })),
    };
  });
}

/** Below v5 no cluster and no broker is named. */
function refusalOf(core: BrokerCore, request: ApiVersionsRequest, version: number): number {
  const { clientSoftwareName, clientSoftwareVersion, clusterId, nodeId } = request;
  const isNamed = softwarePattern.test(clientSoftwareName) && softwarePattern.test(clientSoftwareVersion);
  if (version >= softwareSince && !isNamed) return kafkaErrors.INVALID_REQUEST;
  if ((clusterId === null) !== (nodeId === anyNode)) return kafkaErrors.INVALID_REQUEST;
  const isElsewhere = clusterId !== null && (clusterId !== core.clusterId || nodeId !== core.nodeId);
  return isElsewhere ? kafkaErrors.REBOOTSTRAP_REQUIRED : kafkaErrors.NONE;
}
