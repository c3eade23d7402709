import { describe, expect, it } from 'vitest';
import { type ConsumerMember, freshMember } from '../../../src/broker/groups/consumer/consumer-member.js';
import { encodeChange } from '../../../src/broker/groups/consumer/consumer-records.js';
import { partitionSetsOf } from '../../../src/broker/groups/consumer/partitions.js';
import {
  decodeGroupRecord,
  encodeGroupKey,
  encodeGroupValue,
  encodeOffsetKey,
  encodeOffsetValue,
  groupPartition,
} from '../../../src/broker/groups/group-records.js';
import { topicId } from '../../../src/kernel/index.js';

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

  it('writes since which epoch a consumer has its partitions as Kafka does, and reads what was written before there were such epochs', () => {
    const id = topicId('AAAAAAAAAAAAAAAAAAAAAQ');
    const partitions = partitionSetsOf([{ topicId: id, partitions: [0, 1] }]);
    const pending = partitionSetsOf([{ topicId: id, partitions: [4] }]);
    const since = (...epochs: [number, number][]) => new Map([[id, new Map(epochs)]]);
    const assignedAt = since([0, 5], [1, 7], [4, 6]);
    const member: ConsumerMember = {
      ...freshMember('m'),
      epoch: 7,
      previousEpoch: 6,
      state: 'unrevoked',
      assigned: partitions,
      pendingRevocation: pending,
      assignedAt,
    };
    const { key, value } = encodeChange('g', { kind: 'current', id: 'm', member });
    const head = '0000' + '00000007' + '00000006' + '01';
    const topic = Buffer.from(id, 'base64url').toString('hex');
    const assigned = `02${topic}03` + '00000000' + '00000001';
    const revoked = `02${topic}02` + '00000004';
    const epochs = ['01' + '00' + '09' + '03' + '00000005' + '00000007', '01' + '00' + '05' + '02' + '00000006'] as const;
    expect(value!.toString('hex')).toBe(head + assigned + epochs[0] + revoked + epochs[1] + '00');
    const read = (hex: string) => decodeGroupRecord(key, Buffer.from(hex, 'hex'));
    const change = { kind: 'current', id: 'm', member };
    expect(read(value!.toString('hex'))).toMatchObject({ change });
    const old = { kind: 'current', id: 'm', member: { ...member, assignedAt: since([0, 7], [1, 7], [4, 7]) } };
    expect(read(head + assigned + '00' + revoked + '00' + '00')).toMatchObject({ change: old });
    // Not as many as partitions: none of them is to be believed.
    expect(read(head + assigned + epochs[1] + revoked + '00' + '00')).toMatchObject({ change: old });
    // A static member that is away has no epoch of its own.
    const away = head.replace('00000007', 'fffffffe');
    expect(read(away + assigned + '00' + '01' + '00')).toMatchObject({
      change: { member: { epoch: -2, assignedAt: since([0, 0], [1, 0]) } },
    });
  });

  it('passes over what it does not know', () => {
    expect(decodeGroupRecord(null, null)).toBeUndefined();
    expect(decodeGroupRecord(Buffer.from('0009', 'hex'), null)).toBeUndefined();
    expect(decodeGroupRecord(Buffer.from('00010040', 'hex'), null)).toBeUndefined();
  });
});
