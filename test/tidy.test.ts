// The house rules that a machine can hold: layers, doors, ambient time and randomness, file sizes, words.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Which rooms a room may import. Layer by layer; rooms of one layer do not import each other unless listed. */
const layer0 = ['kernel'];
const layer1 = ['config', 'telemetry', 'wire', 'objects', 'control'];
const layer2 = ['client', 'log', 'columns', 'iceberg'];
const below2 = [...layer0, ...layer1];
const below3 = [...below2, ...layer2];
const mayImport: Readonly<Record<string, readonly string[]>> = {
  kernel: [],
  config: layer0,
  telemetry: layer0,
  wire: layer0,
  objects: [...layer0, 'telemetry'],
  control: layer0,
  client: below2,
  log: below2,
  columns: below2,
  iceberg: below2,
  lake: below3,
  broker: below3,
  tier: [...below3, 'lake'],
  query: [...below3, 'lake'],
  gateway: [...below3, 'lake', 'broker', 'tier', 'query'],
  server: [...below3, 'lake', 'broker', 'tier', 'query', 'gateway'],
  cli: [...below3, 'lake', 'broker', 'tier', 'query', 'gateway', 'server'],
};

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? sources(path) : /\.(ts|tsx|mjs)$/.test(entry.name) ? [path] : [];
  });
}

const files = sources(join(root, 'src')).map((path) => ({
  path,
  name: relative(root, path),
  room: relative(join(root, 'src'), path).split('/')[0]!,
  text: readFileSync(path, 'utf8'),
}));

/** Relative imports of a file, resolved to paths below `src`. */
function imports(file: { path: string; text: string }): string[] {
  const found = file.text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g);
  return [...found].map((match) => relative(join(root, 'src'), join(dirname(file.path), match[1]!)));
}

describe('the house', () => {
  it('has seen its files', () => {
    expect(files.length).toBeGreaterThan(60);
    expect(new Set(files.map((file) => file.room))).toEqual(new Set(Object.keys(mayImport)));
  });

  it('imports only downward, and other rooms only by their door', () => {
    const wrong = files.flatMap((file) =>
      imports(file).flatMap((target) => {
        const room = target.split('/')[0]!;
        if (room === file.room) return [];
        if (!(mayImport[file.room] ?? []).includes(room)) return [`${file.name} imports ${target}: ${file.room} may not import ${room}`];
        return target === `${room}/index.js` ? [] : [`${file.name} imports ${target}: use ${room}/index.js`];
      }),
    );
    expect(wrong).toEqual([]);
  });

  it('gives each room one door that opens with its card', () => {
    const wrong = Object.keys(mayImport).filter((room) => {
      const door = files.find((file) => file.name === `src/${room}/index.ts`);
      return door === undefined || !door.text.startsWith(`/**\n * ${room}: `) || !/Test: /.test(door.text);
    });
    expect(wrong).toEqual([]);
  });

  it('reads the ambient clock and randomness only in their home rooms', () => {
    const ambient = /\b(Date\.now\(|new Date\(\)|Math\.random\(|performance\.now\(|randomUUID\(|randomBytes\()/;
    const homes = new Set(['src/kernel/clock.ts', 'src/kernel/random.ts']);
    const wrong = files.filter((file) => !homes.has(file.name) && ambient.test(stripComments(file.text))).map((file) => file.name);
    expect(wrong).toEqual([]);
  });

  it('stores nothing of log, broker and tier but through the disk port', () => {
    const homes = new Set(['src/log/directory-lock.ts']);
    const wrong = files.filter(
      (file) => ['log', 'broker', 'tier'].includes(file.room) && !homes.has(file.name) && /'node:fs/.test(file.text),
    );
    expect(wrong.map((file) => file.name)).toEqual([]);
  });

  it('keeps DuckDB out of every process that must answer quickly', () => {
    const wrong = files.filter((file) => /from '@duckdb\//.test(file.text) && !['columns', 'query', 'cli'].includes(file.room));
    expect(wrong.map((file) => file.name)).toEqual([]);
  });

  it('opens each file with why it exists, and leaves nothing open', () => {
    const wrong = files.flatMap((file) => {
      const problems: string[] = [];
      if (!/^(#!.*\n)?(\/\*\*|\/\/ )/.test(file.text)) problems.push('no opening comment');
      if (/\b(TODO|FIXME|XXX|HACK)\b/.test(file.text)) problems.push('something left open');
      if (/(\bas any\b|: any\b)/.test(stripComments(file.text)) || /@ts-ignore|eslint-disable|biome-ignore/.test(file.text))
        problems.push('an escape from the checks');
      return problems.map((problem) => `${file.name}: ${problem}`);
    });
    expect(wrong).toEqual([]);
  });

  it('tests with engines, workers and services in `integration` and above, not among the unit tests', () => {
    const starts = /\/(query\/engine|support\/(query-world|service|lake))\.js'|openColumnWorkers\(/;
    const wrong = sources(join(root, 'test/unit')).filter((path) => starts.test(readFileSync(path, 'utf8')));
    expect(wrong.map((path) => relative(root, path))).toEqual([]);
    expect(sources(join(root, 'test/integration')).filter((path) => starts.test(readFileSync(path, 'utf8'))).length).toBeGreaterThan(20);
  });

  it('keeps files readable in one sitting', () => {
    const wrong = files.filter((file) => file.text.split('\n').length > 650).map((file) => file.name);
    expect(wrong).toEqual([]);
  });

  it('uses the vocabulary in file names', () => {
    const banned = /(^|[-/])(util|utils|helper|helpers|manager|misc|common)([-.]|$)/;
    expect(files.filter((file) => banned.test(file.name)).map((file) => file.name)).toEqual([]);
  });

  it('gives the build in a container every script that a build runs', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
    const builds = Object.entries(scripts).filter(([name]) => /^build(:|$)/.test(name));
    const run = builds.flatMap(([, command]) => command.match(/infra\/\S+/g) ?? []);
    const dockerfile = readFileSync(join(root, 'infra/docker/Dockerfile'), 'utf8');
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, from]) => from!.split(' '));
    expect(run.filter((path) => !copied.includes(path))).toEqual([]);
    expect(run.length).toBeGreaterThan(0);
  });

  it('has the top level that was agreed', () => {
    const expected = [
      'package.json',
      'tsconfig.json',
      'src',
      'infra',
      'docker-compose.yml',
      'test',
      'docs',
      'README.md',
      'LICENSE',
      'NOTICE',
    ];
    expect(expected.filter((name) => statSync(join(root, name), { throwIfNoEntry: false }) === undefined)).toEqual([]);
  });
});

function stripComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
}
