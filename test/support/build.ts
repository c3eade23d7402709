// Child processes and worker threads run compiled JavaScript, and columns its compiled loops, so the suites need a fresh `dist`.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export default function build(): void {
  if (process.env['THERMOCLINE_BUILT'] === '1') return;
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const compile = (...args: string[]): Buffer => execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  compile('node_modules/typescript/bin/tsc', '-p', 'tsconfig.json');
  compile('node_modules/assemblyscript/bin/asc.js', '--config', 'src/columns/loops/asconfig.json', '--target', 'release');
  compile('infra/scripts/copy-page.mjs');
}
