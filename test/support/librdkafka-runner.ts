// Runs librdkafka's own tests with the runner it is built with: one process a test, so that one that hangs costs only itself.
import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LibrdkafkaTest } from './librdkafka-tests.js';
import { librdkafka } from './outside-tools.js';

/** The longest takes a third of it where nothing else runs. */
const testTimeoutMs = 150_000;
const outputBytesMax = 64 * 1024 * 1024;
const outputTail = 4_000;

export type LibrdkafkaOutcome = { readonly passed: true } | { readonly skipped: string } | { readonly failed: string };

export class LibrdkafkaRunner {
  readonly #folder: string;
  readonly #sources: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.#sources = join(librdkafka.path ?? '', 'librdkafka');
  }

  /** Tests of plugins look for them beside the folder they run in. */
  async prepare(): Promise<void> {
    await symlink(join(this.#sources, 'src'), join(this.#folder, 'src'));
  }

  /** Runs one test in a folder of its own to its end. */
  async run(test: LibrdkafkaTest, bootstrap: string): Promise<LibrdkafkaOutcome> {
    const [name = '', functionName = ''] = test.name.split('#');
    const folder = join(this.#folder, test.name.replace('#', '-'));
    await mkdir(folder);
    const config = join(folder, 'test.conf');
    // Names of topics tell tests apart that run at the same time.
    await writeFile(config, `bootstrap.servers=${bootstrap}\ntest.topic.prefix=rdk${test.name.replaceAll(/\D/g, '')}\n`);
    const environment = {
      ...process.env,
      TESTS: name,
      SUBTESTS: functionName,
      RDKAFKA_TEST_CONF: config,
      TEST_KAFKA_VERSION: '4.4.0',
      TERM: 'dumb',
      // Without it the runner takes a librdkafka of the system.
      LD_LIBRARY_PATH: `${join(this.#sources, 'src')}:${join(this.#sources, 'src-cpp')}`,
    };
    const args = ['-p1', ...(test.mode === 'quick' ? ['-Q'] : []), '-E', '-L', '-s', test.scenario];
    return new Promise((resolve) => {
      const options = { cwd: folder, env: environment, timeout: testTimeoutMs, killSignal: 'SIGKILL', maxBuffer: outputBytesMax } as const;
      execFile(join(this.#sources, 'tests', 'test-runner'), args, options, (error, stdout, stderr) => {
        // eslint-disable-next-line no-control-regex
        const said = `${stdout}${stderr}`.replaceAll(/\x1b\[[0-9;]*m/g, '');
        const skipped = new RegExp(`^\\| *${name} .*\\| *SKIPPED`, 'm').test(said);
        const isEnded = new RegExp(`^\\| *${name} .*\\| *(PASSED|SKIPPED)`, 'm').test(said);
        if (error !== null) resolve({ failed: `${error.killed === true ? 'took too long' : error.message}\n${said.slice(-outputTail)}` });
        else if (!isEnded) resolve({ failed: `the runner did not run it:\n${said.slice(-outputTail)}` });
        else resolve(skipped ? { skipped: /SKIPPING TEST: (.*)/.exec(said)?.[1] ?? 'by its runner' } : { passed: true });
      });
    });
  }
}
