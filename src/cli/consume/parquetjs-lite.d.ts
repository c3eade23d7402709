/** What of `parquetjs-lite` is used here; it brings no types. Values are not checked by it: see `parquet-records.ts`. */
declare module 'parquetjs-lite' {
  export type FieldType = 'INT32' | 'INT64' | 'TIMESTAMP_MILLIS' | 'BYTE_ARRAY';

  export interface Field {
    readonly type?: FieldType;
    readonly optional?: boolean;
    readonly repeated?: boolean;
    readonly compression?: 'UNCOMPRESSED' | 'GZIP' | 'SNAPPY';
    readonly fields?: Readonly<Record<string, Field>>;
  }

  export interface ParquetSchema {
    readonly fields: Readonly<Record<string, unknown>>;
  }
  export const ParquetSchema: new (fields: Readonly<Record<string, Field>>) => ParquetSchema;

  export class ParquetWriter {
    static openFile(schema: ParquetSchema, path: string): Promise<ParquetWriter>;
    appendRow(row: object): Promise<void>;
    /** Rows that are gathered before they are written as one row group. */
    setRowGroupSize(rows: number): void;
    close(): Promise<void>;
  }
}
