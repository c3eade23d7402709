import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MetadataStore, type TopicRecord } from '../../../src/broker/metadata-store.js';
import { ProducerIds } from '../../../src/broker/producer-ids.js';
import { freshId, systemRandom, topicId, topicName } from '../../../src/kernel/index.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'thermocline-metadata-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const open = (): Promise<MetadataStore> => MetadataStore.open(dir, 1, systemRandom);
const record = (name: string): TopicRecord => ({
  name: topicName(name),
  id: topicId(freshId((length) => systemRandom.bytes(length))),
  partitions: 2,
  overrides: { 'segment.ms': '5' },
  isInternal: false,
  createdMs: 1,
});

describe('the metadata store', () => {
  it('makes the cluster’s id once', async () => {
    const first = await open();
    expect((await open()).clusterId).toBe(first.clusterId);
    expect(await readFile(join(dir, 'meta.properties'), 'utf8')).toContain(`cluster.id=${first.clusterId}`);
  });

  it('has after a restart what it had before', async () => {
    const store = await open();
    const [a, b] = [record('a'), record('b')];
    await Promise.all([store.addTopic(a), store.addTopic(b)]);
    await store.removeTopic(a.id, true);
    const later = await open();
    expect(later.topics).toEqual([b]);
    expect(later.dropped).toEqual([{ name: 'a', id: a.id }]);
    await later.forgetDropped(a.id);
    expect((await open()).dropped).toEqual([]);
  });

  it('keeps views over a restart, by name, and reads a file of before there were any', async () => {
    const store = await open();
    await store.addTopic(record('a'));
    expect(await readFile(join(dir, 'metadata.json'), 'utf8')).toContain('"views"');
    const view = (name: string, sql: string, savedMs: number) => ({ name, sql, savedMs });
    await Promise.all([store.putView(view('late', 'SELECT 1', 1)), store.putView(view('early', 'SELECT 2', 2))]);
    await store.putView({ ...view('late', 'SELECT 3', 3), description: 'até' });
    expect((await open()).views).toEqual([view('early', 'SELECT 2', 2), { ...view('late', 'SELECT 3', 3), description: 'até' }]);
    expect([await store.removeView('early'), await store.removeView('early')]).toEqual([true, false]);
    expect((await open()).views).toHaveLength(1);
    await writeFile(join(dir, 'metadata.json'), '{"version":1,"topics":[],"dropped":[],"nextProducerId":"0"}');
    expect((await open()).views).toEqual([]);
    await writeFile(join(dir, 'metadata.json'), '{"version":1,"topics":[],"dropped":[],"views":[{"name":"a"}],"nextProducerId":"0"}');
    await expect(open()).rejects.toThrow(/its list of views/);
  });

  it('lets a name mean one thing, whichever of topic and view came first', async () => {
    const store = await open();
    await store.addTopic(record('Topic'));
    await store.putView({ name: 'View', sql: 'SELECT 1', savedMs: 1 });
    await expect(store.putView({ name: 'topic', sql: 'SELECT 1', savedMs: 1 })).rejects.toMatchObject({ code: 'view-exists' });
    await expect(store.putView({ name: 'view', sql: 'SELECT 1', savedMs: 1 })).rejects.toMatchObject({ code: 'view-exists' });
    await expect(store.addTopic(record('VIEW'))).rejects.toMatchObject({
      code: 'topic-name-invalid',
      message: expect.stringContaining('saved view'),
    });
    await store.removeView('View');
    await store.addTopic(record('VIEW'));
    expect(store.topics).toHaveLength(2);
  });

  it('bounds views: names, texts, how many and how much together', async () => {
    const store = await open();
    const refuse = (view: object) =>
      expect(store.putView({ name: 'v', sql: 'SELECT 1', savedMs: 1, ...view }), JSON.stringify(view).slice(0, 80)).rejects.toMatchObject({
        code: 'view-invalid',
      });
    for (const name of ['', 'system', 'Latest', '__v', 'a b', 'a/b', 'x'.repeat(250)]) await refuse({ name });
    await refuse({ sql: ' ' });
    await refuse({ sql: 'x'.repeat(33_000) });
    await refuse({ description: 'x'.repeat(3000) });
    for (let at = 0; at < 16; at++) await store.putView({ name: `v${at}`, sql: 'x'.repeat(32 * 1024), savedMs: 1 });
    await refuse({ sql: 'x' });
    expect(store.views).toHaveLength(16);
  });

  it('never gives a producer id twice, over restarts too', async () => {
    const seen = new Set<bigint>();
    for (let start = 0; start < 3; start++) {
      const ids = new ProducerIds(await open());
      for (const id of await Promise.all(Array.from({ length: 1200 }, () => ids.take()))) seen.add(id);
    }
    expect(seen.size).toBe(3600);
  });

  it('has one topic of a name, also where one that was not created could not be struck out', async () => {
    const store = await open();
    await store.addTopic(record('a'));
    const second = record('a');
    await store.addTopic(second);
    expect((await open()).topics).toEqual([second]);
  });

  it('shows nothing that is not on disk', async () => {
    const store = await open();
    await rm(dir, { recursive: true });
    await expect(store.addTopic(record('a'))).rejects.toThrow(/cannot be written/);
    expect(store.topics).toEqual([]);
  });

  it('refuses a file it cannot read, by name', async () => {
    await open();
    await writeFile(join(dir, 'metadata.json'), '{"version":1,"topics":[{"name":"a"}],"dropped":[],"nextProducerId":"0"}');
    await expect(open()).rejects.toThrow(/metadata\.json cannot be read: its list of topics/);
    await writeFile(join(dir, 'metadata.json'), 'x');
    await expect(open()).rejects.toThrow(/not JSON/);
  });
});
