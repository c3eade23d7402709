/** ApiVersions (KIP-35, KIP-511, KIP-584, KIP-1242): what the broker serves. Its response header is always v0. */
import type { MessageType } from '../notation.js';
import { api, array, bool, int16, int32, int64, request, response, string, struct } from '../notation.js';

const apiVersionsRequest = request('ApiVersions', {
  clientSoftwareName: string({ versions: '3+', ignorable: true }),
  clientSoftwareVersion: string({ versions: '3+', ignorable: true }),
  clusterId: string({ versions: '5+', nullable: true, default: null, ignorable: true }),
  nodeId: int32({ versions: '5+', default: -1, ignorable: true }),
});

const apiVersionsResponse = response('ApiVersions', {
  errorCode: int16(),
  apiKeys: array(struct({ apiKey: int16(), minVersion: int16(), maxVersion: int16() })),
  throttleTimeMs: int32({ versions: '1+', ignorable: true }),
  supportedFeatures: array(struct({ name: string(), minVersion: int16(), maxVersion: int16() }), {
    versions: '3+',
    tag: 0,
    ignorable: true,
  }),
  finalizedFeaturesEpoch: int64({ versions: '3+', tag: 1, default: -1, ignorable: true }),
  finalizedFeatures: array(struct({ name: string(), maxVersionLevel: int16(), minVersionLevel: int16() }), {
    versions: '3+',
    tag: 2,
    ignorable: true,
  }),
  zkMigrationReady: bool({ versions: '3+', tag: 3, default: false, ignorable: true }),
});

export const apiVersionsApi = api({
  key: 18,
  name: 'ApiVersions',
  minVersion: 0,
  maxVersion: 5,
  flexibleFrom: 3,
  request: apiVersionsRequest,
  response: apiVersionsResponse,
});

export type ApiVersionsRequest = MessageType<typeof apiVersionsRequest>;
export type ApiVersionsResponse = MessageType<typeof apiVersionsResponse>;
export type ApiVersionsResponseKey = ApiVersionsResponse['apiKeys'][number];
