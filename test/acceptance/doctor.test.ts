// `thermocline doctor` beside a running service and without one: what is well, and each thing that is not, found by its name.
import { existsSync } from 'node:fs';
import { chmod, cp, readdir, readFile, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/processes.js';
import { type RunningService, runCommand, startService, temporaryFolder } from '../support/service.js';

interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  readonly hint?: string;
}

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let service: RunningService;
let dataDir: string;
/** `topics/orders/<id>` in the bucket directory. */
let table: string;
let file: string;

async function doctor(...args: string[]): Promise<{ readonly code: number | null; readonly findings: readonly Finding[] }> {
  const where = ['--kafka-listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0', '--data-dir', dataDir, '--server', service.http];
  const { code, stdout } = await runCommand(['doctor', ...where, ...args]);
  const lines = stdout.split('\n').filter((line) => line !== '');
  return { code, findings: lines.map((line) => JSON.parse(line) as Finding) };
}
/** What is not well, as `check: state`, and that each such line says what to do. */
function unwell(findings: readonly Finding[]): string[] {
  const found = findings.filter(({ state }) => state !== 'ok');
  for (const { check, hint } of found) expect([check, hint ?? '']).toEqual([check, expect.stringMatching(/\w/)]);
  return found.map(({ check, state, detail }) => `${check}: ${state}: ${detail}`);
}

beforeAll(async () => {
  folder = await temporaryFolder();
  dataDir = join(folder.path, 'data');
  service = await startService({ dataDir });
  const environment = { THERMOCLINE_SERVER: service.http, THERMOCLINE_BOOTSTRAP: service.kafka };
  const input = Array.from({ length: 500 }, (_, n) => `{"n":${n}}\n`).join('');
  expect((await runCommand(['produce', 'orders'], { input, environment })).code).toBe(0);
  expect((await runCommand(['tier', 'flush', 'orders'], { environment })).code).toBe(0);
  // A topic that was deleted leaves a mark in the bucket, and is no finding.
  expect((await runCommand(['produce', 'gone'], { input, environment })).code).toBe(0);
  expect((await runCommand(['tier', 'flush', 'gone'], { environment })).code).toBe(0);
  expect((await runCommand(['topic', 'delete', 'gone'], { environment })).code).toBe(0);
  await eventually('the table is dropped', () => existsSync(join(dataDir, 'bucket', 'cluster', 'dropped', 'gone')) || undefined);
  const topics = join(dataDir, 'bucket', 'topics', 'orders');
  table = join(topics, (await readdir(topics))[0]!);
  const data = join(table, 'data', 'p=0');
  file = join(data, (await readdir(data))[0]!);
});
afterAll(async () => {
  await service?.stop();
  await folder?.remove();
});

