/** Records of the log as JSON: bytes are text where they are UTF-8, else base64 under a name that says so. */
import { blobMark } from './blob-mark.js';

/** What is not UTF-8 stands under `…_base64` instead. */
export interface QueryRecord {
  readonly partition: number;
  readonly offset: number;
  /** ISO 8601 in UTC; milliseconds since the epoch where a date cannot say it. */
  readonly timestamp: string | number;
  readonly key?: string | null;
  readonly key_base64?: string;
  readonly value?: string | null;
  readonly value_base64?: string;
  /** In order, duplicates kept. */
  readonly headers: readonly RecordHeader[];
}

export interface RecordHeader {
  readonly key?: string | null;
  readonly key_base64?: string;
  readonly value?: string | null;
  readonly value_base64?: string;
}

interface WireHeader {
  readonly key: string | null;
  readonly key_raw: string | null;
  readonly value: string | null;
}

const dateMsMax = 8.64e15;

/** From a row of the statement in `query-run.ts`. */
export function recordOf(row: readonly unknown[]): QueryRecord {
  const [partition, offset, timestampMs, key, value, headers] = row as [
    number,
    number,
    number,
    string | null,
    string | null,
    readonly WireHeader[] | null,
  ];
  return {
    partition,
    offset,
    timestamp: Math.abs(timestampMs) <= dateMsMax ? new Date(timestampMs).toISOString() : timestampMs,
    ...named('key', key),
    ...named('value', value),
    headers: (headers ?? []).map((header) => ({ ...named('key', header.key_raw ?? header.key), ...named('value', header.value) })),
  };
}

function named(name: 'key' | 'value', text: string | null): Record<string, string | null> {
  return text?.startsWith(blobMark) === true ? { [`${name}_base64`]: text.slice(blobMark.length) } : { [name]: text };
}
