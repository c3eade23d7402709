/**
 * Operating errors: what can go wrong while the program is right. Every code stands here once, with its kind, whether
 * a later try may succeed, and how the two borders name it (a Kafka error code, an HTTP status).
 */

export type ErrorKind =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'unavailable'
  | 'exhausted'
  | 'corrupt'
  | 'internal';

interface CatalogueEntry {
  readonly kind: ErrorKind;
  /** One sentence for the generated reference. */
  readonly sentence: string;
  readonly retriable?: boolean;
  /** Kafka's error code at the wire border; −1 (UNKNOWN_SERVER_ERROR) where left out. */
  readonly kafka?: number;
  /** HTTP status at the gateway's border; by kind where left out. */
  readonly http?: number;
}

const catalogue = {
  'config-unknown-key': { kind: 'invalid', sentence: 'A configuration key is not known.', kafka: 40 },
  'config-invalid-value': { kind: 'invalid', sentence: 'A configuration value cannot be used.', kafka: 40 },
  'config-refused': { kind: 'invalid', sentence: 'A configuration is valid alone but cannot be honoured here.', kafka: 40 },
  'usage': { kind: 'invalid', sentence: 'The command line cannot be understood.' },
  'frame-invalid': { kind: 'invalid', sentence: 'Bytes on a connection are not a frame of the protocol.', kafka: 42 },
  'message-invalid': { kind: 'invalid', sentence: 'A message does not follow its schema.', kafka: 42 },
  'unsupported-version': { kind: 'invalid', sentence: 'This version of an API is not served.', kafka: 35 },
  'batch-corrupt': { kind: 'corrupt', sentence: 'A record batch is damaged (CRC, length or framing).', kafka: 2 },
  'record-invalid': { kind: 'invalid', sentence: 'A record batch breaks a rule of the format or of its topic.', kafka: 87 },
  'decompression-bound': { kind: 'invalid', sentence: 'Compressed data would inflate beyond its bound.', kafka: 2 },
  'compression-unsupported': { kind: 'invalid', sentence: 'A compression type is not supported here.', kafka: 76 },
  'message-too-large': { kind: 'invalid', sentence: 'A record batch is larger than its topic allows.', kafka: 10, http: 413 },
  'record-list-too-large': { kind: 'invalid', sentence: 'A record batch is larger than a segment of its topic.', kafka: 18, http: 413 },
  'timestamp-invalid': { kind: 'invalid', sentence: "A record's timestamp is outside what its topic allows.", kafka: 32 },
  'sequence-out-of-order': { kind: 'conflict', sentence: "A producer's sequence does not follow on the last one.", kafka: 45 },
  'producer-epoch-invalid': { kind: 'conflict', sentence: 'A newer instance of the producer has taken over.', kafka: 47 },
  'topic-unknown': { kind: 'not-found', sentence: 'There is no such topic.', kafka: 3 },
  'topic-exists': { kind: 'conflict', sentence: 'A topic of that name is there already.', kafka: 36 },
  'topic-name-invalid': { kind: 'invalid', sentence: 'The name cannot be used for a topic.', kafka: 17 },
  'view-unknown': { kind: 'not-found', sentence: 'There is no such view.' },
  'view-exists': { kind: 'conflict', sentence: 'The name of a view is taken, or the view is used by others.' },
  'view-invalid': { kind: 'invalid', sentence: 'A view cannot be saved or used as it is.' },
  'key-unknown': { kind: 'not-found', sentence: 'No record has the key.' },
  'key-deleted': { kind: 'not-found', sentence: 'The last record of the key is a tombstone: its value is null.' },
  'partition-unknown': { kind: 'not-found', sentence: 'There is no such partition.', kafka: 3 },
  'offset-out-of-range': { kind: 'invalid', sentence: 'The offset is below the log start or above the log end.', kafka: 1 },
  'log-offline': {
    kind: 'unavailable',
    sentence: 'A partition is offline: a write or flush failed, or its log is damaged.',
    kafka: 56,
    retriable: true,
  },
  'log-damaged': {
    kind: 'corrupt',
    sentence: 'A segment holds something else than was written, or ends before what was flushed.',
    kafka: 56,
  },
  'disk-full': { kind: 'exhausted', sentence: 'The disk is below its reserve.', kafka: 56, retriable: true },
  'data-dir-foreign': { kind: 'conflict', sentence: 'The bucket prefix belongs to another cluster than the data directory.' },
  'data-dir-not-empty': { kind: 'conflict', sentence: 'The data directory to recover into is not empty.' },
  'recover-unfinished': { kind: 'conflict', sentence: 'The recovery into the data directory was interrupted.' },
  'bucket-in-use': { kind: 'conflict', sentence: 'Another service works on the bucket.' },
  'data-dir-unusable': { kind: 'invalid', sentence: 'Something in the data directory is in the way, or may not be used.' },
  'data-dir-locked': { kind: 'conflict', sentence: 'Another process uses the data directory.' },
  'object-exists': { kind: 'conflict', sentence: 'An object of that name is there already.' },
  'object-missing': { kind: 'not-found', sentence: 'An object is not in the bucket.' },
  'store-unavailable': { kind: 'unavailable', sentence: 'The bucket did not answer.', retriable: true },
  'store-refused': { kind: 'forbidden', sentence: 'The bucket refused the request.' },
  'store-unsafe': { kind: 'invalid', sentence: "The bucket's conditional writes do not hold, or its lists never show what was done." },
  'table-corrupt': { kind: 'corrupt', sentence: 'Table metadata cannot be read.' },
  'commit-lost': { kind: 'conflict', sentence: 'Another writer committed first.', retriable: true },
  'commit-stale': { kind: 'conflict', sentence: 'The commit no longer fits the table.' },
  'cold-unavailable': { kind: 'unavailable', sentence: 'The cold side is not ready.', retriable: true },
  'cold-corrupt': { kind: 'corrupt', sentence: 'A cold file does not hold what was written.' },
  'verify-failed': { kind: 'corrupt', sentence: 'What was read back differs from what was written.' },
  'worker-died': { kind: 'unavailable', sentence: 'A child process ended before its job did.', retriable: true },
  'peer-gone': { kind: 'unavailable', sentence: 'The connection to a peer was lost.', retriable: true },
  'peer-refused': { kind: 'unavailable', sentence: 'A peer answered with an error.' },
  'timeout': { kind: 'unavailable', sentence: 'It took too long.', retriable: true, kafka: 7, http: 504 },
  'cancelled': { kind: 'unavailable', sentence: 'It was cancelled.', http: 499 },
  'overloaded': { kind: 'exhausted', sentence: 'Too much is under way.', retriable: true },
  'query-invalid': { kind: 'invalid', sentence: 'The SQL cannot be run.' },
  'query-forbidden': { kind: 'forbidden', sentence: 'The SQL does more than read topics.' },
  'query-unknown': { kind: 'not-found', sentence: 'No such query is running.' },
  'query-too-large': { kind: 'exhausted', sentence: 'The query needs more than its limits allow.', http: 413 },
  'query-unbounded': { kind: 'invalid', sentence: 'The topic wants queries that say from when or from which offset on.' },
  'token-invalid': { kind: 'invalid', sentence: 'A snapshot token cannot be read.' },
  'token-gone': { kind: 'not-found', sentence: 'Rows of a snapshot token are no longer kept.', http: 410 },
  'as-of-future': { kind: 'invalid', sentence: 'The time that a query is asked as of has not come yet.' },
  'as-of-unknown': { kind: 'not-found', sentence: 'It is not known what a topic was at the time asked for.' },
  'as-of-gone': { kind: 'not-found', sentence: 'All that a partition held at the time asked for is no longer kept.', http: 410 },
  'request-invalid': { kind: 'invalid', sentence: 'The request cannot be understood.' },
  'request-too-large': { kind: 'invalid', sentence: 'The body of a request is larger than its route takes.', http: 413 },
  'media-type-unsupported': {
    kind: 'invalid',
    sentence: 'A request that changes something has a content type that is not taken.',
    http: 415,
  },
  'unauthenticated': { kind: 'unauthenticated', sentence: 'The request has not the token that the service wants.' },
  'request-forbidden': { kind: 'forbidden', sentence: 'The request may not come from there.' },
  'route-unknown': { kind: 'not-found', sentence: 'There is no such route.' },
  'address-in-use': { kind: 'conflict', sentence: 'Another process listens there.' },
  'unsupported': { kind: 'invalid', sentence: 'This is not supported here.' },
  'internal': { kind: 'internal', sentence: 'Something unforeseen happened.' },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof catalogue;

/** Every code with its facts: the source of the generated reference and of both borders' mappings. */
export const errorCatalogue: Readonly<Record<ErrorCode, CatalogueEntry>> = catalogue;

const httpByKind: Readonly<Record<ErrorKind, number>> = {
  'invalid': 400,
  'unauthenticated': 401,
  'forbidden': 403,
  'not-found': 404,
  'conflict': 409,
  'unavailable': 503,
  'exhausted': 429,
  'corrupt': 500,
  'internal': 500,
};

export type ErrorFacts = Readonly<Record<string, string | number | boolean | bigint | null | undefined>>;

export interface LakeErrorOptions {
  /** What the operator can do, in the imperative. */
  readonly hint?: string;
  readonly facts?: ErrorFacts;
  readonly cause?: unknown;
  /** Overrides the catalogue's answer where the place knows better. */
  readonly retriable?: boolean;
}

/** An operating error. The message says what happened and where; `hint` says what to do; `facts` carry the ids. */
export class LakeError extends Error {
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  readonly retriable: boolean;
  readonly hint: string | undefined;
  readonly facts: ErrorFacts;

  constructor(code: ErrorCode, message: string, options: LakeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    const entry: CatalogueEntry = catalogue[code];
    this.name = 'LakeError';
    this.code = code;
    this.kind = entry.kind;
    this.retriable = options.retriable ?? entry.retriable ?? false;
    this.hint = options.hint;
    this.facts = options.facts ?? {};
  }

  /** Kafka's error code for this error. */
  get kafkaCode(): number {
    return errorCatalogue[this.code].kafka ?? -1;
  }

  /** The HTTP status for this error. */
  get httpStatus(): number {
    return errorCatalogue[this.code].http ?? httpByKind[this.kind];
  }
}

/** Whether a caught value is a `LakeError`, optionally of one of the given codes. */
export function isLakeError(error: unknown, ...codes: ErrorCode[]): error is LakeError {
  return error instanceof LakeError && (codes.length === 0 || codes.includes(error.code));
}

/** Wraps anything caught into a `LakeError`, keeping one that already is. */
export function toLakeError(error: unknown, code: ErrorCode = 'internal', context?: string): LakeError {
  if (error instanceof LakeError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new LakeError(code, context === undefined ? message : `${context}: ${message}`, { cause: error });
}

/** What happened and what to do about it in one text, for borders that have a single field for both. */
export function messageWithHint({ message, hint }: Pick<LakeError, 'message' | 'hint'>): string {
  return hint === undefined ? message : `${message}. ${hint}`;
}

/** A plain form that crosses a process border (control socket, child process) and comes back by `errorFromPlain`. */
export interface PlainError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  readonly facts?: ErrorFacts;
  readonly retriable: boolean;
}

export function errorToPlain(error: unknown): PlainError {
  const e = toLakeError(error);
  const facts = Object.fromEntries(Object.entries(e.facts).map(([k, v]) => [k, typeof v === 'bigint' ? v.toString() : v]));
  return { code: e.code, message: e.message, retriable: e.retriable, facts, ...(e.hint === undefined ? {} : { hint: e.hint }) };
}

export function errorFromPlain(plain: PlainError): LakeError {
  const code: ErrorCode = plain.code in catalogue ? plain.code : 'internal';
  return new LakeError(code, plain.message, {
    retriable: plain.retriable,
    ...(plain.hint === undefined ? {} : { hint: plain.hint }),
    ...(plain.facts === undefined ? {} : { facts: plain.facts }),
  });
}
