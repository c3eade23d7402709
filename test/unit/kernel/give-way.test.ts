/** A process that gives way, seen by itself: its priority, and its session's share where the system has such a thing. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { entryPath } from '../../../src/kernel/index.js';

const sharesPerSession = process.platform === 'linux' && existsSync('/proc/self/autogroup');

/** What a child sees of itself after `giveWay(7)`; `isLeader`: it has a session of its own. */
async function seenByChild(isLeader: boolean): Promise<{ priority: number; before: string; after: string }> {
  const program = `
    import { readFileSync } from 'node:fs';
    import { getPriority } from 'node:os';
    import { giveWay } from ${JSON.stringify(entryPath('kernel/index'))};
    const share = () => ${sharesPerSession ? "readFileSync('/proc/self/autogroup', 'utf8').trim().replace(/^\\S+ /, '')" : "'none'"};
    const before = share();
    giveWay(7);
    // The system may take the share only when others have had theirs taken.
    for (let tries = 0; ${String(isLeader && sharesPerSession)} && share() === before && tries < 100; tries++)
      await new Promise((resolve) => setTimeout(resolve, 100));
    console.log(JSON.stringify({ priority: getPriority(), before, after: share() }));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    detached: isLeader,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return JSON.parse(await text(child.stdout)) as { priority: number; before: string; after: string };
}

it('lowers the priority of a process, and the share of a session that it leads', async () => {
  const { priority, before, after } = await seenByChild(true);
  expect(priority).toBe(7);
  expect([before, after]).toEqual(sharesPerSession ? ['nice 0', 'nice 7'] : ['none', 'none']);
});

it('leaves the share of a session that others lead', async () => {
  const { priority, before, after } = await seenByChild(false);
  expect(priority).toBe(7);
  expect(after).toBe(before);
});
