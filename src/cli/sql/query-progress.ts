/**
 * That a query runs, and how much of its answer a file has got, as one line at the foot of the terminal; gone when rows come to the same
 * terminal. Nothing where stderr is none.
 */
import { formatBytes } from '../../kernel/index.js';
import { bar } from '../progress.js';

interface Notes {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

const frames = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';
/** What is answered sooner shows nothing. */
const quietTicks = 3;
const tickMs = 150;
const widthUnknown = 80;

/** What the service says of a query. */
export interface ToldProgress {
  readonly phase: string;
  readonly bytes: number;
  /** 0 to 100, or −1. */
  readonly percent: number;
}

/** What has come of an answer so far. */
export interface Received {
  /** Where the format shows them. */
  readonly rows?: number;
  readonly bytes: number;
  readonly progress?: ToldProgress;
}

export function lineOf({ rows, bytes, progress }: Received): string {
  if (progress !== undefined && !(rows !== undefined && rows > 0)) {
    const { phase, percent } = progress;
    const done = percent < 0 ? '' : ` ${bar(percent / 100)} ${Math.floor(percent)}%`;
    return `${phase}${done}${progress.bytes === 0 ? '' : ` · ${formatBytes(progress.bytes)} within reach`}`;
  }
  return `${rows === undefined ? '' : `${rows} rows · `}${formatBytes(bytes)}`;
}

export class QueryProgress {
  readonly isShown: boolean;
  readonly #notes: Notes;
  readonly #isShared: boolean;
  readonly #timer: NodeJS.Timeout | undefined;
  #ticks = 0;
  #line = '';
  #isDrawn = false;
  #isOver = false;

  /** `isShared`: rows go to the same terminal, so that the line must be gone before them. */
  constructor(notes: Notes, isShared: boolean) {
    this.#notes = notes;
    this.#isShared = isShared;
    this.isShown = notes.isTTY === true;
    if (this.isShown) this.#timer = setInterval(() => this.#draw(), tickMs).unref();
  }

  received(received: Received): void {
    this.#line = lineOf(received);
  }

  #draw(): void {
    this.#ticks++;
    if (this.#isOver || this.#ticks < quietTicks) return;
    const { columns = 0 } = this.#notes;
    const width = (columns === 0 ? widthUnknown : columns) - 1;
    const text = `${frames[this.#ticks % frames.length]} ${this.#line === '' ? 'running' : this.#line}`;
    this.#notes.write(`\r\u001b[2K${text.slice(0, width)}`);
    this.#isDrawn = true;
  }

  /** To be called before rows are written: where they go to the same terminal the line does not come back. */
  beforeRows(): void {
    if (!this.#isShared) return;
    this.#stop();
    this.#erase();
  }

  end(): void {
    this.#stop();
    this.#erase();
  }

  #erase(): void {
    if (this.#isDrawn) this.#notes.write('\r\u001b[2K');
    this.#isDrawn = false;
  }

  #stop(): void {
    this.#isOver = true;
    clearInterval(this.#timer);
  }
}
