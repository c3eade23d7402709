/** What a producer may write is never taken for damage later: a batch that is valid has a header that is one, and records that are read. */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { endFault, headerFault } from '../../src/log/batch-walk.js';
import { type ProduceRules, soleBatch, validateProduceBatch } from '../../src/log/index.js';
import { batchAt, batchLastOffset, computeBatchCrc, decodeBatch, encodeBatch, patchBatch } from '../../src/wire/index.js';

const limit = BigInt(Number.MAX_SAFE_INTEGER);
/** Values around which the high half of an int64, or its being a safe integer, changes. */
const edges = [-limit, -limit + 2n ** 32n, -(2n ** 32n), 0n, 2n ** 32n, limit - 2n ** 32n, limit];
const int64 = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(fc.constantFrom(...edges), fc.bigInt(-3n, 3n)).map(([edge, by]) => edge + by) },
  { weight: 1, arbitrary: fc.bigInt(-limit, limit) },
);
const safe = int64.filter((value) => value >= -limit && value <= limit).map(Number);

interface Produced {
  readonly timestamps: number[];
  readonly base: bigint | undefined;
  readonly max: bigint | undefined;
  readonly isStamped: boolean;
  readonly timestampType: 'create' | 'log-append';
  readonly baseOffset: number;
}
const plain: Produced = { timestamps: [0], base: undefined, max: undefined, isStamped: false, timestampType: 'create', baseOffset: 0 };

const rules: ProduceRules = {
  maxMessageBytes: 1 << 20,
  nowMs: 1_000_000,
  timestampBeforeMaxMs: 2 ** 63,
  timestampAfterMaxMs: 2 ** 63,
};

/** Takes the batch as a broker does; false where it is refused. */
function isTaken(batch: Buffer, overrides: Partial<ProduceRules>): boolean {
  try {
    validateProduceBatch(soleBatch(batch, 9), { ...rules, ...overrides });
    return true;
  } catch (error) {
    expect(error).toHaveProperty('name', 'LakeError');
    return false;
  }
}

it('a produced batch that is taken is a sound one wherever it lies, whatever its times are', () => {
  let taken = 0;
  fc.assert(
    fc.property(
      fc.record({
        timestamps: fc.array(safe, { minLength: 1, maxLength: 3 }),
        base: fc.option(int64, { nil: undefined }),
        max: fc.option(int64, { nil: undefined }),
        isStamped: fc.boolean(),
        timestampType: fc.constantFrom('create' as const, 'log-append' as const),
        baseOffset: fc.maxSafeNat().map((offset) => Math.max(0, offset - 10)),
      }),
      ({ timestamps, base, max, isStamped, timestampType, baseOffset }) => {
        // Their differences must have a number, too.
        const first = timestamps[0] as number;
        const near = timestamps.map((timestampMs) => (Number.isSafeInteger(timestampMs - first) ? timestampMs : first));
        const batch = encodeBatch({
          records: near.map((timestampMs) => ({ timestampMs, key: null, value: null })),
          timestampType: isStamped ? 'log-append' : 'create',
        });
        if (base !== undefined) batch.writeBigInt64BE(base, batchAt.baseTimestamp);
        if (max !== undefined) batch.writeBigInt64BE(max, batchAt.maxTimestamp);
        batch.writeUInt32BE(computeBatchCrc(batch, 0), batchAt.crc);
        if (!isTaken(batch, { timestampType })) return;
        taken++;
        patchBatch(batch, 0, baseOffset, 0);
        expect(headerFault(batch, 0, baseOffset)).toBeUndefined();
        expect(endFault(batch, 0, batchLastOffset(batch, 0) + 1)).toBeUndefined();
        expect(decodeBatch(batch)).toHaveLength(near.length);
      },
    ),
    {
      numRuns: 3000,
      examples: [
        ...edges.map((edge) => [{ ...plain, timestamps: [Number(edge)] }] as [typeof plain]),
        [{ ...plain, timestamps: [0, 5], base: limit - 1n, max: 0n, isStamped: true }],
      ],
    },
  );
  expect(taken).toBeGreaterThan(500);
});
