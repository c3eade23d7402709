/**
 * Batches of a topic whose `compression.type` is another than their producer's are compressed anew in threads, all of them: a batch is at
 * most `max.message.bytes`, but one MiB takes 7 ms at zstd's default level, 3.5 s at its highest, and the thread that answers must not
 * be silent that long; a small one costs no more there than its way to a thread and back.
 */
import type { CompressionCodec, Encoding } from '../wire/index.js';
import { JobThreads } from './job-threads.js';

export interface ReencodeJob {
  /** A whole batch that was validated. */
  readonly batch: Uint8Array;
  readonly encoding: Encoding;
  /** `max.message.bytes`, which the new batch keeps to as well. */
  readonly maxBytes: number;
}

/**
 * Each thread holds what one batch inflates to, at most `inflatedBytesMax`, and its compressor's window. Batches that wait are bounded by
 * the requests that may be under way.
 */
const threads = 2;

/** Compresses batches anew, one beside the other. None of its threads is started before the first. */
export class Reencoder {
  readonly #threads = new JobThreads<ReencodeJob, Uint8Array>('log/reencode-worker', threads);

  /** `reencodeBatch`; the batch is copied. Errors: as there, and `log-offline` where the broker is closed meanwhile. */
  async reencode(batch: Buffer, encoding: Encoding, maxBytes: number): Promise<Buffer> {
    // Of the request's own bytes all would be copied.
    const copy = Buffer.from(Uint8Array.prototype.slice.call(batch).buffer);
    const { buffer, byteOffset, length } = await this.#threads.run({ batch: copy, encoding, maxBytes }, [copy.buffer]);
    return Buffer.from(buffer, byteOffset, length);
  }

  async close(): Promise<void> {
    await this.#threads.close();
  }
}

/** What `compression.type` asks for, with the level of its codec. */
export interface CompressionRule {
  readonly type: 'producer' | 'uncompressed' | Exclude<CompressionCodec, 'none'>;
  readonly gzipLevel: number;
  readonly lz4Level: number;
  readonly zstdLevel: number;
}

/** What a batch of this codec is to be stored with; `undefined`: as it is, whatever its level, as in Kafka. */
export function targetEncoding(codec: CompressionCodec, rule: CompressionRule): Encoding | undefined {
  if (rule.type === 'producer') return undefined;
  const target = rule.type === 'uncompressed' ? 'none' : rule.type;
  if (target === codec) return undefined;
  const levels = { none: undefined, gzip: rule.gzipLevel, snappy: undefined, lz4: rule.lz4Level, zstd: rule.zstdLevel };
  return { codec: target, level: levels[target] };
}
