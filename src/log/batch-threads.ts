/**
 * What takes long with a produced batch, in threads, so that the thread that answers is never silent for it. Batches of a topic whose
 * `compression.type` is another than their producer's are compressed anew there, all of them: a batch is at most `max.message.bytes`, but
 * one MiB takes 7 ms at zstd's default level, 3.5 s at its highest, and a small one costs no more there than its way to a thread and
 * back. And batches are validated there that inflate to much: a MiB may hold half a second of zeros.
 */
import { isLakeError, MiB } from '../kernel/index.js';
import type { CompressionCodec, Encoding } from '../wire/index.js';
import { JobThreads } from './job-threads.js';
import { type ProduceRules, validateProduceBatch } from './validate-produce.js';

export type BatchJob =
  | {
      readonly kind: 'reencode';
      /** A whole batch that was validated. */
      readonly batch: Uint8Array;
      readonly encoding: Encoding;
      /** `max.message.bytes`, which the new batch keeps to as well. */
      readonly maxBytes: number;
    }
  | { readonly kind: 'validate'; readonly batch: Uint8Array; readonly rules: ProduceRules };

/** Validated where it is: ten times a batch of the usual clients, and ten milliseconds or twenty. */
export const inflatedHereBytesMax = 8 * MiB;

/**
 * Each thread holds what one batch inflates to, at most `inflatedBytesMax`, twice for gzip, and its compressor's window. Batches that wait
 * are bounded by the requests that may be under way.
 */
const reencodingThreads = 2;
/** One, so that of batches made to take memory no two take it at the same time. */
const validatingThreads = 1;

/** None of its threads is started before the first batch for it. */
export class BatchThreads {
  readonly #reencoding = new JobThreads<BatchJob, Uint8Array>('log/batch-worker', reencodingThreads);
  readonly #validating = new JobThreads<BatchJob, Uint8Array>('log/batch-worker', validatingThreads);

  /** `reencodeBatch`; the batch is copied. Errors: as there, and `log-offline` where the broker is closed meanwhile. */
  async reencode(batch: Buffer, encoding: Encoding, maxBytes: number): Promise<Buffer> {
    const copy = copyOf(batch);
    return bufferOf(await this.#reencoding.run({ kind: 'reencode', batch: copy, encoding, maxBytes }, [copy.buffer]));
  }

  /**
   * `validateProduceBatch`, at once where the batch inflates to little: answers the batch itself then, and a copy by a promise otherwise.
   * Errors: as there, and `log-offline` where the broker is closed meanwhile.
   */
  validate(batch: Buffer, rules: ProduceRules): Buffer | Promise<Buffer> {
    try {
      // One that is not compressed is walked without a copy, whatever its size.
      validateProduceBatch(batch, { ...rules, maxDecompressedBytes: Math.max(inflatedHereBytesMax, batch.length) });
      return batch;
    } catch (error) {
      if (!isLakeError(error, 'decompression-bound')) throw error;
      return this.#validateThere(batch, rules);
    }
  }

  async #validateThere(batch: Buffer, rules: ProduceRules): Promise<Buffer> {
    const copy = copyOf(batch);
    return bufferOf(await this.#validating.run({ kind: 'validate', batch: copy, rules }, [copy.buffer]));
  }

  async close(): Promise<void> {
    await Promise.all([this.#reencoding.close(), this.#validating.close()]);
  }
}

/** Of the request's own bytes all would be copied. */
function copyOf(batch: Buffer): Buffer<ArrayBuffer> {
  return Buffer.from(Uint8Array.prototype.slice.call(batch).buffer);
}

function bufferOf({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length);
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
