/**
 * How bytes get into a bucket: in one request, or in parts where there are many.
 *
 * A write that must not replace anything carries an id of its own in the object's metadata. Whoever is told "it is there already"
 * looks whose it is: a request that a broken network delivered twice, or that is sent again after its answer was lost, finds
 * that it has won. So a conditional write may be sent again like any other, and tells the truth.
 *
 * Memory: bodies that are files are read part by part, at most `partsAtOnce` at a time for the whole store: 3 × 16 MiB for
 * objects up to 160 GiB (10,000 parts are S3's bound; above, parts are larger).
 */
import { setMaxListeners } from 'node:events';
import type * as Sdk from '@aws-sdk/client-s3';
import { isLakeError, LakeError, MiB, type Random, Semaphore } from '../kernel/index.js';
import { combineCrc32, crc32, crc32Header } from './crc32.js';
import { isOutcomeUnknown, objectExists } from './errors.js';
import type { PutOptions } from './object-store.js';
import { SlowAnswer } from './s3-errors.js';
import type { S3Call, S3Requests } from './s3-requests.js';

/** Bodies above go in parts. */
const partBytesMin = 16 * MiB;
const partsMax = 10_000;
const partsAtOnce = 3;
/** Puts that wait for a part's turn; each holds a descriptor and no bytes. */
const partsWaitingMax = 100_000;
/** Times an upload is begun anew after the server gave it up at its completion (409, or it knows it no longer). */
const roundsMax = 3;
/** Name of the metadata entry that tells a conditional write from others'. */
const writeIdName = 'thermocline-write';

export interface S3Place {
  readonly Bucket: string;
  readonly Key: string;
}

export interface UploadSource {
  readonly bytes: number;
  /** Whether reading takes memory; bytes that the caller holds take none. */
  readonly isFile: boolean;
  /** Bytes [from, to). */
  read(from: number, to: number): Promise<Uint8Array>;
}

interface Ports {
  readonly sdk: typeof Sdk;
  readonly client: Sdk.S3Client;
  readonly requests: S3Requests;
  readonly random: Random;
  readonly url: string;
}

interface Put {
  readonly key: string;
  readonly at: S3Place;
  readonly source: UploadSource;
  readonly call: S3Call;
  readonly ifAbsent: boolean;
  readonly writeId: string;
}

/** A part that is stored, and its checksum. */
interface StoredPart {
  readonly part: Sdk.CompletedPart;
  readonly crc: number;
  readonly bytes: number;
}

export class S3Uploads {
  readonly #ports: Ports;
  readonly #partSlots = new Semaphore(partsAtOnce, partsWaitingMax);

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  /** Errors: those of `ObjectStore.put`. */
  async put(key: string, at: S3Place, source: UploadSource, options: PutOptions): Promise<void> {
    const { requests, random } = this.#ports;
    const call = requests.call(source.bytes, options.signal);
    const put: Put = { key, at, source, call, ifAbsent: options.ifAbsent === true, writeId: random.uuid() };
    const isInParts = source.bytes > partBytesMin || (options.inParts === true && source.bytes > 0);
    if (!isInParts) return this.#putWhole(put);
    for (let round = 1; ; round++) {
      try {
        return await this.#putParts(put);
      } catch (error) {
        if (round === roundsMax || !isGivenUp(error) || call.leftMs === 0) throw error;
      }
    }
  }

  /** Aborts uploads begun before a time; those it may not abort, or the server cannot list, stay. */
  async abortOlderThan(
    beforeMs: number,
    under: { readonly Bucket: string; readonly Prefix: string },
    signal?: AbortSignal,
  ): Promise<number> {
    const { sdk, client, requests } = this.#ports;
    let aborted = 0;
    let marker: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
    while (marker !== undefined) {
      const input: Sdk.ListMultipartUploadsCommandInput = { ...under, ...marker };
      const request = { operation: 'list-uploads', what: 'listing unfinished uploads', key: under.Prefix, isWrite: false } as const;
      let page: Sdk.ListMultipartUploadsCommandOutput;
      try {
        page = await requests.send(request, requests.call(0, signal), (watch) =>
          client.send(new sdk.ListMultipartUploadsCommand(input), { abortSignal: watch.signal }),
        );
      } catch (error) {
        if (isLakeError(error, 'store-refused') && (error.facts['s3'] === 'NotImplemented' || error.facts['status'] === 405))
          return aborted;
        throw error;
      }
      for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
        if (Key === undefined || UploadId === undefined || Initiated === undefined || Initiated.getTime() >= beforeMs) continue;
        if (await this.#abort({ Bucket: under.Bucket, Key, UploadId }, signal)) aborted++;
      }
      const isMore = page.IsTruncated === true && page.NextKeyMarker !== undefined;
      marker = isMore ? { KeyMarker: page.NextKeyMarker!, UploadIdMarker: page.NextUploadIdMarker ?? '' } : undefined;
    }
    return aborted;
  }

