// SQL over a bucket with no service running, in a directory and on S3: what was committed, and nothing is written to the bucket.
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeS3, refuse, startFakeS3 } from '../support/fake-s3.js';
import { Lake } from '../support/lake.js';
import { type CommandResult, runCommand, temporaryFolder } from '../support/service.js';

let lake: Lake;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let bucket: string;
/** Of an answer while the records below it were cold. */
let snapshot: string;

const value = (n: number): Buffer => Buffer.from(JSON.stringify({ n, text: `x${n}` }));
const counting = 'SELECT count(*) AS c, max(n) AS m FROM orders';

beforeAll(async () => {
  folder = await temporaryFolder();
  lake = await Lake.start({ dataDir: join(folder.path, 'data'), set: { 'log.level': 'warn' } });
  mkdirSync(join(folder.path, 'tmp'));
  bucket = join(folder.path, 'data', 'bucket');
  await lake.createTopic('orders', 2);
  await lake.createTopic('hot', 1);
  await lake.produce(
    'orders',
    Array.from({ length: 100 }, (_, n) => ({ key: null, value: value(n), partition: n % 2 })),
  );
  await lake.produce('hot', [{ key: null, value: value(1), partition: 0 }]);
  await lake.flush('orders');
  snapshot = (await lake.ask('SELECT 1 FROM orders')).snapshot;
  await lake.produce('orders', [{ key: null, value: value(1000), partition: 0 }]);
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await folder.remove();
});

function run(url: string, args: readonly string[], input = '', environment: Record<string, string> = {}): Promise<CommandResult> {
  // No service is to be found, should one be asked.
  const own = { THERMOCLINE_SERVER: 'http://127.0.0.1:9', TMPDIR: join(folder.path, 'tmp') };
  return runCommand(['sql', '--bucket', url, ...args], { input, environment: { ...own, ...environment } });
}

/** Every file with what a write would change. */
function filesOf(path: string): string[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const file = join(entry.parentPath, entry.name);
      return `${relative(path, file)} ${statSync(file).mtimeMs} ${statSync(file).size}`;
    })
    .sort();
}

/** Notes of orders as if of before its second partition. */
function withOnePartition(copy: string): void {
  const states = join(copy, 'cluster', 'state');
  for (const name of readdirSync(states)) {
    const file = join(states, name);
    const state = JSON.parse(readFileSync(file, 'utf8')) as { topics: { name: string; partitions: unknown[] }[] };
    // Log start, boundary, high watermark, leader epoch.
    for (const topic of state.topics) if (topic.name === 'orders') topic.partitions = [[0, 50, 50, 0]];
    chmodSync(file, 0o644);
    writeFileSync(file, JSON.stringify(state));
  }
}

