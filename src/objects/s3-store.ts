/**
 * A bucket on an S3 server, by the AWS SDK, which is loaded by `openS3Store` only. The SDK's own retries are off: a
 * conditional write whose answer was lost must not be sent twice behind our back, or the second try would lose to the first.
 */
import { setMaxListeners } from 'node:events';
import { createWriteStream } from 'node:fs';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type * as Sdk from '@aws-sdk/client-s3';
import { invariant, LakeError, MiB, retry, secondMs, Semaphore, type BackoffPolicy, type Clock, type Random } from '../kernel/index.js';
import { isOutcomeUnknown } from './errors.js';
import { checkKey, checkPrefix } from './keys.js';
import type { ByteRange, ObjectBody, ObjectInfo, ObjectStore, PutOptions } from './object-store.js';
import { s3Error, type S3Call } from './s3-errors.js';

export interface S3StoreOptions {
  readonly bucket: string;
  /** Without slashes at its ends; may be empty. */
  readonly prefix: string;
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly forcePathStyle?: boolean | undefined;
  /** Silence after which a request is given up; a transfer that moves on is not. Default `silenceMs`. */
  readonly silenceMs?: number | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

/** A request without an answer, or a transfer without a byte, for so long has failed. */
const silenceMs = 30_000;
const connectMs = 5_000;
/** About ten seconds of trying, beyond which callers decide. */
const backoff: BackoffPolicy = { firstMs: 200, maxMs: 4_000, tries: 6 };
/** Bodies above go in parts. Three parts of 16 MiB are in memory at once; 10,000 parts are S3's bound. */
const partBytesMin = 16 * MiB;
const partsMax = 10_000;
const partsAtOnce = 3;
/** Slowest upload that is not given up: a request that sends a body has that much longer, while others share its line. */
const uploadBytesPerSecondMin = MiB;
/** Connections of one store: more requests wait in the SDK's agent. */
const socketsMax = 64;

/** Opens a bucket without sending a request. Region: given, else `AWS_REGION`, else the SDK's own chain. */
export async function openS3Store(options: S3StoreOptions): Promise<ObjectStore> {
  // The SDK's version is pinned to one that runs on this Node; its notice about later ones is noise on every start.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const sdk = await import('@aws-sdk/client-s3');
  const environmentRegion = process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'];
  const region = options.region ?? environmentRegion ?? (options.endpoint === undefined ? undefined : 'us-east-1');
  const client = new sdk.S3Client({
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    ...(region === undefined ? {} : { region }),
    forcePathStyle: options.forcePathStyle ?? options.endpoint !== undefined,
    maxAttempts: 1,
    requestHandler: { connectionTimeout: connectMs, httpAgent: { maxSockets: socketsMax }, httpsAgent: { maxSockets: socketsMax } },
  });
  return new S3Store(sdk, client, options);
}

class S3Store implements ObjectStore {
  readonly url: string;
  readonly #sdk: typeof Sdk;
  readonly #client: Sdk.S3Client;
  readonly #bucket: string;
  /** With a trailing slash, or empty. */
  readonly #prefix: string;
  readonly #silenceMs: number;
  readonly #ports: { readonly clock: Clock; readonly random: Random };
  readonly #partSlots = new Semaphore(partsAtOnce, Number.POSITIVE_INFINITY);

  constructor(sdk: typeof Sdk, client: Sdk.S3Client, options: S3StoreOptions) {
    this.#sdk = sdk;
    this.#client = client;
    this.#bucket = options.bucket;
    this.#prefix = options.prefix === '' ? '' : `${options.prefix}/`;
    this.#silenceMs = options.silenceMs ?? silenceMs;
    this.#ports = { clock: options.clock, random: options.random };
    this.url = `s3://${options.bucket}${options.prefix === '' ? '' : `/${options.prefix}`}`;
  }

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<void> {
    checkKey(key);
    options.signal?.throwIfAborted();
    if (body instanceof Uint8Array) {
      await this.#putBytes(key, body.length, async (start, end) => body.subarray(start, end), options);
      return;
    }
    let file: FileHandle | undefined;
    try {
      file = await open(body.path, 'r');
      const source = file;
      const { size } = await source.stat();
      await this.#putBytes(key, size, (start, end) => readRange(source, start, end, body.path), options);
    } finally {
      await file?.close();
    }
  }

