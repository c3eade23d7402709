// Formats of an answer over a real socket: what only a connection can show, trailers and its breaking off.
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningService, startService, temporaryFolder } from '../support/service.js';

describe('formats over HTTP', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let service: RunningService;
  beforeAll(async () => {
    folder = await temporaryFolder();
    service = await startService({ dataDir: folder.path });
  });
  afterAll(async () => {
    await service.stop();
    await folder.remove();
  });

  async function ask(sql: string, format: string): Promise<IncomingMessage> {
    const call = request(`${service.http}/v1/query`, { method: 'POST', headers: { 'content-type': 'application/json' } });
    call.end(JSON.stringify({ sql, format }));
    const [answer] = (await once(call, 'response')) as [IncomingMessage];
    return answer;
  }

  it('send what the answer was made of in a trailer', async () => {
    for (const format of ['csv', 'table', 'arrow', 'parquet']) {
      const answer = await ask('SELECT range AS n FROM range(50000)', format);
      answer.resume();
      await once(answer, 'end');
      expect(JSON.parse(answer.trailers['x-thermocline-stats'] ?? '{}'), format).toMatchObject({ rows: 50_000 });
    }
  });

  it('break the connection off at a late error, which system.queries tells', async () => {
    const sql = "SELECT CAST(CASE WHEN range = 900000 THEN 'x' ELSE range::VARCHAR END AS BIGINT) AS n FROM range(1000000)";
    const answer = await ask(sql, 'csv');
    expect(answer.statusCode).toBe(200);
    answer.resume();
    const [error] = (await once(answer, 'error')) as [Error];
    expect(error.message).toBe('aborted');
    const id = String(answer.headers['x-thermocline-query-id']);
    const listed = await ask(`SELECT state, error FROM system.queries WHERE id = '${id}'`, 'json');
    const parts: Buffer[] = [];
    for await (const part of listed) parts.push(part as Buffer);
    expect(JSON.parse(Buffer.concat(parts).toString())).toMatchObject({ rows: [['failed', expect.stringContaining('query-invalid')]] });
  });
});
