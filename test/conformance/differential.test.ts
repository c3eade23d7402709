/**
 * The same seeded sequences of requests at Apache Kafka 4.4 and at our broker: every field of every answer is equal, or stands in
 * the short list of allowed differences with its reason. `npm run differ -- --seeds A..B` runs more.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Brokers, startBrokers } from '../differential/brokers.js';
import { run, shrink, signature, told } from '../differential/run.js';
import { sequence } from '../differential/sequences.js';
import { kafka44 } from '../support/outside-tools.js';

const [first = 1, last = first] = (process.env['THERMOCLINE_TEST_DIFFER_SEEDS'] ?? '1..300').split('..').map(Number);
const failuresMax = Number(process.env['THERMOCLINE_TEST_DIFFER_FAILURES'] ?? 3);
/** Sequences at the same time: most of one's time is waiting. */
const lanes = 6;
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
    `answer sequences ${first} to ${last} alike`,
    async () => {
      const failures: string[] = [];
      const counts = new Map<string, number>();
      let next = first;
      let done = 0;
      const lane = async (): Promise<void> => {
        while (next <= last && failures.length < failuresMax) {
          const seed = next++;
          const steps = sequence(seed, brokers.versions);
          const found = await run(brokers, steps, String(seed));
          done++;
          if (found === undefined) continue;
          const kind = signature(found);
          const count = (counts.get(kind) ?? 0) + 1;
          counts.set(kind, count);
          if (count === 1) failures.push(told(seed, await shrink(brokers, steps, found, String(seed))));
        }
      };
      await Promise.all(Array.from({ length: lanes }, lane));
      const differing = [...counts.values()].reduce((sum, count) => sum + count, 0);
      process.stderr.write(`differential: ${done} sequences, ${differing} differ\n`);
      if (failures.length > 0) process.stderr.write(`${failures.join('\n\n')}\n`);
      expect(differing).toBe(0);
    },
    startDeadlineMs + (last - first + 1) * sequenceDeadlineMs,
  );
});