describe('SQL over a bucket without a service', () => {
  it('answers what is committed while the service goes on, and repeats an answer of the service', async () => {
    const answer = await run(`file://${bucket}`, [counting]);
    expect(answer).toMatchObject({ code: 0, stdout: '{"c":100,"m":99}\n' });
    expect(answer.stderr).toMatch(/^1 row · 0 hot rows · 2 cold files/);
    expect(await lake.sql(counting)).toEqual([[101, 1000]]);
    const again = await run(`file://${bucket}`, [counting, '--as-of', snapshot]);
    expect([again.stdout, again.code]).toEqual(['{"c":100,"m":99}\n', 0]);
    const beyond = (await lake.ask('SELECT 1 FROM orders')).snapshot;
    expect((await run(`file://${bucket}`, [counting, '--as-of', beyond])).stderr).toMatch(/orders-0 \[50, 51\)/);
  });

  it('answers when the service is gone and its bucket copied, with or without notes, and leaves everything as it is', async () => {
    const copy = join(folder.path, 'copy');
    cpSync(bucket, copy, { recursive: true });
    const before = filesOf(copy);
    expect(await run(`file://${copy}`, [counting])).toMatchObject({ code: 0, stdout: '{"c":100,"m":99}\n' });
    const tables = await run(
      `file://${copy}`,
      [],
      '.tables\nSELECT topic, count(*) AS files FROM system.cold_files GROUP BY ALL;\n.kill 7\n',
    );
    expect(tables.stdout).toMatch(/^orders +topic +2 +100$/m);
    expect(tables.stdout).toContain('{"topic":"orders","files":2}\n');
    const empty = await run(`file://${copy}`, ['SELECT count(*) AS c FROM hot']);
    expect([empty.stdout, empty.code]).toEqual(['{"c":0}\n', 0]);
    const wrong = await run(`file://${copy}`, ['SELECT * FROM odrers']);
    expect([wrong.code, wrong.stderr.includes('Did you mean orders?')]).toEqual([3, true]);
    expect(filesOf(copy)).toEqual(before);
    withOnePartition(copy);
    expect(await run(`file://${copy}`, [counting])).toMatchObject({ code: 0, stdout: '{"c":100,"m":99}\n' });
    rmSync(join(copy, 'cluster'), { recursive: true });
    expect(await run(`file://${copy}`, [counting])).toMatchObject({ code: 0, stdout: '{"c":100,"m":99}\n' });
    rmSync(join(copy, 'topics'), { recursive: true });
    const nothing = await run(`file://${copy}`, [counting]);
    expect([nothing.code, nothing.stdout]).toEqual([3, '']);
    expect(nothing.stderr).toMatch(/holds no service/);
    expect((await run(`file://${copy}/nowhere`, ['SELECT 1'])).code).toBe(3);
    expect(readdirSync(join(folder.path, 'tmp'))).toEqual([]);
  });

  it('keeps to the limits of queries', async () => {
    for (const limit of ['query.scan.max.bytes=1', 'query.rows.max=1']) {
      const refused = await run(`file://${bucket}`, ['--set', limit, 'SELECT n FROM orders']);
      expect([limit, refused.code === 0, refused.stderr.includes(limit.slice(0, -2)) || /more than 1 rows/.test(refused.stderr)]).toEqual([
        limit,
        false,
        true,
      ]);
    }
  });

  it('reads from S3 with rights to read only', async () => {
    const s3 = await readOnlyS3(bucket);
    try {
      const keys = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' };
      const answer = await run('s3://b', [counting, '--endpoint', s3.endpoint, '--region', 'us-east-1'], '', keys);
      expect(answer).toMatchObject({ code: 0, stdout: '{"c":100,"m":99}\n' });
      expect(s3.seen.filter((request) => !/^(?:GET|HEAD) /.test(request))).toEqual([]);
      // Identity, notes, the table and two files: nothing is asked twice without need.
      expect(s3.seen.length).toBeLessThan(16);
    } finally {
      await s3.stop();
    }
  });

  it('says which options need it', async () => {
    const usage = await runCommand(['sql', 'SELECT 1', '--endpoint', 'http://127.0.0.1:9']);
    expect([usage.code, usage.stderr.includes('--bucket')]).toEqual([2, true]);
  });
});

/** The objects of a directory by S3's protocol: lists and reads; whatever would write is denied. */
function readOnlyS3(root: string): Promise<FakeS3> {
  return startFakeS3((request, response) => {
    const url = new URL(request.url ?? '/', 'http://s3');
    const key = decodeURIComponent(url.pathname.replace(/^\/b\/?/, ''));
    if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(response, 403, 'AccessDenied');
    if (key === '') {
      const prefix = url.searchParams.get('prefix') ?? '';
      const keys = readdirSync(root, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => relative(root, join(entry.parentPath, entry.name)))
        .filter((name) => name.startsWith(prefix) && !name.startsWith('.'))
        .sort();
      const contents = keys.map(
        (name) =>
          `<Contents><Key>${name}</Key><Size>${statSync(join(root, name)).size}</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"x"</ETag></Contents>`,
      );
      response.writeHead(200, { 'content-type': 'application/xml' });
      response.end(
        `<?xml version="1.0"?><ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated><KeyCount>${keys.length}</KeyCount>${contents.join('')}</ListBucketResult>`,
      );
      return;
    }
    let bytes: Buffer;
    try {
      bytes = readFileSync(join(root, key));
    } catch {
      return refuse(response, 404, 'NoSuchKey');
    }
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const from = range === null ? 0 : Number(range[1]);
    const end = range === null || range[2] === '' ? bytes.length : Math.min(bytes.length, Number(range[2]) + 1);
    const part = bytes.subarray(from, end);
    response.writeHead(range === null ? 200 : 206, {
      'content-length': part.length,
      'etag': '"x"',
      'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT',
      ...(range === null ? {} : { 'content-range': `bytes ${from}-${end - 1}/${bytes.length}` }),
    });
    response.end(request.method === 'HEAD' ? undefined : part);
  });
}
