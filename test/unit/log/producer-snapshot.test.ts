// Snapshots of more producers than are encoded at once, and while these go on.
import { describe, expect, it } from 'vitest';
import { decodeProducerSnapshot, ProducerSnapshotEncoding } from '../../../src/log/producer-snapshot.js';
import { ProducerStates } from '../../../src/log/producer-states.js';
import { batchBaseSequence, batchLastOffsetDelta } from '../../../src/wire/index.js';
import { sequenced } from './hot-world.js';

const dayMs = 86_400_000;

/** Each of the producers appends its batch of that sequence. */
function appended(states: ProducerStates, producerIds: readonly bigint[], sequence: number, fromOffset: number): void {
  for (const [index, producerId] of producerIds.entries()) states.note(sequenced(producerId, sequence), 0, fromOffset + index, 1000);
}

function encoded(entries: ConstructorParameters<typeof ProducerSnapshotEncoding>[0], between: () => void = () => undefined) {
  const encoding = new ProducerSnapshotEncoding(entries);
  let steps = 1;
  for (; encoding.step(); steps++) between();
  return { bytes: encoding.bytes, steps };
}

describe('a snapshot of producers', () => {
  it('is of one moment, however many steps it takes and whatever is appended between them', () => {
    const states = new ProducerStates(dayMs);
    const producerIds = Array.from({ length: 3000 }, (_none, i) => (i % 7 === 0 ? 2n ** 60n + BigInt(i) : BigInt(i)));
    for (let sequence = 0; sequence < 7; sequence++) appended(states, producerIds, sequence, sequence * 3000);
    let late = 7;
    const { bytes, steps } = encoded(states.toSnapshot(), () =>
      appended(states, [...producerIds.slice(-100), 9n ** 9n], late, 21_000 + late++),
    );
    expect(steps).toBe(4);
    const entries = decodeProducerSnapshot(bytes, 'f');
    expect(entries).toHaveLength(15_000);
    expect(entries.map(({ producerId }) => producerId)).toEqual(producerIds.flatMap((id) => Array.from({ length: 5 }, () => id)));
    expect(entries.slice(0, 5).map(({ lastSequence, lastOffset }) => [lastSequence, lastOffset])).toEqual(
      [2, 3, 4, 5, 6].map((sequence) => [sequence, sequence * 3000]),
    );
    expect(entries.slice(-5).map(({ lastSequence }) => lastSequence)).toEqual([2, 3, 4, 5, 6]);
    const again = new ProducerStates(dayMs);
    again.load(entries, 1000);
    const repeated = sequenced(producerIds[50]!, 4);
    expect([batchBaseSequence(repeated, 0), batchLastOffsetDelta(repeated, 0)]).toEqual([4, 0]);
    expect(again.check(repeated, 0)).toBe(false);
    expect(again.duplicate.baseOffset).toBe(4 * 3000 + 50);
  });

  it('has a producer without a batch, too, and may be of none', () => {
    const states = new ProducerStates(dayMs);
    states.note(sequenced(5n, -1), 0, 3, 1000);
    expect(decodeProducerSnapshot(encoded(states.toSnapshot()).bytes, 'f')).toEqual([
      { producerId: 5n, producerEpoch: 0, lastSequence: -1, lastOffset: -1, offsetDelta: 0, timestampMs: 1000 },
    ]);
    expect(encoded([])).toMatchObject({ steps: 1, bytes: { length: 10 } });
    expect(decodeProducerSnapshot(encoded([]).bytes, 'f')).toEqual([]);
  });
});
