/**
 * The last row of each key of a cold file, a tombstone included, as a small Parquet file on the local disk: all that `latest(topic)`
 * needs of a file whose every row counts. It is kept only where it has far fewer rows; an empty note says that it would not.
 */
import { readFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import {
  baseColumns,
  type Column,
  fieldIdsClause,
  plainNameOf,
  quoteName,
  quoteText,
  readSchemaMap,
  tableColumns,
} from '../../columns/index.js';
import type { TypedColumn } from '../../columns/index.js';
import { MiB } from '../../kernel/index.js';
import type { ColdFile } from '../../lake/index.js';
import type { ColdReads } from '../cold/cold-reads.js';
import type { EngineSession } from '../engine.js';
import { answerOf, runOwn } from '../engine-reading.js';
import { Lease } from '../lease.js';
import { fullScan } from '../ranges.js';
import type { BuildKind, WantedFile } from './builds-behind.js';
import { idOf, NoteFolder } from './note-folder.js';

/** It is sent as a whole, and held while it is. */
const lastRowsBytesMax = 32 * MiB;
/** A key has at least so many rows on average, or the file is as good. */
export const rowsPerKeyMin = 2;
/** What SQL shows of a row beside its typed columns. */
const baseNames: ReadonlySet<string> = new Set(['_partition_id', '_offset', '_timestamp', '_key', '_value', '_headers']);

export interface KeptRows {
  readonly path: string;
  readonly bytes: number;
}

export class LastRows implements BuildKind {
  readonly failure = 'the last rows of the keys of cold files could not be kept; latest(topic) reads whole files';
  readonly filesPerRun = 1;
  readonly rowsPerRun = Number.POSITIVE_INFINITY;
  readonly #folder: NoteFolder;
  readonly #cold: ColdReads;
  readonly #fileBytesMin: number;
  /** Of notes that this service has read once and found as they were written. */
  readonly #checked = new Set<string>();

  private constructor(folder: NoteFolder, cold: ColdReads, fileBytesMin: number) {
    this.#folder = folder;
    this.#cold = cold;
    this.#fileBytesMin = fileBytesMin;
    folder.onDrop = (id) => this.#checked.delete(id);
  }

  /** Of cold files smaller than `fileBytesMin` nothing is kept. Takes over what an earlier service left. */
  static async open(directory: string, bytesMax: number, cold: ColdReads, fileBytesMin: number): Promise<LastRows> {
    return new LastRows(await NoteFolder.open(directory, 'last', bytesMax), cold, fileBytesMin);
  }

  get files(): number {
    return this.#folder.files;
  }

  get bytes(): number {
    return this.#folder.bytes;
  }

  get hasRoom(): boolean {
    return this.#folder.hasRoom;
  }

  has(file: ColdFile): boolean {
    return this.#folder.has(file);
  }

  /** To be called once a question, before `of`. */
  beginLook(): void {
    this.#folder.beginLook();
  }

  /** What is kept of a file, read and checked; `missing` where it may be worth while to build it. */
  async of(file: ColdFile): Promise<KeptRows | 'missing' | undefined> {
    const note = this.#folder.use(file);
    if (note === undefined) return file.bytes < this.#fileBytesMin ? undefined : 'missing';
    if (note.bytes === 0) return undefined;
    const id = idOf(file);
    if (!this.#checked.has(id)) {
      const bytes = await readFile(note.path).catch(() => undefined);
      if (bytes === undefined || tagOf(bytes) !== note.tag) {
        await this.#folder.drop(file);
        return 'missing';
      }
      if (this.#folder.has(file)) this.#checked.add(id);
    }
    return { path: note.path, bytes: note.bytes };
  }

  /** It was gone when it was to be used. */
  async forget(file: ColdFile): Promise<void> {
    await this.#folder.drop(file);
  }

  async build(session: EngineSession, wanted: readonly WantedFile[], signal: AbortSignal): Promise<void> {
    for (const { file, columns } of wanted) {
      const lease = new Lease(session.lease, session.leasePath);
      const read = storedColumns([file], columns);
      const need = { ranges: [fullScan], columns: new Set(read.map(({ fieldId }) => fieldId)) };
      const leased = await lease.addCold(this.#cold, file, need, { requests: 0, bytes: 0 }, signal);
      const bytes = leased === null ? undefined : await lastRowsOf(session, leased.path, read, file);
      if (bytes === undefined) await this.#folder.keep(file, Buffer.alloc(0));
      else await this.#folder.keep(file, bytes, tagOf(bytes));
    }
  }
}

function tagOf(bytes: Uint8Array): string {
  return crc32(bytes).toString(16).padStart(8, '0');
}

/** The columns to keep of files: of the typed ones those that any of them has a value of. */
export function storedColumns(files: readonly ColdFile[], typed: readonly TypedColumn[]): Column[] {
  const has = new Set(files.flatMap(({ fieldIds }) => fieldIds));
  const base = baseColumns.filter(({ name }) => baseNames.has(name));
  const columns = [...base, ...tableColumns(typed.filter(({ fieldId }) => has.has(fieldId))).slice(baseColumns.length)];
  return columns.map((column): Column => ({ ...column, name: plainNameOf(column) }));
}

/** What stands behind FROM for the rows of files of a lease. */
export function readRows(paths: readonly string[], columns: readonly Column[]): string {
  return `read_parquet([${paths.map(quoteText).join(', ')}], schema = ${readSchemaMap(columns)})`;
}

/** `undefined` where the file has too many keys. */
async function lastRowsOf(session: EngineSession, path: string, columns: readonly Column[], file: ColdFile): Promise<Buffer | undefined> {
  const source = readRows([path], columns);
  // A cold file is of one partition, so an offset is one row. Of too many keys nothing is read but key and offset.
  const keysMax = Math.floor(file.rows / rowsPerKeyMin);
  const sql =
    `WITH ends AS MATERIALIZED (SELECT max(_offset) AS o FROM ${source} WHERE _key IS NOT NULL GROUP BY _key) ` +
    `SELECT ${columns.map(({ name }) => quoteName(name)).join(', ')} FROM ${source} ` +
    `WHERE (SELECT count(*) FROM ends) <= ${keysMax} AND _offset IN (SELECT o FROM ends)`;
  return rowsAsParquet(session, sql, columns);
}

/** `undefined` where there are none. Errors: `query-too-large` where they would be above 32 MiB, those of the query. */
export async function rowsAsParquet(session: EngineSession, sql: string, columns: readonly Column[]): Promise<Buffer | undefined> {
  await runOwn(session, { sql, shape: 'parquet', fieldIds: fieldIdsClause(columns), fileBytesMax: lastRowsBytesMax });
  const pieces: Uint8Array[] = [];
  const answer = answerOf(session);
  for (;;) {
    const { done, value } = await answer.next();
    if (done === true) return value === 0 ? undefined : Buffer.concat(pieces);
    if (value.type === 'bytes') pieces.push(value.bytes);
  }
}
