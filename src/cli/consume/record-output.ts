/** Where consumed records go: lines on stdout, or a file whose name says its format and that has its name when it is whole. */
import type { PartitionId } from '../../kernel/index.js';
import type { DecodedRecord } from '../../wire/index.js';
import { usageError } from '../exit.js';
import { fileDestination, formatOfFile, streamDestination } from '../sql/destination.js';
import { csvHeader, csvLine, jsonLine, valueLine } from './record-text.js';

export interface RecordOutput {
  write(records: readonly DecodedRecord[], partition: PartitionId): Promise<void>;
  finish(): Promise<void>;
  discard(): Promise<void>;
}

export async function openRecordOutput(path: string | undefined, asJson: boolean): Promise<RecordOutput> {
  if (path === undefined) {
    const out = streamDestination(process.stdout);
    const line = asJson ? jsonLine : valueLine;
    return { ...out, write: (records, partition) => out.write(records.map((record) => line(record, partition)).join('')) };
  }
  const format = formatOfFile(path);
  if (format === 'parquet') return (await import('./parquet-records.js')).openParquetRecords(path);
  if (format !== 'ndjson' && format !== 'csv')
    throw usageError(`the name of ${path} does not say a format for records`, 'Let it end with .parquet, .ndjson or .csv.');
  const file = await fileDestination(path);
  const line = format === 'csv' ? csvLine : jsonLine;
  if (format === 'csv') await file.write(csvHeader);
  return {
    write: (records, partition) => file.write(records.map((record) => line(record, partition)).join('')),
    finish: () => file.finish(),
    discard: () => file.discard(),
  };
}
