// Where the log starts: one answer for Kafka, SQL, the records route, the service's own tables and the lake, whoever moved it,
// over both tiers and over kill -9.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { alterTopic, deleteRecords } from '../../src/client/index.js';
import { Lake, Refusal } from '../support/lake.js';
import { eventually } from '../support/processes.js';
import { runCommand, temporaryFolder } from '../support/service.js';

const quick = { 'log.retention.check.interval.ms': '200', 'log.segment.bytes': '1048576', 'lake.file.bytes': '1048576' };
const day = 24 * 3_600_000;

function records(from: number, count: number, timestampMs: number, partition = 0) {
  return Array.from({ length: count }, (_, i) => ({
    partition,
    timestampMs,
    key: null,
    value: Buffer.from(JSON.stringify({ n: from + i, filler: 'x'.repeat(100) })),
  }));
}

/** Log starts as each reader sees them. */
async function logStarts(lake: Lake, topic: string): Promise<Readonly<Record<string, readonly number[]>>> {
  const kafka = (await lake.ends(topic)).map(([start]) => start);
  const rows = await lake.sql(`SELECT _partition_id, min(_offset), count(*) FROM "${topic}" GROUP BY 1 ORDER BY 1`);
  const system = await lake.sql(`SELECT log_start FROM system.partitions WHERE topic = '${topic}' ORDER BY partition`);
  const route = (await lake.json<{ partitions: { log_start_offset: number }[] }>(`/v1/topics/${topic}`)).partitions;
  const storage = await lake.storage(topic);
  const first = await Promise.all(
    kafka.map(async (_start, partition) => {
      const lines = await (await lake.http(`/v1/topics/${topic}/records?partition=${partition}&limit=1`)).text();
      return lines === '' ? -1 : (JSON.parse(lines) as { offset: number }).offset;
    }),
  );
  return {
    kafka,
    sql: kafka.map((_start, partition) => Number(rows.find((row) => Number(row[0]) === partition)?.[1] ?? -1)),
    records: first,
    system: system.map(([start]) => Number(start)),
    route: route.map((p) => p.log_start_offset),
    storage: storage.map((p) => p.log_start_offset),
  };
}

/** The vector of the table's newest metadata. */
function tableStarts(lake: Lake, topic: string): number[] {
  const pattern = new RegExp(`^topics/${topic}/[^/]+/metadata/v(\\d+)\\.metadata\\.json$`);
  const versions = [...lake.objects()].flatMap(([key, object]) => {
    const match = pattern.exec(key);
    return match === null ? [] : [{ version: Number(match[1]), path: object.path }];
  });
  const newest = versions.reduce((a, b) => (b.version > a.version ? b : a));
  const metadata = JSON.parse(readFileSync(newest.path, 'utf8')) as { properties: Record<string, string> };
  const vector = JSON.parse(metadata.properties['thermocline.partitions'] ?? '[]') as number[][];
  return vector.map(([, , logStart]) => logStart ?? -1);
}

function allAt(starts: readonly number[]): Readonly<Record<string, readonly number[]>> {
  return Object.fromEntries(['kafka', 'sql', 'records', 'system', 'route', 'storage'].map((reader) => [reader, starts]));
}

/** Waits until what is looked at is as wanted. */
async function reaches<T>(what: string, look: () => T | Promise<T>, wanted: T): Promise<void> {
  await eventually(`${what} is ${JSON.stringify(wanted)}`, async () =>
    JSON.stringify(await look()) === JSON.stringify(wanted) ? true : undefined,
  );
}

