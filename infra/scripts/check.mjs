/**
 * What must hold of the code without running it: it builds, its types, lint, format, and that nothing is unused. As many at a time as
 * there are processors; each is told in one line as it ends, and with its output where it fails. Exits with 1 where one does.
 *
 *     node infra/scripts/check.mjs
 */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Scripts of package.json, the longest first. None reads what another writes. */
const waiting = ['lint', 'build', 'types', 'unused', 'format:check'];
const failed = [];

function run(script) {
  const startedMs = performance.now();
  const child = spawn('npm', ['run', '-s', script], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => output.push(chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
      if (code === 0) console.error(`${script}: passed in ${seconds} s`);
      else {
        failed.push(script);
        console.error(`\n${script}: failed after ${seconds} s; again alone: npm run ${script}\n${Buffer.concat(output).toString()}`);
      }
      resolve();
    });
  });
}

async function work() {
  for (let script = waiting.shift(); script !== undefined; script = waiting.shift()) await run(script);
}

await Promise.all(Array.from({ length: Math.max(1, availableParallelism()) }, work));
if (failed.length > 0) {
  console.error(`failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}
