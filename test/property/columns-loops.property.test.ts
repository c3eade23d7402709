// The compiled loops of staging do what the plain TypeScript in `support` does, also with bytes that are no records.
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { parquetReadObjects } from 'hyparquet';
import { afterAll, describe, expect, it } from 'vitest';
import { pairKey } from '../../src/columns/index.js';
import { computeBatchCrc, encodeBatch, batchHeaderBytes } from '../../src/wire/index.js';
import { ColumnFiles } from '../support/column-files.js';
import { referenceStage } from '../support/reference-stage.js';

const files = new ColumnFiles();
afterAll(() => files.close());

const crcAt = 17;
const lengthAt = 8;
const lengthOverhead = 12;

const bytes = fc.oneof(
  { weight: 6, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 500, maxLength: 700 }) },
);
const name = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a', 'b', 'id', 'a longer name than sixteen', 'é', '"', '\\', '') },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 300 }) },
);
const scalar = fc.oneof(
  fc.constantFrom('1', '-1.5', '1e3', '1e400', 'true', 'false', 'null', 'nan', '-Infinity', '9223372036854775807', '9223372036854775808'),
  fc.constantFrom('-9223372036854775808', '-9223372036854775809', '01', '-', '1.', 'tru', '1e', '0.1e-9', '"\\ud83d\\ude00"', '"\\ud83d"'),
  fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => JSON.stringify(text)),
  fc.nat(400).map((digits) => `1${'0'.repeat(digits)}.5`),
);
const space = fc.constantFrom('', '', '', ' ', '\n\t\r ');
const nested = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    scalar,
    fc.tuple(space, fc.array(tie('value'), { maxLength: 3 })).map(([gap, values]) => `[${gap}${values.join(`${gap},`)}]`),
    fc
      .array(fc.tuple(name, tie('value')), { maxLength: 3 })
      .map((members) => `{${members.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`),
  ),
})).value;
const document = fc
  .tuple(fc.array(fc.tuple(name, space, nested), { maxLength: 6 }), space, fc.constantFrom('', '', ','))
  .map(
    ([members, gap, trailing]) =>
      `${gap}{${members.map(([key, inner, value]) => `${gap}${JSON.stringify(key)}${inner}:${inner}${value}${gap}`).join(',')}${trailing}}${gap}`,
  );
/** Texts that are JSON, or nearly so. */
const json = fc
  .tuple(document, fc.array(fc.tuple(fc.nat(), fc.constantFrom('"', '\\', ',', '}', ']', '{', '0', '\u0001', '\u00ff')), { maxLength: 1 }))
  .map(([text, changes]) => {
    const changed = Buffer.from(text);
    for (const [at, letter] of changes) changed.write(letter, at % changed.length, 'latin1');
    return changed;
  });

const record = fc.record({
  timestampMs: fc.oneof(fc.integer({ min: 1_600_000_000_000, max: 1_600_000_100_000 }), fc.constantFrom(-62_135_596_800_001, 4e15)),
  key: fc.option(bytes.map((array) => Buffer.from(array))),
  value: fc.option(fc.oneof({ weight: 4, arbitrary: json }, { weight: 1, arbitrary: bytes.map((array) => Buffer.from(array)) }), {
    freq: 12,
  }),
  headers: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    {
      weight: 1,
      arbitrary: fc.array(
        fc.record({
          key: fc.oneof(
            fc.constantFrom('h', 'a text of more than sixteen bytes, é'),
            bytes.map((array) => Buffer.from(array)),
          ),
          value: fc.option(bytes.map((array) => Buffer.from(array))),
        }),
        { maxLength: 4 },
      ),
    },
  ),
});
const batch = fc.record({
  records: fc.array(record, { minLength: 1, maxLength: 10 }),
  compression: fc.constantFrom('none' as const, 'none' as const, 'lz4' as const, 'zstd' as const),
  isAppendTime: fc.boolean(),
  producer: fc.option(fc.record({ id: fc.constantFrom(0n, 2n ** 40n + 5n), sequence: fc.constantFrom(0, 2 ** 31 - 2) })),
  leaderEpoch: fc.nat(2),
  /** Bytes of the records that are overwritten, and how many are cut off. */
  changes: fc.oneof(
    { weight: 2, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }) },
  ),
  cut: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(20) }),
});

