import { describe, expect, it } from 'vitest';
import { topicId, topicName } from '../../../src/kernel/index.js';
import { dataFileKey, parseDataFilePath, parseTopicKey, tablePrefix } from '../../../src/lake/index.js';

const prefix = tablePrefix(topicName('orders'), topicId('BBBBBBBBBBBBBBBBBBBBBQ'));

describe('the layout of the bucket', () => {
  it('writes offsets so that names sort as offsets do', () => {
    const key = dataFileKey(prefix, { partition: 3, baseOffset: 7, lastOffset: 1234, unique: 'u1' });
    expect(key).toBe('topics/orders/BBBBBBBBBBBBBBBBBBBBBQ/data/p=3/00000000000000000007-00000000000000001234-u1.parquet');
  });

  it('reads a name back wherever the table lies', () => {
    const name = { partition: 3, baseOffset: 7, lastOffset: 1234, unique: 'a-b' };
    expect(parseDataFilePath(dataFileKey(prefix, name))).toEqual(name);
    expect(parseDataFilePath(`s3://bucket/else/${dataFileKey(prefix, name)}`)).toEqual(name);
  });

  it.each([
    '',
    'x.parquet',
    `${prefix}/data/p=1/7-8-u.parquet`,
    `${prefix}/metadata/v1.metadata.json`,
    `${prefix}/data/p=1/99999999999999999999-99999999999999999999-u.parquet`,
  ])('takes %j for no data file', (path) => {
    expect(parseDataFilePath(path)).toBeNull();
  });

  it('finds the topic of a key', () => {
    expect(parseTopicKey(`${prefix}/data/x`)).toEqual({ topic: 'orders', topicId: 'BBBBBBBBBBBBBBBBBBBBBQ' });
    expect(parseTopicKey('cluster/identity.json')).toBeNull();
  });
});
