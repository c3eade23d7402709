#!/usr/bin/env node
// The command's launcher. In a checkout the compiled program may be missing or older than its source: then it is built
// first, so that after `npm ci` nothing else has to be done. In an installed package there is no source and nothing to build.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const stamp = `${root}dist/cli/main.js`;
const compiler = `${root}node_modules/typescript/bin/tsc`;
const loopsCompiler = `${root}node_modules/assemblyscript/bin/asc.js`;
const loopsConfig = `${root}src/columns/loops/asconfig.json`;

function newestMs(folder) {
  let newest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    newest = Math.max(newest, entry.isDirectory() ? newestMs(path) : statSync(path).mtimeMs);
  }
  return newest;
}

if (existsSync(`${root}src/cli/main.ts`) && existsSync(compiler)) {
  const builtMs = existsSync(stamp) ? statSync(stamp).mtimeMs : 0;
  if (builtMs < newestMs(`${root}src`)) {
    process.stderr.write('building…\n');
    // The loops first: the other compiler writes the stamp.
    for (const args of [
      [loopsCompiler, '--config', loopsConfig, '--target', 'release'],
      [compiler, '-p', `${root}tsconfig.json`],
    ]) {
      execFileSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] });
    }
  }
}
await import(new URL('../../dist/cli/main.js', import.meta.url).href);