type Batch = typeof batch extends fc.Arbitrary<infer T> ? T : never;

/** With a CRC of what is in it, whatever that is. */
function build(of: Batch, baseOffset: number): Buffer {
  const built = encodeBatch({
    baseOffset,
    leaderEpoch: of.leaderEpoch,
    compression: of.compression,
    timestampType: of.isAppendTime ? 'log-append' : 'create',
    ...(of.producer === null ? {} : { producerId: of.producer.id, producerEpoch: 1, baseSequence: of.producer.sequence }),
    records: of.records,
  });
  const damaged = Buffer.from(built.subarray(0, Math.max(batchHeaderBytes, built.length - of.cut)));
  const records = damaged.subarray(batchHeaderBytes);
  if (records.length > 0) for (const [at, byte] of of.changes) records[at % records.length] = byte;
  damaged.writeInt32BE(damaged.length - lengthOverhead, lengthAt);
  damaged.writeUInt32BE(computeBatchCrc(damaged, 0), crcAt);
  return damaged;
}

const bytesOf = (value: unknown): Buffer | null => (value === undefined || value === null ? null : Buffer.from(value as Uint8Array));

async function rowsOf(path: string): Promise<unknown[]> {
  const content = readFileSync(path);
  const file = content.buffer.slice(content.byteOffset, content.byteOffset + content.length) as ArrayBuffer;
  const rows = await parquetReadObjects({ file, utf8: false });
  return rows.map((row) => {
    const headers = (row['_headers'] ?? []) as { key?: Uint8Array | string; key_raw?: Uint8Array; value?: Uint8Array }[];
    return {
      offset: Number(row['_offset']),
      key: bytesOf(row['_key']),
      value: bytesOf(row['_value']),
      sequence: Number(row['_sequence'] ?? -1),
      rawBatch: bytesOf(row['_raw_batch']),
      headers: headers.map(({ key, key_raw: raw, value }) => [
        typeof key === 'string' ? Buffer.from(key) : bytesOf(key ?? raw),
        bytesOf(value),
      ]),
    };
  });
}

describe('the compiled loops of staging', () => {
  it('find, hash and keep what plain TypeScript does, and leave the same batches whole', async () => {
    let wholeBatches = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(batch, { minLength: 1, maxLength: 4 }), fc.nat(6), fc.nat(3), async (batches, skipped, dropped) => {
        let next = 0;
        const built = batches.map((of) => {
          const at = next;
          next += of.records.length;
          return build(of, at);
        });
        const range = { baseOffset: Math.min(skipped, next - 1), endOffset: Math.max(next - dropped, Math.min(skipped, next - 1) + 1) };
        const staged = await files.stage(built, range);
        const expected = referenceStage(built, range);
        const { rows, digest, isFinite, rawBatches, rawBytes, minTimestampMs, maxTimestampMs } = staged;
        const { records, pairs, ...figures } = expected;
        expect({ rows, digest, isFinite, rawBatches, rawBytes, minTimestampMs, maxTimestampMs }).toEqual(figures);
        expect(staged.pairs.map(pairKey).toSorted()).toEqual(pairs.map(pairKey).toSorted());
        wholeBatches += rawBatches;
        expect(await rowsOf(staged.path)).toEqual(
          records.map((one) =>
            'rawBatch' in one
              ? { offset: one.offset, key: null, value: null, sequence: -1, rawBatch: one.rawBatch, headers: [] }
              : { offset: one.offset, key: one.key, value: one.value, sequence: one.sequence, rawBatch: null, headers: one.headers },
          ),
        );
      }),
      { numRuns: 400 },
    );
    expect(wholeBatches).toBeGreaterThan(20);
  }, 120_000);
});
