// What the supervisor owes its roles and the machine, beside starting again what was killed (see kill.test.ts).
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadServerConfig } from '../../src/config/index.js';
import { systemClock } from '../../src/kernel/index.js';
import { serve } from '../../src/server/index.js';
import { silentLogger } from '../../src/telemetry/index.js';
import { temporaryFolder } from '../support/service.js';

const launcher = fileURLToPath(new URL('../../src/cli/thermocline.mjs', import.meta.url));
const freePorts = { 'kafka.listen': '127.0.0.1:0', 'http.listen': '127.0.0.1:0' };

/** Processes that have `text` in their command line, without this one. */
function processesWith(text: string): { readonly pid: number; readonly args: string }[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    try {
      const args = readFileSync(join('/proc', name, 'cmdline'), 'utf8').replaceAll('\0', ' ');
      return args.includes(text) ? [{ pid, args }] : [];
    } catch {
      return [];
    }
  });
}

async function until(condition: () => boolean | Promise<boolean>, what: string, ms = 20_000): Promise<void> {
  const deadline = systemClock.monotonicMs() + ms;
  while (!(await condition())) {
    if (systemClock.monotonicMs() > deadline) throw new Error(`never: ${what}`);
    await systemClock.sleep(50);
  }
}

function start(dataDir: string) {
  const settings = Object.entries(freePorts).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  return spawn(process.execPath, [launcher, 'serve', '--data-dir', dataDir, ...settings], { stdio: ['ignore', 'pipe', 'ignore'] });
}

describe.skipIf(process.platform !== 'linux')('the supervisor', () => {
  it('takes its roles along when it is killed, also while they start', async () => {
    const folder = await temporaryFolder();
    try {
      for (const roles of [1, 2, 3, 3, 3]) {
        const dataDir = join(folder.path, String(roles));
        const service = start(dataDir);
        await until(() => processesWith(dataDir).filter(({ args }) => args.includes('role-main')).length >= roles, 'its roles are there');
        service.kill('SIGKILL');
        await until(() => processesWith(dataDir).length === 0, 'all are gone', 5000);
      }
    } finally {
      for (const { pid } of processesWith(folder.path)) process.kill(pid, 'SIGKILL');
      await folder.remove();
    }
  });

  it('goes on when nobody reads what it says', async () => {
    const folder = await temporaryFolder();
    const service = start(join(folder.path, 'data'));
    const ended = new Promise((resolve) => service.once('exit', resolve));
    try {
      const { http } = await new Promise<{ http: string }>((resolve) => {
        service.stdout?.once('data', (line: Buffer) => resolve(JSON.parse(line.toString()) as { http: string }));
      });
      service.stdout?.destroy();
      const gateway = processesWith(folder.path).find(({ args }) => args.includes('role-main.js gateway'));
      process.kill(gateway!.pid, 'SIGKILL');
      const isAlive = () =>
        fetch(`${http}/livez`)
          .then(({ ok }) => ok)
          .catch(() => false);
      await until(async () => !(await isAlive()), 'the gateway is away');
      await until(isAlive, 'the gateway is back');
      service.kill('SIGTERM');
      expect(await ended).toBe(0);
      expect(processesWith(folder.path)).toEqual([]);
    } finally {
      service.kill('SIGKILL');
      await folder.remove();
    }
  });

  it('starts a role again although a first try found no room for a process', async () => {
    const folder = await temporaryFolder();
    const service = await serve(loadServerConfig({ flags: { 'data.dir': join(folder.path, 'data'), ...freePorts } }), silentLogger);
    const node = process.execPath;
    try {
      const before = service.pids().gateway!;
      process.execPath = join(folder.path, 'no-such-program');
      process.kill(before, 'SIGKILL');
      await until(() => service.pids().gateway === undefined, 'the gateway is gone');
      await systemClock.sleep(500);
      process.execPath = node;
      await until(() => service.pids().gateway !== undefined, 'the gateway is back');
      await until(
        () =>
          fetch(`${service.http}/livez`)
            .then(({ ok }) => ok)
            .catch(() => false),
        'it answers',
      );
    } finally {
      process.execPath = node;
      await service.stop();
      await folder.remove();
    }
  });
});
