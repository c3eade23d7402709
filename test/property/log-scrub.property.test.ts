/**
 * The scrub of the hot log beside everything that happens to segments: whatever is appended, rolled, flushed, evicted, deleted, compacted,
 * opened again or made anew between two of its steps, it finds nothing. And what it then does find, it finds wherever it lies.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/kernel/index.js';
import type { HotLog, PartitionLog } from '../../src/log/index.js';
import type { Logger } from '../../src/telemetry/index.js';
import { silentLogger } from '../../src/telemetry/index.js';
import { batchAt, walkBatches } from '../../src/wire/index.js';
import { compactedConfig, directCompactor, keyed } from '../unit/log/compaction-world.js';
import { looseConfig, openIn, temporaryFolder, topic, topicKey } from '../unit/log/hot-world.js';

const tiered = { ...looseConfig, segmentBytes: 1500, indexIntervalBytes: 150 };
const compacted = { ...compactedConfig, segmentBytes: 1500, indexIntervalBytes: 150 };

type Step =
  | { readonly kind: 'append'; readonly partition: number; readonly bytes: number; readonly key: number; readonly timestampMs: number }
  | { readonly kind: 'scrub'; readonly steps: number }
  | { readonly kind: 'flush' | 'compact' | 'evict' | 'restart' | 'again' }
  | { readonly kind: 'commit' | 'delete-records'; readonly share: number };

const append = fc.record({
  kind: fc.constant('append' as const),
  partition: fc.integer({ min: 0, max: 1 }),
  bytes: fc.integer({ min: 0, max: 500 }),
  key: fc.nat(4),
  timestampMs: fc.integer({ min: -1, max: 1000 }),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: append },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('scrub' as const), steps: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('flush' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('compact' as const, 'evict' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('restart' as const, 'again' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('commit' as const, 'delete-records' as const),
      share: fc.float({ min: 0, max: 1, noNaN: true }),
    }),
  },
);

/** Time passes for the scrub step by step, when the test says so. */
class StepClock implements Clock {
  #ms = 1;
  #wake: (() => void) | undefined;

