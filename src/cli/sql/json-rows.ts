/**
 * Reads an answer's JSON document as it comes: columns as soon as they are there, rows one by one, and what follows them at the end.
 * Of the rows no more is held than the piece that is being read.
 */

export interface AnswerColumn {
  readonly name: string;
  readonly type: string;
}

/** Everything in the document but its rows. */
export interface AnswerFrame {
  readonly columns: readonly AnswerColumn[];
  readonly snapshot?: string;
  readonly stats?: Readonly<Record<string, unknown>>;
  readonly error?: object;
}

const quote = 34;
const backslash = 92;
const open = new Set([91, 123]);
const close = new Set([93, 125]);
const listOpen = 91;
/** Depth of the elements of the list `rows`: the document, the list, the element. */
const elementDepth = 3;

export class JsonRows {
  /** The document without the elements of `rows`. */
  #frame = '';
  /** An element that is not complete yet. */
  #element = '';
  #depth = 0;
  #isText = false;
  #isEscaped = false;
  #isInRows = false;
  #columns: readonly AnswerColumn[] | undefined;

  /** Known from when the list of rows begins. */
  get columns(): readonly AnswerColumn[] | undefined {
    return this.#columns;
  }

  /** The rows that this piece of text completes. */
  push(text: string): unknown[][] {
    const rows: unknown[][] = [];
    let from = 0;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (this.#isText) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (code === backslash) this.#isEscaped = true;
        else if (code === quote) this.#isText = false;
      } else if (code === quote) {
        this.#isText = true;
      } else if (open.has(code)) {
        this.#depth++;
        if (this.#isInRows && this.#depth === elementDepth) from = at;
        else if (this.#depth === 2 && code === listOpen) from = this.#enterList(text, from, at);
      } else if (close.has(code)) {
        this.#depth--;
        if (this.#isInRows && this.#depth === 2) {
          rows.push(JSON.parse(this.#element + text.slice(from, at + 1)) as unknown[]);
          this.#element = '';
          from = at + 1;
        } else if (this.#isInRows && this.#depth === 1) {
          this.#isInRows = false;
          from = at;
        }
      }
    }
    const rest = text.slice(from);
    if (!this.#isInRows) this.#frame += rest;
    else if (this.#depth >= elementDepth) this.#element += rest;
    return rows;
  }

  /** Where what follows begins. */
  #enterList(text: string, from: number, at: number): number {
    const head = this.#frame + text.slice(from, at);
    if (!/"rows"\s*:\s*$/.test(head)) return from;
    this.#isInRows = true;
    this.#frame = `${head}[`;
    this.#columns = (JSON.parse(`${this.#frame}]}`) as AnswerFrame).columns;
    return at + 1;
  }

  /** `undefined` where the document broke off. */
  end(): AnswerFrame | undefined {
    try {
      return JSON.parse(this.#frame) as AnswerFrame;
    } catch {
      return undefined;
    }
  }
}
