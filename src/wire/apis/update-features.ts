/** UpdateFeatures: finalizes versions of features (KIP-584, KIP-778). */
import type { MessageType } from '../notation.js';
import { api, array, bool, int16, int32, int8, request, response, string, struct } from '../notation.js';

const updateFeaturesRequest = request('UpdateFeatures', {
  timeoutMs: int32({ default: 60000 }),
  featureUpdates: array(
    struct({
      feature: string(),
      maxVersionLevel: int16(),
      allowDowngrade: bool({ versions: '0' }),
      upgradeType: int8({ versions: '1+', default: 1 }),
    }),
  ),
  validateOnly: bool({ versions: '1+', default: false }),
});

const updateFeaturesResponse = response('UpdateFeatures', {
  throttleTimeMs: int32({ default: 0 }),
  errorCode: int16(),
  errorMessage: string({ nullable: true }),
  results: array(
    struct({
      feature: string(),
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
    }),
    { versions: '0-1', ignorable: true },
  ),
});

export const updateFeaturesApi = api({
  key: 57,
  name: 'UpdateFeatures',
  minVersion: 0,
  maxVersion: 2,
  flexibleFrom: 0,
  request: updateFeaturesRequest,
  response: updateFeaturesResponse,
});

export type UpdateFeaturesRequest = MessageType<typeof updateFeaturesRequest>;
export type UpdateFeaturesResponse = MessageType<typeof updateFeaturesResponse>;
