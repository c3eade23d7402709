// Whatever is sent to the service: a clear error where it came in, nothing changed, and the service goes on for everyone else.
import { execFileSync } from 'node:child_process';
import { mkdir, rename } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { kafkaErrors } from '../../src/wire/index.js';
import { contentHash, Lake, Refusal } from '../support/lake.js';
import { canSeeProcesses, eventually, peakMemoryBytes, processesBelow } from '../support/processes.js';
import { batchOf, batchWithBody, produceOnce, rawConnection, sendAndBeClosed } from '../support/raw-kafka.js';
import { runCommand, temporaryFolder } from '../support/service.js';

const MiB = 2 ** 20;
const topic = 'flights';

const ending: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

async function folder(): Promise<string> {
  const made = await temporaryFolder();
  ending.push(() => made.remove());
  return made.path;
}

/** What the gateway said no to. */
async function refusal(work: Promise<unknown>): Promise<Refusal['problem']> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Refusal) return error.problem;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('a running service', () => {
  let lake: Lake;
  let produced = 0;
  beforeAll(async () => {
    lake = await Lake.start({ set: { 'log.level': 'warn' } });
    await lake.createTopic(topic);
    const records = Array.from({ length: 100 }, (_, n) => ({ key: null, value: Buffer.from(JSON.stringify({ n, origin: 'ORD' })) }));
    await lake.produce(topic, records);
    await lake.cool(topic);
    await lake.worksFor(topic);
    produced = 101;
  });
  afterAll(async () => {
    await lake[Symbol.asyncDispose]();
  });

  /** Nothing came in by the back door, and what is honest works. */
  async function goesOn(): Promise<void> {
    const [[, end]] = (await lake.ends(topic)) as [[number, number]];
    expect(end).toBe(produced);
    await lake.worksFor(topic);
    produced++;
  }

  const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
  it.each([
    ['random bytes', Buffer.from(Array.from({ length: 500 }, (_, at) => (at * 7919 + 131) % 256))],
    ['a negative frame size', hex('ffffffff')],
    ['a frame of two gigabytes', hex('7fffffff 0000')],
    ['a frame above socket.request.max.bytes', hex('06400001 0000')],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['a TLS greeting', hex('16030100a5010000a10303')],
    ['an API that is not there', hex('0000000c 03e70000 00000001 0000 0000')],
    ['a version of Produce that is not served', hex('0000000c 00000063 00000001 0000 0000')],
    ['a request that ends too early', hex('0000000c 00030000 00000001 0000 7fff')],
  ])('ends the connection that sends %s, with one line in the log', async (_, bytes) => {
    const before = lake.service.log().length;
    await sendAndBeClosed(lake.service.kafka, bytes);
    const lines = await eventually('a log line', () => {
      const found = lake.service
        .log()
        .slice(before)
        .split('\n')
        .filter((line) => line.includes('connection closed: '));
      return found.length > 0 ? found : undefined;
    });
    expect(lines).toHaveLength(1);
    await goesOn();
  });

  const gzipMember = gzipSync(Buffer.alloc(16 * MiB));
  const zstdBlocks = Buffer.alloc(4 * 8192);
  for (let at = 0; at < zstdBlocks.length; at += 4)
    zstdBlocks.writeUIntLE((131072 << 3) | 2 | (at === zstdBlocks.length - 4 ? 1 : 0), at, 3);
  it.each([
    ['gzip', 1, Buffer.concat(Array.from({ length: 40 }, () => gzipMember))],
    ['snappy', 2, hex('8080808004 00 61')],
    ['lz4', 3, hex('04224d18 68 40 0000004000000000 00 00000000')],
    ['zstd', 4, Buffer.concat([hex('28b52ffd 00 38'), zstdBlocks])],
  ])('answers a %s batch that would inflate without bound with CORRUPT_MESSAGE, and keeps its memory', async (_, codec, body) => {
    const broker = processesBelow(lake.service.pid).find(({ kind }) => kind === 'broker');
    const before = broker === undefined ? 0 : peakMemoryBytes(broker.pid);
    expect(body.length).toBeLessThan(MiB);
    const outcome = await produceOnce(lake.service.kafka, topic, batchWithBody(codec, body));
    expect(outcome).toMatchObject({ errorCode: kafkaErrors.CORRUPT_MESSAGE, baseOffset: -1 });
    expect(outcome.errorMessage).toMatch(/would inflate beyond \d+ bytes/);
    if (broker !== undefined) expect(peakMemoryBytes(broker.pid) - before).toBeLessThan(400 * MiB);
    await goesOn();
  });

  const damaged = (): Buffer => {
    const batch = batchOf('{"n":1}');
    batch[batch.length - 3]! ^= 1;
    return batch;
  };
  it.each([
    ['a batch with a bad CRC', damaged, kafkaErrors.CORRUPT_MESSAGE, /CRC/],
    ['a batch that is cut off', () => batchOf('{"n":1}').subarray(0, 66), kafkaErrors.INVALID_RECORD, /batch/],
    ['a batch above max.message.bytes', () => batchOf(Buffer.alloc(2 * MiB)), kafkaErrors.MESSAGE_TOO_LARGE, /max\.message\.bytes/],
    ['what is no batch at all', () => Buffer.alloc(100, 7), kafkaErrors.CORRUPT_MESSAGE, /format/],
    [
      'a compression nobody knows',
      () => batchWithBody(6, Buffer.from('x')),
      kafkaErrors.UNSUPPORTED_COMPRESSION_TYPE,
      /compression type 6/,
    ],
    ['records that are not there', () => batchWithBody(0, Buffer.alloc(0)), kafkaErrors.INVALID_RECORD, /./],
  ])('answers %s with its Kafka error', async (_, batch, errorCode, message) => {
    const outcome = await produceOnce(lake.service.kafka, topic, batch());
    expect(outcome).toMatchObject({ errorCode, baseOffset: -1 });
    expect(outcome.errorMessage).toMatch(message);
    await goesOn();
  });

  it('answers a transactional id, unknown acks and an unknown topic with their Kafka errors', async () => {
    const send = (name: string, more: object): Promise<{ errorCode: number }> => produceOnce(lake.service.kafka, name, batchOf('{}'), more);
    expect((await send(topic, { transactionalId: 'tx' })).errorCode).toBe(kafkaErrors.TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    expect((await send(topic, { acks: 7 })).errorCode).toBe(kafkaErrors.INVALID_REQUIRED_ACKS);
    expect((await send('nobody', {})).errorCode).toBe(kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION);
    await goesOn();
  });

  it('serves others while hundreds of clients are half open or silent, and one does not read', async () => {
    const half = await Promise.all(Array.from({ length: 300 }, () => rawConnection(lake.service.kafka)));
    for (const [at, { socket }] of half.entries()) {
      // A third says nothing, a third stops within a frame, a third announces a large one and sends a little.
      if (at % 3 === 1) socket.write(hex('0000'));
      if (at % 3 === 2) socket.write(Buffer.concat([hex('03200000 00000009'), Buffer.alloc(10_000)]));
    }
    const slow = await rawConnection(lake.service.kafka);
    slow.socket.pause();
    // ApiVersions, thousands of times: answers that nobody takes.
    for (let i = 0; i < 50; i++)
      slow.socket.write(Buffer.concat(Array.from({ length: 1000 }, () => hex('0000000a 00120000 00000001 0000'))));
    await goesOn();
    for (const { socket } of [...half, slow]) socket.destroy();
    await goesOn();
  });

  const stored = (): Map<string, string> => new Map([...lake.objects()].map(([key, { path }]) => [key, contentHash(path)]));
  it.each([
    ["COPY (SELECT 1) TO '/tmp/thermocline-attack.csv'"],
    ["COPY flights TO 'lease-0/c0.parquet' (FORMAT csv, use_tmp_file false)"],
    ["SELECT * FROM read_text('/etc/passwd')"],
    ["SELECT * FROM read_parquet('lease-0/*.parquet')"],
    ["SELECT * FROM glob('/**')"],
    ["ATTACH '/tmp/thermocline-attack.db'"],
    ['INSERT INTO flights SELECT * FROM flights'],
    ['CREATE TABLE x AS SELECT 1'],
    ["SET memory_limit = '100GB'"],
    ['SELECT * FROM duckdb_settings()'],
    ["SELECT getenv('HOME')"],
    ["SELECT 1; COPY (SELECT 1) TO '/tmp/thermocline-attack.csv'"],
  ])('refuses %s', async (sql) => {
    const before = stored();
    const problem = await refusal(lake.ask(sql));
    expect(['query-forbidden', 'query-invalid', 'unsupported']).toContain(problem.code);
    expect(problem.status).toBeGreaterThanOrEqual(400);
    expect(problem.status).toBeLessThan(500);
    expect(stored()).toEqual(before);
  });

  it('names the nearest topic or column where the one asked for is not there', async () => {
    const notFound = await refusal(lake.ask('SELECT * FROM flihgts'));
    expect(notFound).toMatchObject({ status: 404, code: 'topic-unknown' });
    expect(notFound.hint).toMatch(/Did you mean "?flights"?\?/);
    expect(await refusal(lake.http('/v1/topics/flihgts'))).toMatchObject({ status: 404, hint: 'Did you mean flights?' });
    expect(await refusal(lake.http('/v1/topics/flihgts/records'))).toMatchObject({ status: 404, code: 'topic-unknown' });
    expect(await refusal(lake.http('/v1/tier/flush?topic=flihgts', { method: 'POST' }))).toMatchObject({ status: 404 });
    const column = await refusal(lake.ask('SELECT orgin FROM flights'));
    expect(column).toMatchObject({ status: 400, code: 'query-invalid' });
    expect(`${column.detail} ${column.hint}`).toMatch(/orgin.*origin/s);
  });

  const post = (body: string, type = 'application/json', path = '/v1/query'): Promise<Response> =>
    lake.http(path, { method: 'POST', body, headers: { 'content-type': type } });
  it.each([
    ['a body that is not JSON', () => post('{"sql": '), 400, 'request-invalid'],
    ['a body without a query', () => post('{}'), 400, 'request-invalid'],
    ['a body that is a list', () => post('[]'), 400, 'request-invalid'],
    ['a field nobody knows', () => post('{"sql":"SELECT 1","colour":1}'), 400, 'request-invalid'],
    ['a token that is none', () => post('{"sql":"SELECT 1 FROM flights","as_of":"x"}'), 400, 'token-invalid'],
    ['a format nobody knows', () => post('{"sql":"SELECT 1","format":"xlsx"}'), 400, 'unsupported'],
    ['parameters that do not fit', () => post('{"sql":"SELECT ?","params":[1,2,3]}'), 400, 'query-invalid'],
    ['an empty query', () => post('{"sql":""}'), 400, 'query-invalid'],
    ['SQL that is none', () => post('{"sql":"SELEKT 1"}'), 400, 'query-invalid'],
    ['a query of two megabytes', () => post(JSON.stringify({ sql: `SELECT '${'x'.repeat(2 * MiB)}'` })), 413, 'request-too-large'],
    ['records that are no JSON', () => post('{"value"', 'application/x-ndjson', `/v1/topics/${topic}/records`), 400, 'request-invalid'],
    ['a time that is none', () => lake.http(`/v1/topics/${topic}/records?from=yesterday`), 400, 'request-invalid'],
    ['a route that is not there', () => lake.http('/v1/nothing'), 404, 'route-unknown'],
  ])('answers %s with a problem document', async (_, call, status, code) => {
    const problem = await refusal(call());
    expect(problem).toMatchObject({ status, code });
    expect(problem.detail.length).toBeGreaterThan(5);
  });

  it('does not let a web page of another origin in', async () => {
    const { hostname, port } = new URL(lake.service.http);
    const ask = (headers: Record<string, string>, method = 'GET', path = '/v1/topics'): Promise<{ status: number; code: string }> =>
      new Promise((resolve, reject) => {
        const sent = request({ hostname, port, path, method, headers }, (response) => {
          let text = '';
          response.on('data', (chunk: Buffer) => {
            text += chunk.toString();
          });
          response.on('end', () => resolve({ status: response.statusCode ?? 0, code: (JSON.parse(text) as { code: string }).code }));
        });
        sent.on('error', reject);
        sent.end(method === 'POST' ? '{}' : undefined);
      });
    const own = `${hostname}:${port}`;
    expect(await ask({ host: 'evil.example' })).toEqual({ status: 403, code: 'request-forbidden' });
    expect(await ask({ host: own, origin: 'https://evil.example' })).toEqual({ status: 403, code: 'request-forbidden' });
    expect(await ask({ host: own, origin: 'null' })).toEqual({ status: 403, code: 'request-forbidden' });
    expect(await ask({ host: own, 'content-type': 'text/plain' }, 'POST', '/v1/tier/evict')).toEqual({
      status: 415,
      code: 'media-type-unsupported',
    });
    expect((await ask({ host: own, origin: `http://${own}` })).status).toBe(200);
    await goesOn();
  });
});

describe('a bucket that is not there', () => {
  it('ends the start with what is missing, where its parent folder does not exist', async () => {
    const root = await folder();
    const bucket = pathToFileURL(join(root, 'not', 'there', 'bucket')).href;
    const listen = ['--kafka-listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0'];
    const { code, stderr, stdout } = await runCommand(['serve', '--data-dir', join(root, 'data'), '--bucket', bucket, ...listen]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: the bucket directory .*not\/there\/bucket cannot be opened: its parent is not a directory$/m);
    expect(stderr).toMatch(/^hint: Create the parent directory/m);
    expect(stdout).not.toContain('"ready"');
  });

  it('does not keep the hot side from being served, where an S3 server does not answer', async () => {
    await using lake = await Lake.start({
      set: { 'bucket.url': 's3://nowhere/prefix', 'bucket.endpoint': 'http://127.0.0.1:9', 'log.level': 'warn' },
      environment: { AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'x' },
    });
    await lake.createTopic('t');
    await lake.worksFor('t');
    const problem = await refusal(lake.flush('t'));
    expect(problem).toMatchObject({ status: 503, retriable: true });
    const ready = await fetch(new URL('/readyz', lake.service.http));
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringMatching(/tier/)]);
    expect(lake.service.log()).toMatch(/"msg":"tiering cannot begin yet"/);
    await lake.worksFor('t');
    expect(await lake.stop()).toBe(0);
  });

  it('holds up tiering until it is back, and nothing else, where it goes away later', async () => {
    await using lake = await Lake.start({ set: { 'log.level': 'error' } });
    await lake.createTopic('t');
    await lake.worksFor('t');
    await lake.flush('t');
    const bucket = join(lake.service.dataDir, 'bucket');
    await rename(bucket, `${bucket}-away`);
    await lake.produce('t', [{ key: null, value: Buffer.from('{"late":1}'), partition: 0 }]);
    expect(await lake.consume('t')).toHaveLength(2);
    await sleep(500);
    expect((await lake.storage('t'))[0]).toMatchObject({ boundary: 1, high_watermark: 2 });
    await rename(`${bucket}-away`, bucket);
    await lake.cool('t');
    expect((await lake.storage('t'))[0]).toMatchObject({ boundary: 2, local_start_offset: 2 });
    expect(await lake.sql('SELECT late FROM t WHERE late = 1')).toEqual([[1]]);
    await lake.worksFor('t');
  });
});

