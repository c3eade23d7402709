/**
 * Queries as of a time against a model: whatever is appended when, tiered, compacted, and however the broker is restarted, an answer holds
 * exactly the records that had been appended at the time it says it is of, which is never later than the one asked for; and the token
 * of any answer gives its rows again.
 */
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { hourMs } from '../../src/kernel/index.js';
import { inlineColumnWorkers } from '../support/column-workers.js';
import { QueryWorld } from '../support/query-world.js';

const partitions = 2;
const pause = fc.oneof(fc.nat(30), fc.nat(1500), fc.nat(2 * hourMs));
const partition = fc.nat(partitions - 1);
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('append' as const), pause, partition, records: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('ask' as const), pause, back: fc.double({ min: 0, max: 1, noNaN: true }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('tier' as const),
      pause,
      partition,
      share: fc.constantFrom(0.5, 1, 1),
      fileRows: fc.integer({ min: 1, max: 6 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('compact' as const), pause, partition }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('restart' as const), pause, how: fc.constantFrom('clean', 'killed', 'recovered' as const) }),
  },
);

const appendOne = { kind: 'append' as const, pause: 0, partition: 0, records: 1 };

interface Stored {
  readonly partition: number;
  readonly offset: number;
  /** As the broker counts it. */
  readonly atMs: number;
}

interface Answered {
  readonly token: string;
  readonly rows: readonly string[];
}

let world: QueryWorld;
beforeAll(async () => {
  world = await QueryWorld.open({ workers: inlineColumnWorkers, tailEncodeBytesMin: 1 });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

let serial = 0;

it('holds exactly what had been appended at the time the answer says, and repeats it by its token', async () => {
  const counts = { exact: 0, earlier: 0, unknown: 0, repeated: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), async (steps) => {
      const name = `past${serial++}`;
      const clock = world.clock;
      clock.nowIs = Date.parse('2026-11-26T10:00:00Z');
      world.createTopic(name, partitions);
      const createdMs = clock.nowIs;
      const log: Stored[] = [];
      const answers: Answered[] = [];
      let restarts = 0;
      let recoveredMs = 0;
      const ask = async (asOf: string): Promise<Answered & { readonly asOfMs: number | undefined }> => {
        const answer = await world.ask({ sql: `SELECT _partition_id, _offset, text(_value) FROM ${name} ORDER BY ALL`, asOf });
        return { token: answer.token, rows: answer.rows.map(String), asOfMs: answer.stats.as_of_ms };
      };
      const askTime = async (askedMs: number): Promise<void> => {
        // Both ways to write a time.
        const found = await ask(askedMs % 2 === 0 ? String(askedMs) : new Date(askedMs).toISOString()).catch(
          (error: unknown) => error as { code: string },
        );
        if ('code' in found) {
          // What was never known: before the topic, or before a recovery, as far as it is not in the table.
          expect(found.code).toBe('as-of-unknown');
          expect(askedMs < createdMs || askedMs < recoveredMs).toBe(true);
          counts.unknown++;
          return;
        }
        const asOfMs = found.asOfMs!;
        expect(asOfMs).toBeLessThanOrEqual(askedMs);
        expect(found.rows).toEqual(
          log
            .filter(({ atMs }) => atMs <= asOfMs)
            .sort((a, b) => a.partition - b.partition || a.offset - b.offset)
            .map((record) => `${record.partition},${record.offset},${record.partition * 1000 + record.offset}`),
        );
        if (restarts === 0) expect(askedMs - asOfMs).toBeLessThanOrEqual(2000);
        if (asOfMs === askedMs) counts.exact++;
        else counts.earlier++;
        answers.push(found);
      };
      for (const taken of steps) {
        clock.nowIs += taken.pause;
        if (taken.kind === 'append') {
          const own = world.partition(name, taken.partition);
          const records = Array.from({ length: taken.records }, (_, at) => ({
            timestampMs: 1000,
            value: String(taken.partition * 1000 + own.endOffset + at),
          }));
          const first = own.endOffset;
          world.append(name, taken.partition, records);
          const { lastMs } = (await own.times.spans()).at(-1)!;
          for (let offset = first; offset < own.endOffset; offset++) log.push({ partition: taken.partition, offset, atMs: lastMs });
          clock.nowIs = Math.max(clock.nowIs, lastMs);
        } else if (taken.kind === 'ask') {
          await askTime(Math.round(clock.nowIs - taken.back * (clock.nowIs - createdMs)));
        } else if (taken.kind === 'tier') {
          const own = world.partition(name, taken.partition);
          await world.makeCold(name, taken.partition, Math.round(taken.share * own.endOffset), taken.fileRows);
        } else if (taken.kind === 'compact') {
          await world.compact(name, taken.partition);
        } else {
          restarts++;
          if (taken.how === 'recovered') recoveredMs = clock.nowIs + 1;
          for (let at = 0; at < partitions; at++) world.partition(name, at).restart(taken.how, clock.nowIs);
        }
      }
      for (const { atMs } of log.slice(0, 4)) await askTime(atMs);
      await askTime(clock.nowIs);
      await askTime(createdMs - 1);
      for (const { token, rows } of answers) {
        const again = await ask(token);
        expect([again.rows, again.token, again.asOfMs]).toEqual([rows, token, undefined]);
        counts.repeated++;
      }
      await expect(ask(String(clock.nowIs + 1))).rejects.toMatchObject({ code: 'as-of-future' });
    }),
    {
      numRuns: Number(process.env['THERMOCLINE_RUNS'] ?? 12),
      // In the very moment in which the topic is created.
      examples: [[[{ kind: 'ask', pause: 0, back: 0 }, appendOne, { kind: 'ask', pause: 0, back: 1 }]]],
    },
  );
  for (const count of Object.values(counts)) expect(count).toBeGreaterThan(0);
});
