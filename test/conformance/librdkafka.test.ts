// The tests that librdkafka, the client of most languages but Java, is tested with by its authors, against this broker.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LibrdkafkaOutcome, LibrdkafkaRunner } from '../support/librdkafka-runner.js';
import { type LibrdkafkaTest, librdkafkaTests, librdkafkaTestsLeftOut } from '../support/librdkafka-tests.js';
import { librdkafka } from '../support/outside-tools.js';
import { type RunningService, startService, temporaryFolder } from '../support/service.js';

/** Most of a test's time is waiting. */
const lanes = 3;
/** All of them, behind each other where one waits for its turn. */
const deadlineMs = 900_000;

interface Turn {
  readonly test: LibrdkafkaTest;
  readonly outcome: Promise<LibrdkafkaOutcome>;
  readonly settle: (outcome: LibrdkafkaOutcome) => void;
}

function turnOf(test: LibrdkafkaTest): Turn {
  let settle: Turn['settle'] = () => undefined;
  const outcome = new Promise<LibrdkafkaOutcome>((resolve) => {
    settle = resolve;
  });
  return { test, outcome, settle };
}

describe.skipIf(librdkafka.path === undefined)(`librdkafka's own tests${librdkafka.note}`, () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  const services = new Map<LibrdkafkaTest['scenario'], RunningService>();
  const turns = librdkafkaTests.map(turnOf);
  let running: Promise<unknown> = Promise.resolve();

  beforeAll(async () => {
    folder = await temporaryFolder();
    for (const scenario of ['default', 'noautocreate'] as const) {
      const set = { 'auto.create.topics.enable': String(scenario === 'default'), 'num.partitions': '4' };
      services.set(scenario, await startService({ command: ['broker'], dataDir: `${folder.path}/data-${scenario}`, set }));
    }
    const runner = new LibrdkafkaRunner(folder.path);
    await runner.prepare();
    const left = turns.values();
    const lane = async (): Promise<void> => {
      for (const { test, settle } of left) {
        const outcome = await runner.run(test, services.get(test.scenario)!.kafka);
        settle(outcome);
      }
    };
    running = Promise.all(Array.from({ length: lanes }, lane));
  });
  afterAll(async () => {
    await running;
    for (const service of services.values()) await service.stop();
    await folder?.remove();
  }, deadlineMs);

  it('are each run, or left out for a reason', () => {
    expect(librdkafkaTests.map(({ name }) => name).filter((name) => name in librdkafkaTestsLeftOut)).toEqual([]);
  });

  for (const { test, outcome } of turns) {
    it(
      `${test.name} passes`,
      async (context) => {
        const result = await outcome;
        if ('skipped' in result) context.skip(result.skipped);
        expect(result).toEqual({ passed: true });
      },
      deadlineMs,
    );
  }
});
