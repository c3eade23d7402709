// What the status and a flush say of a partition that cannot be fetched.
import { describe, expect, it } from 'vitest';
import type { FetchedPartition } from '../../../src/client/index.js';
import { fetchRefusal } from '../../../src/tier/fetch-errors.js';
import { kafkaErrors } from '../../../src/wire/index.js';

const refusalOf = (errorCode: number) => fetchRefusal('orders-3', { partition: 3, offset: 7 }, { errorCode } as FetchedPartition);

describe('a fetch that the broker refuses', () => {
  it.each([
    [kafkaErrors.OFFSET_OUT_OF_RANGE, 'offset-out-of-range', 'the log of orders-3 has no offset 7'],
    [kafkaErrors.KAFKA_STORAGE_ERROR, 'log-offline', 'orders-3 is offline: the broker does not read its log'],
    [kafkaErrors.UNKNOWN_TOPIC_ID, 'peer-refused', 'the broker refused to read orders-3: UNKNOWN_TOPIC_ID'],
  ])('for %i is %s', (errorCode, code, message) => {
    expect(refusalOf(errorCode)).toMatchObject({ code, message, facts: { partition: 3, offset: 7, kafkaCode: errorCode } });
  });

  it('sends who asks for an offline partition to where its reason is', () => {
    expect(refusalOf(kafkaErrors.KAFKA_STORAGE_ERROR).hint).toContain('/readyz');
  });
});
