// Any split of any records into cold files, put together again, is the file of the whole.
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { assignColumns, type EncodeResult, readFileFooter, type StageResult, type TypedColumn } from '../../src/columns/index.js';
import { encodeBatch } from '../../src/wire/index.js';
import { ColumnFiles } from '../support/column-files.js';

const files = new ColumnFiles();
afterAll(() => files.close());

const bytes = fc.uint8Array({ maxLength: 12 }).map((array) => Buffer.from(array));
const value = fc.oneof(
  fc.constant(null),
  bytes,
  fc
    .record(
      {
        n: fc.oneof(fc.integer(), fc.double({ noNaN: true }), fc.string(), fc.boolean(), fc.constant(null)),
        s: fc.string(),
        deep: fc.array(fc.nat(9)),
      },
      { requiredKeys: [] },
    )
    .map((object) => Buffer.from(JSON.stringify(object))),
);
const record = fc.record({
  timestampMs: fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 1_600_000_000_000, max: 1_600_000_100_000 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, -62_135_596_800_001, 253_402_300_800_000, 4e15, -4e15) },
  ),
  key: fc.option(bytes),
  value,
  headers: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fc.record({ key: fc.oneof(fc.constant('é'), bytes), value: fc.option(bytes) }), { maxLength: 3 }) },
  ),
  gap: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) }),
});

const contentOf = (path: string, columns: readonly TypedColumn[]): Promise<unknown[][]> =>
  files.rows(`SELECT * FROM ${files.columnsOf(path, columns)} ORDER BY _offset`);

/** Sizes depend on how the rows came in chunks; where a head was cut off a column may have become one of nulls. */
const metricsOf = (result: Pick<EncodeResult, 'metrics'>): unknown =>
  result.metrics.filter(({ nulls, values }) => nulls < values).map((metric) => ({ ...metric, bytes: 0 }));

describe('a compaction', () => {
  it('of any split of any records is the file of the whole, from any offset on', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(record, { minLength: 1, maxLength: 40 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 5 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.boolean(),
        async (records, cutsAt, fromAt, isCut) => {
          let delta = -1;
          const placed = records.map((one) => {
            delta += 1 + one.gap;
            return { ...one, offsetDelta: delta };
          });
          const endOffset = delta + 1;
          const batch = encodeBatch({ baseOffset: 0, leaderEpoch: 2, records: placed });
          const fromOffset = isCut ? Math.floor(fromAt * endOffset) : 0;
          const cuts = [...new Set([0, ...cutsAt.map((at) => Math.floor(at * endOffset)), endOffset])].sort((a, b) => a - b);
          const parts: StageResult[] = [];
          for (let i = 0; i + 1 < cuts.length; i++) {
            parts.push(await files.stage([batch], { baseOffset: cuts[i] as number, endOffset: cuts[i + 1] as number }));
          }
          // Each file has the columns of its own records only; all get their places from one plan, in this order.
          let columns: TypedColumn[] = [];
          for (const part of parts) columns = assignColumns(columns, part.pairs);
          const inputs: string[] = [];
          for (const part of parts.filter(({ rows }) => rows > 0)) {
            const own = columns.filter((column) => part.pairs.some((pair) => pair.name === column.name && pair.kind === column.kind));
            const { path } = await files.encode([part], own);
            inputs.push(path);
          }
          const compacted = await files.compact(inputs, columns, fromOffset);

          const withRows = parts.filter((part) => part.rows > 0);
          const first = Math.max(fromOffset, withRows[0]?.baseOffset ?? 0);
          const last = withRows.at(-1)?.lastOffset ?? 0;
          expect(compacted).toMatchObject({ baseOffset: first, lastOffset: last });
          const whole = await files.stage([batch], { baseOffset: first, endOffset: last + 1 });
          expect(compacted).toMatchObject({ rows: whole.rows, digest: whole.digest });
          if (whole.rows === 0) return;
          const { minTimestampMs, maxTimestampMs } = whole;
          expect(compacted).toMatchObject({ minTimestampMs, maxTimestampMs });
          const expected = await files.encode([whole], columns);
          expect(metricsOf(compacted)).toEqual(metricsOf(expected));
          expect(await contentOf(compacted.path, columns)).toEqual(await contentOf(expected.path, columns));
          const { baseOffset, lastOffset, digest, rows, rawBytes } = compacted;
          expect(readFileFooter(compacted.path)).toMatchObject({ baseOffset, lastOffset, digest, rows, rawBytes });
          if (!isCut) expect(compacted.rawBytes).toBe(parts.reduce((sum, part) => sum + (part.rows > 0 ? part.rawBytes : 0), 0));
          await files.verify([whole], compacted, columns);
          await files.verify([whole], compacted, columns, compacted.typedDigest);
        },
      ),
      { numRuns: 30 },
    );
  }, 60_000);
});
