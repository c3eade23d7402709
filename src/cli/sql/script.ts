/** Statements from a file or a pipe, one after the other; the first error ends it and says where it is. */
import { readFile } from 'node:fs/promises';
import { LakeError } from '../../kernel/index.js';
import type { Catalog } from './catalog.js';
import { runCommand } from './dot-commands.js';
import { type InFile, reportFailure } from './failure.js';
import type { SqlSession } from './session.js';
import { nextPiece, type Piece } from './statements.js';

/** A file that reads itself would never end. */
const readDepthMax = 10;

export class Script {
  readonly #session: SqlSession;
  readonly #catalog: Catalog;
  #depth = 0;

  constructor(session: SqlSession, catalog: Catalog) {
    this.#session = session;
    this.#catalog = catalog;
  }

  /** Errors: `usage` where the file cannot be read; those of statements are told here, and thrown as `ScriptEnded`. */
  async runFile(path: string, signal: AbortSignal): Promise<'quit' | void> {
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      throw new LakeError('usage', `${path} cannot be read: ${(error as Error).message}`, {
        hint: 'Name a file of statements.',
        cause: error,
      });
    }
    if (this.#depth >= readDepthMax) throw new LakeError('usage', `${path} is read within itself`, { hint: 'Take its .read out.' });
    this.#depth++;
    try {
      for (let at = 0; ; ) {
        const piece = nextPiece(text, at, true);
        if (piece === undefined) return;
        if ((await this.runPiece(piece, signal, { name: path, text, at: piece.at })) === 'quit') return 'quit';
        at = piece.end;
      }
    } finally {
      this.#depth--;
    }
  }

  /** Runs statements as they arrive; what is left at the end of the stream is one as well. */
  async runStream(chunks: AsyncIterable<Buffer | string>, name: string, signal: AbortSignal): Promise<'quit' | void> {
    const decoder = new TextDecoder();
    // The whole text so far, so that places can be told; what ran is kept as its line breaks only.
    let ran = '';
    let text = '';
    const drain = async (isWhole: boolean): Promise<'quit' | void> => {
      for (;;) {
        const piece = nextPiece(text, 0, isWhole);
        if (piece === undefined) return;
        const file: InFile = { name, text: ran + text, at: ran.length + piece.at };
        if ((await this.runPiece(piece, signal, file)) === 'quit') return 'quit';
        ran = passed(ran + text.slice(0, piece.end));
        text = text.slice(piece.end);
      }
    };
    for await (const chunk of chunks) {
      text += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
      if ((await drain(false)) === 'quit') return 'quit';
    }
    return drain(true);
  }

  async runPiece(piece: Piece, signal: AbortSignal, file?: InFile): Promise<'quit' | void> {
    try {
      if (piece.kind === 'statement') return await this.#session.run(piece.text, signal);
      return await runCommand(
        {
          session: this.#session,
          catalog: this.#catalog,
          signal,
          read: async (path) => {
            await this.runFile(path, signal);
          },
        },
        piece.text,
      );
    } catch (error) {
      if (error instanceof ScriptEnded || file === undefined) throw error;
      const sql = piece.kind === 'statement' ? piece.text : undefined;
      throw new ScriptEnded(reportFailure((text) => this.#session.notes.write(text), error, sql, file));
    }
  }
}

/** What ran, as far as the place of what follows needs it: all its line breaks and its last line. */
function passed(text: string): string {
  const lastLineAt = text.lastIndexOf('\n') + 1;
  return '\n'.repeat(text.slice(0, lastLineAt).split('\n').length - 1) + text.slice(lastLineAt);
}

/** An error that has been told. */
export class ScriptEnded extends Error {
  readonly exitCode: number;
  constructor(exitCode: number) {
    super('the script has ended');
    this.exitCode = exitCode;
  }
}