describe('a disk that is full', () => {
  const batch = (): Buffer => batchOf(...Array.from({ length: 8 }, (_, n) => JSON.stringify({ n, pad: 'x'.repeat(60_000) })));

  it('refuses produce with KAFKA_STORAGE_ERROR below disk.reserve.bytes, and serves everything else', async () => {
    await using lake = await Lake.start({ set: { 'disk.reserve.bytes': String(2 ** 52), 'log.level': 'warn' } });
    await lake.createTopic('t');
    const outcome = await produceOnce(lake.service.kafka, 't', batch());
    expect(outcome).toMatchObject({ errorCode: kafkaErrors.KAFKA_STORAGE_ERROR, baseOffset: -1 });
    expect(outcome.errorMessage).toMatch(/the disk has \d+ bytes free, fewer than disk\.reserve\.bytes/);
    expect(await lake.ends('t')).toEqual([[0, 0]]);
    expect(await lake.sql('SELECT count(*) FROM t')).toEqual([[0]]);
    expect(lake.service.log()).toMatch(/produce is refused: the disk is below disk\.reserve\.bytes/);
    expect(await lake.stop()).toBe(0);
  });

  it('takes produce again when committed segments have left a small disk', async (context) => {
    const root = await folder();
    const disk = join(root, 'disk');
    await mkdir(disk);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=96m', 'tmpfs', disk], { stdio: 'ignore' });
    } catch {
      context.skip('mounting a small disk is not allowed here');
    }
    ending.push(async () => execFileSync('umount', ['-l', disk]));
    await using lake = await Lake.start({
      dataDir: join(disk, 'data'),
      set: {
        'bucket.url': pathToFileURL(join(root, 'bucket')).href,
        'disk.reserve.bytes': String(24 * MiB),
        'disk.low.bytes': String(32 * MiB),
        'log.segment.bytes': String(4 * MiB),
        'lake.file.bytes': String(MiB),
        'log.level': 'error',
      },
    });
    await lake.createTopic('t');
    let accepted = 0;
    const produceUntil = async (isDone: (errorCode: number) => boolean): Promise<void> => {
      for (let tries = 0; ; tries++) {
        if (tries > 2000) throw new Error('the disk does not change');
        const { errorCode, baseOffset } = await produceOnce(lake.service.kafka, 't', batch());
        if (errorCode === 0) expect(baseOffset).toBe(accepted);
        accepted += errorCode === 0 ? 8 : 0;
        if (isDone(errorCode)) return;
        expect(errorCode).toBe(0);
      }
    };
    await produceUntil((errorCode) => errorCode === kafkaErrors.KAFKA_STORAGE_ERROR);
    const full = accepted;
    expect(full).toBeGreaterThan(50);
    // What is in the log is served, and the way out goes through tiering and eviction.
    expect((await lake.consume('t')).map(({ offset }) => offset)).toEqual(Array.from({ length: full }, (_, n) => n));
    await lake.cool('t');
    await eventually('room on the disk', async () => {
      const { errorCode } = await produceOnce(lake.service.kafka, 't', batch());
      if (errorCode !== 0) return undefined;
      accepted += 8;
      return true;
    });
    const [counts] = await lake.sql('SELECT count(*), count(DISTINCT _offset), max(_offset) FROM t');
    expect(counts!.map(Number)).toEqual([accepted, accepted, accepted - 1]);
    expect((await lake.consume('t')).length).toBe(accepted);
  });
});

describe.skipIf(!canSeeProcesses)('a query engine', () => {
  it('runs as nobody where the service runs as root', async (context) => {
    if (process.getuid?.() !== 0) context.skip('the tests do not run as root');
    await using lake = await Lake.start();
    await lake.createTopic('t');
    await lake.worksFor('t');
    const engines = processesBelow(lake.service.pid).filter(({ kind }) => kind === 'query engine');
    expect(engines.length).toBeGreaterThan(0);
    for (const { pid } of engines) {
      const { readFileSync } = await import('node:fs');
      expect(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]).toBe('65534');
    }
  });
});