  async get(key: string, options: { readonly range?: ByteRange; readonly signal?: AbortSignal | undefined } = {}): Promise<Buffer> {
    checkKey(key);
    const { range, signal } = options;
    invariant(range === undefined || (range.start >= 0 && range.end > range.start), 'a byte range is not empty', { ...range });
    const header = range === undefined ? {} : { Range: `bytes=${range.start}-${range.end - 1}` };
    try {
      return await this.#call({ what: `reading ${key}`, key, isWrite: false }, signal, async (abort, isAlive) => {
        const { Body } = await this.#client.send(new this.#sdk.GetObjectCommand({ ...this.#at(key), ...header }), { abortSignal: abort });
        const chunks: Buffer[] = [];
        for await (const chunk of watched(Body as Readable, abort, isAlive)) chunks.push(chunk);
        return Buffer.concat(chunks);
      });
    } catch (error) {
      if (isStatus(error, 416)) return Buffer.alloc(0);
      throw error;
    }
  }

  async download(key: string, path: string, signal?: AbortSignal): Promise<number> {
    checkKey(key);
    return this.#call({ what: `reading ${key}`, key, isWrite: false }, signal, async (abort, isAlive) => {
      const answer = await this.#client.send(new this.#sdk.GetObjectCommand(this.#at(key)), { abortSignal: abort });
      const body = answer.Body as Readable;
      const file = createWriteStream(path, { flags: 'wx', mode: 0o444 });
      let isOurs = false;
      file.once('open', () => {
        isOurs = true;
      });
      try {
        await pipeline(watched(body, abort, isAlive), file);
        if (answer.ContentLength !== undefined && file.bytesWritten !== answer.ContentLength) {
          throw new LakeError('store-unavailable', `reading ${key} in ${this.url}: the answer ended early`, { facts: { key } });
        }
        return file.bytesWritten;
      } catch (error) {
        if (isOurs) await unlink(path).catch(() => {});
        throw error;
      } finally {
        body.destroy();
      }
    });
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectInfo | null> {
    checkKey(key);
    try {
      return await this.#call({ what: `looking at ${key}`, key, isWrite: false }, signal, async (abort) => {
        const answer = await this.#client.send(new this.#sdk.HeadObjectCommand(this.#at(key)), { abortSignal: abort });
        return { key, bytes: answer.ContentLength ?? 0, lastModifiedMs: answer.LastModified?.getTime() ?? 0 };
      });
    } catch (error) {
      if (error instanceof LakeError && error.code === 'object-missing') return null;
      throw error;
    }
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo> {
    checkPrefix(prefix);
    let token: string | undefined;
    do {
      const page = await this.#call({ what: `listing ${prefix}`, key: prefix, isWrite: false }, signal, (abort) =>
        this.#client.send(
          new this.#sdk.ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix: this.#prefix + prefix,
            ...(token === undefined ? {} : { ContinuationToken: token }),
          }),
          { abortSignal: abort },
        ),
      );
      for (const item of page.Contents ?? []) {
        // Keys that end in a slash are folders that another tool has made.
        if (item.Key === undefined || item.Key.endsWith('/')) continue;
        yield { key: item.Key.slice(this.#prefix.length), bytes: item.Size ?? 0, lastModifiedMs: item.LastModified?.getTime() ?? 0 };
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async delete(key: string, signal?: AbortSignal): Promise<void> {
    checkKey(key);
    try {
      await this.#call({ what: `removing ${key}`, key, isWrite: true }, signal, async (abort) => {
        await this.#client.send(new this.#sdk.DeleteObjectCommand(this.#at(key)), { abortSignal: abort });
      });
    } catch (error) {
      if (!(error instanceof LakeError) || error.code !== 'object-missing') throw error;
    }
  }

  localPath(key: string): string | null {
    checkKey(key);
    return null;
  }

  location(key: string): string {
    return `s3://${this.#bucket}/${this.#prefix}${key}`;
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }

  #at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix + key };
  }

  async #putBytes(key: string, bytes: number, read: ReadRange, options: PutOptions): Promise<void> {
    const call = { what: `writing ${key}`, key, isWrite: true, sentBytes: bytes };
    const condition = options.ifAbsent === true ? { IfNoneMatch: '*' } : {};
    if (bytes > partBytesMin) return this.#putParts(key, bytes, read, options, condition);
    const body = await read(0, bytes);
    await this.#call(
      call,
      options.signal,
      async (abort) => {
        await this.#client.send(new this.#sdk.PutObjectCommand({ ...this.#at(key), ...condition, Body: body }), { abortSignal: abort });
      },
      options.ifAbsent !== true,
    );
  }

  async #putParts(
    key: string,
    bytes: number,
    read: ReadRange,
    options: PutOptions,
    condition: { readonly IfNoneMatch?: string },
  ): Promise<void> {
    const { signal } = options;
    // Until the upload is completed nothing is there, so a lost answer leaves no doubt.
    const call = { what: `writing a part of ${key}`, key, isWrite: false };
    const created = await this.#call(call, signal, (abort) =>
      this.#client.send(new this.#sdk.CreateMultipartUploadCommand({ ...this.#at(key), ChecksumAlgorithm: 'CRC32' }), {
        abortSignal: abort,
      }),
    );
    const upload = { ...this.#at(key), UploadId: created.UploadId };
    const partBytes = Math.max(partBytesMin, Math.ceil(bytes / partsMax / MiB) * MiB);
    // One part that fails for good ends the others.
    const failed = new AbortController();
    const partSignal = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
    const putPart = async (number: number): Promise<Sdk.CompletedPart> => {
      const start = (number - 1) * partBytes;
      const body = await read(start, Math.min(bytes, start + partBytes));
      const answer = await this.#call({ ...call, sentBytes: body.length }, partSignal, (abort) =>
        this.#client.send(new this.#sdk.UploadPartCommand({ ...upload, PartNumber: number, Body: body, ChecksumAlgorithm: 'CRC32' }), {
          abortSignal: abort,
        }),
      );
      return {
        PartNumber: number,
        ETag: answer.ETag,
        ...(answer.ChecksumCRC32 === undefined ? {} : { ChecksumCRC32: answer.ChecksumCRC32 }),
      };
    };
    try {
      const numbers = Array.from({ length: Math.ceil(bytes / partBytes) }, (_, index) => index + 1);
      const parts = await Promise.all(
        numbers.map((number) =>
          this.#partSlots
            .run(() => putPart(number), partSignal)
            .catch((error: unknown) => {
              failed.abort(error);
              throw error;
            }),
        ),
      );
      const complete = new this.#sdk.CompleteMultipartUploadCommand({ ...upload, ...condition, MultipartUpload: { Parts: parts } });
      // Never sent twice: after a completion that came through, the upload is unknown to the server.
      await this.#call(
        { what: `writing ${key}`, key, isWrite: true },
        signal,
        (abort) => this.#client.send(complete, { abortSignal: abort }),
        false,
      );
    } catch (error) {
      // Where the completion may still come through, its parts stay; a lifecycle rule of the bucket sweeps such uploads.
      if (!isOutcomeUnknown(error)) await this.#abandon(upload);
      throw error;
    }
  }

  async #abandon(upload: { readonly Bucket: string; readonly Key: string; readonly UploadId: string | undefined }): Promise<void> {
    try {
      await this.#client.send(new this.#sdk.AbortMultipartUploadCommand(upload), { abortSignal: AbortSignal.timeout(this.#silenceMs) });
    } catch {
      // The reason why the upload failed is what the caller needs to hear; the bucket's lifecycle rule removes the parts.
    }
  }

  /**
   * One request with its tries. `work` gets a signal that also fires after a silence, and a function that says it is alive.
   * Unless `mayRepeat`, a write whose answer was lost is not sent again.
   */
  async #call<T>(
    call: Omit<S3Call, 'url'> & { readonly sentBytes?: number },
    signal: AbortSignal | undefined,
    work: (abort: AbortSignal, isAlive: () => void) => Promise<T>,
    mayRepeat = true,
  ): Promise<T> {
    // What an upload has sent is not seen from here, so its silence is counted from when all should be there.
    const limitMs = this.#silenceMs + ((call.sentBytes ?? 0) * partsAtOnce * secondMs) / uploadBytesPerSecondMin;
    const outcome = await retry<{ readonly value: T } | { readonly error: LakeError }>(
      async () => {
        signal?.throwIfAborted();
        const watch = new Watch(limitMs, signal);
        try {
          return { value: await work(watch.signal, watch.isAlive) };
        } catch (error) {
          if (signal?.aborted === true) throw signal.reason;
          const mapped = s3Error(watch.isSilent ? new Error(`no answer within ${limitMs} ms`) : error, { ...call, url: this.url });
          if (!mayRepeat && isOutcomeUnknown(mapped)) return { error: mapped };
          throw mapped;
        } finally {
          watch.end();
        }
      },
      backoff,
      this.#ports,
      signal,
    );
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  }
}