describe('the doctor', () => {
  it('finds all well beside a healthy service, and exits with 0', async () => {
    const { code, findings } = await doctor();
    expect([code, unwell(findings)]).toEqual([0, []]);
    expect(findings.map(({ check }) => check)).toEqual([
      'configuration',
      'node',
      'data directory',
      'disk',
      'kafka.listen',
      'http.listen',
      'service',
      'bucket',
      'identity',
      'clock',
      'conditional writes',
      'lists',
      'table orders',
    ]);
    expect(findings.at(-1)?.detail).toMatch(/^v1, 1 files, /);
    expect(await readdir(join(dataDir, 'bucket', 'cluster'))).not.toContain('probe');
  });

  it('exits with 10 where a committed file is missing or has another length', async () => {
    await rename(file, `${file}-away`);
    const missing = await doctor();
    expect(missing.code).toBe(10);
    expect(unwell(missing.findings)).toEqual([expect.stringMatching(/^table orders: fail: 1 files .* is missing$/)]);
    await cp(`${file}-away`, file);
    await chmod(file, 0o644);
    await truncate(file, 100);
    const short = await doctor('--deep');
    expect(short.code).toBe(10);
    expect(unwell(short.findings)).toEqual([expect.stringMatching(/has 100 bytes, not \d+$/)]);
    await rename(`${file}-away`, file);
    expect((await doctor()).code).toBe(0);
  });

  it('warns of a hint that stayed behind and fails on one that is ahead of all metadata', async () => {
    const path = join(table, 'metadata', 'version-hint.text');
    const right = await readFile(path, 'utf8');
    await rm(path);
    await writeFile(path, '0');
    const behind = await doctor('--offline');
    expect([behind.code, unwell(behind.findings)]).toEqual([0, [expect.stringMatching(/^table orders: warn: .* names v0, .* v1/)]]);
    await writeFile(path, '7');
    const ahead = await doctor('--offline');
    expect([ahead.code, unwell(ahead.findings)]).toEqual([10, [expect.stringMatching(/^table orders: fail: .* names v7, .* v1/)]]);
    await writeFile(path, right);
  });

  it('warns of objects that nobody refers to once they are old', async () => {
    const orphan = file.replace(/-[^-/]+\.parquet$/, '-orphan.parquet');
    await writeFile(orphan, 'x');
    expect(unwell((await doctor('--offline')).findings)).toEqual([]);
    await utimes(orphan, 1e9, 1e9);
    expect(unwell((await doctor('--offline')).findings)).toEqual([expect.stringMatching(/^table orders: warn: 1 objects \(1 B\) older/)]);
    await rm(orphan);
  });

  it('warns of a bucket that was copied elsewhere, and reads it', async () => {
    const copy = join(folder.path, 'copy');
    await cp(join(dataDir, 'bucket'), copy, { recursive: true });
    const { code, findings } = await doctor('--offline', '--bucket', pathToFileURL(copy).href);
    expect([code, unwell(findings)]).toEqual([0, [expect.stringMatching(/^table orders: warn: its locations name file:/)]]);
  });

  it('fails where bucket and data directory are of different clusters', async () => {
    const path = join(dataDir, 'meta.properties');
    const right = await readFile(path, 'utf8');
    await writeFile(path, right.replace(/^cluster\.id=.*$/m, 'cluster.id=AAAAAAAAAAAAAAAAAAAAAA'));
    const { code, findings } = await doctor('--offline');
    await writeFile(path, right);
    expect([code, unwell(findings)]).toEqual([10, [expect.stringMatching(/^identity: fail: /)]]);
  });

  it('fails where a boundary lies above the log end, or below what the broker knows', async () => {
    const broker = { boundary: 600, end: 400 };
    const server = gatewayThatTells(() => broker);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const { code, findings } = await doctor('--server', `http://127.0.0.1:${port}`, '--read-only');
    server.closeAllConnections();
    server.close();
    expect(code).toBe(10);
    expect(unwell(findings)).toEqual([
      'table orders: fail: partition 0: boundary 500 is above the log end 400',
      'table orders: fail: partition 0: the broker has boundary 600, the table 500',
    ]);
  });

  it('says that no service answers, and what of the configuration cannot be used', async () => {
    const absent = await doctor('--server', 'http://127.0.0.1:1', '--read-only');
    expect([absent.code, unwell(absent.findings)]).toEqual([0, [expect.stringMatching(/^service: warn: nothing answers/)]]);
    const wrong = await doctor('--set', 'num.partition=3');
    expect(wrong).toMatchObject({ code: 10, findings: [{ check: 'configuration', state: 'fail', hint: 'Did you mean num.partitions?' }] });
    const full = await doctor('--offline', '--read-only', '--set', `disk.reserve.bytes=${2 ** 60}`);
    expect([full.code, unwell(full.findings)]).toEqual([10, [expect.stringMatching(/^disk: fail: /)]]);
  });

  it('makes nothing where there is nothing yet', async () => {
    const nowhere = join(folder.path, 'nowhere');
    const { code, findings } = await doctor('--offline', '--data-dir', nowhere);
    expect(code).toBe(0);
    expect(findings.filter(({ state }) => state === 'warn').map(({ check }) => check)).toEqual(['data directory', 'bucket']);
    await expect(readdir(nowhere)).rejects.toThrow('ENOENT');
  });
});

/** A gateway that has one topic, whose partition stands where the test says. */
function gatewayThatTells(broker: () => { readonly boundary: number; readonly end: number }): Server {
  const id = table.split('/').at(-1)!;
  return createServer((request, response) => {
    const { boundary, end } = broker();
    const answers: Readonly<Record<string, object>> = {
      '/livez': {},
      '/readyz': { ready: true, reasons: [] },
      '/v1/topics': { topics: [{ name: 'orders', id }] },
      '/v1/topics/orders/storage': { topic: 'orders', id, partitions: [{ partition: 0, boundary, high_watermark: end }] },
    };
    response.end(JSON.stringify(answers[request.url ?? ''] ?? {}));
  });
}
