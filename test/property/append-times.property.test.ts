/**
 * Append times against a model that is an array of appends: whatever is appended when, thinned, restarted, or lost in a crash, what is
 * said of a time is exactly what had been appended at the time it is said of, which is never later than asked for.
 */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { dayMs, hourMs, systemDisk } from '../../src/kernel/index.js';
import { type AppendSpan, cutAt, cutsBetween, partitionAt, spansMax, thinSpans } from '../../src/log/append-spans.js';
import { AppendTimes } from '../../src/log/append-times.js';
import { replaceFileSync } from '../../src/log/durable-file.js';

const folder = mkdtempSync(join(tmpdir(), 'append-times-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ports = { disk: systemDisk, replaceFile: async (path: string, bytes: Uint8Array) => replaceFileSync(systemDisk, path, bytes) };
const startMs = 1_764_151_200_000;

interface Append {
  readonly atMs: number;
  readonly endOffset: number;
}

/** What had been appended up to a time. */
function endAt(appends: readonly Append[], atMs: number, floor: number): number {
  return appends.findLast((append) => append.atMs <= atMs)?.endOffset ?? floor;
}

const pauses = fc.oneof(fc.nat(20), fc.nat(1500), fc.integer({ min: 0, max: 3 * hourMs }));
const step = fc.oneof(
  { weight: 12, arbitrary: fc.record({ kind: fc.constant('append' as const), pauseMs: pauses, records: fc.integer({ min: 1, max: 9 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('look' as const), pauseMs: pauses }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), pauseMs: pauses }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('maintain' as const), pauseMs: pauses }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('crash' as const),
      pauseMs: pauses,
      kept: fc.double({ min: 0, max: 1, noNaN: true }),
      keptOfFile: fc.double({ min: 0, max: 1, noNaN: true }),
      isTorn: fc.boolean(),
    }),
  },
);

let serial = 0;

const inMemory = (spans: readonly AppendSpan[]) => async () => spans;

it('says exactly what had been appended at the time it speaks of', async () => {
  let looks = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), async (steps) => {
      const path = join(folder, `append-times-${serial++}`);
      let nowMs = startMs;
      let appends: Append[] = [];
      let endOffset = 0;
      let isLossless = true;
      const open = (): AppendTimes => AppendTimes.open(path, { endOffset, lastWriteMs: appends.at(-1)?.atMs ?? startMs, nowMs }, ports);
      let times = open();
      const said: { atMs: number; endOffset: number }[] = [];
      const check = async (): Promise<void> => {
        const spans = await times.spans();
        expect(times.sinceMs).toBe(spans.at(0)!.lastMs);
        const askable = times.settledMs(nowMs);
        for (const askedMs of new Set([startMs, ...appends.flatMap(({ atMs }) => [atMs - 1, atMs, atMs + 400]), askable])) {
          if (askedMs > askable) continue;
          const found = partitionAt(spans, askedMs);
          if (found === undefined) {
            expect(askedMs).toBeLessThan(spans.at(0)!.lastMs);
            continue;
          }
          looks++;
          expect(found.atMs).toBeLessThanOrEqual(askedMs);
          expect(found.endOffset).toBe(endAt(appends, found.atMs, 0));
          // Of a log without a crash, not more than a second is unknown.
          if (isLossless) expect(askedMs - found.atMs).toBeLessThanOrEqual(1000);
        }
        // What was said once stays true, also where the log is known less finely now.
        for (const earlier of said) expect(endAt(appends, earlier.atMs, 0)).toBe(Math.min(earlier.endOffset, endOffset));
        const present = partitionAt(spans, askable);
        if (present !== undefined) said.push(present);
      };
      for (const taken of steps) {
        nowMs += taken.pauseMs;
        if (taken.kind === 'append') {
          endOffset += taken.records;
          times.note(nowMs, endOffset);
          // After a look or a restart within one millisecond, an append counts as of the next.
          const open = (await times.spans()).at(-1)!;
          expect(open.endOffset).toBe(endOffset);
          appends.push({ atMs: open.lastMs, endOffset });
          nowMs = Math.max(nowMs, open.lastMs);
        } else if (taken.kind === 'look') {
          await check();
        } else if (taken.kind === 'maintain') {
          await times.maintain(nowMs, 0);
        } else if (taken.kind === 'restart') {
          times.close();
          times = open();
        } else {
          isLossless = false;
          // A power cut takes the end of the log, the end of this file, or both.
          appends = appends.slice(0, Math.ceil(taken.kept * appends.length));
          endOffset = appends.at(-1)?.endOffset ?? 0;
          const bytes = readFileSync(path);
          truncateSync(path, Math.round(taken.keptOfFile * bytes.length));
          if (taken.isTorn) writeFileSync(path, Buffer.alloc(13, 7), { flag: 'a' });
          for (const earlier of said) earlier.endOffset = Math.min(earlier.endOffset, endOffset);
          times = open();
        }
      }
      await check();
    }),
    { numRuns: 300 },
  );
  expect(looks).toBeGreaterThan(1000);
});

