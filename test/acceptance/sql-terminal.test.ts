// The prompt on a real terminal, as far as util-linux' `script` gives one: keys go in, what is on the screen comes out.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lake } from '../support/lake.js';
import { temporaryFolder } from '../support/service.js';

const launcher = fileURLToPath(new URL('../../src/cli/thermocline.mjs', import.meta.url));
const program = ['/usr/bin/script', '/bin/script'].find((path) => existsSync(path));

let lake: Lake;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
  lake = await Lake.start({ dataDir: join(folder.path, 'data'), set: { 'log.level': 'warn' } });
  await lake.createTopic('orders', 2);
  const value = (n: number): Buffer => Buffer.from(JSON.stringify({ n, customer: `c${n}` }));
  await lake.produce(
    'orders',
    Array.from({ length: 1500 }, (_, n) => ({ key: null, value: value(n), partition: n % 2 })),
  );
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await folder.remove();
});

class Terminal {
  readonly #child: ChildProcess;
  #raw = '';
  readonly ended: Promise<number | null>;

  constructor(args: readonly string[]) {
    const command = [process.execPath, launcher, 'sql', ...args].map((word) => `'${word}'`).join(' ');
    this.#child = spawn(program!, ['-qfec', command, '/dev/null'], {
      env: {
        ...process.env,
        TERM: 'xterm',
        THERMOCLINE_SERVER: lake.service.http,
        THERMOCLINE_HISTORY: join(folder.path, 'history'),
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child.stdout!.on('data', (chunk: Buffer) => {
      this.#raw += chunk.toString();
    });
    this.ended = new Promise((resolve) => this.#child.once('close', resolve));
  }

  type(keys: string): void {
    this.#child.stdin!.write(keys);
  }

  /** Waits until the screen shows it, after what was waited for before, and gives all that came. */
  async sees(text: string | RegExp): Promise<string> {
    for (let tries = 0; tries < 3000; tries++) {
      const screen = this.#screen;
      if (typeof text === 'string' ? screen.includes(text) : text.test(screen)) {
        this.#raw = '';
        return screen;
      }
      await sleep(10);
    }
    throw new Error(`the terminal never showed ${String(text)}:\n${this.#screen}`);
  }

  /** Lines that were erased are gone. */
  get #screen(): string {
    return this.#raw
      .replaceAll(/[^\n]*\r\u001b\[2K/g, '')
      .replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '')
      .replaceAll('\r', '');
  }
}

describe.skipIf(program === undefined)('the prompt on a terminal', () => {
  it('asks, bounds a table, cancels with Ctrl-C and goes on, and leaves with Ctrl-D', async () => {
    const terminal = new Terminal([]);
    expect(await terminal.sees('thermocline> ')).toContain('hot and cold');
    terminal.type('SELECT n, customer FROM orders ORDER BY n;\r');
    const table = await terminal.sees('.limit 0 all');
    expect(table).toMatch(/^ *n {2}customer$/m);
    expect(table).toMatch(/^ *999 {2}c999$/m);
    expect(table).not.toMatch(/^ *1000 {2}c1000$/m);
    terminal.type('SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b;\r');
    await terminal.sees('running');
    terminal.type('\u0003');
    await terminal.sees('cancelled');
    terminal.type('.mode ndjson\r');
    terminal.type('SELECT count(*) AS c FROM orders;\r');
    await terminal.sees('{"c":1500}');
    terminal.type('.mode auto\r.schema orders\r');
    await terminal.sees(/customer +VARCHAR/);
    terminal.type('\u0004');
    expect(await terminal.ended).toBe(0);
    // What was entered is there for the next one.
    const next = new Terminal([]);
    await next.sees('thermocline> ');
    next.type('\u001b[A\u001b[A\u001b[A');
    await next.sees('SELECT count(*) AS c FROM orders;');
    next.type('\r');
    await next.sees(/^1500$/m);
    next.type('.quit\r');
    expect(await next.ended).toBe(0);
  });

  it('writes a file while a terminal looks on, and no binary to the terminal', async () => {
    const file = new Terminal(['SELECT n FROM orders', '-o', join(folder.path, 'n.ndjson')]);
    await file.sees('1500 rows');
    expect(await file.ended).toBe(0);
    const binary = new Terminal(['SELECT 1', '--format', 'parquet']);
    await binary.sees('parquet is no text for a terminal');
    expect(await binary.ended).toBe(2);
  });
});
