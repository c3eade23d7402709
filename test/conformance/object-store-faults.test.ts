// The promises of the S3 store hold whatever the network does between it and a real server. One seed, one choice of faults.
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isLakeError, LakeError, systemClock, systemRandom, type Clock } from '../../src/kernel/index.js';
import { isOutcomeUnknown, openObjectStore, RequestCounters, type ObjectStore } from '../../src/objects/index.js';
import { openS3Store } from '../../src/objects/s3-store.js';
import { type Fault, faults, type FaultyProxy, type ProxiedRequest, startFaultyProxy } from '../support/faulty-s3-proxy.js';
import { versitygw } from '../support/outside-tools.js';
import { type Seeded, seeded } from '../support/seed.js';
import { type S3Server, startVersitygw } from '../support/versitygw.js';

/** Pauses between tries are a hundredth of what they are in service, so that a run has thousands of requests. */
const hurried: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / 100, signal) };
/** A hang costs so much; far above what a request to the server beside takes on a busy machine. */
const silenceMs = 1_000;
const bytesOf = (text: string, length: number): Buffer => Buffer.alloc(length, createHash('sha256').update(text).digest());

type Outcome = 'done' | 'exists' | 'missing' | 'unknown' | 'not done';

/** How a call ended. What is neither an answer nor an honest "try again" is a broken promise. */
async function outcomeOf(work: Promise<unknown>): Promise<Outcome> {
  try {
    await work;
    return 'done';
  } catch (error) {
    if (isLakeError(error, 'object-exists')) return 'exists';
    if (isLakeError(error, 'object-missing')) return 'missing';
    if (isOutcomeUnknown(error)) return 'unknown';
    if (error instanceof LakeError && error.code === 'store-unavailable' && error.retriable) return 'not done';
    throw error;
  }
}

