/**
 * One partition read from an offset on, without a group: for `consume`, the demo and tests. Whole batches come as they lie in
 * the fetch's answer; control batches and aborted transactions are left out of a committed read (KIP-98).
 */
import {
  backoffMs,
  type BackoffPolicy,
  type Clock,
  isLakeError,
  MiB,
  type Offset,
  type PartitionId,
  systemClock,
  systemRandom,
  type TopicId,
} from '../kernel/index.js';
import {
  batchBaseOffset,
  batchBytes,
  batchLastOffset,
  batchPositions,
  batchProducerId,
  decodeBatch,
  type DecodedRecord,
  isControl,
  isTransactional,
  kafkaErrors,
} from '../wire/index.js';
import { brokerError } from './kafka-error.js';
import type { FetchedPartition, LogReader } from './log-reader.js';

export interface PartitionRead {
  readonly topicId: TopicId;
  readonly partition: PartitionId;
  /** First offset wanted. */
  readonly offset: Offset;
  /** Reading ends before it; left out: it goes on as the log grows. */
  readonly endOffset?: Offset | undefined;
  readonly isolation?: 'committed' | 'uncommitted';
  readonly maxBytes?: number;
  readonly maxWaitMs?: number;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock;
}

/** A whole batch in a fetch's answer. Its first records may lie below the offset asked for, its last ones above the end. */
export interface BatchInPlace {
  readonly buffer: Buffer;
  readonly at: number;
  readonly bytes: number;
  readonly lastOffset: Offset;
}

const readBytesDefault = 4 * MiB;
/** A batch is never larger: Kafka's largest request. */
const readBytesMax = 100 * MiB;
const readWaitMsDefault = 500;
/** Tries in a row without an answer; an answer starts the count anew. */
const readBackoff: BackoffPolicy = { firstMs: 50, maxMs: 2_000, tries: 8 };

/**
 * The batches of a partition with records in [offset, endOffset). Errors: `offset-out-of-range`, `topic-unknown`, `cancelled`, and
 * what a broker that stays away gives (`peer-gone`, `timeout`).
 */
export async function* readBatches(reader: LogReader, read: PartitionRead): AsyncGenerator<BatchInPlace, void, undefined> {
  const { topicId, partition, endOffset = Number.POSITIVE_INFINITY, signal, clock = systemClock } = read;
  const isCommitted = (read.isolation ?? 'committed') === 'committed';
  const aborted = new AbortedProducers();
  let { offset } = read;
  let maxBytes = read.maxBytes ?? readBytesDefault;
  let failures = 0;
  while (offset < endOffset) {
    let fetched: FetchedPartition;
    try {
      const [answer] = await reader.fetch([{ topicId, partition, offset, maxBytes }], {
        maxWaitMs: read.maxWaitMs ?? readWaitMsDefault,
        minBytes: 1,
        maxBytes,
        isolation: isCommitted ? 'committed' : 'uncommitted',
        signal,
      });
      if (answer === undefined) throw brokerError(kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION, `reading partition ${partition}`);
      if (answer.errorCode !== 0)
        throw brokerError(answer.errorCode, `reading partition ${partition} at ${offset}`, null, { partition, offset });
      fetched = answer;
      failures = 0;
    } catch (error) {
      failures++;
      if (!isLakeError(error) || !error.retriable || failures >= readBackoff.tries || signal?.aborted === true) throw error;
      await clock.sleep(backoffMs(readBackoff, failures, systemRandom), signal);
      continue;
    }
    const buffer = fetched.records;
    aborted.announce(fetched.abortedTransactions);
    let hasBatch = false;
    for (const at of batchPositions(buffer)) {
      hasBatch = true;
      const lastOffset = batchLastOffset(buffer, at);
      if (lastOffset < offset) continue;
      if (batchBaseOffset(buffer, at) >= endOffset) return;
      offset = lastOffset + 1;
      if (isControl(buffer, at)) {
        aborted.endAt(buffer, at);
        continue;
      }
      if (isCommitted && isTransactional(buffer, at) && aborted.has(buffer, at)) continue;
      yield { buffer, at, bytes: batchBytes(buffer, at), lastOffset };
    }
    if (!hasBatch && buffer.length > 0) maxBytes = Math.min(readBytesMax, maxBytes * 2);
  }
}

/** The records of a partition in [offset, endOffset), a list for each batch. Errors: as `readBatches`, and damage (`record-invalid`, …). */
export async function* readPartition(reader: LogReader, read: PartitionRead): AsyncGenerator<readonly DecodedRecord[], void, undefined> {
  const { offset, endOffset = Number.POSITIVE_INFINITY } = read;
  for await (const { buffer, at } of readBatches(reader, read)) {
    const records = decodeBatch(buffer, at).filter((record) => record.offset >= offset && record.offset < endOffset);
    if (records.length > 0) yield records;
  }
}

/** Which producers' records are being left out, as the reading passes the transactions a fetch told of. */
class AbortedProducers {
  #announced: { readonly producerId: bigint; readonly firstOffset: Offset }[] = [];
  readonly #active = new Set<bigint>();

  announce(transactions: FetchedPartition['abortedTransactions']): void {
    this.#announced = transactions.toSorted((a, b) => a.firstOffset - b.firstOffset);
  }

  has(buffer: Buffer, at: number): boolean {
    const lastOffset = batchLastOffset(buffer, at);
    let first = this.#announced[0];
    while (first !== undefined && first.firstOffset <= lastOffset) {
      this.#active.add(first.producerId);
      this.#announced.shift();
      first = this.#announced[0];
    }
    return this.#active.has(batchProducerId(buffer, at));
  }

  /** A control record's key is its version and type, both i16; type 0 is ABORT. */
  endAt(buffer: Buffer, at: number): void {
    const key = decodeBatch(buffer, at)[0]?.key;
    if (key !== undefined && key !== null && key.length >= 4 && key.readInt16BE(2) === 0) this.#active.delete(batchProducerId(buffer, at));
  }
}
