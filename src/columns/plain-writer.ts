/**
 * Writes a staging file: uncompressed Parquet of the base columns, one page a column chunk, straight from the column buffers.
 * DuckDB reads it, for the encoder and as the hot tail of a query. Source: the Parquet format, `parquet.thrift`.
 */
import { closeSync, openSync, writevSync } from 'node:fs';
import { encodings, type PageSource, physicalTypes } from './plain-columns.js';
import { baseColumns, type BaseColumnName } from './schema.js';
import type { StagedColumns } from './staged-columns.js';
import { ThriftWriter } from './thrift-compact.js';

const magic = Buffer.from('PAR1');
const repetition = { optional: 1, repeated: 2, required: 0 } as const;
const convertedTypes = { utf8: 0, list: 3, timestampMillis: 9 } as const;
const pageTypes = { data: 0, dictionary: 2 } as const;

/** The level at which a header's key, raw key or value is there: list, entry, field. */
const headerFieldLevel = 3;

interface Leaf {
  readonly path: readonly string[];
  readonly physical: number;
  readonly maxDefinition: number;
  readonly source: (columns: StagedColumns) => PageSource;
  readonly isNested?: boolean;
  /** Smallest and largest INT64, which are noted: rows are found by it. */
  readonly range?: (columns: StagedColumns) => { readonly min: bigint; readonly max: bigint };
}

const sources: Readonly<Record<Exclude<BaseColumnName, '_headers'>, Omit<Leaf, 'path' | 'maxDefinition'>>> = {
  _partition_id: { physical: physicalTypes.int32, source: (c) => c.partition },
  _offset: { physical: physicalTypes.int64, source: (c) => c.offset, range: (c) => c.offset.range() },
  _timestamp: { physical: physicalTypes.int64, source: (c) => c.timestamp, range: (c) => c.timestamp.range() },
  _timestamp_raw: { physical: physicalTypes.int64, source: (c) => c.timestampRaw },
  _key: { physical: physicalTypes.byteArray, source: (c) => c.key },
  _value: { physical: physicalTypes.byteArray, source: (c) => c.value },
  _timestamp_type: { physical: physicalTypes.int32, source: (c) => c.timestampType },
  _leader_epoch: { physical: physicalTypes.int32, source: (c) => c.leaderEpoch },
  _producer_id: { physical: physicalTypes.int64, source: (c) => c.producerId },
  _producer_epoch: { physical: physicalTypes.int32, source: (c) => c.producerEpoch },
  _sequence: { physical: physicalTypes.int32, source: (c) => c.sequence },
  _raw_batch: { physical: physicalTypes.byteArray, source: (c) => c.rawBatch },
};

const headerSources = {
  key: (c: StagedColumns) => c.headerKey,
  key_raw: (c: StagedColumns) => c.headerKeyRaw,
  value: (c: StagedColumns) => c.headerValue,
};

const leaves: readonly Leaf[] = baseColumns.flatMap((column): Leaf[] => {
  if (column.type !== 'list') return [{ path: [column.name], maxDefinition: 1, ...sources[column.name] }];
  return column.fields.map((field) => ({
    path: [column.name, 'list', 'element', field.name],
    physical: physicalTypes.byteArray,
    maxDefinition: headerFieldLevel,
    isNested: true,
    source: headerSources[field.name],
  }));
});

interface Chunk {
  readonly leaf: Leaf;
  readonly dictionaryAt: number | undefined;
  readonly dataAt: number;
  readonly bytes: number;
  readonly values: number;
  readonly nulls: number;
  readonly range: { readonly min: bigint; readonly max: bigint } | undefined;
}

interface RowGroup {
  readonly rows: number;
  readonly bytes: number;
  readonly chunks: readonly Chunk[];
}

/** Readers make up whole numbers that a file lacks, but not all of them bytes and lists (iceberg-rust). */
const omissible: readonly BaseColumnName[] = baseColumns.flatMap(({ name, type }) => (type === 'int' || type === 'long' ? [name] : []));

