// A key lookup equals a scan of a model's log, for any cut between hot and cold, any files, with and without filters, as of every moment.
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KeyRequest, QueryRecord } from '../../src/query/index.js';
import { inlineColumnWorkers } from '../support/column-workers.js';
import { QueryWorld } from '../support/query-world.js';
import { keyedEvent, ofPartitions, partitions, type StoredEvent } from './keyed-log.js';

/** As hexadecimal digits. Some begin as others do; some are no text. */
const keys = ['', '61', '6161', '62', '00', 'ff', 'ff00', '5c7830', '27', null] as const;
const asked = [...keys.flatMap((key) => key ?? []), '7a'];

type Stored = StoredEvent<(typeof keys)[number]>;

const event = keyedEvent(fc.constantFrom(...keys));
const round = fc.record({
  appended: ofPartitions(fc.array(event, { maxLength: 8 })),
  cuts: ofPartitions(fc.integer({ min: 0, max: 100 })),
  fileRows: fc.integer({ min: 1, max: 4 }),
  /** Else the filters of new files are built while they are asked for. */
  waitsForFilters: fc.boolean(),
});

type Place = readonly [partition: number, offset: number, isTombstone: boolean];
const placeOf = ({ partition, offset, isTombstone }: Stored): Place => [partition, offset, isTombstone];

function history(log: readonly Stored[], key: string): Place[] {
  const found = log.filter((record) => record.key === key);
  return found.sort((a, b) => a.partition - b.partition || a.offset - b.offset).map(placeOf);
}

function last(log: readonly Stored[], key: string): Place[] {
  const lastOf = Array.from({ length: partitions }, (_, partition) =>
    log.findLast((record) => record.key === key && record.partition === partition),
  );
  const [found] = lastOf
    .filter((record) => record !== undefined)
    .sort((a, b) => b.timestampMs - a.timestampMs || b.partition - a.partition);
  return found === undefined ? [] : [placeOf(found)];
}

describe('a key lookup', () => {
  let world: QueryWorld;
  let serial = 0;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers, tailEncodeBytesMin: 1 });
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  const lookUp = async (request: KeyRequest): Promise<{ places: Place[]; token: string }> => {
    const answer = await world.service.keyRecords(request, new AbortController().signal);
    let text = '';
    for await (const lines of answer.lines) text += lines;
    const records = text.split('\n').flatMap((line) => (line === '' ? [] : (JSON.parse(line) as QueryRecord)));
    for (const { key, key_base64: base64 } of records) {
      expect(base64 === undefined ? Buffer.from(key!) : Buffer.from(base64, 'base64')).toEqual(request.key);
    }
    return { places: records.map(({ partition, offset, value }) => [partition, offset, value === null]), token: answer.token };
  };

  it('equals a scan at every moment, and as of every earlier one', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 3 }), async (rounds) => {
        const topic = `keys${serial++}`;
        world.createTopic(topic, partitions);
        const log: Stored[] = [];
        const earlier: { asOf?: string; log: readonly Stored[] }[] = [];
        for (const { appended, cuts, fileRows, waitsForFilters } of rounds) {
          for (const [partition, events] of appended.entries()) {
            const base = world.partition(topic, partition).endOffset;
            if (events.length === 0) continue;
            const records = events.map(({ key, timestampMs, isTombstone }) => ({
              timestampMs,
              key: key === null ? null : Buffer.from(key, 'hex'),
              value: isTombstone ? null : '1',
            }));
            world.append(topic, partition, records);
            log.push(...events.map((one, at) => ({ ...one, partition, offset: base + at })));
          }
          const { token } = await lookUp({ topic, key: Buffer.from('a'), isHistory: false });
          earlier.push({ asOf: token, log: [...log] });
          for (const [partition, cut] of cuts.entries()) {
            const { boundary, endOffset } = world.partition(topic, partition);
            await world.makeCold(topic, partition, boundary + Math.floor(((endOffset - boundary) * cut) / 100), fileRows);
          }
          if (waitsForFilters) {
            await lookUp({ topic, key: Buffer.from('a'), isHistory: false });
            await world.service.settled();
          }
          for (const moment of [{ log }, ...earlier]) {
            const { log: of, ...asOf } = moment;
            for (const key of asked) {
              const request = { topic, key: Buffer.from(key, 'hex'), ...asOf };
              expect((await lookUp({ ...request, isHistory: true })).places).toEqual(history(of, key));
              expect((await lookUp({ ...request, isHistory: false })).places).toEqual(last(of, key));
            }
          }
        }
      }),
      { numRuns: 6 },
    );
    expect(world.service.metricsSnapshot().keyFilterFiles).toBeGreaterThan(0);
  });
});
