/**
 * Cold files of one partition into one: small ones put together, or a file without the head that log start has passed. The
 * records' bytes are copied through DuckDB, typed columns with them, by field id. What the inputs' digests say of the output
 * is known before it is written; a `verify` job then holds it against that.
 */
import { rmSync } from 'node:fs';
import { invariant, LakeError, type Offset } from '../kernel/index.js';
import { type ColdFileFooter, readFileFooter, writeColdFile } from './cold-file.js';
import { composeDigests, emptyDigest } from './digest.js';
import type { ColumnEngine } from './engine.js';
import type { CompactInput, CompactJob, CompactResult } from './jobs.js';
import { digestOfFile, digestsOfFile } from './read-digest.js';
import { baseColumns, quoteName, quoteText, readSchemaMap, tableColumns } from './schema.js';
import { typedDigest } from './typed-digest.js';

/** Inputs of one job: DuckDB keeps the footer of each, tens of KB, until the last is read. */
export const compactInputsMax = 1000;

/** zstd's own. What is compacted is read for years. */
const defaultLevel = 3;

/** What one input gives to the output. */
interface Share {
  readonly input: CompactInput;
  readonly digest: string;
  readonly rows: number;
  readonly rawBytes: number;
}

/**
 * Does a `compact` job. Errors: `cold-corrupt` where an input is damaged or not the file that was meant, `internal` where
 * DuckDB fails though all inputs are whole.
 */
export async function compact(job: CompactJob, engine: ColumnEngine): Promise<Omit<CompactResult, 'cpuMs'>> {
  const { inputs } = job;
  const first = inputs[0];
  const last = inputs.at(-1);
  invariant(first !== undefined && last !== undefined && inputs.length <= compactInputsMax, 'a compaction has some inputs', {
    inputs: inputs.length,
  });
  for (const [index, input] of inputs.entries()) {
    const before = inputs[index - 1];
    invariant(before === undefined || before.lastOffset < input.baseOffset, 'inputs come in offset order', { path: input.path });
  }
  const fromOffset = Math.max(job.fromOffset ?? first.baseOffset, first.baseOffset);
  const shares: Share[] = [];
  const fieldIds = new Set<number>();
  for (const input of inputs) {
    const footer = checkedFooter(input, job);
    for (const fieldId of footer.fieldIds) fieldIds.add(fieldId);
    if (input.lastOffset >= fromOffset) shares.push(shareOf(input, footer, fromOffset, job));
  }
  const withRows = shares.filter((share) => share.rows > 0);
  const rows = withRows.reduce((sum, share) => sum + share.rows, 0);
  const rawBytes = withRows.reduce((sum, share) => sum + share.rawBytes, 0);
  const digest = composeDigests(emptyDigest, ...withRows.map((share) => share.digest));
  const range = { baseOffset: fromOffset, lastOffset: last.lastOffset };
  if (rows === 0) {
    const nothing = { bytes: 0, metrics: [], splitOffsets: [], typedDigest: '', minTimestampMs: undefined, maxTimestampMs: undefined };
    return { path: job.outPath, rows, rawBytes, digest, ...range, ...nothing };
  }
  const paths = withRows.map((share) => share.input.path);
  const from = `read_parquet([${paths.map(quoteText).join(', ')}], schema=${readSchemaMap(tableColumns(job.typedColumns))})`;
  try {
    const typed = await typedDigest(paths, job.typedColumns, fromOffset, engine);
    const present = baseColumns.filter((column) => fieldIds.has(column.fieldId)).map((column) => column.name);
    const names = [...present, ...job.typedColumns.map((column) => column.columnName)].map(quoteName);
    const order = { select: `SELECT ${names.join(', ')} FROM ${from} WHERE _offset >= ${fromOffset}`, rows, rawBytes, digest, ...range };
    const written = await writeColdFile(
      {
        ...order,
        values: from,
        baseColumns: present,
        typedColumns: job.typedColumns,
        footer: job.footer,
        compressionLevel: defaultLevel,
        isForBucket: true,
        outPath: job.outPath,
      },
      engine,
    );
    if (written.rows !== rows) throw new LakeError('internal', `${job.outPath} has ${written.rows} rows, not ${rows}`);
    return { ...written, ...range, rawBytes, typedDigest: typed, ...(await timestampRange(job.outPath, engine)) };
  } catch (error) {
    rmSync(job.outPath, { force: true });
    for (const { input } of withRows) await checkWhole(input, job, engine);
    throw error;
  }
}

