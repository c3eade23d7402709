/**
 * Differential testing from the command line: the same seeded sequences of requests at Apache Kafka 4.4 and at our broker.
 *
 *     npm run differ -- --seeds 1..1000                        THERMOCLINE_TEST_KAFKA44 names a folder with Kafka's jars
 *     npm run differ -- --seeds 7,9 --kafka 127.0.0.1:9092       against one that runs already
 *         [--failures 10]                                      goes on until so many sequences differ
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '1..1000' }, kafka: { type: 'string' }, failures: { type: 'string', default: '5' } },
});
const root = fileURLToPath(new URL('../..', import.meta.url));
const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.config.ts', '--project', 'conformance'];
const child = spawn(process.execPath, [...vitest, 'test/conformance/differential.test.ts'], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    THERMOCLINE_TEST_DIFFER_SEEDS: values.seeds,
    THERMOCLINE_TEST_DIFFER_FAILURES: values.failures,
    ...(values.kafka === undefined ? {} : { THERMOCLINE_TEST_DIFFER_KAFKA: values.kafka }),
  },
});
child.once('exit', (code) => {
  process.exitCode = code ?? 1;
});
