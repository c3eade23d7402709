/**
 * A bucket on an S3 server, by the AWS SDK, which is loaded by `openS3Client` only. The SDK's own retries are off: tries, time
 * and what may be sent twice are decided in `s3-requests.ts`, uploads in `s3-upload.ts`, ranges in `s3-ranges.ts`.
 *
 * What protects the bytes: every upload carries a CRC-32 computed from the caller's bytes, which the server checks and keeps;
 * a download is checked by the SDK against the checksum the server sends (of the whole object, also of one uploaded in parts where the
 * server keeps one of the whole), and by its length. A range, and an object whose server sends no checksum, is checked by its length alone:
 * there the table's own digests protect.
 */
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type * as Sdk from '@aws-sdk/client-s3';
import { invariant, LakeError, type Clock, type Random } from '../kernel/index.js';
import { checkKey, checkPrefix } from './keys.js';
import type { ByteRange, ObjectBody, ObjectInfo, ObjectStore, PutOptions } from './object-store.js';
import { RequestCounters } from './request-counters.js';
import { bodyOf, gathered, requireWhole, watched } from './s3-body.js';
import { openS3Client } from './s3-client.js';
import { S3Ranges } from './s3-ranges.js';
import { S3Requests, silenceMs } from './s3-requests.js';
import { S3Uploads } from './s3-upload.js';

export interface S3StoreOptions {
  readonly bucket: string;
  /** Without slashes at its ends; may be empty. */
  readonly prefix: string;
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly forcePathStyle?: boolean | undefined;
  /** Silence after which a request is given up; a transfer that moves on is not. Default `silenceMs`. */
  readonly silenceMs?: number | undefined;
  readonly counters?: RequestCounters | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

/** Opens a bucket without sending a request. */
export async function openS3Store(options: S3StoreOptions): Promise<ObjectStore> {
  const { sdk, client } = await openS3Client(options);
  return new S3Store(sdk, client, options);
}

class S3Store implements ObjectStore {
  readonly url: string;
  readonly #sdk: typeof Sdk;
  readonly #client: Sdk.S3Client;
  readonly #bucket: string;
  /** With a trailing slash, or empty. */
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #requests: S3Requests;
  readonly #uploads: S3Uploads;
  readonly #ranges: S3Ranges;