describe.skipIf(versitygw.path === undefined)(`an S3 store behind a network that fails${versitygw.note}`, () => {
  let server: S3Server;
  let direct: ObjectStore;
  let folder: string;
  let proxy: FaultyProxy;
  let through: ObjectStore;
  let counters: RequestCounters;
  let random: Seeded;
  let rate = 0;
  /** Met by the next request. */
  let next: Fault | undefined;

  /** Bytes of a range carry no checksum, and answers that are documents none either: nobody could notice. */
  const canNotice = (fault: Fault, request: ProxiedRequest): boolean =>
    fault !== 'damage-answer' || (request.method === 'GET' && !request.url.includes('list-type') && request.headers.range === undefined);

  beforeAll(async () => {
    process.env['AWS_EC2_METADATA_DISABLED'] = 'true';
    server = await startVersitygw(versitygw.path ?? '', ['lake']);
    process.env['AWS_ACCESS_KEY_ID'] = server.accessKey;
    process.env['AWS_SECRET_ACCESS_KEY'] = server.secretKey;
    folder = await mkdtemp(join(tmpdir(), 'thermocline-faults-'));
    direct = await openObjectStore('s3://lake/f', { endpoint: server.endpoint });
    random = seeded('object-store-faults');
    const choose = random.apart();
    proxy = await startFaultyProxy(server.port, (request) => {
      if (next !== undefined) {
        const fault = next;
        next = undefined;
        return fault;
      }
      if (choose.float() >= rate) return undefined;
      const fault = choose.pick(faults);
      return canNotice(fault, request) ? fault : undefined;
    });
    counters = new RequestCounters();
    const ports = { clock: hurried, random: systemRandom };
    through = await openS3Store({ bucket: 'lake', prefix: 'f', endpoint: proxy.endpoint, silenceMs, counters, ...ports });
  });
  afterAll(async () => {
    await through?.close();
    await direct?.close();
    await proxy?.stop();
    await server?.stop();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  it.each(faults)('is not troubled by one request that meets: %s', async (fault) => {
    for (const inParts of [false, true]) {
      const key = `once/${fault}-${inParts}`;
      const body = bytesOf(key, 20_000);
      next = fault;
      await through.put(key, body, { ifAbsent: true, inParts });
      next = fault;
      expect(body.equals(await through.get(key))).toBe(true);
      await expect(through.put(key, Buffer.from('late'), { ifAbsent: true, inParts })).rejects.toMatchObject({ code: 'object-exists' });
      next = fault;
      await through.delete(key);
      expect(await direct.head(key)).toBeNull();
      expect(next).toBeUndefined();
    }
  });

  it.each([0.15, 0.4])('keeps its promises where %d of all requests meet a fault', async (faultRate) => {
    rate = faultRate;
    const race = async (key: string, inParts: boolean, stream: Seeded): Promise<void> => {
      const bodies = [0, 1, 2].map((writer) => bytesOf(`${key} ${writer}`, stream.whole(1, 40_000)));
      const outcomes = await Promise.all(bodies.map((body) => outcomeOf(through.put(key, body, { ifAbsent: true, inParts }))));
      const stored = await direct.get(key).catch((error: unknown) => {
        if (isLakeError(error, 'object-missing')) return null;
        throw error;
      });
      const winner = stored === null ? -1 : bodies.findIndex((body) => body.equals(stored));
      // What is stored is what one of them wrote, whole.
      if (stored !== null) expect(winner).toBeGreaterThanOrEqual(0);
      for (const [writer, outcome] of outcomes.entries()) {
        const told = `${key}: writer ${writer} was told "${outcome}", ${winner} is stored, outcomes ${outcomes.join(', ')}`;
        // Done is done, and by one only; who lost has lost, and somebody is there; "not done" is not done.
        if (outcome === 'done') expect(winner, told).toBe(writer);
        if (outcome === 'exists') expect([writer, -1], told).not.toContain(winner);
        if (outcome === 'not done') expect(winner, told).not.toBe(writer);
      }
    };
    const alone = async (key: string, stream: Seeded): Promise<void> => {
      // What may be stored, as far as the answers tell.
      let possible: (Buffer | null)[] = [null];
      for (let step = 0; step < 8; step++) {
        const body = bytesOf(`${key} ${step}`, stream.whole(0, 60_000));
        switch (stream.whole(0, 5)) {
          case 0:
          case 1: {
            const outcome = await outcomeOf(through.put(key, body, { inParts: stream.float() < 0.3 }));
            expect(['done', 'unknown', 'not done']).toContain(outcome);
            possible = outcome === 'done' ? [body] : outcome === 'unknown' ? [...possible, body] : possible;
            break;
          }
          case 2: {
            const outcome = await outcomeOf(through.delete(key));
            expect(['done', 'unknown', 'not done']).toContain(outcome);
            possible = outcome === 'done' ? [null] : outcome === 'unknown' ? [...possible, null] : possible;
            break;
          }
          case 3: {
            let got: Buffer | undefined;
            const outcome = await outcomeOf(
              (async () => {
                got = await through.get(key);
              })(),
            );
            if (outcome === 'missing') expect(possible).toContain(null);
            else if (outcome === 'done') expect(possible.some((one) => one !== null && got !== undefined && one.equals(got))).toBe(true);
            else expect(outcome).toBe('not done');
            break;
          }
          default: {
            const path = join(folder, createHash('sha256').update(`${key} ${step}`).digest('hex'));
            const outcome = await outcomeOf(through.download(key, path));
            if (outcome === 'done') {
              const got = await readFile(path);
              expect(possible.some((one) => one?.equals(got) === true)).toBe(true);
            } else {
              // A download that failed leaves no file.
              await expect(stat(path)).rejects.toThrow('ENOENT');
              if (outcome === 'missing') expect(possible).toContain(null);
            }
          }
        }
      }
      const stored = await direct.head(key);
      if (!possible.includes(null)) expect(stored).not.toBeNull();
    };
    const rounds = Array.from({ length: 24 }, (_, index) => {
      const stream = random.apart();
      const key = `${faultRate}/${index}`;
      return index % 2 === 0 ? () => race(key, index % 4 === 0, stream) : () => alone(key, stream);
    });
    for (let at = 0; at < rounds.length; at += 6) await Promise.all(rounds.slice(at, at + 6).map((round) => round()));
    rate = 0;
    const listed: string[] = [];
    for await (const { key } of through.list(`${faultRate}/`)) listed.push(key);
    const there: string[] = [];
    for await (const { key } of direct.list(`${faultRate}/`)) there.push(key);
    expect(listed).toEqual(there);
    expect(counters.running).toBe(0);
  });

  it('has met every fault, and sent again no more than its budget allows', () => {
    expect(faults.filter((fault) => !proxy.met.has(fault))).toEqual([]);
    expect(counters.retries).toBeGreaterThan(0);
    expect(counters.retries).toBeLessThanOrEqual(40 + 0.2 * counters.requests());
    const { size } = new Set(counters.samples('test').map(({ name }) => name));
    expect(size).toBe(7);
  });
});
