import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { entryPath, systemClock, systemRandom } from '../../../src/kernel/index.js';
import { lockDirectory } from '../../../src/log/directory-lock.js';
import { openIn, temporaryFolder } from './hot-world.js';

const ports = { clock: systemClock, random: systemRandom };

const holder = `
const [{ lockDirectory }, kernel] = await Promise.all([import(process.argv[1]), import(process.argv[2])]);
await lockDirectory(process.argv[3], { clock: kernel.systemClock, random: kernel.systemRandom });
process.stdout.write('locked');
setInterval(() => undefined, 1000);
`;

describe('the lock of a log folder', () => {
  it('lets one in and the next when it has left', async () => {
    const dir = join(await temporaryFolder(), 'log');
    const log = await openIn(dir);
    await expect(openIn(dir)).rejects.toMatchObject({ code: 'data-dir-locked' });
    await log.close();
    await openIn(dir);
  });

  it('dies with a process that is killed', async () => {
    const dir = await temporaryFolder();
    const modules = ['log/directory-lock', 'kernel/index'].map(entryPath);
    const child = spawn(process.execPath, ['--input-type=module', '-e', holder, ...modules, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await expect(lockDirectory(dir, ports)).rejects.toMatchObject({ code: 'data-dir-locked' });
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    const lock = await lockDirectory(dir, ports);
    expect(await fs.readdir(dir)).toHaveLength(1);
    await lock.release();
    expect(await fs.readdir(dir)).toEqual([]);
  });

  it('never lets two in that come at the same time', async () => {
    const dir = await temporaryFolder();
    for (let round = 0; round < 10; round++) {
      const attempts = await Promise.allSettled([1, 2, 3].map(() => lockDirectory(dir, ports)));
      const locks = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []));
      expect(locks.length).toBeLessThanOrEqual(1);
      for (const lock of locks) await lock.release();
    }
  });

  it('works under a path too long for a socket', async () => {
    const dir = join(await temporaryFolder(), 'x'.repeat(100), 'y'.repeat(100));
    await fs.mkdir(dir, { recursive: true });
    const lock = await lockDirectory(dir, ports);
    await expect(lockDirectory(dir, ports)).rejects.toMatchObject({ code: 'data-dir-locked' });
    await lock.release();
    await (await lockDirectory(dir, ports)).release();
  });
});
