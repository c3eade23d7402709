// A service with a token: every command works with it, nothing does without, and it stands in no log, list or process's arguments.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CommandResult, type RunningService, runCommand, startService, temporaryFolder } from '../support/service.js';

const token = 'tell-nobody-4711';
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let service: RunningService;

beforeAll(async () => {
  folder = await temporaryFolder();
  const tokenFile = join(folder.path, 'token');
  await writeFile(tokenFile, `${token}\n`, { mode: 0o600 });
  service = await startService({
    dataDir: join(folder.path, 'data'),
    environment: { THERMOCLINE_HTTP_TOKEN: token },
    set: { 'http.listen': '0.0.0.0:0' },
  });
});
afterAll(async () => {
  await service?.stop();
  await folder?.remove();
});

const server = (): string => service.http.replace('0.0.0.0', '127.0.0.1');

function run(args: readonly string[], environment: Readonly<Record<string, string>>, input = ''): Promise<CommandResult> {
  return runCommand(args, { environment: { THERMOCLINE_SERVER: server(), THERMOCLINE_BOOTSTRAP: service.kafka, ...environment }, input });
}

/** Arguments of every process of this machine. */
async function allArguments(): Promise<string> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const texts = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return texts.join('\n');
}

describe('a service with a token', () => {
  it('lets every command in that has it, by the environment or by --token', async () => {
    const has = { THERMOCLINE_TOKEN: token };
    expect(await run(['produce', 'orders'], has, '{"n":1}\n{"n":2}\n')).toMatchObject({ code: 0 });
    expect(await run(['sql', 'SELECT sum(n) AS s FROM orders', '--format', 'csv'], has)).toMatchObject({ code: 0, stdout: 's\r\n3\r\n' });
    expect(await run(['sql', 'SELECT count(*) AS c FROM orders', '--format', 'csv', '--token', token], {})).toMatchObject({ code: 0 });
    for (const args of [
      ['topic', 'list'],
      ['topic', 'describe', 'orders'],
      ['tier', 'flush', 'orders'],
      ['tier', 'status'],
      ['query', 'list'],
    ])
      expect([args, (await run(args, has)).code]).toEqual([args, 0]);
    expect((await run(['view', 'create', 'v', 'SELECT n FROM orders'], has)).code).toBe(0);
    expect((await run(['view', 'list'], has)).stdout).toContain('"v"');
  });

  it('lets none in that has none, or another', async () => {
    const others: readonly Readonly<Record<string, string>>[] = [{}, { THERMOCLINE_TOKEN: 'something-else' }];
    for (const environment of others) {
      for (const args of [
        ['sql', 'SELECT 1'],
        ['topic', 'list'],
        ['tier', 'flush'],
        ['query', 'list'],
        ['view', 'list'],
      ]) {
        const { code, stdout, stderr } = await run(args, environment);
        expect([args, code, stdout]).toEqual([args, 1, '']);
        expect(stderr).toMatch(/^error: .*token.*\nhint: .*THERMOCLINE_TOKEN/m);
      }
    }
    for (const path of ['/livez', '/readyz']) expect((await fetch(new URL(path, server()))).status).toBe(200);
  });

  it('tells doctor, which finds the token in the configuration or on its own command line', async () => {
    const where = ['--data-dir', service.dataDir, '--kafka-listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0', '--server', server()];
    expect((await run(['doctor', ...where, '--token', token], {})).code).toBe(0);
    expect((await run(['doctor', ...where], { THERMOCLINE_HTTP_TOKEN: token })).code).toBe(0);
    expect((await run(['doctor', ...where, '--set', `http.token.file=${join(folder.path, 'token')}`], {})).code).toBe(0);
    const without = await run(['doctor', ...where], {});
    expect(without.code).toBe(10);
    expect(without.stdout).toMatch(/unauthenticated/);
  });

  it('keeps it out of logs, lists and arguments', async () => {
    expect(await allArguments()).not.toContain(token);
    expect(service.log()).not.toContain(token);
    const printed = await run(['config', 'print'], { THERMOCLINE_HTTP_TOKEN: token });
    expect(printed.code).toBe(0);
    expect(printed.stdout).toContain('(secret)');
    for (const args of [
      ['config', 'print'],
      ['sql', '--help'],
      ['topic', 'list', '--help'],
    ]) {
      const { stdout, stderr } = await run(args, { THERMOCLINE_HTTP_TOKEN: token, THERMOCLINE_TOKEN: token });
      expect(stdout + stderr).not.toContain(token);
    }
    const refused = await run(['gateway', '--data-dir', join(folder.path, 'other')], { THERMOCLINE_HTTP_TOKEN: `${token} with spaces` });
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/http\.token: what is set is no token/);
    expect(refused.stderr + refused.stdout).not.toContain(token);
  });

  it('does not warn of an open gateway; one without a token does', async () => {
    const warning = 'the gateway takes calls from other machines and wants no token';
    expect(service.log()).not.toContain(warning);
    const open = await startService({ dataDir: join(folder.path, 'open'), set: { 'http.listen': '0.0.0.0:0' } });
    expect(open.log()).toContain(warning);
    await open.stop();
    const local = await startService({ dataDir: join(folder.path, 'local') });
    expect(local.log()).not.toContain(warning);
    await local.stop();
  });
});
