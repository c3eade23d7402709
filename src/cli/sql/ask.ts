/** One statement and its answer, as rows or as the bytes of a format. */
import { LakeError } from '../../kernel/index.js';
import { errorOfProblem } from '../client-options.js';
import { type AnswerColumn, type AnswerFrame, JsonRows } from './json-rows.js';
import type { Parameters } from './parameters.js';
import type { Received, ToldProgress } from './query-progress.js';
import type { SqlSource } from './source.js';

export interface Question {
  readonly sql: string;
  readonly parameters?: Parameters;
  readonly asOf?: string | undefined;
  /** Somebody looks at how far it is, where the format has room for it. */
  readonly isWatched?: boolean;
}

export type Stats = Readonly<Record<string, unknown>>;

/** What is known of an answer when it has ended. */
export interface AnswerEnd {
  readonly rows: number;
  readonly snapshot?: string;
  readonly stats?: Stats;
}

export interface RowAnswer {
  readonly columns: readonly AnswerColumn[];
  /** To be read to its end, or left by aborting the question's signal. */
  readonly rows: AsyncIterable<readonly (readonly unknown[])[]>;
  /** Once the rows have ended. */
  end(): AnswerEnd;
}

/** Formats that the service writes itself; what it writes is passed on byte for byte. */
export const serviceFormats = ['json', 'ndjson', 'csv', 'arrow', 'parquet'] as const;
export type ServiceFormat = (typeof serviceFormats)[number];

const snapshotHeader = 'x-thermocline-snapshot';

async function post(source: SqlSource, question: Question, format: ServiceFormat, signal: AbortSignal): Promise<Response> {
  const { sql, parameters = {}, asOf } = question;
  const body = {
    sql,
    format,
    ...(Object.keys(parameters).length === 0 ? {} : { params: parameters }),
    ...(asOf === undefined ? {} : { as_of: asOf }),
    ...(question.isWatched === true && format === 'ndjson' ? { progress: true } : {}),
  };
  return source.call('/v1/query', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  });
}

function brokeOff(rows: number, cause?: unknown): LakeError {
  return new LakeError('peer-gone', `the answer broke off${rows > 0 ? ` after ${rows} rows` : ''}`, {
    hint: 'Ask again; system.queries says why, if the service did not end.',
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The body's bytes; that it breaks off is an error of ours. */
async function* bytesOf(response: Response, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* response.body as unknown as AsyncIterable<Uint8Array>;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw brokeOff(0, error);
  }
}

/** Errors: all of a query's, `peer-gone`, the signal's reason. */
export async function askRows(source: SqlSource, question: Question, signal: AbortSignal): Promise<RowAnswer> {
  const response = await post(source, question, 'json', signal);
  const document = new JsonRows();
  const decoder = new TextDecoder();
  const chunks = bytesOf(response, signal)[Symbol.asyncIterator]();
  let frame: AnswerFrame | undefined;
  let count = 0;
  /** The rows of the next piece of the document; `undefined` after its last. */
  const read = async (): Promise<unknown[][] | undefined> => {
    const next = await chunks.next();
    return next.done === true ? undefined : document.push(decoder.decode(next.value, { stream: true }));
  };
  let first: unknown[][] | undefined = [];
  while (document.columns === undefined && first !== undefined) first = await read();
  const { columns } = document;
  if (columns === undefined) throw brokeOff(0);
  async function* rows(): AsyncGenerator<unknown[][]> {
    for (let chunk = first; chunk !== undefined; chunk = await read()) {
      count += chunk.length;
      if (chunk.length > 0) yield chunk;
    }
    frame = document.end();
    if (frame === undefined) throw brokeOff(count);
    if (frame.error !== undefined) throw errorOfProblem(JSON.stringify(frame.error), response.status);
  }
  return {
    columns,
    rows: rows(),
    end: () => ({
      rows: count,
      ...(frame?.snapshot === undefined ? {} : { snapshot: frame.snapshot }),
      ...(frame?.stats === undefined ? {} : { stats: frame.stats }),
    }),
  };
}

/** Told after each piece of the answer. */
export type OnReceived = (received: Received) => void;

/** All bytes of the answer, written in order. Resolves when it is whole. Errors: as `askRows`, and those of `write`. */
export async function askBytes(
  source: SqlSource,
  question: Question,
  format: ServiceFormat,
  write: (bytes: Uint8Array | string) => Promise<void>,
  signal: AbortSignal,
  onReceived: OnReceived,
): Promise<AnswerEnd | undefined> {
  const response = await post(source, question, format, signal);
  const snapshot = response.headers.get(snapshotHeader);
  if (format === 'ndjson') return copyLines(bytesOf(response, signal), write, response.status, onReceived);
  let received = 0;
  for await (const bytes of bytesOf(response, signal)) {
    await write(bytes);
    received += bytes.length;
    onReceived({ bytes: received });
  }
  return snapshot === null ? undefined : { rows: Number.NaN, snapshot };
}

/** Lines that are the service's own begin so: a row's first column is not called that. */
const ownLine = /^\{"_(?:end|error|progress)":/;

/** Rows go to the output; lines about the answer are read here, and the closing one says whether it is whole. */
async function copyLines(
  body: AsyncIterable<Uint8Array>,
  write: (text: string) => Promise<void>,
  status: number,
  onReceived: OnReceived,
): Promise<AnswerEnd> {
  const decoder = new TextDecoder();
  let held = '';
  let rows = 0;
  let bytes = 0;
  let progress: ToldProgress | undefined;
  let end: { readonly snapshot?: string; readonly stats?: Stats } | undefined;
  const take = async (text: string): Promise<void> => {
    let ours = '';
    for (const line of text.split('\n')) {
      if (line === '') continue;
      if (!ownLine.test(line)) {
        ours += `${line}\n`;
        rows++;
        continue;
      }
      const told = JSON.parse(line) as { _end?: AnswerFrame; _error?: object; _progress?: ToldProgress };
      if (told._progress !== undefined) progress = told._progress;
      if (told._error !== undefined) throw errorOfProblem(JSON.stringify(told._error), status);
      if (told._end !== undefined) end = told._end;
    }
    if (ours !== '') await write(ours);
  };
  for await (const chunk of body) {
    held += decoder.decode(chunk, { stream: true });
    const wholeEnd = held.lastIndexOf('\n') + 1;
    if (wholeEnd === 0) continue;
    const whole = held.slice(0, wholeEnd);
    held = held.slice(wholeEnd);
    await take(whole);
    bytes += chunk.length;
    onReceived({ rows, bytes, ...(progress === undefined ? {} : { progress }) });
  }
  await take(held);
  if (end === undefined) throw brokeOff(rows);
  return { rows, ...end };
}
