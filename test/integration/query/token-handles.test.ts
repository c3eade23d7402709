// Handles of long tokens: what they say after a restart, how much is kept, and where an answer carries which.
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/index.js';
import { TokenHandles } from '../../../src/query/token-handles.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

const folders: string[] = [];
async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'thermocline-tokens-'));
  folders.push(path);
  return path;
}
afterEach(async () => {
  for (const path of folders.splice(0)) await rm(path, { recursive: true, force: true });
});

describe('a handle', () => {
  it('stands for its token after a restart too, and the same token has the same one', async () => {
    const path = await folder();
    const handles = await TokenHandles.open(path, systemClock);
    const handle = await handles.handleOf('t2.long');
    expect(handle).toMatch(/^h2\.[0-9a-f]{64}$/);
    expect(await handles.handleOf('t2.long')).toBe(handle);
    expect(await (await TokenHandles.open(path, systemClock)).textOf(handle)).toBe('t2.long');
    expect(await readdir(path)).toHaveLength(1);
  });

  it('goes when others need its room, the one not used for the longest first', async () => {
    const path = await folder();
    const handles = await TokenHandles.open(path, systemClock, 25);
    const [a, b] = [await handles.handleOf('a'.repeat(10)), await handles.handleOf('b'.repeat(10))];
    expect(await handles.textOf(a)).toBe('a'.repeat(10));
    const c = await handles.handleOf('c'.repeat(10));
    expect(handles.bytes).toBe(20);
    expect(await readdir(path)).toHaveLength(2);
    await expect(handles.textOf(b)).rejects.toMatchObject({ code: 'token-gone' });
    for (const handle of [a, c]) expect(await handles.textOf(handle)).toHaveLength(10);
  });

  it('is refused where it is none, and gone where its file is damaged or was of an older kind', async () => {
    const path = await folder();
    const handles = await TokenHandles.open(path, systemClock);
    const handle = await handles.handleOf('t2.long');
    await writeFile(join(path, (await readdir(path))[0]!), 't2.lonG');
    await expect(handles.textOf(handle)).rejects.toMatchObject({ code: 'token-gone' });
    await expect(handles.textOf('h1.7f1b5d6e-0000-4000-8000-000000000000')).rejects.toMatchObject({ code: 'token-gone' });
    await expect(handles.textOf('h2.../../etc/passwd')).rejects.toMatchObject({ code: 'token-invalid' });
  });
});

describe('an answer over thousands of partitions', () => {
  it('carries its token in the body and a handle in the header, and both give the same rows after a restart', async () => {
    await using world = await QueryWorld.open({ workers: inlineColumnWorkers });
    world.createTopic('wide', 3000);
    for (let partition = 1; partition < 3000; partition++) {
      const log = world.partition('wide', partition);
      log.endOffset =
        log.logStartOffset =
        log.boundary =
          createHash('sha256').update(String(partition)).digest().readUInt32LE() % 1_000_000;
    }
    world.append('wide', 0, [{ timestampMs: 1, value: '{"n":1}' }]);
    const { token, headerToken, rows } = await world.ask('SELECT n FROM wide');
    expect(token).toMatch(/^t2\./);
    expect(headerToken).toMatch(/^h2\./);
    world.append('wide', 0, [{ timestampMs: 2, value: '{"n":2}' }]);
    await world.reopen();
    for (const asOf of [token, headerToken]) expect((await world.ask({ sql: 'SELECT n FROM wide', asOf })).rows).toEqual(rows);
    expect((await world.ask('SELECT count(*) FROM wide')).rows).toEqual([[2]]);
  });
});
