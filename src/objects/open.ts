/** From a bucket URL to its store. Adapters with heavy imports are loaded only when asked for. */
import { fileURLToPath } from 'node:url';
import { LakeError, systemClock, systemRandom, type Clock, type Random } from '../kernel/index.js';
import { DirectoryStore } from './directory-store.js';
import { countingStore } from './counting-store.js';
import { checkKey } from './keys.js';
import { MemoryStore } from './memory-store.js';
import type { ObjectStore } from './object-store.js';
import { readOnlyStore } from './read-only-store.js';
import type { RequestCounters } from './request-counters.js';

export interface OpenStoreOptions {
  /** Of an S3 server that is not Amazon's, for example `http://127.0.0.1:9000`. */
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  /** Bucket in the path, not in the host name; the default where an endpoint is given. */
  readonly forcePathStyle?: boolean | undefined;
  /** Nothing is made or changed: whatever would write is refused, and read-only rights do. */
  readonly isReadOnly?: boolean;
  /** Told of every request; on a directory and in memory of every call. */
  readonly counters?: RequestCounters;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** What a bucket URL names. */
export type BucketPlace =
  | { readonly kind: 'memory' }
  | { readonly kind: 'directory'; readonly path: string }
  /** The prefix has no slashes at its ends and may be empty. */
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string };

/** Reads `file:///path`, `s3://bucket/prefix` or `memory:`. Errors: `config-invalid-value`. */
export function parseBucketUrl(url: string): BucketPlace {
  if (url === 'memory:') return { kind: 'memory' };
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch (cause) {
    throw badUrl(url, 'it is not a URL', cause);
  }
  if (parsed.search !== '' || parsed.hash !== '') throw badUrl(url, 'it has a query or a fragment');
  switch (parsed.protocol) {
    case 'file:': {
      if (parsed.host !== '') throw badUrl(url, 'a file URL has three slashes before its path');
      let path: string;
      try {
        path = fileURLToPath(parsed);
      } catch (cause) {
        throw badUrl(url, 'its path cannot be decoded', cause);
      }
      if (path === '/') throw badUrl(url, 'the root of the file system cannot be a bucket');
      return { kind: 'directory', path: path.replace(/\/+$/, '') };
    }
    case 's3:': {
      if (parsed.username !== '' || parsed.password !== '') throw badUrl('s3://…', 'credentials do not belong into it');
      if (parsed.hostname === '' || parsed.port !== '') throw badUrl(url, 'it names no bucket');
      const prefix = decodeURIComponent(parsed.pathname).replace(/^\/+|\/+$/g, '');
      if (prefix !== '') checkKey(prefix);
      return { kind: 's3', bucket: parsed.hostname, prefix };
    }
    default:
      throw badUrl(url, `"${parsed.protocol}" is not a kind of bucket`);
  }
}

/**
 * Opens what a bucket URL names. An S3 store is opened without a request; whether it answers and keeps its word is
 * `probeConditionalWrites`' job. Errors: `config-invalid-value`; for a directory `store-refused` and others.
 */
export async function openObjectStore(url: string, options: OpenStoreOptions = {}): Promise<ObjectStore> {
  return options.isReadOnly === true ? readOnlyStore(await openStore(url, options)) : openStore(url, options);
}

async function openStore(url: string, options: OpenStoreOptions): Promise<ObjectStore> {
  const ports = { clock: options.clock ?? systemClock, random: options.random ?? systemRandom };
  const counted = (store: ObjectStore): ObjectStore =>
    options.counters === undefined ? store : countingStore(store, options.counters, ports.clock);
  const place = parseBucketUrl(url);
  switch (place.kind) {
    case 'memory':
      return counted(new MemoryStore(ports));
    case 'directory':
      return counted(await DirectoryStore.open(place.path, ports, options.isReadOnly));
    case 's3': {
      const { openS3Store } = await import('./s3-store.js');
      return openS3Store({ bucket: place.bucket, prefix: place.prefix, ...options, ...ports });
    }
    default:
      throw badUrl(url, 'it names no kind of bucket');
  }
}

function badUrl(url: string, reason: string, cause?: unknown): LakeError {
  return new LakeError('config-invalid-value', `bucket URL "${url}": ${reason}`, {
    hint: 'Use file:///absolute/path, s3://bucket/prefix or memory:.',
    cause,
  });
}
