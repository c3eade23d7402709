/**
 * ApiVersions. Versions served: 0–4.
 * Behaviour: lists every API served; Produce from 0 (see wire). One feature is finalized: `group.version` 1, the new group protocol
 * (KIP-848). A feature that can be switched off (its least version is 0) is named as supported from v4 on only, as in Kafka: older
 * clients take it for malformed. A version above ours is answered by the connection itself, in v0 with error 35 and our range (KIP-511).
 * Ignored: nothing.
 * Errors: INVALID_REQUEST (42) where the client's software name or version is malformed (v3+).
 */
import { type Api, apiVersionsApi, kafkaErrors } from '../../wire/index.js';
import { type Handler, handlerOf } from './handler.js';

const softwarePattern = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;

const supportedFeatures = [{ name: 'group.version', minVersion: 0, maxVersion: 1 }];
const finalizedFeatures = [{ name: 'group.version', minVersionLevel: 1, maxVersionLevel: 1 }];
const zeroFeaturesSince = 4;

export function apiVersionsHandler(served: () => readonly Api[]): Handler {
  return handlerOf(apiVersionsApi, (request, { version }) => {
    const isMalformed =
      version >= 3 && !(softwarePattern.test(request.clientSoftwareName) && softwarePattern.test(request.clientSoftwareVersion));
    if (isMalformed) return { errorCode: kafkaErrors.INVALID_REQUEST, apiKeys: [] };
    return {
      errorCode: kafkaErrors.NONE,
      supportedFeatures: version >= zeroFeaturesSince ? supportedFeatures : [],
      finalizedFeaturesEpoch: 0,
      finalizedFeatures,
      apiKeys: served().map(({ key, advertisedMinVersion, maxVersion }) => ({ apiKey: key, minVersion: advertisedMinVersion, maxVersion })),
    };
  });
}
