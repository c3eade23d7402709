/** How an engine sends the answer of a query: rows as they come, in the form that was asked for, as fast as they are taken. */
import { LakeError } from '../kernel/index.js';
import type { EngineInstance } from './engine-instance.js';
import type { FromEngine, RunQuery } from './engine-protocol.js';
import { openWriter } from './formats/format.js';
import { writeParquet } from './formats/parquet.js';
import { recordLine } from './records.js';
import { answerRows } from './values.js';

/** A message of rows is sent when it holds so much text (characters). */
const rowsMessageChars = 256 * 1024;

export interface AnswerPort {
  send(message: FromEngine): void;
  /** Resolves when one message of rows may be sent. Errors: `cancelled`. */
  takeCredit(): Promise<void>;
}

/** Runs the query and sends `columns`, its rows and `end`. Errors: those of the query, `query-too-large`, `cancelled`. */
export async function sendAnswer(instance: EngineInstance, message: RunQuery, port: AnswerPort): Promise<void> {
  const rows =
    message.shape === 'parquet' ? await sendParquet(instance, message, port) : await sendRows(instance, message, message.shape, port);
  port.send({ type: 'end', rows });
}

async function sendParquet(instance: EngineInstance, message: RunQuery, port: AnswerPort): Promise<number> {
  const source = { copyTo: (path: string) => instance.copyTo(message, path), interrupt: () => instance.interrupt() };
  const { rows, pieces } = await writeParquet(source, instance.spill, message.fileBytesMax);
  try {
    checkRows(rows, message);
    port.send({ type: 'columns', columns: [] });
    let count = rows;
    for await (const bytes of pieces) {
      await port.takeCredit();
      port.send({ type: 'bytes', bytes, count });
      count = 0;
    }
    return rows;
  } finally {
    // Also where nothing was read of it.
    await pieces[Symbol.asyncIterator]().return?.();
  }
}

async function sendRows(
  instance: EngineInstance,
  message: RunQuery,
  shape: Exclude<RunQuery['shape'], 'parquet'>,
  port: AnswerPort,
): Promise<number> {
  const result = await instance.run(message);
  const names = result.columnNames();
  const types = result.columnTypes();
  const isText = shape === 'rows' || shape === 'records';
  const writer = isText ? undefined : await openWriter(shape, { names, types });
  port.send({ type: 'columns', columns: names.map((name, at) => ({ name, type: String(types[at]) })) });
  const texts = new RowTexts(shape === 'records', port);
  let rows = 0;
  let sent = 0;
  const sendPieces = async (pieces: readonly Uint8Array[]): Promise<void> => {
    for (const bytes of pieces) {
      await port.takeCredit();
      port.send({ type: 'bytes', bytes, count: rows - sent });
      sent = rows;
    }
  };
  for (;;) {
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) break;
    rows += chunk.rowCount;
    checkRows(rows, message);
    if (writer === undefined) await texts.add(answerRows(chunk));
    else await sendPieces(writer.add(chunk));
  }
  await instance.finish();
  if (writer === undefined) await texts.flush();
  else await sendPieces(writer.end());
  return rows;
}

function checkRows(rows: number, { maxRows }: RunQuery): void {
  if (rows <= maxRows) return;
  throw new LakeError('query-too-large', `the answer has more than ${maxRows} rows`, {
    hint: 'Add a LIMIT, or raise the limit of rows.',
  });
}

/** Rows as JSON texts of arrays, or records as lines. */
class RowTexts {
  readonly #isRecords: boolean;
  readonly #port: AnswerPort;
  #pending: string[] = [];
  #pendingChars = 0;

  constructor(isRecords: boolean, port: AnswerPort) {
    this.#isRecords = isRecords;
    this.#port = port;
  }

  async add(rows: readonly (readonly unknown[])[]): Promise<void> {
    for (const row of rows) {
      const text = this.#isRecords ? recordLine(row) : JSON.stringify(row);
      this.#pending.push(text);
      this.#pendingChars += text.length;
      if (this.#pendingChars >= rowsMessageChars) await this.flush();
    }
  }

  async flush(): Promise<void> {
    if (this.#pending.length === 0) return;
    await this.#port.takeCredit();
    const text = this.#isRecords ? `${this.#pending.join('\n')}\n` : `[${this.#pending.join(',')}]`;
    this.#port.send({ type: 'rows', text, count: this.#pending.length });
    this.#pending = [];
    this.#pendingChars = 0;
  }
}
