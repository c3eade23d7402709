// Records by key over HTTP, from a running service: hot, cold, and after a tombstone.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lake } from '../support/lake.js';

let lake: Lake;
beforeAll(async () => {
  lake = await Lake.start({ set: { 'log.level': 'warn' } });
  await lake.createTopic('planes', 2);
});
afterAll(() => lake[Symbol.asyncDispose]());

async function produce(key: Buffer, value: string | null, timestampMs: number): Promise<void> {
  await lake.produce('planes', [{ key, value: value === null ? null : Buffer.from(value), partition: 1, timestampMs }]);
}

const get = async (path: string): Promise<string> => (await lake.http(`/v1/topics/planes/keys/${path}`)).text();

describe('records of a key', () => {
  it('are found hot and cold, until a tombstone, and in the history after it', async () => {
    const key = Buffer.from('D-A/é');
    const path = encodeURIComponent('D-A/é');
    await produce(key, '{"n":1}', 1_000_000_000_000);
    await produce(Buffer.from([255]), 'raw', 1_000_000_000_001);
    await lake.cool('planes');
    expect(JSON.parse(await get(path))).toMatchObject({ partition: 1, offset: 0, key: 'D-A/é', value: '{"n":1}' });
    await produce(key, '{"n":2}', 1_000_000_000_002);
    expect(JSON.parse(await get(path))).toMatchObject({ offset: 2, value: '{"n":2}' });
    expect(JSON.parse(await get('%2Fw%3D%3D?encoding=base64'))).toMatchObject({ offset: 1, key_base64: '/w==', value: 'raw' });
    await produce(key, null, 1_000_000_000_003);
    await expect(get(path)).rejects.toThrow(/tombstone/);
    await expect(get('nobody')).rejects.toThrow(/key/);
    const history = (await get(`${path}?history=true&order=newest`)).trim().split('\n');
    expect(history.map((line) => (JSON.parse(line) as { offset: number }).offset)).toEqual([3, 2, 0]);
  });
});
