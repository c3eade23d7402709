/** A batch with its records compressed in another way (Kafka's LogValidator.buildRecordsAndAssignOffsets). */
import { LakeError } from '../kernel/index.js';
import { type CompressionCodec, codecId, compress } from './compression.js';
import { attributeBits, batchAt, batchAttributes, batchHeaderBytes, sealBatch } from './record-batch.js';
import { batchRecords } from './record-cursor.js';

export interface Encoding {
  readonly codec: CompressionCodec;
  /** Of gzip, lz4 and zstd; absent: the codec's default. */
  readonly level?: number | undefined;
}

/**
 * The batch with the same header but for codec, length and checksum, and the same records byte for byte: offsets, timestamps, keys,
 * values, headers and the producer's sequence are what they were. In bytes of its own.
 *
 * `batch` is exactly one, validated; `maxBytes` is what the answer may have. Errors: `message-too-large`; those of a batch that cannot be inflated.
 */
export function reencodeBatch(batch: Buffer, encoding: Encoding, maxBytes: number): Buffer {
  const records = batchRecords(batch, 0);
  if (encoding.codec === 'none') assertFits(batchHeaderBytes + records.length, encoding, maxBytes);
  const body = compress(encoding.codec, records, encoding.level);
  assertFits(batchHeaderBytes + body.length, encoding, maxBytes);
  const attributes = (batchAttributes(batch, 0) & ~attributeBits.codec) | codecId(encoding.codec);
  const header = Buffer.from(batch.subarray(0, batchHeaderBytes));
  header.writeInt16BE(attributes, batchAt.attributes);
  return sealBatch(header, body);
}

function assertFits(bytes: number, { codec }: Encoding, maxBytes: number): void {
  if (bytes <= maxBytes) return;
  throw new LakeError('message-too-large', `a batch of ${bytes} bytes, once it is ${codec}, is larger than max.message.bytes=${maxBytes}`, {
    hint: 'Produce smaller batches, raise max.message.bytes of the topic, or set its compression.type to `producer`.',
    facts: { bytes, maxMessageBytes: maxBytes, codec },
  });
}
