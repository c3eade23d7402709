// Who asks for a scrub hears of it from its first moment to its last, however long that is.
import { expect, it } from 'vitest';
import type { BrokerCore } from '../../../src/broker/core.js';
import { scrubHandlers } from '../../../src/broker/scrub-now.js';
import type { ServeContext } from '../../../src/control/index.js';
import { LakeError } from '../../../src/kernel/index.js';
import type { HotLog, ScrubFound } from '../../../src/log/index.js';
import { ManualClock } from './manual-clock.js';

const partitions = new Map([
  [0, {}],
  [1, { offline: new LakeError('log-damaged', 'a segment is damaged') }],
]);

/** A call of the handler, and the parts it was sent. */
function asked(clock: ManualClock, scrubTopic: HotLog['scrubTopic']): { readonly parts: unknown[]; readonly ask: () => Promise<unknown> } {
  const topics = { byName: (name: string) => ({ record: { name }, partitions }) };
  const core = { topics, log: { scrubTopic }, disk: { isBelowReserve: false }, clock } as unknown as BrokerCore;
  const parts: unknown[] = [];
  const sendPart = async (facts: unknown): Promise<void> => void parts.push(facts);
  const scrub = scrubHandlers(core)['broker.scrub']!;
  return { parts, ask: () => scrub({ topic: 'flights' }, { signal: new AbortController().signal, sendPart } as unknown as ServeContext) };
}

it('tells how far it is while it reads, and while it waits for its turn', async () => {
  const clock = new ManualClock();
  const ends: (() => void)[] = [];
  const { parts, ask } = asked(clock, async (_topic, _limits, _signal, watch) => {
    watch?.onStep({ bytes: 7, findings: 1 });
    await new Promise<void>((resolve) => ends.push(resolve));
    return { bytes: 9, findings: 1 };
  });
  const first = ask();
  await expect.poll(() => parts).toEqual([{ soFar: { bytes: 0, findings: 0 } }]);
  const second = ask();
  await expect.poll(() => parts).toHaveLength(2);
  for (let minute = 1; minute <= 5; minute++) {
    const before = parts.length;
    await clock.advance(60_000);
    expect(parts.slice(before)).toContainEqual({ soFar: { bytes: 7, findings: 1 } });
    expect(parts.slice(before)).toContainEqual({ soFar: { bytes: 0, findings: 0 } });
  }
  ends.shift()?.();
  expect(await first).toEqual({ bytes: 9, findings: 1 });
  await expect.poll(() => ends).toHaveLength(1);
  ends.shift()?.();
  await second;
  const told = parts.length;
  await clock.advance(60_000);
  expect(parts).toHaveLength(told);
});

it('tells of each partition what was found in it, and why it is offline', async () => {
  const found: ScrubFound = { bytes: 5, findings: 1 };
  const { parts, ask } = asked(new ManualClock(), async (_topic, _limits, _signal, watch) => {
    for (const partition of partitions.keys()) await watch?.onPartition(partition, found);
    return found;
  });
  expect(await ask()).toEqual(found);
  expect(parts.slice(1)).toEqual([
    { partition: 0, ...found },
    { partition: 1, ...found, offline: 'a segment is damaged' },
  ]);
});
