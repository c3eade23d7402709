/** DescribeClientQuotas: quotas of users, clients and addresses that match a filter (KIP-546). */
import type { MessageType } from '../notation.js';
import { api, array, bool, float64, int16, int32, int8, request, response, string, struct } from '../notation.js';

const describeClientQuotasRequest = request('DescribeClientQuotas', {
  components: array(
    struct({
      entityType: string(),
      matchType: int8(),
      match: string({ nullable: true }),
    }),
  ),
  strict: bool(),
});

const describeClientQuotasResponse = response('DescribeClientQuotas', {
  throttleTimeMs: int32({ default: 0 }),
  errorCode: int16(),
  errorMessage: string({ nullable: true }),
  entries: array(
    struct({
      entity: array(
        struct({
          entityType: string(),
          entityName: string({ nullable: true }),
        }),
      ),
      values: array(
        struct({
          key: string(),
          value: float64(),
        }),
      ),
    }),
    { nullable: true },
  ),
});

export const describeClientQuotasApi = api({
  key: 48,
  name: 'DescribeClientQuotas',
  minVersion: 0,
  maxVersion: 1,
  flexibleFrom: 1,
  request: describeClientQuotasRequest,
  response: describeClientQuotasResponse,
});

export type DescribeClientQuotasRequest = MessageType<typeof describeClientQuotasRequest>;
export type DescribeClientQuotasResponse = MessageType<typeof describeClientQuotasResponse>;