/** One staging file. `write` after each batch that fills the columns, `finish` at the end; `abandon` closes it as it is. */
export class StagedFileWriter {
  readonly #file: number;
  #parts: Uint8Array[] = [];
  /** Position behind all that was added. */
  #at = 0;
  #rows = 0;
  readonly #rowGroups: RowGroup[] = [];
  /** Columns that have a value in some row. */
  readonly #present = new Set<string>();

  constructor(path: string) {
    this.#file = openSync(path, 'w', 0o644);
    this.#add(magic);
  }

  /** Writes the columns as a row group and clears them. */
  writeRowGroup(columns: StagedColumns): void {
    const rows = columns.rows;
    if (rows === 0) return;
    const start = this.#at;
    const repetitions = lengthPrefixed(columns.headerRepetition.encode(1));
    for (const leaf of leaves) if (!leaf.source(columns).levels.isAllZero) this.#present.add(leaf.path[0] as string);
    const chunks = leaves.map((leaf) => this.#addChunk(leaf, columns, leaf.isNested === true ? repetitions : undefined));
    this.#flush();
    this.#rowGroups.push({ rows, bytes: this.#at - start, chunks });
    this.#rows += rows;
    columns.clear();
  }

  /** Columns without a value in any row written so far, of those that a file need not have. */
  get absentColumns(): readonly BaseColumnName[] {
    return omissible.filter((name) => !this.#present.has(name));
  }

  finish(): void {
    const footer = this.#footer();
    const length = Buffer.alloc(4);
    length.writeUInt32LE(footer.length);
    this.#add(footer);
    this.#add(length);
    this.#add(magic);
    this.#flush();
    closeSync(this.#file);
  }

  abandon(): void {
    closeSync(this.#file);
  }

  /** What is added lies where it is until it is flushed: nothing is copied. */
  #add(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#parts.push(bytes);
    this.#at += bytes.length;
  }

  #flush(): void {
    let parts = this.#parts;
    while (parts.length > 0) {
      let written = writevSync(this.#file, parts);
      const whole = parts.findIndex((part) => {
        if (part.length > written) return true;
        written -= part.length;
        return false;
      });
      parts = whole < 0 ? [] : [(parts[whole] as Uint8Array).subarray(written), ...parts.slice(whole + 1)];
    }
    this.#parts = [];
  }

  #addChunk(leaf: Leaf, columns: StagedColumns, repetitions: Buffer | undefined): Chunk {
    const source = leaf.source(columns);
    const start = this.#at;
    const dictionary = source.dictionary();
    let dictionaryAt: number | undefined;
    if (dictionary !== undefined) {
      dictionaryAt = this.#at;
      this.#add(pageHeader(pageTypes.dictionary, dictionary.bytes.length, dictionary.count, encodings.plain));
      this.#add(dictionary.bytes);
    }
    const dataAt = this.#at;
    const levels = lengthPrefixed(source.levels.encode(leaf.maxDefinition > 1 ? 2 : 1));
    const values = source.values();
    const parts = repetitions === undefined ? [levels, values] : [repetitions, levels, values];
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    const entries = source.levels.total;
    this.#add(pageHeader(pageTypes.data, bytes, entries, dictionary === undefined ? encodings.plain : encodings.rleDictionary));
    for (const part of parts) this.#add(part);
    const there = leaf.physical === physicalTypes.int64 && dictionary === undefined ? values.length / 8 : undefined;
    return {
      leaf,
      dictionaryAt,
      dataAt,
      bytes: this.#at - start,
      values: entries,
      nulls: there === undefined ? 0 : entries - there,
      range: leaf.range?.(columns),
    };
  }

  #footer(): Buffer {
    const thrift = new ThriftWriter();
    thrift.i32(1, 1);
    thrift.structs(2, schemaElements, (element) => writeSchemaElement(thrift, element));
    thrift.i64(3, this.#rows);
    thrift.structs(4, this.#rowGroups, (group) => {
      thrift.structs(1, group.chunks, (chunk) => writeColumnChunk(thrift, chunk));
      thrift.i64(2, group.bytes);
      thrift.i64(3, group.rows);
    });
    thrift.text(6, 'thermocline staging');
    thrift.end();
    return thrift.finish();
  }
}

interface SchemaElement {
  readonly name: string;
  readonly fieldId?: number;
  readonly repetition?: number;
  readonly physical?: number;
  readonly children?: number;
  readonly converted?: number;
  readonly isUtcMillis?: boolean;
}

const schemaElements: readonly SchemaElement[] = [
  { name: 'schema', children: baseColumns.length },
  ...baseColumns.flatMap((column): SchemaElement[] => {
    if (column.type !== 'list') {
      const element = {
        name: column.name,
        fieldId: column.fieldId,
        repetition: repetition.optional,
        physical: sources[column.name].physical,
      };
      return [column.type === 'timestamptz' ? { ...element, converted: convertedTypes.timestampMillis, isUtcMillis: true } : element];
    }
    return [
      { name: column.name, fieldId: column.fieldId, repetition: repetition.optional, children: 1, converted: convertedTypes.list },
      { name: 'list', repetition: repetition.repeated, children: 1 },
      { name: 'element', fieldId: column.elementId, repetition: repetition.required, children: column.fields.length },
      ...column.fields.map((field) => ({
        name: field.name,
        fieldId: field.fieldId,
        repetition: repetition.optional,
        physical: physicalTypes.byteArray,
        ...(field.type === 'string' ? { converted: convertedTypes.utf8 } : {}),
      })),
    ];
  }),
];

function writeSchemaElement(thrift: ThriftWriter, element: SchemaElement): void {
  if (element.physical !== undefined) thrift.i32(1, element.physical);
  if (element.repetition !== undefined) thrift.i32(3, element.repetition);
  thrift.text(4, element.name);
  if (element.children !== undefined) thrift.i32(5, element.children);
  if (element.converted !== undefined) thrift.i32(6, element.converted);
  if (element.fieldId !== undefined) thrift.i32(9, element.fieldId);
  if (element.isUtcMillis === true) {
    // LogicalType is a union: 8 is TIMESTAMP, and in its unit 1 is MILLIS.
    thrift.struct(10, () => {
      thrift.struct(8, () => {
        thrift.bool(1, true);
        thrift.struct(2, () => thrift.struct(1, () => undefined));
      });
    });
  }
}

function writeColumnChunk(thrift: ThriftWriter, chunk: Chunk): void {
  thrift.i64(2, chunk.dictionaryAt ?? chunk.dataAt);
  thrift.struct(3, () => {
    thrift.i32(1, chunk.leaf.physical);
    thrift.i32s(2, [encodings.plain, encodings.rle, ...(chunk.dictionaryAt === undefined ? [] : [encodings.rleDictionary])]);
    thrift.texts(3, chunk.leaf.path);
    thrift.i32(4, 0);
    thrift.i64(5, chunk.values);
    thrift.i64(6, chunk.bytes);
    thrift.i64(7, chunk.bytes);
    thrift.i64(9, chunk.dataAt);
    if (chunk.dictionaryAt !== undefined) thrift.i64(11, chunk.dictionaryAt);
    const { range } = chunk;
    if (range !== undefined) {
      thrift.struct(12, () => {
        thrift.i64(3, chunk.nulls);
        thrift.bytes(5, longBytes(range.max));
        thrift.bytes(6, longBytes(range.min));
      });
    }
  });
}

function pageHeader(type: number, bytes: number, values: number, encoding: number): Buffer {
  const thrift = new ThriftWriter();
  thrift.i32(1, type);
  thrift.i32(2, bytes);
  thrift.i32(3, bytes);
  thrift.struct(type === pageTypes.data ? 5 : 7, () => {
    thrift.i32(1, values);
    thrift.i32(2, encoding);
    if (type === pageTypes.data) {
      thrift.i32(3, encodings.rle);
      thrift.i32(4, encodings.rle);
    }
  });
  thrift.end();
  return thrift.finish();
}

function lengthPrefixed(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function longBytes(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return bytes;
}
