/**
 * Where the compiled entry points of child processes and worker threads lie. They always run from `dist`, also when the
 * caller itself was loaded from source by a test runner.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The package's root folder. */
export const packageRoot: string = fileURLToPath(new URL('../../', import.meta.url));

/** The package's version. */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(`${packageRoot}package.json`, 'utf8')) as { version: string }).version;
}

/** Absolute path of a compiled module: `entryPath('query/engine-main')`. */
export function entryPath(module: string): string {
  return `${packageRoot}dist/${module}.js`;
}