it('says so of several partitions at one time, also when it was thinned, in a bounded number of spans', async () => {
  const gaps = fc.array(fc.oneof(fc.nat(3000), fc.nat(40 * hourMs)), { minLength: 1, maxLength: 80 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(gaps, { minLength: 1, maxLength: 4 }),
      fc.nat(200 * dayMs),
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (all, ageMs, share) => {
        const logs = all.map((own) => {
          let atMs = startMs;
          return own.map((gap, index): Append => ({ atMs: (atMs += gap + 1), endOffset: index + 1 }));
        });
        const endMs = Math.max(...logs.map((log) => log.at(-1)!.atMs));
        const spansOf = (log: readonly Append[]) => [
          { firstMs: startMs, lastMs: startMs, endOffset: 0 },
          ...log.map(({ atMs, endOffset }) => ({ firstMs: atMs, lastMs: atMs, endOffset })),
        ];
        const thinned = logs.map((log) => thinSpans(thinSpans(spansOf(log), endMs, 0), endMs + ageMs, 0));
        const askedMs = startMs + Math.round(share * (endMs - startMs));
        const cut = (await cutAt(thinned.map(inMemory), askedMs))!;
        expect(cut.atMs).toBeLessThanOrEqual(askedMs);
        expect(askedMs - cut.atMs).toBeLessThanOrEqual(dayMs);
        expect(cut.endOffsets).toEqual(logs.map((log) => endAt(log, cut.atMs, 0)));
        // What is thinned twice is what is thinned once.
        expect(thinned).toEqual(logs.map((log) => thinSpans(spansOf(log), endMs + ageMs, 0)));
      },
    ),
    { numRuns: 500 },
  );
  const second = Array.from({ length: 700_000 }, (_, index) => ({ firstMs: index * 1000, lastMs: index * 1000 + 900, endOffset: index }));
  const left = thinSpans(second, 700_000_000, 0);
  expect(left.length).toBeLessThanOrEqual(spansMax);
  expect(left.length).toBeGreaterThan(3600 + 10_000);
  // Below the log start one span is enough.
  expect(thinSpans(second, 700_000_000, 690_000).length).toBeLessThan(4000);
  expect(partitionAt(thinSpans(second, 700_000_000, 690_000), 689_000_000)).toBeUndefined();
});

it('finds cuts through several partitions that hold nothing above given ends, one after the other', async () => {
  const log = fc.array(fc.oneof(fc.nat(3000), fc.nat(dayMs)), { minLength: 1, maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(fc.array(log, { minLength: 1, maxLength: 3 }), fc.double({ min: 0, max: 1, noNaN: true }), async (all, share) => {
      const logs = all.map((own) => {
        let atMs = startMs;
        return own.map((gap, index): Append => ({ atMs: (atMs += gap + 1), endOffset: index + 1 }));
      });
      const ends = logs.map((own) => Math.round(share * own.length));
      const endMs = Math.max(...logs.map((own) => own.at(-1)!.atMs)) + 1;
      const parts = logs.map((own, index) => ({
        spans: inMemory([
          { firstMs: startMs, lastMs: startMs, endOffset: 0 },
          ...own.map(({ atMs, endOffset }) => ({ firstMs: atMs, lastMs: atMs, endOffset })),
        ]),
        endOffset: ends[index]!,
      }));
      const cuts = await cutsBetween(parts, 0, endMs);
      expect(cuts.length).toBeGreaterThan(0);
      expect(cuts.length).toBeLessThanOrEqual(66);
      for (const [index, cut] of cuts.entries()) {
        expect(cut.endOffsets).toEqual(logs.map((own) => endAt(own, cut.atMs, 0)));
        cut.endOffsets.forEach((end, partition) => expect(end).toBeLessThanOrEqual(ends[partition]!));
        if (index > 0) expect(cut.atMs).toBeGreaterThan(cuts[index - 1]!.atMs);
      }
      // Where all of it may be told, the last cut is the whole.
      if (share === 1) expect(cuts.at(-1)!.endOffsets).toEqual(ends);
      // What follows on them comes later.
      const more = await cutsBetween(parts, cuts.at(-1)!.atMs + 1, endMs);
      for (const cut of more) expect(cut.atMs).toBeGreaterThanOrEqual(cuts.at(-1)!.atMs);
    }),
    { numRuns: 300, examples: [[[[5, 4000]], 1]] },
  );
});

it('goes on where it cannot be written, less finely, and where the clock is set back', async () => {
  const path = join(folder, 'failing');
  let isFull = false;
  const disk = {
    ...systemDisk,
    writeSync: (...args: Parameters<typeof systemDisk.writeSync>) => {
      if (isFull) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
      return systemDisk.writeSync(...args);
    },
  };
  const times = AppendTimes.open(path, { endOffset: 0, lastWriteMs: startMs, nowMs: startMs }, { ...ports, disk });
  times.note(startMs + 5000, 1);
  isFull = true;
  times.note(startMs + 7000, 2);
  times.note(startMs + 9000, 3);
  expect(partitionAt(await times.spans(), startMs + 8000)).toEqual({ atMs: startMs, endOffset: 0 });
  isFull = false;
  times.note(startMs + 11_000, 4);
  const spans = await times.spans();
  expect(Array.from({ length: spans.length }, (_, index) => spans.at(index)!.endOffset)).toEqual([0, 3, 4]);
  expect(times.settledMs(startMs + 20_000)).toBe(startMs + 19_999);
  times.note(startMs + 12_000, 5);
  expect((await times.spans()).at(-1)).toEqual({ firstMs: startMs + 20_000, lastMs: startMs + 20_000, endOffset: 5 });
});
