/** Records of the log as lines of JSON: bytes are text where they are UTF-8, else base64 under a name that says so. */
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

const dayMs = 86_400_000;
const twoDigits = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, '0'));

/** The day that was asked for last: records of one time lie together, and a `Date` for each would cost more than the rest. */
const lastDay = { number: Number.NaN, text: '' };

/** The JSON text of a `QueryRecord`, from a row of the statement in `query-run.ts`. */
export function recordLine(row: readonly unknown[]): string {
  const [partition, offset, timestampMs, key, value, headers] = row as [
    number,
    number,
    number,
    string | null,
    string | null,
    readonly WireHeader[] | null,
  ];
  const headersText = headers === null || headers.length === 0 ? '' : headers.map(headerText).join(',');
  return `{"partition":${partition},"offset":${offset},"timestamp":${timestampText(timestampMs)},${field('key', key)},${field('value', value)},"headers":[${headersText}]}`;
}

function headerText(header: WireHeader): string {
  return `{${field('key', header.key_raw ?? header.key)},${field('value', header.value)}}`;
}

function field(name: 'key' | 'value', text: string | null): string {
  if (text === null) return `"${name}":null`;
  return text.startsWith(blobMark)
    ? `"${name}_base64":${JSON.stringify(text.slice(blobMark.length))}`
    : `"${name}":${JSON.stringify(text)}`;
}

function timestampText(ms: number): string {
  if (Math.abs(ms) > dateMsMax) return String(ms);
  const day = Math.floor(ms / dayMs);
  if (day !== lastDay.number) {
    lastDay.number = day;
    lastDay.text = new Date(day * dayMs).toISOString().slice(0, -'00:00:00.000Z'.length);
  }
  const rest = ms - day * dayMs;
  const seconds = Math.floor(rest / 1000);
  const [hour, minute, second] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return `"${lastDay.text}${twoDigits[hour]}:${twoDigits[minute]}:${twoDigits[second]}.${String(rest % 1000).padStart(3, '0')}Z"`;
}
