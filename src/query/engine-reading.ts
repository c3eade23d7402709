/** How an answer is read from an engine: some messages ahead of whoever reads, and no more. */
import type { EngineSession } from './engine.js';
import type { FromEngine, RunQuery } from './engine-protocol.js';

/** Messages of an answer that an engine may be ahead of its reader. */
export const answerCredits = 4;

type AnswerMessage = Extract<FromEngine, { type: 'rows' | 'bytes' }>;

/** The pieces of a running query's answer; returns how many rows it had. Errors: those of the query. */
export async function* answerOf(session: EngineSession): AsyncGenerator<AnswerMessage, number> {
  for (;;) {
    const message = await session.next();
    if (message.type === 'end') return message.rows;
    if (message.type !== 'rows' && message.type !== 'bytes') continue;
    yield message;
    session.tell({ type: 'credit', credits: 1 });
  }
}

type OwnQuery = Pick<RunQuery, 'sql' | 'shape'> & Partial<Pick<RunQuery, 'fieldIds' | 'fileBytesMax'>>;

/** Runs a statement of ours on one thread, over files of the lease; `answerOf` reads it. Errors: those of the query. */
export async function runOwn(session: EngineSession, query: OwnQuery): Promise<void> {
  await session.ask(
    {
      type: 'run',
      prelude: [],
      threads: 1,
      isWide: false,
      setup: [],
      isDescribed: false,
      parameters: [],
      fileBytesMax: 0,
      credits: answerCredits,
      maxRows: Number.MAX_SAFE_INTEGER,
      ...query,
    },
    'columns',
  );
}
