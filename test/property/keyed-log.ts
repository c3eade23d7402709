// Records with keys, in rounds of appends and cuts, as the models of `latest(topic)` and of key lookups take them.
import * as fc from 'fast-check';

export const t0 = Date.parse('2001-01-01T00:00:00Z');
export const partitions = 2;

export interface KeyedEvent<K> {
  readonly key: K;
  readonly timestampMs: number;
  readonly isTombstone: boolean;
}

export interface StoredEvent<K> extends KeyedEvent<K> {
  readonly partition: number;
  readonly offset: number;
}

export function keyedEvent<K>(key: fc.Arbitrary<K>): fc.Arbitrary<KeyedEvent<K>> {
  return fc.record({
    key,
    timestampMs: fc.integer({ min: 0, max: 4 }).map((ms) => t0 + ms),
    isTombstone: fc.nat(4).map((n) => n === 0),
  });
}

/** One of each partition. */
export function ofPartitions<T>(of: fc.Arbitrary<T>): fc.Arbitrary<T[]> {
  return fc.array(of, { minLength: partitions, maxLength: partitions });
}
