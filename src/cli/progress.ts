/** Progress of long work: bars that redraw on a terminal, a line every few seconds elsewhere. Always on stderr. */

export interface ProgressLine {
  /** 0 … 1, or undefined where there is no end to show. */
  readonly done: number | undefined;
  readonly label: string;
  readonly text: string;
}

const barWidth = 28;
const redrawMs = 100;
const plainMs = 5000;

export function bar(done: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, done)) * barWidth * 8);
  const full = Math.floor(eighths / 8);
  const part = eighths % 8;
  return ('█'.repeat(full) + (part === 0 ? '' : ' ▏▎▍▌▋▊▉'[part]!)).padEnd(barWidth, '·');
}

/** Shows what `lines` gives until stopped. `stop` draws the last state and leaves it standing. */
export class Progress {
  readonly #lines: () => readonly ProgressLine[];
  readonly #isTerminal = process.stderr.isTTY && process.stdout.isTTY;
  readonly #timer: NodeJS.Timeout;
  #drawn = 0;

  constructor(lines: () => readonly ProgressLine[]) {
    this.#lines = lines;
    this.#timer = setInterval(() => this.#draw(), this.#isTerminal ? redrawMs : plainMs);
  }

  #draw(): void {
    const lines = this.#lines();
    if (!this.#isTerminal) {
      for (const line of lines) {
        const percent = line.done === undefined ? '' : ` ${Math.floor(line.done * 100)}%`;
        process.stderr.write(`${line.label}${percent} · ${line.text}\n`);
      }
      return;
    }
    const width = process.stderr.columns ?? 100;
    const up = this.#drawn === 0 ? '' : `\u001b[${this.#drawn}A`;
    const text = lines.map((line) => {
      const shown = `${line.label.padEnd(10)} ${line.done === undefined ? '' : `${bar(line.done)} `}${line.text}`;
      return `\u001b[2K${shown.slice(0, width - 1)}\n`;
    });
    process.stderr.write(up + text.join(''));
    this.#drawn = lines.length;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#draw();
  }
}
