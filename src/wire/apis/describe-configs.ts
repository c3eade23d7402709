/** DescribeConfigs: the configuration of topics (resource type 2) and brokers (4), with where each value comes from. */
import type { MessageType } from '../notation.js';
import { api, array, bool, int16, int32, int8, request, response, string, struct } from '../notation.js';

const describeConfigsRequest = request('DescribeConfigs', {
  resources: array(struct({ resourceType: int8(), resourceName: string(), configurationKeys: array(string(), { nullable: true }) })),
  includeSynonyms: bool({ default: false }),
  includeDocumentation: bool({ versions: '3+', default: false }),
});

const describeConfigsResponse = response('DescribeConfigs', {
  throttleTimeMs: int32({ default: 0 }),
  results: array(
    struct({
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
      resourceType: int8(),
      resourceName: string(),
      configs: array(
        struct({
          name: string(),
          value: string({ nullable: true }),
          readOnly: bool(),
          configSource: int8({ default: -1, ignorable: true }),
          isSensitive: bool(),
          synonyms: array(struct({ name: string(), value: string({ nullable: true }), source: int8() }), { ignorable: true }),
          configType: int8({ versions: '3+', default: 0, ignorable: true }),
          documentation: string({ versions: '3+', nullable: true, ignorable: true }),
        }),
      ),
    }),
  ),
});

export const describeConfigsApi = api({
  key: 32,
  name: 'DescribeConfigs',
  minVersion: 1,
  maxVersion: 4,
  flexibleFrom: 4,
  request: describeConfigsRequest,
  response: describeConfigsResponse,
});

export type DescribeConfigsRequest = MessageType<typeof describeConfigsRequest>;
export type DescribeConfigsResponse = MessageType<typeof describeConfigsResponse>;
export type DescribeConfigsRequestResource = DescribeConfigsRequest['resources'][number];
export type DescribeConfigsResponseResult = DescribeConfigsResponse['results'][number];
export type DescribeConfigsResponseConfig = DescribeConfigsResponseResult['configs'][number];
