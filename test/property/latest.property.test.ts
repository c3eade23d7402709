// latest(topic) equals a model, for any cut between hot and cold, any files, a log start inside a file, compaction, and as of a token;
// from the files and from what is kept of their last rows, file by file or put together.
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inlineColumnWorkers } from '../support/column-workers.js';
import { QueryWorld } from '../support/query-world.js';
import { type KeyedEvent, keyedEvent, ofPartitions, partitions, type StoredEvent, t0 } from './keyed-log.js';

const keys = ['a', 'b', 'c', 'd', 'e', '', null] as const;

type Stored = StoredEvent<(typeof keys)[number]>;

const event = keyedEvent(fc.oneof(fc.constantFrom(...keys), fc.constantFrom('a', 'b')));
const percent = fc.integer({ min: 0, max: 100 });
const round = fc.record({
  appended: ofPartitions(fc.array(event, { maxLength: 12 })),
  cuts: ofPartitions(percent),
  starts: ofPartitions(fc.integer({ min: 0, max: 60 })),
  fileRows: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 12, max: 20 })),
  isCompacted: fc.boolean(),
});

/** [key, partition, offset] of what is last, by key. */
function model(log: readonly Stored[]): unknown[][] {
  const ofPartition = new Map<string, Stored>();
  for (const record of log) if (record.key !== null) ofPartition.set(`${record.partition}/${record.key}`, record);
  const ofKey = new Map<string, Stored>();
  for (const record of ofPartition.values()) {
    const other = ofKey.get(record.key as string);
    const isLater =
      other === undefined ||
      record.timestampMs > other.timestampMs ||
      (record.timestampMs === other.timestampMs && record.partition > other.partition);
    if (isLater) ofKey.set(record.key as string, record);
  }
  return [...ofKey.values()]
    .filter((record) => !record.isTombstone)
    .map((record) => [record.key, record.partition, record.offset, record.timestampMs - t0])
    .sort((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1));
}

describe.each([
  ['file by file', 100],
  ['put together', 1],
])('latest, of last rows %s', (_, mergedFilesMin) => {
  let world: QueryWorld;
  let serial = 0;
  let remembered = 0;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers, tailEncodeBytesMin: 1, lastRowsFileBytesMin: 0, mergedFilesMin });
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  it('equals a model at every moment, and as of every earlier one', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 3 }), async (rounds) => {
        const name = `latest${serial++}`;
        world.createTopic(name, partitions);
        const sql = `SELECT text(_key) AS k, _partition_id, _offset, epoch_ms(_timestamp) - ${t0} AS t, _value IS NULL AS no, text(_value) AS v, COLUMNS('^at$') FROM latest(${name}) ORDER BY k`;
        const log: Stored[] = [];
        const starts = [0, 0];
        const earlier: { token: string; rows: unknown[][]; starts: readonly number[] }[] = [];
        // A file whose last rows are worth keeping.
        const early = Array.from(
          { length: 12 },
          (_, at): KeyedEvent<(typeof keys)[number]> => ({ key: at % 2 === 0 ? 'a' : 'b', timestampMs: t0, isTombstone: false }),
        );
        world.append(
          name,
          0,
          early.map(({ key, timestampMs }, at) => ({ timestampMs, key, value: JSON.stringify({ at }) })),
        );
        log.push(...early.map((one, offset) => ({ ...one, partition: 0, offset })));
        await world.makeCold(name, 0, early.length);
        // From it and from what is kept of it, whatever the rounds make of it later.
        const whole = await world.ask(sql);
        await world.service.settled();
        const kept = await world.ask(sql);
        expect(whole.rows.map((row) => row.slice(0, 4))).toEqual(model(log));
        expect(kept.rows).toEqual(whole.rows);
        remembered += kept.stats.remembered_files;
        for (const { appended, cuts, fileRows, starts: startPercents, isCompacted } of rounds) {
          for (const [partition, events] of appended.entries()) {
            const base = world.partition(name, partition).endOffset;
            if (events.length === 0) continue;
            world.append(
              name,
              partition,
              events.map(({ key, timestampMs, isTombstone }, at) => ({
                timestampMs,
                key,
                value: isTombstone ? null : JSON.stringify({ at }),
              })),
            );
            log.push(...events.map((one, at) => ({ ...one, partition, offset: base + at })));
          }
          for (const [partition, cut] of cuts.entries()) {
            const { endOffset } = world.partition(name, partition);
            await world.makeCold(name, partition, Math.round((cut * endOffset) / 100), fileRows);
            if (isCompacted) await world.compact(name, partition, 3);
          }
          for (const [partition, at] of startPercents.entries()) {
            const state = world.partition(name, partition);
            starts[partition] = Math.max(starts[partition] ?? 0, Math.round((at * state.boundary) / 100));
            state.logStartOffset = starts[partition] ?? 0;
          }
          const left = log.filter((record) => record.offset >= (starts[record.partition] ?? 0));
          const expected = model(left);
          const { rows, token } = await world.ask(sql);
          expect(rows.map((row) => row.slice(0, 4))).toEqual(expected);
          // Once more, with what was built behind the first.
          await world.service.settled();
          const shorter = await world.ask(sql);
          expect(shorter.rows).toEqual(rows);
          remembered += shorter.stats.remembered_files;
          for (const key of ['a', 'b', '']) {
            const one = await world.ask(sql.replace('ORDER BY', `WHERE _key = '${key}' ORDER BY`));
            expect(one.rows.map((row) => row.slice(0, 4))).toEqual(expected.filter((row) => row[0] === key));
          }
          for (const before of earlier) {
            if (before.starts.some((start, partition) => start !== starts[partition])) continue;
            const again = await world.ask({ sql, asOf: before.token });
            expect(again.rows.map((row) => row.slice(0, 4))).toEqual(before.rows);
          }
          earlier.push({ token, rows: expected, starts: [...starts] });
        }
        world.dropTopic(name);
      }),
      { numRuns: 8 },
    );
    expect(remembered).toBeGreaterThan(4);
  }, 120_000);
});
