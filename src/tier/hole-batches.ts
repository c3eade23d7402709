/**
 * A range of offsets below the boundary that has no file, as a consumer gets it: control batches of one commit marker each, at
 * their last offset, of no producer. Every client skips a marker and goes on behind it (KIP-98), also those that only look at
 * records: kafkajs crawls through a batch whose records all lie below its position one offset a fetch, and stays where it is at
 * a batch without any.
 */
import { invariant, type Offset } from '../kernel/index.js';
import { encodeBatch } from '../wire/index.js';

/** An offset delta is an int32. */
const offsetsMax = 2 ** 31;
const noTimestampMs = -1;
/** Version 0, type 1 (COMMIT); and of its value version 0, coordinator epoch 0. */
const markerKey = Buffer.from([0, 0, 0, 1]);
const markerValue = Buffer.from([0, 0, 0, 0, 0, 0]);

export interface HoleBatch {
  readonly nextOffset: Offset;
  readonly bytes: Buffer;
}

/** Batches that together stand for [from, to). */
export function* holeBatches(from: Offset, to: Offset): Generator<HoleBatch, void, undefined> {
  invariant(from < to, 'a hole has offsets', { from, to });
  for (let base = from; base < to; ) {
    const nextOffset = Math.min(to, base + offsetsMax);
    const marker = { timestampMs: noTimestampMs, key: markerKey, value: markerValue, offsetDelta: nextOffset - 1 - base };
    yield { nextOffset, bytes: encodeBatch({ baseOffset: base, isControl: true, records: [marker] }) };
    base = nextOffset;
  }
}