describe('deleted records', () => {
  it('are gone at once for every reader, between the tiers and inside of files and batches, and stay so over kill -9', async () => {
    const folder = await temporaryFolder();
    try {
      const dataDir = `${folder.path}/data`;
      let lake = await Lake.start({ dataDir, set: quick });
      await lake.createTopic('events', 3);
      for (const partition of [0, 1, 2]) await lake.produce('events', records(0, 1000, Date.now(), partition));
      await lake.cool('events');
      for (const partition of [0, 1, 2]) await lake.produce('events', records(1000, 1000, Date.now(), partition));
      const { snapshot } = await lake.ask('SELECT count(*) FROM events');

      const deleted = await deleteRecords(lake.client, 'events', [
        { partition: 0, before: 317 },
        { partition: 1, before: 1450 },
      ]);
      expect(deleted).toEqual([
        { partition: 0, logStartOffset: 317 },
        { partition: 1, logStartOffset: 1450 },
      ]);
      expect(await logStarts(lake, 'events')).toEqual(allAt([317, 1450, 0]));
      expect(Number((await lake.sql('SELECT count(*) FROM events'))[0]?.[0])).toBe(1683 + 550 + 2000);
      const refusal = await lake.ask('SELECT count(*) FROM events', { as_of: snapshot }).catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(Refusal);
      expect((refusal as Refusal).problem).toMatchObject({ status: 410, code: 'token-gone' });
      expect((refusal as Refusal).problem.detail).toMatch(/events-0 \[0, 317\).*events-1 \[0, 1450\)/);

      lake.service.kill('SIGKILL');
      await lake.service.ended;
      lake = await Lake.start({ dataDir, set: quick });
      expect(await logStarts(lake, 'events')).toEqual(allAt([317, 1450, 0]));
      await reaches('the table', () => tableStarts(lake, 'events'), [317, 1450, 0]);
      expect((await lake.consume('events', 0, 317)).at(0)?.offset).toBe(317);
      expect((await lake.consume('events', 0, 317)).length).toBe(1683);
      // Up to the end, and on: nothing is left, and the next record has the next offset.
      const trimmed = await runCommand(['topic', 'trim', 'events', '--before', 'end', '--bootstrap', lake.service.kafka]);
      expect([trimmed.code, trimmed.stderr]).toEqual([0, '']);
      expect(await logStarts(lake, 'events')).toEqual({ ...allAt([2000, 2000, 2000]), sql: [-1, -1, -1], records: [-1, -1, -1] });
      expect((await lake.produce('events', records(0, 1, Date.now(), 1))).map(({ offset }) => offset)).toEqual([2000]);
      await lake.flush('events');
      expect(tableStarts(lake, 'events')).toEqual([2000, 2000, 2000]);
      expect(await lake.sql('SELECT _partition_id, _offset FROM events')).toEqual([[1, 2000]]);
      expect(await lake.stop()).toBe(0);
    } finally {
      await folder.remove();
    }
  });
});

describe('retention', () => {
  it('by time moves the log start over whole cold files, for every reader, when a topic is told to', async () => {
    await using lake = await Lake.start({ set: { ...quick, 'log.message.timestamp.after.max.ms': String(400 * day) } });
    await lake.createTopic('events');
    await lake.produce('events', records(0, 100, Date.now() - 9 * day));
    await lake.flush('events');
    // From the future: keeps neither itself nor what lies behind it once it has been in the table long enough.
    await lake.produce('events', records(100, 100, Date.now() + 300 * day));
    await lake.flush('events');
    await lake.produce('events', records(200, 100, Date.now()));
    await lake.flush('events');
    expect(await logStarts(lake, 'events')).toEqual(allAt([0]));
    const told = ['topic', 'alter', 'events', '--set', `retention.ms=${8 * day}`, '--bootstrap', lake.service.kafka];
    expect(await runCommand(told)).toMatchObject({ code: 0, stdout: `configured events: retention.ms=${8 * day}\n` });
    await reaches('the log start', async () => (await lake.ends('events'))[0]![0], 100);
    expect(await logStarts(lake, 'events')).toEqual(allAt([100]));
    expect(tableStarts(lake, 'events')).toEqual([100]);
    // Nothing local is left of it either.
    expect((await lake.storage('events'))[0]!.local_start_offset).toBeGreaterThanOrEqual(100);
    await alterTopic(lake.client, 'events', { 'retention.ms': '3000' });
    await reaches('the log start', async () => (await lake.ends('events'))[0]![0], 300);
    expect(tableStarts(lake, 'events')).toEqual([300]);
    await lake.worksFor('events');
  });

  it('by size keeps the newest files, counting what is hot only', async () => {
    await using lake = await Lake.start({ set: quick });
    await lake.createTopic('events');
    for (let i = 0; i < 5; i++) {
      await lake.produce('events', records(100 * i, 100, Date.now()));
      await lake.flush('events');
    }
    const files = await lake.sql(`SELECT base_offset, bytes FROM system.cold_files WHERE topic = 'events' ORDER BY 1`);
    const keep = Number(files[3]?.[1]) + Number(files[4]?.[1]);
    await alterTopic(lake.client, 'events', { 'retention.bytes': String(keep) });
    await reaches('the log start', async () => (await lake.ends('events'))[0]![0], 300);
    expect(await logStarts(lake, 'events')).toEqual(allAt([300]));
    const left = await lake.sql(`SELECT base_offset FROM system.cold_files WHERE topic = 'events' ORDER BY 1`);
    expect(left.map(([base]) => Number(base))).toEqual([300, 400]);
  });
});
