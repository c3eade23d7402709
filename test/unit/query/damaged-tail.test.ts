// What a query says of damage in the hot log, by what the broker finds there.
import { describe, expect, it } from 'vitest';
import { type TopicId, type TopicName, LakeError } from '../../../src/kernel/index.js';
import { damagedTail } from '../../../src/query/damaged-tail.js';
import type { ControlPort } from '../../../src/query/pin.js';

const of = {
  topic: 'orders' as TopicName,
  topicId: 'AAAAAAAAAAAAAAAAAAAAAQ' as TopicId,
  partition: 3,
  leaderEpoch: 0,
  compactedOffset: 0,
  valueFormat: 'auto',
} as const;
const met = new LakeError('batch-corrupt', 'the batch at offset 7 is damaged');

async function said(examine: (params: unknown) => { readonly damage?: string }, signal = new AbortController().signal): Promise<LakeError> {
  const control = { call: async (_method: string, params: unknown) => examine(params) } as unknown as ControlPort;
  return damagedTail(control, of, { from: 5, end: 9 }, met, signal);
}

describe('damage that a query meets', () => {
  it('is told as the broker finds it in its log', async () => {
    const asked: unknown[] = [];
    const error = await said((params) => {
      asked.push(params);
      return { damage: '/log/orders-3/0.log is damaged at 139: the CRC does not match' };
    });
    expect(asked).toEqual([{ topicId: of.topicId, partition: 3, from: 5, to: 9 }]);
    expect(error).toMatchObject({
      code: 'batch-corrupt',
      message: 'the hot log of orders-3 is damaged: /log/orders-3/0.log is damaged at 139: the CRC does not match',
      retriable: false,
    });
    expect(error.hint).toContain('The partition is offline');
  });

  it('is worth another try where the log is whole', async () => {
    const error = await said(() => ({}));
    expect(error).toMatchObject({ code: 'batch-corrupt', retriable: true });
    expect(error.message).toContain('not in the log: the batch at offset 7 is damaged');
  });

  it('is told as it was met where the broker cannot look, and why it cannot', async () => {
    const error = await said(() => {
      throw new LakeError('log-offline', 'orders-3 cannot be read');
    });
    expect(error).toMatchObject({ code: 'batch-corrupt', retriable: false });
    expect(error.message).toContain('the batch at offset 7 is damaged');
    expect(error.message).toContain('orders-3 cannot be read');
  });

  it('is not told to a query that was cancelled', async () => {
    const cancelled = new LakeError('cancelled', 'the query was cancelled');
    const refuse = (): never => {
      throw new LakeError('peer-gone', 'gone');
    };
    await expect(said(refuse, AbortSignal.abort(cancelled))).rejects.toBe(cancelled);
  });
});
