/**
 * ApiVersions. Versions served: 0–4.
 * Behaviour: lists every API served; Produce from 0 (see wire). No features are finalized, so clients keep to the protocols
 * that need none. A version above ours is answered by the connection itself, in v0 with error 35 and our range (KIP-511).
 * Ignored: nothing.
 * Errors: INVALID_REQUEST (42) where the client's software name or version is malformed (v3+).
 */
import { type Api, apiVersionsApi, kafkaErrors } from '../../wire/index.js';
import { type Handler, handlerOf } from './handler.js';

const softwarePattern = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;

export function apiVersionsHandler(served: () => readonly Api[]): Handler {
  return handlerOf(apiVersionsApi, (request, { version }) => {
    const isMalformed =
      version >= 3 && !(softwarePattern.test(request.clientSoftwareName) && softwarePattern.test(request.clientSoftwareVersion));
    if (isMalformed) return { errorCode: kafkaErrors.INVALID_REQUEST, apiKeys: [] };
    return {
      errorCode: kafkaErrors.NONE,
      apiKeys: served().map(({ key, advertisedMinVersion, maxVersion }) => ({ apiKey: key, minVersion: advertisedMinVersion, maxVersion })),
    };
  });
}
