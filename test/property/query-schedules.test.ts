/**
 * Any schedule of what happens to a log between queries, and while one runs: appends, cuts, compactions, sweeps, evictions, deletions by
 * broker and by table, changes of `lake.value.format`, restarts of the gateway and of the broker, a kill that takes what was not flushed.
 * At each step a fresh query holds what was there, and the token of any earlier answer, or its handle, gives that answer again, or says
 * which rows are gone; and a time gives what had been appended then. Repeat a run by THERMOCLINE_TEST_SEED, ask for more by THERMOCLINE_RUNS.
 */
import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isLakeError, systemClock } from '../../src/kernel/index.js';
import { faultyStore, MemoryStore, type ObjectStore } from '../../src/objects/index.js';
import { decodeToken } from '../../src/query/token.js';
import { inlineColumnWorkers } from '../support/column-workers.js';
import { QueryWorld } from '../support/query-world.js';
import { derived, event, expectWhole, LogModel, type ModelEvent, type Pin, t0 } from './log-model.js';

const partitions = 2;
const partition = fc.nat(partitions - 1);
const share = fc.integer({ min: 0, max: 100 });

const format = fc.constantFrom('auto', 'json', 'auto', 'string', 'bytes');

/** What may come at any moment, also while a query runs. */
const change = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      partition,
      gap: fc.nat(2),
      events: fc.array(event, { minLength: 1, maxLength: 5 }),
    }),
  },
  // Of an end that the broker may hear of only later.
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('tier' as const),
      partition,
      share: fc.oneof(share, fc.constant(100)),
      fileRows: fc.integer({ min: 1, max: 8 }),
      isReported: fc.boolean(),
      /** What the format has become before. */
      format: fc.option(format, { freq: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('report' as const), partition }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('evict' as const), partition }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('compact' as const), partition, files: fc.integer({ min: 2, max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('sweep' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), partition, share: fc.integer({ min: 1, max: 90 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire' as const), partition, share: fc.integer({ min: 1, max: 60 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('format' as const), to: format }) },
);
const restart = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ kind: 'gateway' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'broker' as const, isKilled: false }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'broker' as const, isKilled: true }) },
);
const step = fc.record({
  pauseMs: fc.oneof(fc.nat(20), fc.nat(5000)),
  change: fc.oneof({ weight: 8, arbitrary: change }, { weight: 1, arbitrary: restart }),
  /** Comes when the query has asked so many things of broker and bucket. */
  meanwhile: fc.option(fc.record({ at: fc.nat(4), change }), { freq: 4 }),
  earlier: fc.nat(),
  choice: fc.nat(60),
  asOf: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.double({ min: 0, max: 1, noNaN: true }) }),
});
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;
type Restart = typeof restart extends fc.Arbitrary<infer T> ? T : never;

interface Earlier {
  /** Each of them names it. */
  readonly names: readonly string[];
  readonly pins: readonly Pin[];
  readonly columns: unknown;
  readonly rows: unknown;
}

const counts = { fresh: 0, repeated: 0, gone: 0, handles: 0, meanwhile: 0, times: 0 };

/** One topic, what is done to it, and what it must answer. */
class Schedule {
  readonly #world: QueryWorld;
  readonly #name: string;
  readonly #config: Record<string, string> = {};
  readonly #model = new LogModel(partitions);
  readonly #createdMs: number;
  /** Of the table; the broker may know an older one. */
  readonly #boundaries = Array.from({ length: partitions }, () => 0);
  readonly #tableStarts = Array.from({ length: partitions }, () => 0);
  readonly #earlier: Earlier[] = [];

  constructor(world: QueryWorld, name: string) {
    this.#world = world;
    this.#name = name;
    world.clock.nowIs = Date.parse('2026-11-26T10:00:00Z');
    this.#createdMs = world.clock.nowIs;
    world.createTopic(name, partitions, this.#config);
  }

  get #isTyped(): boolean {
    return ['auto', 'json'].includes(this.#config['lake.value.format'] ?? 'auto');
  }

  #log(at: number) {
    return this.#world.partition(this.#name, at);
  }

