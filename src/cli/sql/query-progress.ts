/** A query's progress as one line at the foot of the terminal, gone when the first rows come. Nothing where stderr is none. */
import { formatBytes } from '../../kernel/index.js';
import { progressBar } from '../progress.js';

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

/** Numbers the service tells of a query under way; each may be missing. */
function lineOf(told: Readonly<Record<string, unknown>>): string {
  const number = (name: string): number | undefined => {
    const value = told[name];
    return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
  };
  const percent = number('percent');
  const parts: string[] = [];
  const add = (name: string, text: (value: number) => string): void => {
    const value = number(name);
    if (value !== undefined && value > 0) parts.push(text(value));
  };
  add('rows', (n) => `${n} rows`);
  add('rows_processed', (n) => `${n} rows read`);
  add('cold_files', (n) => `${n} cold files`);
  add('cold_bytes', formatBytes);
  add('hot_rows', (n) => `${n} hot rows`);
  const bar = percent === undefined || percent < 0 ? '' : `${progressBar(percent / 100)} ${Math.floor(percent)}% `;
  return bar + parts.join(' · ');
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

  told(progress: Readonly<Record<string, unknown>>): void {
    this.#line = lineOf(progress);
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
    if (this.#isShared) this.#stop();
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
