import { describe, expect, it } from 'vitest';
import { askBytes } from '../../../src/cli/sql/ask.js';
import { lineOf, type Received } from '../../../src/cli/sql/query-progress.js';
import type { SqlSource } from '../../../src/cli/sql/source.js';

const { signal } = new AbortController();

describe('the progress of a query on the command line', () => {
  it('is asked for where somebody looks, read out of the rows and never printed', async () => {
    const bodies: unknown[] = [];
    const progress = { phase: 'running', rows: 0, bytes: 2048, files: 1, percent: 50, elapsed_ms: 500 };
    const lines = [
      { _progress: progress },
      { a: 1 },
      { _progress: { ...progress, percent: 75 } },
      { a: 2 },
      { _end: { snapshot: 't', stats: {} } },
    ];
    const source: SqlSource = {
      title: '',
      call: async (_, init) => {
        bodies.push(JSON.parse(init?.body ?? ''));
        return new Response(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
      },
      close: async () => undefined,
    };
    let written = '';
    const received: Received[] = [];
    const write = async (text: string | Uint8Array): Promise<void> => {
      written += String(text);
    };
    const onReceived = (one: Received): number => received.push(one);
    const end = await askBytes(source, { sql: 'SELECT 1', isWatched: true }, 'ndjson', write, signal, onReceived);
    expect(written).toBe('{"a":1}\n{"a":2}\n');
    expect(end).toMatchObject({ rows: 2, snapshot: 't' });
    expect(received.at(-1)?.progress).toMatchObject({ phase: 'running', percent: 75 });
    await askBytes(source, { sql: 'SELECT 1' }, 'ndjson', write, signal, onReceived);
    await askBytes(source, { sql: 'SELECT 1', isWatched: true }, 'csv', write, signal, onReceived);
    expect(bodies).toMatchObject([{ progress: true }, {}, {}]);
    expect(bodies.slice(1).every((body) => !('progress' in (body as object)))).toBe(true);
  });

  it('is a bar where the service knows how far it is, and the rows once they come', () => {
    expect(lineOf({ rows: 0, bytes: 10, progress: { phase: 'running', bytes: 2048, percent: 50 } })).toMatch(
      /^running █+·+ 50% · .* within reach$/,
    );
    expect(lineOf({ rows: 0, bytes: 10, progress: { phase: 'queued', bytes: 0, percent: -1 } })).toBe('queued');
    expect(lineOf({ rows: 7, bytes: 10, progress: { phase: 'running', bytes: 2048, percent: 50 } })).toMatch(/^7 rows/);
  });
});