  #brokerStarts(): number[] {
    return this.#boundaries.map((_, at) => this.#log(at).logStartOffset);
  }

  /** By whoever has heard first. */
  #starts(): number[] {
    return this.#brokerStarts().map((start, at) => Math.max(start, this.#tableStarts[at]!));
  }

  #ends(): number[] {
    return this.#boundaries.map((_, at) => this.#log(at).endOffset);
  }

  pause(ms: number): void {
    this.#world.clock.nowIs! += ms;
  }

  async make(one: Change | Restart): Promise<void> {
    switch (one.kind) {
      case 'append':
        return this.append(one.partition, one.events, one.gap);
      case 'tier':
        return this.#tier(one);
      case 'report':
        this.#log(one.partition).boundary = this.#boundaries[one.partition]!;
        return;
      case 'evict':
        this.#log(one.partition).localStartOffset = this.#log(one.partition).boundary;
        return;
      case 'compact':
        await this.#world.compact(this.#name, one.partition, one.files);
        return;
      case 'sweep':
        return this.#sweep();
      case 'delete': {
        const log = this.#log(one.partition);
        log.logStartOffset = Math.max(log.logStartOffset, Math.round((one.share * log.flushedOffset) / 100));
        return;
      }
      case 'expire': {
        const to = Math.round((one.share * this.#boundaries[one.partition]!) / 100);
        if (to <= this.#tableStarts[one.partition]!) return;
        await this.#world.raiseLogStart(this.#name, one.partition, to);
        this.#tableStarts[one.partition] = to;
        return;
      }
      case 'format':
        this.#config['lake.value.format'] = one.to;
        return;
      case 'gateway':
        return this.#world.reopen();
      case 'broker':
        for (const at of this.#boundaries.keys()) {
          if (one.isKilled) this.#log(at).loseUnflushed();
          this.#model.truncate(at, this.#log(at).endOffset);
          this.#log(at).restart(one.isKilled ? 'killed' : 'clean', this.#world.clock.nowIs!);
        }
    }
  }

  async append(at: number, events: readonly ModelEvent[], gap: number): Promise<void> {
    const log = this.#log(at);
    log.endOffset += gap;
    const base = log.endOffset;
    this.#world.append(
      this.#name,
      at,
      events.map(({ key, value, timestampMs }) => ({ key, value, timestampMs })),
    );
    const { lastMs } = (await log.times.spans()).at(-1)!;
    this.#model.append(at, base, events, lastMs);
    this.#world.clock.nowIs = Math.max(this.#world.clock.nowIs!, lastMs);
  }

  async #tier({ partition: at, share: part, fileRows, isReported, format: become }: Extract<Change, { kind: 'tier' }>): Promise<void> {
    if (become !== null) this.#config['lake.value.format'] = become;
    const log = this.#log(at);
    const [from, known] = [this.#boundaries[at]!, log.boundary];
    const to = Math.max(from, Math.round((part * log.endOffset) / 100));
    log.boundary = from;
    await this.#world.makeCold(this.#name, at, to, fileRows);
    this.#model.store(at, from, to, this.#isTyped);
    this.#boundaries[at] = to;
    if (!isReported) log.boundary = known;
  }

  /** Whatever the table does not list any more goes at once, and not after the time in which nobody reads it. */
  async #sweep(): Promise<void> {
    const { table } = this.#world.topic(this.#name);
    const listed = new Set((await table.load()).files.map(({ key }) => key));
    for await (const { key } of this.#world.store.list(`${table.prefix}/data/`)) if (!listed.has(key)) await this.#world.store.delete(key);
  }

  get #whole(): string {
    return `SELECT * FROM ${this.#name} ORDER BY _partition_id, _offset`;
  }

  /** A query of now, with something that comes in its midst. */
  async askFresh(meanwhile: { readonly at: number; readonly change: Change } | null): Promise<void> {
    const before = { starts: this.#brokerStarts(), ends: this.#ends(), isTyped: this.#isTyped };
    const answer = await this.#during(meanwhile, () => this.#world.ask(this.#whole));
    const [starts, ends] = [this.#starts(), this.#ends()];
    const pins = decodeToken(answer.token).topics[0]!.partitions.map((pin): Pin => {
      const { partition: at, logStartOffset: start, endOffset: end } = pin;
      const within = { at, start: [before.starts[at], start, starts[at]], end: [before.ends[at], end, ends[at]] };
      expect(within).toEqual({ at, start: within.start.toSorted((a, b) => a! - b!), end: within.end.toSorted((a, b) => a! - b!) });
      return { partition: at, start, end, boundary: answer.stats.boundary[this.#name]![at]! };
    });
    expect(pins).toHaveLength(partitions);
    // Where the format changed meanwhile, it was pinned before or after.
    try {
      expectWhole(answer, this.#model, pins, before.isTyped);
    } catch (error) {
      if (before.isTyped === this.#isTyped) throw error;
      expectWhole(answer, this.#model, pins, this.#isTyped);
    }
    counts.fresh++;
    this.#keep(answer, pins);
  }

  #keep({ token, headerToken, columns, rows }: Awaited<ReturnType<QueryWorld['ask']>>, pins: readonly Pin[]): void {
    if (headerToken !== token) counts.handles++;
    this.#earlier.push({ names: [token, headerToken], pins, columns, rows });
  }

  async #during<T>(meanwhile: { readonly at: number; readonly change: Change } | null, work: () => Promise<T>): Promise<T> {
    if (meanwhile === null) return work();
    let left = meanwhile.at;
    let changing: Promise<void> | undefined;
    this.#world.hooks.beforeAnswer = async () => {
      if (left-- > 0) return;
      this.#world.hooks.beforeAnswer = undefined;
      counts.meanwhile++;
      changing = this.make(meanwhile.change);
      await changing;
    };
    try {
      return await work();
    } finally {
      await changing;
      if (this.#world.hooks.beforeAnswer !== undefined) {
        this.#world.hooks.beforeAnswer = undefined;
        await this.make(meanwhile.change);
      }
    }
  }

  /** An earlier answer once more, by its token or its handle. */
  async askAgain(which: number, choice: number, meanwhile: { readonly at: number; readonly change: Change } | null): Promise<void> {
    const one = this.#earlier[which % this.#earlier.length];
    if (one === undefined) return;
    const asOf = one.names[choice % one.names.length]!;
    const asked = choice % 3 > 0 ? undefined : derived(this.#name, this.#model.within(one.pins), Math.floor(choice / 3));
    const [startsBefore, hardBefore] = [this.#starts(), this.#brokerStarts()];
    const outcome = await this.#during(meanwhile, () => this.#world.ask({ sql: asked?.sql ?? this.#whole, asOf })).catch(
      (error: unknown) => error,
    );
    const starts = this.#starts();
    const lost = (by: readonly number[]): readonly Pin[] => one.pins.filter((pin) => pin.start < pin.end && by[pin.partition]! > pin.start);
    if (isLakeError(outcome, 'token-gone')) {
      // What the table alone knows, the query may have heard of.
      expect(lost(starts)).not.toEqual([]);
      if (lost(startsBefore).length > 0 && meanwhile === null) {
        for (const [, at, from, to] of outcome.message.matchAll(/-(\d+) \[(\d+), (\d+)\)/g)) {
          const pin = one.pins[Number(at)]!;
          const ends = [hardBefore[pin.partition]!, startsBefore[pin.partition]!].map((start) => Math.min(pin.end, start));
          expect([Number(from), ends.includes(Number(to))]).toEqual([pin.start, true]);
        }
        for (const pin of lost(hardBefore)) expect(outcome.message).toContain(`${this.#name}-${pin.partition} [${pin.start}, `);
      }
      counts.gone++;
      return;
    }
    if (outcome instanceof Error) throw outcome;
    const { columns, rows, token } = outcome as Awaited<ReturnType<QueryWorld['ask']>>;
    expect(lost(hardBefore)).toEqual([]);
    if (asked === undefined) expect({ columns, rows }).toEqual({ columns: one.columns, rows: one.rows });
    else expect({ sql: asked.sql, rows }).toEqual(asked);
    expect(token).toBe(one.names[0]);
    counts.repeated++;
  }

  async askTime(back: number): Promise<void> {
    const nowMs = this.#world.clock.nowIs!;
    const askedMs = Math.round(nowMs - back * (nowMs - this.#createdMs));
    const places = `SELECT _partition_id, _offset FROM ${this.#name} ORDER BY ALL`;
    const answer = await this.#world.ask({ sql: places, asOf: String(askedMs) }).catch((error: unknown) => error);
    if (isLakeError(answer, 'as-of-gone')) {
      expect(this.#starts().some((start) => start > 0)).toBe(true);
      return;
    }
    // The first moment is not over yet.
    if (isLakeError(answer, 'as-of-unknown')) {
      expect(askedMs).toBe(this.#createdMs);
      return;
    }
    if (answer instanceof Error) throw answer;
    const { rows, token, stats } = answer as Awaited<ReturnType<QueryWorld['ask']>>;
    expect(stats.as_of_ms!).toBeLessThanOrEqual(askedMs);
    const then = (starts: readonly number[]): unknown =>
      this.#model.appendedUpTo(stats.as_of_ms!, starts).map(({ partition: at, offset }) => [at, offset]);
    const starts = decodeToken(token).topics[0]!.partitions.map(({ logStartOffset }) => logStartOffset);
    expect([then(this.#starts()), then(this.#brokerStarts())]).toContainEqual(rows);
    expect(starts.length).toBeLessThanOrEqual(partitions);
    const again = await this.#world.ask({ sql: places, asOf: token });
    expect(again.rows).toEqual(rows);
    counts.times++;
  }

  end(): void {
    this.#world.dropTopic(this.#name);
  }
}

/** So many columns with long names that a token of the hot log needs a handle. */
const wideNames = Array.from({ length: 30 }, (_, at) =>
  [at, at + 100].map((n) => createHash('sha512').update(`${n}`).digest('base64url')).join(''),
);
const wide: ModelEvent = { timestampMs: t0, key: 'a', value: JSON.stringify(Object.fromEntries(wideNames.map((name, at) => [name, at]))) };

const worlds: QueryWorld[] = [];
beforeAll(async () => {
  const open = async (inner: ObjectStore | undefined, more: object): Promise<void> => {
    let world: QueryWorld | undefined;
    const store = inner === undefined ? undefined : faultyStore(inner, { before: () => world?.hooks.beforeAnswer?.() });
    world = await QueryWorld.open({ workers: inlineColumnWorkers, ...(store === undefined ? {} : { store }), ...more });
    worlds.push(world);
  };
  // Files linked where they lie, and a raw tail.
  await open(undefined, { tailEncodeBytesMin: Number.POSITIVE_INFINITY });
  // Parts of files, an encoded tail, and the last rows of keys of every file.
  await open(new MemoryStore({ clock: systemClock }), { tailEncodeBytesMin: 1, coldWholeBytesMax: 0, lastRowsFileBytesMin: 0 });
});
afterAll(async () => {
  for (const world of worlds) await world[Symbol.asyncDispose]();
});

it('answers with what was there, and by the token of any answer with that answer again', async () => {
  let serial = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 14 }), fc.nat(1), fc.boolean(), async (steps, place, isWide) => {
      const schedule = new Schedule(worlds[place]!, `schedule${serial++}`);
      if (isWide) await schedule.append(0, [wide], 0);
      for (const taken of steps) {
        schedule.pause(taken.pauseMs);
        await schedule.make(taken.change);
        await schedule.askAgain(taken.earlier, taken.choice, taken.choice % 3 === 0 ? taken.meanwhile : null);
        await schedule.askFresh(taken.choice % 3 === 0 ? null : taken.meanwhile);
        if (taken.asOf !== null) await schedule.askTime(taken.asOf);
      }
      schedule.end();
    }),
    { numRuns: Number(process.env['THERMOCLINE_RUNS'] ?? 6), seed: Number(process.env['THERMOCLINE_TEST_SEED'] ?? 5) },
  );
  for (const [what, count] of Object.entries(counts)) expect({ what, isMet: count > 0 }).toEqual({ what, isMet: true });
}, 600_000);
