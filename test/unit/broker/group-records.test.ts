import { describe, expect, it } from 'vitest';
import {
  decodeGroupRecord,
  encodeGroupKey,
  encodeGroupValue,
  encodeOffsetKey,
  encodeOffsetValue,
  groupPartition,
} from '../../../src/broker/groups/group-records.js';

describe('the records of __consumer_offsets', () => {
  it('places a group where Java’s String.hashCode does', () => {
    // "hello".hashCode() is 99162322; "polygenelubricants".hashCode() is Integer.MIN_VALUE.
    expect(groupPartition('hello', 50)).toBe(99162322 % 50);
    expect(groupPartition('polygenelubricants', 50)).toBe(0);
  });

  it('writes an offset in Kafka’s own bytes', () => {
    expect(encodeOffsetKey({ group: 'g', topic: 't', partition: 3 }).toString('hex')).toBe('0001' + '000167' + '000174' + '00000003');
    const value = encodeOffsetValue({ offset: 5, leaderEpoch: 2, metadata: 'm', committedMs: 7 });
    expect(value.toString('hex')).toBe('0003' + '0000000000000005' + '00000002' + '00016d' + '0000000000000007');
  });

  it('reads back what it writes', () => {
    const key = { group: 'g', topic: 't', partition: 3 };
    const value = { offset: 2 ** 40, leaderEpoch: -1, metadata: 'žluť', committedMs: 1_700_000_000_000 };
    expect(decodeGroupRecord(encodeOffsetKey(key), encodeOffsetValue(value))).toEqual({ kind: 'offset', key, value });
    expect(decodeGroupRecord(encodeOffsetKey(key), null)).toEqual({ kind: 'offset', key, value: null });
    const group = {
      groupId: 'g',
      protocolType: 'consumer',
      generation: 4,
      protocol: 'range',
      leaderId: 'm1',
      stateSinceMs: 1_700_000_000_000,
      members: [
        {
          id: 'm1',
          instanceId: 'i1',
          clientId: 'c',
          clientHost: '/127.0.0.1',
          rebalanceTimeoutMs: 1,
          sessionTimeoutMs: 2,
          subscription: Buffer.from('s'),
          assignment: Buffer.from('a'),
        },
      ],
    };
    expect(decodeGroupRecord(encodeGroupKey('g'), encodeGroupValue(group))).toEqual({ kind: 'group', group: 'g', value: group });
  });

  it('reads versions 0 and 1 of an offset, which have no leader epoch', () => {
    const key = encodeOffsetKey({ group: 'g', topic: 't', partition: 3 });
    const v1 = Buffer.from('0001' + '0000000000000005' + '00016d' + '0000000000000007' + '0000000000000009', 'hex');
    expect(decodeGroupRecord(key, v1)).toMatchObject({ value: { offset: 5, leaderEpoch: -1, metadata: 'm', committedMs: 7 } });
  });

  it('writes an offset with a time to expire as version 1, and reads it back', () => {
    const key = { group: 'g', topic: 't', partition: 3 };
    const value = { offset: 5, leaderEpoch: -1, metadata: 'm', committedMs: 7, expireMs: 9 };
    const bytes = encodeOffsetValue(value);
    expect(bytes.toString('hex')).toBe('0001' + '0000000000000005' + '00016d' + '0000000000000007' + '0000000000000009');
    expect(decodeGroupRecord(encodeOffsetKey(key), bytes)).toEqual({ kind: 'offset', key, value });
  });

  it('passes over what it does not know', () => {
    expect(decodeGroupRecord(null, null)).toBeUndefined();
    expect(decodeGroupRecord(Buffer.from('0009', 'hex'), null)).toBeUndefined();
    expect(decodeGroupRecord(Buffer.from('00010040', 'hex'), null)).toBeUndefined();
  });
});