  nowMs(): number {
    return Math.floor(this.#ms);
  }

  monotonicMs(): number {
    return this.#ms;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal === undefined) return systemClock.sleep(ms);
    return new Promise((resolve, reject) => {
      if (signal.aborted) reject(signal.reason as Error);
      const onAbort = (): void => reject(signal.reason as Error);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#wake = () => {
        this.#ms += ms;
        this.#wake = undefined;
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
    });
  }

  /** Has whoever sleeps go on, to where it sleeps again. */
  async step(): Promise<void> {
    this.#wake?.();
    await expect.poll(() => this.#wake !== undefined, { interval: 1, timeout: 20_000 }).toBe(true);
  }
}

class Run {
  readonly lines: string[] = [];
  rounds = 0;
  readonly clock = new StepClock();
  log: HotLog | undefined;
  readonly #dir: string;
  #stop = new AbortController();
  #scrubbing: Promise<void> = Promise.resolve();

  constructor(dir: string) {
    this.#dir = dir;
  }

  get hot(): HotLog {
    return this.log as HotLog;
  }

  partition(index: number): PartitionLog {
    return this.hot.partition(topic, index)!;
  }

  async open(): Promise<void> {
    const note = (message: string, facts?: Readonly<Record<string, unknown>>): void => {
      const error = facts?.['error'];
      this.lines.push(error instanceof Error ? `${message} ${error.message}` : message);
    };
    const logger: Logger = { ...silentLogger, error: note, warn: note };
    this.log = await openIn(this.#dir, { clock: this.clock, compactor: directCompactor(), logger });
    await this.#make();
    this.#stop = new AbortController();
    this.#scrubbing = this.#scrub(this.hot, this.#stop.signal);
  }

  async #make(): Promise<void> {
    await this.hot.createPartitions(topic, topicKey, [0], tiered);
    await this.hot.createPartitions(topic, topicKey, [1], compacted);
  }

  async #scrub(log: HotLog, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await log.scrub({ bytesPerSecond: 4096, mayGoOn: () => true }, signal).then(
        () => this.rounds++,
        (error: unknown) => {
          if (!signal.aborted) throw error;
        },
      );
      await this.clock.sleep(1, signal).catch(() => undefined);
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error('closed'));
    await this.#scrubbing;
  }

  async close(): Promise<void> {
    await this.stop();
    expect(this.hot.scrubbed.findings, this.lines.join('\n')).toBe(0);
    await this.hot.close();
  }

  async take(one: Step): Promise<void> {
    switch (one.kind) {
      case 'append':
        this.partition(one.partition).append(
          keyed([{ key: `k${one.key}`, value: 'x'.repeat(one.bytes), timestampMs: one.timestampMs }]),
          1,
        );
        return;
      case 'scrub':
        for (let i = 0; i < one.steps; i++) await this.clock.step();
        return;
      case 'flush':
        for (const index of [0, 1]) await this.partition(index).flush();
        return;
      case 'compact':
        await this.hot.compact(1, new AbortController().signal);
        return;
      case 'evict':
        await this.hot.maintain(1, 0);
        return;
      case 'commit':
        await this.partition(0).moveBoundary(Math.floor(one.share * this.partition(0).flushedOffset), 0);
        return;
      case 'delete-records':
        await this.partition(0).raiseLogStart(Math.floor(one.share * this.partition(0).logEndOffset));
        return;
      case 'restart':
        await this.close();
        await this.open();
        return;
      case 'again':
        await this.hot.deletePartitions(topic, [1]);
        await this.#make();
    }
  }

  /** Flips a byte that a checksum covers; answers where. */
  spoil(share: number): PartitionLog | undefined {
    const paths = [0, 1].flatMap((index) => {
      const folder = join(this.#dir, `${topic}-${index}`);
      return fs
        .readdirSync(folder)
        .filter((name) => name.endsWith('.log'))
        .map((name) => ({ index, path: join(folder, name), bytes: fs.statSync(join(folder, name)).size }));
    });
    let at = Math.floor(share * paths.reduce((sum, { bytes }) => sum + bytes, 0));
    for (const { index, path, bytes } of paths) {
      if (at < bytes) {
        const content = fs.readFileSync(path);
        // No checksum covers a batch's leader epoch, nor its offset, which may become one that compaction has left free.
        walkBatches(content, (start, size) => {
          if (at >= start && at < start + size) at = Math.max(at, start + batchAt.attributes);
        });
        content[at]! ^= 0x04;
        fs.writeFileSync(path, content, { flag: 'r+' });
        return this.partition(index);
      }
      at -= bytes;
    }
    return undefined;
  }
}

it('takes nothing for damage that is none, and finds what is', { timeout: 120_000 }, async () => {
  let rounds = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 10, maxLength: 60 }),
      fc.float({ min: 0, max: Math.fround(0.999), noNaN: true }),
      async (steps, share) => {
        const run = new Run(join(await temporaryFolder(), 'log'));
        await run.open();
        for (const one of steps) await run.take(one);
        await run.take({ kind: 'flush' });
        await run.take({ kind: 'scrub', steps: 10 });
        await run.close();
        expect(run.lines).toEqual([]);
        rounds += run.rounds;
        await run.open();
        const spoiled = run.spoil(share);
        if (spoiled !== undefined && spoiled.logStartOffset === 0) {
          const until = run.rounds + 3;
          while (run.rounds < until && run.hot.scrubbed.findings === 0) await run.clock.step();
          expect(run.lines.join('\n')).toContain('the scrub found damage in the hot log');
        }
        await run.stop();
      },
    ),
    { numRuns: 20 },
  );
  expect(rounds).toBeGreaterThan(20);
});
