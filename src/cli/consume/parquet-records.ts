/**
 * Records as a Parquet file, written by `parquetjs-lite` in this process, without a native engine (decision 0012). Columns have the names
 * and types they have in SQL. The library takes any number for an INT64 and rounds what a double cannot hold without a word, so what
 * is given to it is checked here first.
 */
import { rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { invariant, LakeError, MiB, type PartitionId } from '../../kernel/index.js';
import type { DecodedRecord } from '../../wire/index.js';

/** It holds a row group in memory, as objects and again as pages. */
const rowGroupRows = 20_000;
const rowGroupBytes = 32 * MiB;

/** Milliseconds before and after 1970 that a date spans. */
const dateMsMax = 8.64e15;

export interface ParquetRecords {
  write(records: readonly DecodedRecord[], partition: PartitionId): Promise<void>;
  finish(): Promise<void>;
  discard(): Promise<void>;
}

/** Errors: `usage` where the file cannot be written. */
export async function openParquetRecords(path: string): Promise<ParquetRecords> {
  const { ParquetSchema, ParquetWriter } = (await import('parquetjs-lite')).default;
  const schema = new ParquetSchema({
    _partition_id: { type: 'INT32' },
    _offset: { type: 'INT64' },
    _timestamp: { type: 'TIMESTAMP_MILLIS', optional: true },
    _timestamp_raw: { type: 'INT64', optional: true },
    _key: { type: 'BYTE_ARRAY', optional: true, compression: 'GZIP' },
    _value: { type: 'BYTE_ARRAY', optional: true, compression: 'GZIP' },
    _headers: { repeated: true, fields: { key: { type: 'BYTE_ARRAY' }, value: { type: 'BYTE_ARRAY', optional: true } } },
  });
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.part`);
  const writer = await ParquetWriter.openFile(schema, temporary).catch((error: Error) => {
    throw new LakeError('usage', `${path} cannot be written: ${error.message}`, {
      hint: 'Name a file in a folder that is there.',
      cause: error,
    });
  });
  writer.setRowGroupSize(rowGroupRows);
  let groupBytes = 0;
  const append = async (record: DecodedRecord, partition: PartitionId): Promise<void> => {
    groupBytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
    const isFull = groupBytes >= rowGroupBytes;
    // Large records: the group ends with this one.
    if (isFull) writer.setRowGroupSize(1);
    await writer.appendRow(rowOf(record, partition));
    if (!isFull) return;
    writer.setRowGroupSize(rowGroupRows);
    groupBytes = 0;
  };
  return {
    write: async (records, partition) => {
      for (const record of records) await append(record, partition);
    },
    finish: async () => {
      await writer.close();
      await rename(temporary, path);
    },
    discard: async () => {
      await writer.close().catch(() => undefined);
      await rm(temporary, { force: true });
    },
  };
}

function exact(name: string, value: number): number {
  invariant(Number.isSafeInteger(value), 'a number for Parquet is a whole one that a double holds exactly', { name, value });
  return value;
}

/** As a date, since the library refuses numbers below 0; what no date can say is exact in a column of its own, as in a cold file. */
function timestampOf(ms: number): object {
  return Math.abs(ms) <= dateMsMax ? { _timestamp: new Date(ms) } : { _timestamp_raw: ms };
}

export function rowOf(record: DecodedRecord, partition: PartitionId): object {
  return {
    _partition_id: exact('partition', partition),
    _offset: exact('offset', record.offset),
    ...timestampOf(exact('timestamp', record.timestampMs)),
    _key: record.key,
    _value: record.value,
    _headers: record.headers.map(({ key, value }) => ({ key: Buffer.from(key), value })),
  };
}