  constructor(sdk: typeof Sdk, client: Sdk.S3Client, options: S3StoreOptions) {
    this.#sdk = sdk;
    this.#client = client;
    this.#bucket = options.bucket;
    this.#prefix = options.prefix === '' ? '' : `${options.prefix}/`;
    this.#clock = options.clock;
    this.url = `s3://${options.bucket}${options.prefix === '' ? '' : `/${options.prefix}`}`;
    this.#requests = new S3Requests({
      url: this.url,
      silenceMs: options.silenceMs ?? silenceMs,
      clock: options.clock,
      random: options.random,
      counters: options.counters ?? new RequestCounters(),
    });
    this.#uploads = new S3Uploads({ sdk, client, requests: this.#requests, random: options.random, url: this.url });
    this.#ranges = new S3Ranges(sdk, client, options.clock, this.url);
  }

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<void> {
    checkKey(key);
    options.signal?.throwIfAborted();
    const at = this.#at(key);
    if (body instanceof Uint8Array) {
      await this.#uploads.put(key, at, { bytes: body.length, isFile: false, read: async (from, to) => body.subarray(from, to) }, options);
      return;
    }
    let file: FileHandle | undefined;
    try {
      file = await open(body.path, 'r');
      const source = file;
      const { size } = await source.stat();
      const read = (from: number, to: number): Promise<Uint8Array> => readRange(source, from, to, body.path);
      await this.#uploads.put(key, at, { bytes: size, isFile: true, read }, options);
    } finally {
      await file?.close();
    }
  }

  async get(key: string, options: { readonly range?: ByteRange; readonly signal?: AbortSignal | undefined } = {}): Promise<Buffer> {
    checkKey(key);
    const { range, signal } = options;
    invariant(range === undefined || (range.start >= 0 && range.end > range.start), 'a byte range is not empty', { ...range });
    const call = this.#requests.call(range === undefined ? 0 : range.end - range.start, signal);
    try {
      return await this.#requests.send({ operation: 'get', what: `reading ${key}`, key, isWrite: false }, call, async (watch) => {
        if (range !== undefined) return this.#ranges.read(this.#at(key), range, watch);
        const answer = await this.#client.send(new this.#sdk.GetObjectCommand(this.#at(key)), { abortSignal: watch.signal });
        const body = bodyOf(answer);
        watch.expect(answer.ContentLength ?? 0);
        const bytes = await gathered(body, watch);
        requireWhole(this.url, key, bytes.length, answer.ContentLength);
        return bytes;
      });
    } catch (error) {
      if (isStatus(error, 416)) return Buffer.alloc(0);
      throw error;
    }
  }

  async download(key: string, path: string, signal?: AbortSignal): Promise<number> {
    checkKey(key);
    const call = this.#requests.call(0, signal);
    return this.#requests.send({ operation: 'get', what: `reading ${key}`, key, isWrite: false }, call, async (watch) => {
      const answer = await this.#client.send(new this.#sdk.GetObjectCommand(this.#at(key)), { abortSignal: watch.signal });
      const body = bodyOf(answer);
      watch.expect(answer.ContentLength ?? 0);
      try {
        // Opened here and not by the stream: one that breaks off while it opens would leave a file that nobody removes.
        const handle = await open(path, 'wx', 0o444);
        try {
          const file = handle.createWriteStream();
          await pipeline(watched(body, watch), file);
          requireWhole(this.url, key, file.bytesWritten, answer.ContentLength);
          return file.bytesWritten;
        } catch (error) {
          await unlink(path).catch(() => {});
          throw error;
        } finally {
          await handle.close();
        }
      } finally {
        body.destroy();
      }
    });
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectInfo | null> {
    checkKey(key);
    const call = this.#requests.call(0, signal);
    try {
      return await this.#requests.send({ operation: 'head', what: `looking at ${key}`, key, isWrite: false }, call, async (watch) => {
        const answer = await this.#client.send(new this.#sdk.HeadObjectCommand(this.#at(key)), { abortSignal: watch.signal });
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
      const call = this.#requests.call(0, signal);
      const input = { Bucket: this.#bucket, Prefix: this.#prefix + prefix, ...(token === undefined ? {} : { ContinuationToken: token }) };
      const page = await this.#requests.send({ operation: 'list', what: `listing ${prefix}`, key: prefix, isWrite: false }, call, (watch) =>
        this.#client.send(new this.#sdk.ListObjectsV2Command(input), { abortSignal: watch.signal }),
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
    const call = this.#requests.call(0, signal);
    try {
      await this.#requests.send({ operation: 'delete', what: `removing ${key}`, key, isWrite: true }, call, async (watch) => {
        await this.#client.send(new this.#sdk.DeleteObjectCommand(this.#at(key)), { abortSignal: watch.signal });
      });
    } catch (error) {
      if (!(error instanceof LakeError) || error.code !== 'object-missing') throw error;
    }
  }

  /** Aborts uploads in parts that were begun so long ago. MinIO lists none (and removes them itself after a day). */
  removeUnfinished(olderThanMs: number, signal?: AbortSignal): Promise<number> {
    return this.#uploads.abortOlderThan(this.#clock.nowMs() - olderThanMs, { Bucket: this.#bucket, Prefix: this.#prefix }, signal);
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
}

async function readRange(file: FileHandle, start: number, end: number, path: string): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(end - start);
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done);
    invariant(bytesRead > 0, 'a file does not shrink while it is stored', { path });
    done += bytesRead;
  }
  return bytes;
}

function isStatus(error: unknown, status: number): boolean {
  return error instanceof LakeError && error.facts['status'] === status;
}
