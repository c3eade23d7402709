/**
 * The hash of one record, field by field, and the digest that it becomes a part of: what `digest.ts` outside says it is. Numbers that
 * are the same for a whole batch come first, so that they are taken in once for all of its records.
 */
import { avalanche, mix, mixPiece, rawBatchSeed, recordSeed } from './hash';
import { append } from './polynomial';

/** Of the record under way. */
let hash: u64 = 0;

/** What the hash of each record of a batch begins with. */
export function batchHash(producerId: i64, leaderEpoch: i32, timestampType: i32, producerEpoch: i32): u64 {
  const words = mix(recordSeed, <u64>producerId);
  return mix(words, ((<u64>(<u32>leaderEpoch)) << 32) | ((<u64>(<u32>timestampType)) << 16) | (<u64>producerEpoch & 0xffff));
}

/** … and goes on with. */
export function recordHash(ofBatch: u64, offset: i64, timestampMs: i64, sequence: i32): u64 {
  return mix(mix(mix(ofBatch, <u64>offset), <u64>timestampMs), <u64>(<i64>sequence));
}

/** The digest with a record whose fields are all taken in. */
export function withRecord(sum: u64, record: u64): u64 {
  return append(sum, avalanche(record));
}

/** Opens a record, for `mixedField` or `mixedLength` and `mixedPiece`, and `appendRecord`. Numbers are whole. */
export function beginRecord(
  offset: f64,
  timestampMs: f64,
  timestampType: i32,
  leaderEpoch: i32,
  producerIdHigh: i32,
  producerIdLow: i32,
  producerEpoch: i32,
  sequence: i32,
): void {
  const producerId = ((<i64>producerIdHigh) << 32) | <i64>(<u32>producerIdLow);
  hash = recordHash(batchHash(producerId, leaderEpoch, timestampType, producerEpoch), <i64>offset, <i64>timestampMs, sequence);
}

/** Opens a batch that is kept whole; its bytes follow. */
export function beginRawBatch(offset: f64): void {
  hash = mix(rawBatchSeed, <u64>(<i64>offset));
}

/** A number of 32 bits: a field's length before its pieces (−1: null), or how many headers follow. */
export function mixNumber(number: i32): void {
  hash = mix(hash, <u64>(<i64>number));
}

/** At most 1 MiB of a field, and as much of it as there is. */
export function mixBytes(at: usize, bytes: usize): void {
  hash = mixPiece(hash, at, bytes);
}

/** The digest with the record under way. */
export function appendRecord(sum: u64): u64 {
  return withRecord(sum, hash);
}