type ReadRange = (start: number, end: number) => Promise<Uint8Array>;

async function readRange(file: FileHandle, start: number, end: number, path: string): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(end - start);
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done);
    invariant(bytesRead > 0, 'a file does not shrink while it is stored', { path });
    done += bytesRead;
  }
  return bytes;
}

/** Fires its signal when the caller's does, or when nobody said `isAlive` for a while. */
class Watch {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #onAbort = (): void => this.#controller.abort(this.#outer?.reason);
  isSilent = false;

  constructor(silenceMs: number, outer: AbortSignal | undefined) {
    this.#outer = outer;
    this.#timer = setTimeout(() => {
      this.isSilent = true;
      this.#controller.abort();
    }, silenceMs);
    if (outer === undefined) return;
    // As many listen as there are requests of one caller under way; each takes itself off at its end.
    setMaxListeners(0, outer);
    outer.addEventListener('abort', this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  readonly isAlive = (): void => {
    this.#timer.refresh();
  };

  end(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener('abort', this.#onAbort);
  }
}

/** A body's chunks; each tells the watch, and the watch's signal ends it. */
async function* watched(body: Readable, abort: AbortSignal, isAlive: () => void): AsyncGenerator<Buffer> {
  const onAbort = (): void => {
    body.destroy(new Error('given up'));
  };
  abort.addEventListener('abort', onAbort, { once: true });
  try {
    for await (const chunk of body) {
      isAlive();
      yield chunk as Buffer;
    }
  } finally {
    abort.removeEventListener('abort', onAbort);
  }
}

function isStatus(error: unknown, status: number): boolean {
  return error instanceof LakeError && error.facts['status'] === status;
}