/** The input's footer, which must be the one of the file that was meant. */
function checkedFooter(input: CompactInput, job: CompactJob): ColdFileFooter {
  const footer = readFileFooter(input.path);
  if (footer.digest !== input.digest || footer.baseOffset !== input.baseOffset || footer.lastOffset !== input.lastOffset) {
    throw damaged(input, `its footer says ${footer.baseOffset}…${footer.lastOffset}, ${footer.digest}`);
  }
  const known = new Set(job.typedColumns.map((column) => column.fieldId));
  const lost = footer.typedFieldIds.find((fieldId) => !known.has(fieldId));
  invariant(lost === undefined, 'a compaction keeps every typed column of its inputs', { path: input.path, fieldId: lost });
  return footer;
}

/** An input's rows at or above an offset. Of one that is cut, the digests of both parts must make up its own. */
function shareOf(input: CompactInput, footer: ColdFileFooter, fromOffset: Offset, job: CompactJob): Share {
  if (input.baseOffset >= fromOffset) return { input, digest: input.digest, rows: footer.rows, rawBytes: footer.rawBytes };
  const { below, rest: kept } = digestsOfFile(rangeOf(input, job), fromOffset);
  const whole = composeDigests(below.toString(), kept.toString());
  if (whole !== input.digest) throw damaged(input, `its digest is ${whole}`);
  const rawBytes = Math.round((footer.rawBytes * kept.count) / Math.max(1, footer.rows));
  return { input, digest: kept.toString(), rows: kept.count, rawBytes };
}

/** Where a compaction failed, whether this input is to blame. */
async function checkWhole(input: CompactInput, job: CompactJob, engine: ColumnEngine): Promise<void> {
  const digest = digestOfFile(rangeOf(input, job)).toString();
  if (digest !== input.digest) throw damaged(input, `its digest is ${digest}`);
  await typedDigest([input.path], job.typedColumns, input.baseOffset, engine);
}

function rangeOf(input: CompactInput, job: CompactJob): Parameters<typeof digestOfFile>[0] {
  const { path, baseOffset, lastOffset } = input;
  return { path, baseOffset, lastOffset, partition: job.partition, differs: (what) => damaged(input, what) };
}

function damaged(input: CompactInput, what: string): LakeError {
  return new LakeError('cold-corrupt', `${input.path} is not what was committed (${input.digest}): ${what}`, {
    facts: { path: input.path, baseOffset: input.baseOffset, lastOffset: input.lastOffset },
    hint: 'Nothing was changed. Scrub the topic, and restore the object from a copy of the bucket.',
  });
}

/** Exact ones, of records whose `_timestamp` is clamped, too. */
async function timestampRange(path: string, engine: ColumnEngine): Promise<Pick<CompactResult, 'minTimestampMs' | 'maxTimestampMs'>> {
  const exact = 'coalesce(_timestamp_raw, epoch_ms(_timestamp))';
  const from = `read_parquet(${quoteText(path)}, schema=${readSchemaMap(baseColumns)})`;
  const reader = await engine.withConnection((connection) => connection.runAndReadAll(`SELECT min(${exact}), max(${exact}) FROM ${from}`));
  const [min, max] = reader.getRows()[0] ?? [];
  return { minTimestampMs: Number(min), maxTimestampMs: Number(max) };
}
