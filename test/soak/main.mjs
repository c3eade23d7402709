/** `npm run soak -- --minutes 10 [--seed N]`: the soak, with a line of samples every half minute and a verdict at the end. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string' } } });
const root = fileURLToPath(new URL('../..', import.meta.url));
const environment = {
  ...process.env,
  THERMOCLINE_TEST_SOAK_MINUTES: values.minutes,
  ...(values.seed === undefined ? {} : { THERMOCLINE_TEST_SEED: values.seed }),
};
const args = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.config.ts', '--project', 'soak'];
const child = spawn(process.execPath, args, { cwd: root, env: environment, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.once('exit', (code) => process.exit(code ?? 1));
