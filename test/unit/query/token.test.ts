import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { ClusterId, TopicId } from '../../../src/kernel/index.js';
import { decodeToken, encodeToken, type SnapshotToken } from '../../../src/query/token.js';

function tokenOf(partitions: number): SnapshotToken {
  return {
    clusterId: 'cluster' as ClusterId,
    topics: [
      {
        topicId: 'topic' as TopicId,
        maxFieldId: 40,
        extraPairs: [{ name: 'delay', kind: 'long' }],
        partitions: Array.from({ length: partitions }, (_, partition) => ({
          partition,
          logStartOffset: partition * 7,
          endOffset: 1_000_000_000 + ((partition * 7919) % 100_000),
          leaderEpoch: partition % 3,
        })),
      },
    ],
  };
}

describe('a token', () => {
  it('says what it was given, in 4 KiB for 500 partitions', () => {
    for (const partitions of [0, 1, 2, 500]) {
      const text = encodeToken(tokenOf(partitions));
      expect(text).toMatch(/^t2\./);
      expect(text.length).toBeLessThan(4096);
      expect(decodeToken(text)).toEqual(tokenOf(partitions));
    }
  });

  it('says what was hot, and whether its values were columns', () => {
    const [topic] = tokenOf(500).topics;
    for (const isTyped of [true, false]) {
      const partitions = topic!.partitions.map((p) => ({ ...p, hotFrom: p.endOffset - (p.partition % 5) * 20 }));
      const token = { ...tokenOf(0), topics: [{ ...topic!, isTyped, partitions }] };
      expect(encodeToken(token).length).toBeLessThan(4096);
      expect(decodeToken(encodeToken(token))).toEqual(token);
    }
  });

  it('is still read in its older form', () => {
    const wire = { c: 'cluster', t: [{ i: 'topic', f: 40, x: [['delay', 0]], p: [[0, 0, 1_000_000_000, 0]] }] };
    const text = `t1.${deflateRawSync(JSON.stringify(wire)).toString('base64url')}`;
    expect(decodeToken(text)).toEqual(tokenOf(1));
  });
});
