/**
 * A bucket that refuses requests, breaks them off, answers late or has lost an object, while queries read from it: an answer is whole and
 * right, or there is an error that says what failed; the next query is well; and nothing of the failed one is left: no request under way,
 * no link in a lease, no half file in a cache, no engine that is not given back.
 */
import { readdir, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { abortable, isLakeError, LakeError, sum, systemClock } from '../../src/kernel/index.js';
import { answerLost, faultyStore, MemoryStore, type ObjectStore, type StoreCall, unavailable } from '../../src/objects/index.js';
import { inlineColumnWorkers } from '../support/column-workers.js';
import { QueryWorld } from '../support/query-world.js';
import { derived, event, expectWhole, LogModel, type Pin } from './log-model.js';

const partitions = 2;
const faults = ['refused', 'forbidden', 'lost', 'missing', 'half', 'none', 'longer', 'slow', 'late'] as const;
type Fault = (typeof faults)[number];

/** What an answer may fail with: each says what is not well, and none that something unforeseen happened. */
const codes = ['cold-unavailable', 'cold-corrupt', 'store-unavailable', 'store-refused', 'object-missing', 'table-corrupt', 'timeout'];

const question = fc.record({
  /** What comes before it is cold, in files of its own, for the most part: nothing of them is here. */
  events: fc.array(event, { minLength: 2, maxLength: 8 }),
  cut: fc.integer({ min: 50, max: 100 }),
  fileRows: fc.integer({ min: 2, max: 8 }),
  isEvicted: fc.boolean(),
  fault: fc.constantFrom(...faults),
  /** From which request on, and how many. */
  from: fc.nat(7),
  count: fc.constantFrom(1, 2, 1000),
  choice: fc.nat(30),
  /** At the same time, of the same files. */
  twins: fc.constantFrom(1, 1, 2),
});

/** Requests go through here, and fail as the plan says. */
class Bucket {
  readonly inner = new MemoryStore({ clock: systemClock });
  readonly store: ObjectStore;
  #plan: { readonly fault: Fault; readonly from: number; readonly end: number } | undefined;
  #seen = 0;
  readonly #failing = new Set<number>();
  readonly #late: (() => void)[] = [];
  /** Requests under way. */
  open = 0;
  hits = 0;

  constructor() {
    const faulty = faultyStore(this.inner, {
      before: (call) => this.#before(call),
      after: (call) => {
        if (this.#fails(call, 'lost')) throw answerLost(call);
      },
      alter: (call, bytes) => {
        if (this.#fails(call, 'half')) return bytes.subarray(0, bytes.length >> 1);
        if (this.#fails(call, 'none')) return bytes.subarray(0, 0);
        return this.#fails(call, 'longer') ? Buffer.concat([bytes, bytes]) : bytes;
      },
    });
    // Each request counts until it has ended, and a signal ends it as it does on S3.
    const counted = async <T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
      this.open++;
      try {
        return await abortable(work(), signal);
      } finally {
        this.open--;
      }
    };
    this.store = {
      ...faulty,
      get: (key, options) => counted(() => faulty.get(key, options), options?.signal),
      download: (key, path, signal) => counted(() => faulty.download(key, path, signal), signal),
      head: (key, signal) => counted(() => faulty.head(key, signal), signal),
    };
  }

  fail(fault: Fault, from: number, count: number): void {
    this.#seen = 0;
    this.#plan = { fault, from, end: from + count };
  }

  mend(): void {
    this.#plan = undefined;
    for (const release of this.#late.splice(0)) release();
  }

  #fails(call: StoreCall, fault: Fault): boolean {
    return this.#plan?.fault === fault && this.#failing.has(call.index);
  }

  async #before(call: StoreCall): Promise<void> {
    const plan = this.#plan;
    const at = this.#seen++;
    if (plan === undefined || at < plan.from || at >= plan.end) return;
    this.hits++;
    this.#failing.add(call.index);
    switch (plan.fault) {
      case 'refused':
        throw unavailable(call);
      case 'forbidden':
        throw new LakeError('store-refused', `${call.operation} ${call.key}: access denied`);
      case 'missing':
        throw new LakeError('object-missing', `there is no ${call.key}`);
      case 'slow':
        return systemClock.sleep(3);
      case 'late':
        return new Promise((resolve) => this.#late.push(resolve));
    }
  }
}

const bucket = new Bucket();
const counts = { whole: 0, failed: 0, hits: 0 };
let world: QueryWorld;
beforeAll(async () => {
  const limits = { concurrency: 2 };
  const sizes = { tailEncodeBytesMin: 1, coldWholeBytesMax: 0, lastRowsFileBytesMin: 0 };
  world = await QueryWorld.open({ workers: inlineColumnWorkers, store: bucket.store, limits, ...sizes });
});
afterAll(() => world[Symbol.asyncDispose]());

/** Files below a folder of the service, with their bytes. */
async function filesBelow(...folders: string[]): Promise<{ readonly name: string; readonly bytes: number }[]> {
  const folder = join(world.directory, 'cache', ...folders);
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile());
  return Promise.all(
    files.map(async ({ name, parentPath }) => ({ name, bytes: (await stat(join(parentPath, name)).catch(() => ({ size: 0 }))).size })),
  );
}

/** Files of the service that this process has open. */
async function filesOpen(): Promise<string[]> {
  const links = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
  return (await Promise.all(links)).filter((path) => path.startsWith(join(world.directory, 'cache')));
}

/** Bytes on disk that the caches do not know of. */
async function surplus(): Promise<{ readonly cold: number; readonly tail: number }> {
  const { coldCacheBytes, tailCacheBytes } = world.service.metricsSnapshot();
  const bytes = async (folder: string): Promise<number> => sum((await filesBelow(folder)).map((file) => file.bytes));
  return { cold: (await bytes('cold')) - coldCacheBytes, tail: (await bytes('tail')) - tailCacheBytes };
}

/** Nothing of a query is left but what is kept for the next ones; what is built behind the queries has come to its end. */
async function expectNothingLeft(before: Awaited<ReturnType<typeof surplus>>): Promise<void> {
  await world.encoded();
  await world.service.settled();
  const look = async () => {
    const { running, waiting } = world.service.metricsSnapshot();
    const rest = { leased: await filesBelow('leases'), open: await filesOpen(), surplus: await surplus() };
    return { running, waiting, requests: bucket.open, ...rest };
  };
  const nothing = { running: 0, waiting: 0, requests: 0, leased: [], open: [], surplus: before };
  for (let tries = 0; tries < 400 && JSON.stringify(await look()) !== JSON.stringify(nothing); tries++) await systemClock.sleep(5);
  expect(await look()).toEqual(nothing);
  expect((await filesBelow('tail')).filter(({ name }) => !name.endsWith('.parquet'))).toEqual([]);
  expect(world.service.pids.length).toBeLessThanOrEqual(2);
}

let serial = 0;

it('answers whole and right or says what failed, is well for the next query, and leaves nothing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(question, { minLength: 4, maxLength: 12 }), async (questions) => {
      const name = `faults${serial++}`;
      world.createTopic(name, partitions);
      const model = new LogModel(partitions);
      let pins: Pin[] = [];
      const before = await surplus();
      let earlier: { readonly token: string; readonly pins: Pin[] } | undefined;
      const grow = async (partition: number, { events, cut, fileRows, isEvicted }: (typeof questions)[number]): Promise<void> => {
        const own = world.partition(name, partition);
        const [base, boundary] = [own.endOffset, own.boundary];
        for (const one of events) world.append(name, partition, [one]);
        model.append(partition, base, events, 0);
        await world.makeCold(name, partition, Math.max(boundary, base + Math.round((cut * events.length) / 100)), fileRows);
        model.store(partition, boundary, own.boundary, true);
        if (isEvicted) own.localStartOffset = own.boundary;
        pins = Array.from({ length: partitions }, (_, at) => ({ partition: at, start: 0, end: world.partition(name, at).endOffset }));
      };
      const ask = async (choice: number): Promise<void> => {
        const isAgain = choice % 3 === 0 && earlier !== undefined;
        const of = isAgain ? earlier!.pins : pins;
        const asked = choice % 2 === 0 ? undefined : derived(name, model.within(of), choice >> 1);
        const sql = asked?.sql ?? `SELECT * FROM ${name} ORDER BY _partition_id, _offset`;
        const asOf = isAgain ? { asOf: earlier!.token } : {};
        const answer = await world.ask({ sql, ...asOf, limits: { timeout_ms: timeoutMs } });
        if (asked === undefined) expectWhole(answer, model, of, true);
        else expect({ sql, rows: answer.rows }).toEqual(asked);
        earlier = { token: answer.token, pins: of };
      };
      let timeoutMs = 30_000;
      for (const [at, one] of questions.entries()) {
        const { fault, from, count, choice, twins } = one;
        await grow(at % partitions, one);
        bucket.fail(fault, from, count);
        if (fault === 'late') timeoutMs = 150;
        const asking = Array.from({ length: twins }, () => ask(choice));
        for (const { status, reason } of (await Promise.allSettled(asking)) as PromiseRejectedResult[]) {
          if (status === 'rejected' && !isLakeError(reason, ...(codes as never[]))) throw reason;
          if (isLakeError(reason, 'cold-unavailable', 'cold-corrupt')) expect(reason.hint).toMatch(/\S/);
          counts[status === 'rejected' ? 'failed' : 'whole']++;
        }
        bucket.mend();
        timeoutMs = 30_000;
        await ask(choice);
        await expectNothingLeft(before);
      }
      world.dropTopic(name);
    }),
    { numRuns: Number(process.env['THERMOCLINE_RUNS'] ?? 4), seed: Number(process.env['THERMOCLINE_TEST_SEED'] ?? 1) },
  );
  counts.hits = bucket.hits;
  for (const [what, count] of Object.entries(counts)) expect({ what, isMet: count > 10 }).toEqual({ what, isMet: true });
}, 600_000);
