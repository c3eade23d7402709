import { describe, expect, it } from 'vitest';
import { encodeBatch } from '../../src/wire/index.js';

// Written once, checked by hand against the layout of KIP-98 and read back by other clients; never edited.
describe('record batch bytes', () => {
  it('are these, for a batch of two records', () => {
    const batch = encodeBatch({
      baseOffset: 7,
      leaderEpoch: 3,
      producerId: 1000n,
      producerEpoch: 1,
      baseSequence: 5,
      records: [
        { timestampMs: 1_000_000_000_000, key: Buffer.from('k'), value: Buffer.from('v') },
        { timestampMs: 1_000_000_000_300, key: null, value: Buffer.alloc(0), headers: [{ key: 'h', value: null }] },
      ],
    });
    expect(batch.toString('hex')).toMatchInlineSnapshot(
      `"0000000000000007000000450000000302f56ab5a3000000000001000000e8d4a51000000000e8d4a5112c00000000000003e80001000000050000000210000000026b0276001400d80402010002026801"`,
    );
  });
});
