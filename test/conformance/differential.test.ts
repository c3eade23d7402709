/**
 * The same seeded sequences of requests at Apache Kafka 4.4 and at our broker: every field of every answer is equal, or stands in
 * the short list of allowed differences with its reason. `npm run differ -- --seeds A..B,C` runs others.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Brokers, startBrokers } from '../differential/brokers.js';
import { uses } from '../differential/compare.js';
import { run, shrink, signature, told } from '../differential/run.js';
import { sequence } from '../differential/sequences.js';
import { witnesses } from '../differential/witnesses.js';
import { kafka44 } from '../support/outside-tools.js';

const seedsAsked = process.env['THERMOCLINE_TEST_DIFFER_SEEDS'];
/** Ranges of seeds, or single ones: `1..300,716`. */
const seeds = (seedsAsked ?? '1..300').split(',').flatMap((range) => {
  const [first = 1, last = first] = range.split('..').map(Number);
  return Array.from({ length: last - first + 1 }, (_none, i) => first + i);
});
const failuresMax = Number(process.env['THERMOCLINE_TEST_DIFFER_FAILURES'] ?? 3);
/** Sequences at the same time: most of one's time is waiting. */
const lanes = 12;
const sequencesToldEach = 1_000;
/** What a sequence that differs does then tells a rule from a matter of time. */
const runsAgain = 3;
const startDeadlineMs = 120_000;
const sequenceDeadlineMs = 2_000;
const isKafkaGiven = process.env['THERMOCLINE_TEST_DIFFER_KAFKA'] !== undefined;

describe.skipIf(kafka44.path === undefined && !isKafkaGiven)(`Apache Kafka 4.4 and this broker${kafka44.note}`, () => {
  let brokers: Brokers;
  beforeAll(async () => {
    brokers = await startBrokers();
  }, startDeadlineMs);
  afterAll(async () => {
    await brokers?.stop();
  }, startDeadlineMs);

  it(
    `answer sequences ${seedsAsked ?? '1..300'} alike`,
    async () => {
      const failures: string[] = [];
      const counts = new Map<string, number>();
      const left = seeds.values();
      let done = 0;
      let parted = 0;
      const lane = async (): Promise<void> => {
        for (const seed of left) {
          if (failures.length >= failuresMax) return;
          const steps = sequence(seed, brokers.versions);
          const { found, partedAt } = await run(brokers, steps, String(seed));
          done++;
          if (done % sequencesToldEach === 0) process.stderr.write(`differential: ${done} of ${seeds.length} sequences\n`);
          if (partedAt !== undefined) parted++;
          if (found === undefined) continue;
          const kind = signature(found);
          const count = (counts.get(kind) ?? 0) + 1;
          counts.set(kind, count);
          if (count > 1) continue;
          let repeats = 0;
          for (let i = 0; i < runsAgain; i++) if ((await run(brokers, steps, String(seed))).found !== undefined) repeats++;
          failures.push(`${told(seed, await shrink(brokers, steps, found, String(seed)))}\nrepeats: ${repeats} of ${runsAgain}`);
        }
      };
      for (const [at, steps] of witnesses.entries()) {
        const { found } = await run(brokers, steps, '0');
        if (found !== undefined) failures.push(`by hand, sequence ${at}:\n${told(0, { steps, found })}`);
      }
      await Promise.all(Array.from({ length: lanes }, lane));
      const differing = [...counts.values()].reduce((sum, count) => sum + count, 0);
      process.stderr.write(`differential: ${done} sequences, ${differing} differ, ${parted} were left where chance decides\n`);
      const unused = [...uses]
        .filter(([{ isByChance }, count]) => count === 0 && isByChance !== true)
        .map(([{ api, path }]) => `${api} ${path}`);
      if (unused.length > 0) process.stderr.write(`differential: allowed and not needed: ${unused.join(', ')}\n`);
      if (failures.length > 0) process.stderr.write(`${failures.join('\n\n')}\n`);
      expect(failures).toEqual([]);
      expect(differing).toBe(0);
      // What is allowed and never needed should not be allowed; a few seeds alone need not show it.
      if (seedsAsked === undefined) expect(unused).toEqual([]);
    },
    startDeadlineMs + seeds.length * sequenceDeadlineMs,
  );
});
