/**
 * The object store port: ten calls, which a directory, S3 and memory answer alike (one contract suite for all).
 * Keys are relative, `/`-separated, without a leading slash; the store's prefix is already applied.
 */

export interface ObjectInfo {
  readonly key: string;
  readonly bytes: number;
  /** Wall time of the last write, in ms; the store's clock, not ours. */
  readonly lastModifiedMs: number;
}

/** Bytes to store: in memory, or a local file that is streamed. */
export type ObjectBody = Uint8Array | { readonly path: string };

export interface PutOptions {
  /** Store only if no object of that key is there (`If-None-Match: *`); else `object-exists`. */
  readonly ifAbsent?: boolean;
  /** Take the way of a large object (on S3 an upload in parts), however small this one is: for the probe. */
  readonly inParts?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Half-open range of bytes. `end` may lie beyond the object's end. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Every call ends: on S3 within a bound that its module states (`callLimitMs`), on a directory as soon as the file system
 * answers. A signal ends any of them at once.
 */
export interface ObjectStore {
  /** How people name this place, without secrets: `file:///…`, `s3://bucket/prefix`, `memory:`. */
  readonly url: string;

  /**
   * Durable when it resolves, and never visible in part. With `ifAbsent` exactly one of several racing writers wins.
   * Errors: `object-exists`, `store-unavailable` (the outcome may be unknown), `store-refused`, `disk-full`.
   */
  put(key: string, body: ObjectBody, options?: PutOptions): Promise<void>;

  /** Errors: `object-missing`, `store-unavailable`, `store-refused`. */
  get(key: string, options?: { readonly range?: ByteRange; readonly signal?: AbortSignal | undefined }): Promise<Buffer>;

  /** Streams an object into a new local file (mode 0444) and resolves to its length. Errors as `get`. */
  download(key: string, path: string, signal?: AbortSignal): Promise<number>;

  /** `null` where there is no such object. */
  head(key: string, signal?: AbortSignal): Promise<ObjectInfo | null>;

  /** All objects whose key starts with `prefix`, in key order, read page by page. */
  list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo>;

  /** Removing what is not there is no error. */
  delete(key: string, signal?: AbortSignal): Promise<void>;

  /**
   * Removes what writers that died have begun and never finished, and nobody can see (parts of uploads, temporary files), where
   * it is older than `olderThanMs`. Resolves to how many; a store that cannot list such things finds none.
   */
  removeUnfinished(olderThanMs: number, signal?: AbortSignal): Promise<number>;

  /** The object as a local file that may be hard-linked and read, where the store is a local directory; else `null`. */
  localPath(key: string): string | null;

  /** What stands before a key in a table's locations: `file:///data/bucket/x` or `s3://bucket/prefix/x`. */
  location(key: string): string;

  close(): Promise<void>;
}
