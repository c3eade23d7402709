/** Records as text: values alone, JSON by line, CSV. Bytes are text where they are UTF-8, else `base64:…`. */
import { isUtf8 } from 'node:buffer';
import type { PartitionId } from '../../kernel/index.js';
import type { DecodedRecord } from '../../wire/index.js';

/** Outside, a date cannot say it. */
const dateMsMax = 8.64e15;

export function textOf(bytes: Buffer | null): string | null {
  if (bytes === null) return null;
  return isUtf8(bytes) ? bytes.toString() : `base64:${bytes.toString('base64')}`;
}

function timeText(ms: number): string {
  return Math.abs(ms) <= dateMsMax ? new Date(ms).toISOString() : String(ms);
}

function headersOf(record: DecodedRecord): readonly { readonly key: string | null; readonly value: string | null }[] {
  return record.headers.map((header) => ({ key: textOf(Buffer.from(header.key)), value: textOf(header.value) }));
}

export function valueLine(record: DecodedRecord): string {
  return `${textOf(record.value) ?? ''}\n`;
}

export function jsonLine(record: DecodedRecord, partition: PartitionId): string {
  return `${JSON.stringify({
    partition,
    offset: record.offset,
    timestamp: timeText(record.timestampMs),
    key: textOf(record.key),
    value: textOf(record.value),
    headers: headersOf(record),
  })}\n`;
}

export const csvHeader = 'partition,offset,timestamp,key,value,headers\n';

/** Null is an empty field, the empty text a quoted one. */
export function csvLine(record: DecodedRecord, partition: PartitionId): string {
  const cell = (text: string | null): string =>
    text === null ? '' : text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const headers = record.headers.length === 0 ? null : JSON.stringify(headersOf(record));
  return `${[String(partition), String(record.offset), timeText(record.timestampMs), textOf(record.key), textOf(record.value), headers].map(cell).join(',')}\n`;
}
