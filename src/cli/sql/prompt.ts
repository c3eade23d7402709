/**
 * The prompt: lines gather to statements, which run one after the other. Ctrl-C ends what runs, or else forgets what was typed;
 * Ctrl-D leaves. Editing, search (Ctrl-R) and keys are Node's readline.
 */
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { LakeError } from '../../kernel/index.js';
import type { Catalog } from './catalog.js';
import { complete } from './completion.js';
import { reportFailure } from './failure.js';
import { historyEntriesMax, loadHistory, saveHistory } from './history.js';
import { Script, ScriptEnded } from './script.js';
import { isCancelled, type SqlSession } from './session.js';
import { hasStatement, nextPiece, onOneLine, openAtEnd, type Piece } from './statements.js';

export interface PromptOptions {
  readonly session: SqlSession;
  readonly catalog: Catalog;
  readonly input: Readable;
  readonly output: Writable;
  /** `undefined`: nothing is remembered. */
  readonly historyPath: string | undefined;
  readonly greeting: string;
}

const promptText = 'thermocline> ';
/** Tab does not keep anybody waiting. */
const completionMs = 1500;

/** Resolves when the user leaves. */
export async function runPrompt(options: PromptOptions): Promise<void> {
  const { session, catalog, input, output, historyPath, greeting } = options;
  const names = {
    tables: () => catalog.names(AbortSignal.timeout(completionMs)),
    columns: (table: string) => catalog.columns(table, AbortSignal.timeout(completionMs)),
  };
  let gathered = '';
  let running: AbortController | undefined;
  const lines = createInterface({
    input,
    output,
    terminal: true,
    prompt: promptText,
    history: loadHistory(historyPath),
    historySize: historyEntriesMax,
    removeHistoryDuplicates: true,
    completer: (line: string, done: (error: null, found: [string[], string]) => void) => {
      void complete(gathered, line, names).then(([candidates, part]) => done(null, [candidates, part]));
    },
  });
  const memory = new Memory(lines);
  const ask = (): void => {
    lines.setPrompt(gathered === '' ? promptText : `${(openAtEnd(gathered) ?? '…').padStart(promptText.length - 2)}> `);
    lines.prompt();
  };
  lines.on('SIGINT', () => {
    if (running !== undefined) {
      running.abort(new LakeError('cancelled', 'cancelled'));
      return;
    }
    gathered = '';
    memory.forget();
    // To the end of the line, then away with it.
    lines.write(null, { ctrl: true, name: 'e' });
    lines.write(null, { ctrl: true, name: 'u' });
    output.write('^C\n');
    ask();
  });
  const script = new Script(session, catalog);
  const run = async (piece: Piece): Promise<'quit' | void> => {
    running = new AbortController();
    const { signal } = running;
    try {
      return await script.runPiece(piece, signal);
    } catch (error) {
      if (isCancelled(error, signal)) session.note('cancelled');
      else if (!(error instanceof ScriptEnded)) {
        reportFailure((text) => session.notes.write(text), error, piece.kind === 'statement' ? piece.text : undefined);
      }
    } finally {
      running = undefined;
    }
  };
  output.write(`${greeting}\n`);
  ask();
  try {
    for await (const line of lines) {
      memory.note(line);
      gathered += `${line}\n`;
      for (let piece = nextPiece(gathered, 0, false); piece !== undefined; piece = nextPiece(gathered, 0, false)) {
        gathered = gathered.slice(piece.end);
        if (!hasStatement(gathered)) {
          gathered = '';
          memory.statement(piece);
        }
        if ((await run(piece)) === 'quit') return;
      }
      if (!hasStatement(gathered)) gathered = '';
      ask();
    }
    // After Ctrl-D the shell's own prompt begins a line.
    output.write('\n');
  } finally {
    lines.close();
    await session.finish();
    saveHistory(historyPath, memory.entered);
  }
}

/** What the arrow keys bring back: a statement that took several lines comes back as one. */
class Memory {
  /** Newest first; readline's own list, to be changed in place. */
  #history: string[] = [];
  #lines: string[] = [];
  readonly entered: string[] = [];

  constructor(lines: Interface) {
    lines.on('history', (history) => {
      this.#history = history;
    });
  }

  note(line: string): void {
    if (line.trim() !== '') this.#lines.push(line);
  }

  forget(): void {
    this.entered.push(...this.#lines);
    this.#lines = [];
  }

  /** The lines noted so far end with this piece, and nothing follows it. */
  statement(piece: Piece): void {
    const joined = this.#lines.length < 2 || piece.kind === 'command' ? undefined : onOneLine(this.#lines.join('\n'));
    if (joined === undefined) {
      this.forget();
      return;
    }
    for (const line of this.#lines.reverse()) if (this.#history[0] === line) this.#history.shift();
    this.#history.unshift(joined);
    this.#lines = [];
    this.entered.push(joined);
  }
}
