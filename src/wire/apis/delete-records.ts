/** DeleteRecords: raises log starts (KIP-107). Offset −1 stands for the high watermark. */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, int64, request, response, string, struct } from '../notation.js';

const deleteRecordsRequest = request('DeleteRecords', {
  topics: array(struct({ name: string(), partitions: array(struct({ partitionIndex: int32(), offset: int64() })) })),
  timeoutMs: int32(),
});

const deleteRecordsResponse = response('DeleteRecords', {
  throttleTimeMs: int32({ default: 0 }),
  topics: array(
    struct({ name: string(), partitions: array(struct({ partitionIndex: int32(), lowWatermark: int64(), errorCode: int16() })) }),
  ),
});

export const deleteRecordsApi = api({
  key: 21,
  name: 'DeleteRecords',
  minVersion: 0,
  maxVersion: 2,
  flexibleFrom: 2,
  request: deleteRecordsRequest,
  response: deleteRecordsResponse,
});

export type DeleteRecordsRequest = MessageType<typeof deleteRecordsRequest>;
export type DeleteRecordsResponse = MessageType<typeof deleteRecordsResponse>;
export type DeleteRecordsRequestPartition = DeleteRecordsRequest['topics'][number]['partitions'][number];
export type DeleteRecordsResponsePartition = DeleteRecordsResponse['topics'][number]['partitions'][number];