  async #putWhole(put: Put): Promise<void> {
    const { sdk, client, requests } = this.#ports;
    const { key, at, source, call } = put;
    const send = async (): Promise<void> => {
      const body = await source.read(0, source.bytes);
      const input: Sdk.PutObjectCommandInput = { ...at, ...conditionOf(put), Body: body, ChecksumCRC32: crc32Header(crc32(body)) };
      const request = { operation: 'put', what: `writing ${key}`, key, isWrite: true, sentBytes: body.length } as const;
      await this.#decide(put, () =>
        requests.send(request, call, (watch) => client.send(new sdk.PutObjectCommand(input), { abortSignal: watch.signal })),
      );
    };
    await (source.isFile ? this.#inPartSlot(put, send) : send());
  }

  async #putParts(put: Put): Promise<void> {
    const { sdk, client, requests } = this.#ports;
    const { key, at, call } = put;
    // Until the upload is completed nothing is there, so a lost answer leaves no doubt.
    const request = { operation: 'create-upload', what: `beginning to write ${key}`, key, isWrite: false } as const;
    const create: Sdk.CreateMultipartUploadCommandInput = {
      ...at,
      ChecksumAlgorithm: 'CRC32',
      ChecksumType: 'FULL_OBJECT',
      ...(put.ifAbsent ? { Metadata: { [writeIdName]: put.writeId } } : {}),
    };
    const created = await requests.send(request, call, (watch) =>
      client.send(new sdk.CreateMultipartUploadCommand(create), { abortSignal: watch.signal }),
    );
    const upload = { ...at, UploadId: created.UploadId };
    try {
      const parts = await this.#sendParts(put, upload);
      // A server that does not know checksums of the whole says so by saying nothing; it keeps one of the parts' checksums.
      const isWhole = created.ChecksumType === 'FULL_OBJECT';
      const whole = parts.reduce((crc, part) => combineCrc32(crc, part.crc, part.bytes), 0);
      const complete: Sdk.CompleteMultipartUploadCommandInput = {
        ...upload,
        ...(put.ifAbsent ? { IfNoneMatch: '*' } : {}),
        ...(isWhole ? { ChecksumType: 'FULL_OBJECT', ChecksumCRC32: crc32Header(whole) } : {}),
        MultipartUpload: { Parts: parts.map(({ part }) => part) },
      };
      const last = { operation: 'complete-upload', what: `writing ${key}`, key, isWrite: true } as const;
      await this.#decide(put, () =>
        requests.send(last, call, (watch) => client.send(new sdk.CompleteMultipartUploadCommand(complete), { abortSignal: watch.signal })),
      );
    } catch (error) {
      // Where the completion may still come through, its parts stay, for the sweep of unfinished uploads.
      if (!isOutcomeUnknown(error)) await this.#abort(upload);
      throw error;
    }
  }

  /** All parts, `partsAtOnce` at a time; the first that fails for good ends the others. */
  async #sendParts(put: Put, upload: S3Place & { readonly UploadId: string | undefined }): Promise<readonly StoredPart[]> {
    const { sdk, client, requests } = this.#ports;
    const { key, source, call } = put;
    const partBytes = Math.max(partBytesMin, Math.ceil(source.bytes / partsMax / MiB) * MiB);
    // Fires with the caller's signal and with the first part that fails; each part under way or waiting listens, 10,000 at most.
    const ended = new AbortController();
    const { signal } = ended;
    const onAbort = (): void => ended.abort(call.signal?.reason);
    call.signal?.addEventListener('abort', onAbort, { once: true });
    setMaxListeners(0, signal);
    const send = async (number: number): Promise<StoredPart> => {
      const start = (number - 1) * partBytes;
      const body = await source.read(start, Math.min(source.bytes, start + partBytes));
      const crc = crc32(body);
      const input: Sdk.UploadPartCommandInput = { ...upload, PartNumber: number, Body: body, ChecksumCRC32: crc32Header(crc) };
      const request = { operation: 'put-part', what: `writing a part of ${key}`, key, isWrite: false, sentBytes: body.length } as const;
      const answer = await requests.send(
        request,
        call,
        (watch) => client.send(new sdk.UploadPartCommand(input), { abortSignal: watch.signal }),
        signal,
      );
      return { part: { PartNumber: number, ETag: answer.ETag, ChecksumCRC32: crc32Header(crc) }, crc, bytes: body.length };
    };
    const numbers = Array.from({ length: Math.ceil(source.bytes / partBytes) }, (_, index) => index + 1);
    try {
      // All have come to their end here before the upload is completed or aborted: a part that arrives behind an abort would stay.
      const parts = await Promise.allSettled(
        numbers.map((number) =>
          this.#inPartSlot(put, () => send(number), signal).catch((error: unknown) => {
            ended.abort(error);
            throw error;
          }),
        ),
      );
      signal.throwIfAborted();
      return parts.flatMap((part) => (part.status === 'fulfilled' ? [part.value] : []));
    } finally {
      call.signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Waits for one of the store's part slots within the call's time, and holds it while `work` runs. */
  async #inPartSlot<T>(put: Put, work: () => Promise<T>, also?: AbortSignal): Promise<T> {
    const release = await put.call
      .wait((signal) => this.#partSlots.acquire(signal), also)
      .catch((error: unknown) => this.#throwReason(put, error));
    try {
      return await work();
    } finally {
      release();
    }
  }

  /** Runs the request that makes the object visible. "There already" may be ourselves, then it was done. */
  async #decide(put: Put, send: () => Promise<unknown>): Promise<void> {
    try {
      await send();
    } catch (error) {
      const isTold = isLakeError(error, 'object-exists') || isForgotten(error);
      if (!isTold || !put.ifAbsent) throw error;
      const stored = await this.#writeIdOf(put);
      if (stored === put.writeId) return;
      if (stored === null && isForgotten(error)) throw error;
      throw objectExists(this.#ports.url, put.key);
    }
  }

  /** The id of the conditional write that is stored, empty where it has none, `null` where nothing is. */
  async #writeIdOf({ key, at, call }: Put): Promise<string | null> {
    const { sdk, client, requests, url } = this.#ports;
    const request = { operation: 'head', what: `looking who wrote ${key}`, key, isWrite: false } as const;
    try {
      const answer = await requests.send(request, call, (watch) =>
        client.send(new sdk.HeadObjectCommand(at), { abortSignal: watch.signal }),
      );
      return answer.Metadata?.[writeIdName] ?? '';
    } catch (error) {
      if (isLakeError(error, 'object-missing')) return null;
      if (!isLakeError(error, 'store-unavailable')) throw error;
      throw new LakeError('store-unavailable', `writing ${key} in ${url}: it is there, and nobody answers whose it is`, {
        hint: 'Look whether the object is there before trying again.',
        facts: { key, store: url, outcome: 'unknown' },
        cause: error,
      });
    }
  }

  /** Whether it is gone. The reason why an upload failed is what its caller needs to hear, so this never throws. */
  async #abort(upload: S3Place & { readonly UploadId: string | undefined }, signal?: AbortSignal): Promise<boolean> {
    const { sdk, client, requests } = this.#ports;
    const request = { operation: 'abort-upload', what: `giving up writing ${upload.Key}`, key: upload.Key, isWrite: false } as const;
    try {
      await requests.send(request, requests.call(0, signal), (watch) =>
        client.send(new sdk.AbortMultipartUploadCommand(upload), { abortSignal: watch.signal }),
      );
      return true;
    } catch {
      return false;
    }
  }

  /** The caller's own reason where its signal fired; in words where the time was over while waiting for a part's turn. */
  #throwReason({ key, call }: Put, error: unknown): never {
    call.signal?.throwIfAborted();
    if (!(error instanceof SlowAnswer)) throw error;
    throw new LakeError('store-unavailable', `writing ${key} in ${this.#ports.url}: its time was over`, {
      hint: 'Look at how fast the bucket takes bytes, and let fewer uploads go on at once.',
      facts: { key, store: this.#ports.url },
      cause: error,
    });
  }
}

function conditionOf(put: Put): Pick<Sdk.PutObjectCommandInput, 'IfNoneMatch' | 'Metadata'> {
  return put.ifAbsent ? { IfNoneMatch: '*', Metadata: { [writeIdName]: put.writeId } } : {};
}

/** The server knows the upload no longer: it was completed, or given up. */
function isForgotten(error: unknown): boolean {
  return isLakeError(error) && error.facts['s3'] === 'NoSuchUpload';
}

/** Whether only a new upload can help: the server gave this one up for another write's sake, or has lost it. */
function isGivenUp(error: unknown): boolean {
  return isForgotten(error) || (isLakeError(error, 'store-unavailable') && error.facts['s3'] === 'ConditionalRequestConflict');
}
