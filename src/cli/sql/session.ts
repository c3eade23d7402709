/** What the prompt, a script or one statement keeps between statements: the output and how it looks, `as_of`, parameters. */
import { formatBytes, LakeError } from '../../kernel/index.js';
import { usageError } from '../exit.js';
import { type AnswerEnd, askBytes, askRows, type Question, type ServiceFormat, serviceFormats, type Stats } from './ask.js';
import { type Destination, fileDestination, formatOfFile } from './destination.js';
import { mentioned, type Parameters } from './parameters.js';
import { QueryProgress } from './query-progress.js';
import { type PrintedMode, printedModes, rowPrinter } from './row-printers.js';
import type { SqlSource } from './source.js';

export type OutputMode = PrintedMode | ServiceFormat;
export const outputModes: readonly OutputMode[] = [...printedModes, ...serviceFormats];

/** Rows that are printed on a terminal where nothing else is said. */
export const terminalRows = 1000;

export interface SessionOptions {
  readonly source: SqlSource;
  readonly out: Destination;
  /** Everything that is no row. */
  readonly notes: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number };
  /** Without it: table on a terminal, else NDJSON. */
  readonly mode?: OutputMode | undefined;
  readonly asOf?: string | undefined;
  readonly parameters?: Parameters;
  /** Rows printed at most; 0: all. Without it a thousand on a terminal, all elsewhere. */
  readonly rowsMax?: number | undefined;
}

const binary: ReadonlySet<OutputMode> = new Set(['arrow', 'parquet']);

export function modeOf(text: string): OutputMode {
  const found = outputModes.find((mode) => mode === text);
  if (found !== undefined) return found;
  throw usageError(`"${text}" is no output mode`, `The modes are ${outputModes.join(', ')}.`);
}

/** What the answer was made of. */
export function statsLine(rows: number, stats: Stats = {}): string {
  const part = (name: string, text: (value: number) => string): string[] => {
    const value = stats[name];
    return typeof value === 'number' ? [text(value)] : [];
  };
  return [
    ...(Number.isNaN(rows) ? [] : [`${rows} ${rows === 1 ? 'row' : 'rows'}`]),
    ...part('hot_rows', (n) => `${n} hot rows`),
    ...part('cold_files', (n) => `${n} cold files`),
    ...part('cold_bytes', formatBytes),
    ...(stats['metadata_files'] === 0 ? [] : part('metadata_files', (n) => `${n} files answered from metadata`)),
    ...part('pruned_files', (n) => `${n} files pruned`),
    ...part('as_of_ms', (n) => `as of ${new Date(n).toISOString()}`),
    ...part('elapsed_ms', (n) => `${n} ms`),
  ].join(' · ');
}

export class SqlSession {
  readonly source: SqlSource;
  readonly notes: SessionOptions['notes'];
  readonly #terminal: Destination;
  parameters: Parameters;
  mode: OutputMode | undefined;
  asOf: string | undefined;
  /** Of the last answer that had one. */
  lastSnapshot: string | undefined;
  rowsMax: number | undefined;
  nullText = '';
  cellWidth: number | undefined;
  isTimed = true;
  #file: { readonly path: string; readonly destination: Destination; answers: number } | undefined;

  constructor(options: SessionOptions) {
    this.source = options.source;
    this.notes = options.notes;
    this.#terminal = options.out;
    this.mode = options.mode;
    this.asOf = options.asOf;
    this.parameters = options.parameters ?? {};
    this.rowsMax = options.rowsMax;
  }

  get out(): Destination {
    return this.#file?.destination ?? this.#terminal;
  }

  get outputPath(): string | undefined {
    return this.#file?.path;
  }

  note(text: string): void {
    this.notes.write(`${text}\n`);
  }

  /** The mode in force: what was asked for, else what the file is called, else what fits the output. */
  get modeNow(): OutputMode {
    const byName = this.#file === undefined ? undefined : formatOfFile(this.#file.path);
    return this.mode ?? (byName as OutputMode | undefined) ?? (this.out.isTerminal ? 'table' : 'ndjson');
  }

  /** Rows go to the file from now on; the one before gets its name. `undefined`: back to the terminal. Errors: `usage`. */
  async redirect(path: string | undefined): Promise<void> {
    await this.finish();
    if (path !== undefined) this.#file = { path, destination: await fileDestination(path), answers: 0 };
  }

  /** The output file, if there is one, is whole. */
  async finish(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.destination.finish();
  }

  async discard(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.destination.discard();
  }

  /** Asks one statement and writes its rows. Errors: all of a query's, the signal's reason. */
  async run(sql: string, signal: AbortSignal): Promise<void> {
    const question: Question = { sql, parameters: mentioned(this.parameters, sql), asOf: this.asOf, isWatched: this.notes.isTTY === true };
    const mode = this.modeNow;
    this.#requireFitting(mode);
    const progress = new QueryProgress(this.notes, this.out.isTerminal);
    try {
      const end = isPrinted(mode)
        ? await this.#print(question, mode, signal, progress)
        : await askBytes(
            this.source,
            question,
            mode,
            (bytes) => {
              progress.beforeRows();
              return this.out.write(bytes);
            },
            signal,
            (received) => progress.received(received),
          );
      if (end?.snapshot !== undefined) this.lastSnapshot = end.snapshot;
      progress.end();
      if (end !== undefined && this.isTimed && !Number.isNaN(end.rows)) this.note(statsLine(end.rows, end.stats));
    } finally {
      progress.end();
    }
    if (this.#file !== undefined) this.#file.answers++;
  }

  #requireFitting(mode: OutputMode): void {
    if (!binary.has(mode)) return;
    if (this.out.isTerminal)
      throw usageError(`${mode} is no text for a terminal`, 'Write it to a file (-o FILE, .output FILE) or pipe it into a program.');
    if ((this.#file?.answers ?? 0) > 0)
      throw usageError(`${this.#file?.path} holds an answer already, and ${mode} takes one a file`, 'Name another file for the next one.');
  }

  async #print(question: Question, mode: PrintedMode, signal: AbortSignal, progress: QueryProgress): Promise<AnswerEnd | undefined> {
    const { out } = this;
    const answer = await askRows(this.source, question, signal);
    const printer = rowPrinter(mode, answer.columns, {
      width: out.isTerminal ? out.width : undefined,
      cellWidth: this.cellWidth,
      nullText: this.nullText,
    });
    const limit = this.rowsMax ?? (out.isTerminal ? terminalRows : 0);
    let left = limit === 0 ? Number.POSITIVE_INFINITY : limit;
    let isCut = false;
    for await (const rows of answer.rows) {
      progress.beforeRows();
      await out.write(printer.rows(rows.length > left ? rows.slice(0, left) : rows));
      isCut = rows.length > left;
      left -= rows.length;
      if (isCut) break;
    }
    progress.beforeRows();
    await out.write(printer.end());
    if (!isCut) return answer.end();
    this.note(`the first ${limit} rows; .limit N or --limit N shows more, .limit 0 all`);
    return undefined;
  }
}

function isPrinted(mode: OutputMode): mode is PrintedMode {
  return (printedModes as readonly string[]).includes(mode);
}

/** An abort that somebody asked for is no failure to explain. */
export function isCancelled(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted && (error === signal.reason || (error instanceof LakeError && error.code === 'cancelled'));
}
