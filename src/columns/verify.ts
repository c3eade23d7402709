/**
 * Reads a cold file back and compares it with what the raw batches said: the digest over every record, the range, and, for
 * some or all row groups, each typed column with what DuckDB's own JSON functions find in the value.
 */
import { LakeError, type Offset } from '../kernel/index.js';
import type { ColumnEngine } from './engine.js';
import type { ColumnKind, TypedColumn, VerifyJob, VerifyResult } from './jobs.js';
import { readFooter, type RowGroupSpan, rowGroupSpans } from './parquet-footer.js';
import { digestOfFile } from './read-digest.js';
import { plainNameOf, quoteText, readSchemaMap, tableColumns } from './schema.js';
import { typedDigest } from './typed-digest.js';

/** Rows compared of each row group that is looked at: two of DuckDB's vectors. The check costs more than all else. */
const checkedRows = 4096;
/** Typed columns compared in one statement: the statement's size is bounded, not the table's width. */
const columnsPerCheck = 50;

/** Does a `verify` job. Errors: `verify-failed` where the file holds something else, `cold-corrupt` where it cannot be read. */
export async function verify(job: VerifyJob, engine: ColumnEngine): Promise<Omit<VerifyResult, 'cpuMs'>> {
  const spans = rowGroupSpans(job.path, readFooter(job.path));
  const digest = digestOfFile({ ...job, differs: (what) => failed(job, what) });
  if (digest.count !== job.rows) throw failed(job, `it has ${digest.count} rows, not ${job.rows}`);
  if (digest.toString() !== job.digest) throw failed(job, `its digest is ${digest.toString()}, not ${job.digest}`);
  if (job.typedDigest === undefined) await checkTyped(job, engine, spans);
  else {
    const found = await typedDigest([job.path], job.typedColumns, job.baseOffset, engine);
    if (found !== job.typedDigest) throw failed(job, `the digest of its typed columns is ${found}, not ${job.typedDigest}`);
  }
  return { rows: digest.count, digest: digest.toString() };
}

function failed(job: VerifyJob, what: string): LakeError {
  return new LakeError('verify-failed', `${job.path} does not hold what was written: ${what}`, {
    facts: { path: job.path, partition: job.partition, baseOffset: job.baseOffset, lastOffset: job.lastOffset },
    hint: 'Nothing was committed or evicted. Check the bucket and the disk for damage; the range is cut again.',
  });
}

/** The first rows from an offset on, up to another one that has a row. */
interface Stretch {
  readonly fromOffset: Offset;
  readonly maxOffset: Offset;
}

/** What to look at: all, or a stretch of so many row groups spread evenly; where each begins differs from file to file. */
function sampleOf(spans: readonly RowGroupSpan[], count: number | 'all', digest: string): readonly Stretch[] | 'all' {
  if (count === 'all') return 'all';
  const seed = Number.parseInt(digest.slice(-6), 16);
  return Array.from({ length: Math.min(count, spans.length) }, (_, i) => {
    const { minOffset, maxOffset, rows } = spans[(seed + Math.floor((i * spans.length) / count)) % spans.length] as RowGroupSpan;
    if (rows <= checkedRows) return { fromOffset: minOffset, maxOffset };
    // Offsets have few holes: a share of them holds about that share of the rows. Where one lies at the end, fewer are compared.
    const width = Math.ceil(((maxOffset - minOffset + 1) * checkedRows) / rows);
    return { fromOffset: minOffset + (seed % (maxOffset - minOffset + 2 - width)), maxOffset };
  });
}

async function checkTyped(job: VerifyJob, engine: ColumnEngine, spans: readonly RowGroupSpan[]): Promise<void> {
  const sample = sampleOf(spans, job.typedRowGroups, job.digest);
  if (job.typedColumns.length === 0 || sample.length === 0) return;
  const isTyped = job.valueFormat === 'auto' || job.valueFormat === 'json';
  const file = `read_parquet(${quoteText(job.path)}, schema=${readSchemaMap(tableColumns(job.typedColumns), plainNameOf)})`;
  const stretches = (of: readonly Stretch[]): string =>
    of
      .map(
        ({ fromOffset, maxOffset }) => `(SELECT * FROM ${file} WHERE _offset BETWEEN ${fromOffset} AND ${maxOffset} LIMIT ${checkedRows})`,
      )
      .join(' UNION ALL ');
  const from = sample === 'all' ? file : `(${stretches(sample)})`;
  for (let first = 0; first < job.typedColumns.length; first += columnsPerCheck) {
    const columns = job.typedColumns.slice(first, first + columnsPerCheck);
    const pointers = `[${columns.map(pointerOf).join(', ')}]`;
    const differences = columns.map((column, index) => {
      const expected = isTyped ? expectedOfKind[column.kind](`types[${index + 1}]`, `texts[${index + 1}]`) : 'NULL';
      return `count(*) FILTER (WHERE c${column.fieldId} IS DISTINCT FROM ${expected})`;
    });
    const typed = columns.map((column) => `c${column.fieldId}`).join(', ');
    const text = 'CASE WHEN json_valid(TRY(decode(_value))) THEN TRY(decode(_value)) END';
    const object = `SELECT ${typed}, CASE WHEN json_type(d) = 'OBJECT' THEN d END AS o FROM (SELECT *, ${text} AS d FROM ${from})`;
    const found = `SELECT ${typed}, json_type(o, ${pointers}) AS types, json_extract_string(o, ${pointers}) AS texts FROM (${object})`;
    const reader = await engine.withConnection((connection) =>
      connection.runAndReadAll(`SELECT ${differences.join(', ')} FROM (${found})`),
    );
    const counts = reader.getRows()[0] ?? [];
    for (const [index, count] of counts.entries()) {
      if (Number(count) > 0) {
        const column = columns[index] as TypedColumn;
        throw failed(job, `${String(count)} values of column ${JSON.stringify(column.columnName)} are not what the JSON says`);
      }
    }
  }
}

const isWholeNumber = "'-?[0-9]+'";
const isAnyNumber = "'-?[0-9].*'";

/** The value of a pair by DuckDB's JSON functions: another road than `typed-sql.ts` takes, by type names and pointers. */
const expectedOfKind: Readonly<Record<ColumnKind, (type: string, text: string) => string>> = {
  long: (type, text) => `CASE WHEN ${type} IN ('BIGINT', 'UBIGINT') THEN TRY_CAST(${text} AS BIGINT) END`,
  double: (type, text) =>
    `CASE WHEN ${type} = 'DOUBLE' AND NOT regexp_full_match(${text}, ${isWholeNumber}) AND isfinite(TRY_CAST(${text} AS DOUBLE)) THEN TRY_CAST(${text} AS DOUBLE) END`,
  bool: (type, text) => `CASE WHEN ${type} = 'BOOLEAN' THEN ${text} = 'true' END`,
  text: (type, text) =>
    `CASE WHEN ${type} IN ('VARCHAR', 'OBJECT', 'ARRAY') THEN ${text} WHEN ${type} = 'UBIGINT' AND TRY_CAST(${text} AS BIGINT) IS NULL THEN ${text}` +
    ` WHEN ${type} = 'DOUBLE' AND regexp_full_match(${text}, ${isAnyNumber}) AND (regexp_full_match(${text}, ${isWholeNumber})` +
    ` OR NOT isfinite(TRY_CAST(${text} AS DOUBLE))) THEN ${text} END`,
};

/** The field as a JSON pointer (RFC 6901), an SQL literal. */
function pointerOf(column: TypedColumn): string {
  return quoteText(`/${column.name.replaceAll('~', '~0').replaceAll('/', '~1')}`);
}
