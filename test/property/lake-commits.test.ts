/** Several writers, a bucket that loses requests and answers: the table stays one history. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assignColumns } from '../../src/columns/index.js';
import { parseTableMetadata } from '../../src/iceberg/index.js';
import { isLakeError } from '../../src/kernel/index.js';
import { boundaryOf, partitionsProperty, type TableChange, type TopicTable } from '../../src/lake/index.js';
import { parsePartitions } from '../../src/lake/partition-vector.js';
import { faults, unreliable, until, writerOf } from './unreliable-table.js';
import { change, id, memoryStore, move, openTable, topic } from '../unit/lake/table-fixture.js';

interface Step {
  readonly writer: number;
  readonly partitions: readonly number[];
  readonly length: number;
  readonly isEmpty: boolean;
  readonly field: string;
}

const step: fc.Arbitrary<Step> = fc.record({
  writer: fc.nat(2),
  partitions: fc.uniqueArray(fc.nat(3), { minLength: 1, maxLength: 3 }),
  length: fc.integer({ min: 1, max: 50 }),
  isEmpty: fc.boolean(),
  field: fc.constantFrom('a', 'b', 'c', 'A'),
});

/** Commits one change from what the writer knows; resolves to it if the table took it. */
async function attempt(table: TopicTable, { partitions, length, isEmpty, field }: Step): Promise<TableChange | null> {
  const known = table.snapshot ?? (await until(() => table.load()));
  const columns = assignColumns(known.columns, [{ name: field, kind: 'long' }]);
  const moves = partitions.map((partition) => {
    const from = boundaryOf(known.partitions, partition);
    return move(table, partition, from, from + length, { isEmpty, columns });
  });
  const wanted = change(moves, columns);
  try {
    await until(() => table.commit(wanted));
    return wanted;
  } catch (error) {
    if (!isLakeError(error, 'commit-stale')) throw error;
    await until(() => table.load());
    return null;
  }
}

describe('a table with several writers', () => {
  it('takes each accepted range exactly once and never moves a boundary back', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 25 }),
        fc.array(faults, { minLength: 3, maxLength: 3 }),
        async (steps, plans) => {
          const inner = memoryStore();
          const writers = plans.map((plan) => writerOf(unreliable(inner, plan)));
          const accepted: TableChange[] = [];
          await Promise.all(
            writers.map(async (table, writer) => {
              for (const one of steps) {
                if (one.writer !== writer) continue;
                const done = await attempt(table, one);
                if (done !== null) accepted.push(done);
              }
            }),
          );
          const read = await openTable(inner).load();
          // Every accepted range is there, and nothing else: files tile what was accepted with files.
          const expected = accepted.flatMap((one) => one.moves.flatMap((m) => m.files.map((file) => file.key))).sort();
          expect(read.files.map((file) => file.key).sort()).toEqual(expected);
          for (const { partition, boundary } of read.partitions) {
            const ranges = accepted.flatMap((one) => one.moves.filter((m) => m.partition === partition)).sort((a, b) => a.from - b.from);
            let next = 0;
            for (const range of ranges) {
              expect(range.from).toBe(next);
              next = range.to;
            }
            expect(boundary).toBe(next);
          }
          // The history: one version an accepted change, boundaries only grow, a column keeps its place.
          expect(read.metadataVersion).toBe(accepted.length);
          let before = new Map<number, number>();
          for (let version = 1; version <= read.metadataVersion; version++) {
            const metadata = parseTableMetadata(await inner.get(`topics/${topic}/${id}/metadata/v${version}.metadata.json`));
            const now = new Map(parsePartitions(metadata.properties[partitionsProperty]).map((p) => [p.partition, p.boundary]));
            for (const [partition, boundary] of before) expect(now.get(partition) ?? -1).toBeGreaterThanOrEqual(boundary);
            before = now;
          }
          expect(new Set(read.columns.map((column) => column.fieldId)).size).toBe(read.columns.length);
        },
      ),
      { numRuns: 60 },
    );
  });
});
