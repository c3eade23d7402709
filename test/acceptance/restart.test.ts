// What a stop, a start and a move from hot to cold must leave as it was: topics, offsets, groups, the table, and every record to
// its last header.
import { setTimeout as sleep } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { openProducer, type ProducerRecord } from '../../src/client/index.js';
import { compressionCodecs, type DecodedRecord } from '../../src/wire/index.js';
import { Lake } from '../support/lake.js';
import { canSeeProcesses, eventually, isRunning, processesBelow } from '../support/processes.js';
import { type Seeded, seeded } from '../support/seed.js';
import { temporaryFolder } from '../support/service.js';

/** As the interfaces promise. */
const stopWithinMs = 10_000;
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

async function dataDir(): Promise<{ readonly path: string; readonly remove: () => Promise<void> }> {
  const folder = await temporaryFolder();
  return { path: `${folder.path}/data`, remove: () => folder.remove() };
}

/** Stops by one signal heard twice, as under npm, and says how it ended, if in time. */
async function terminate(lake: Lake): Promise<number | null | 'late'> {
  lake.service.kill('SIGTERM');
  lake.service.kill('SIGTERM');
  return Promise.race([lake.service.ended, sleep(stopWithinMs, 'late' as const, { ref: false })]);
}

describe('a service that is stopped and started again', () => {
  it('finds topics, offsets, committed group offsets, table and boundary as they were', async () => {
    const { path, remove } = await dataDir();
    try {
      await using first = await Lake.start({ dataDir: path });
      const id = await first.createTopic('orders', 3, { 'max.message.bytes': '2000000', 'lake.value.format': 'json' });
      await first.produce(
        'orders',
        Array.from({ length: 30 }, (_, n) => ({ key: Buffer.from(`k${n}`), value: json({ n }), partition: n % 3 })),
      );
      await first.cool('orders');
      await first.produce(
        'orders',
        Array.from({ length: 15 }, (_, n) => ({ key: null, value: json({ n: 30 + n }), partition: n % 3 })),
      );
      const kafka = (lake: Lake): Kafka => new Kafka({ brokers: [lake.service.kafka], clientId: 'js', logLevel: logLevel.NOTHING });
      const offsetsOf = async (lake: Lake): Promise<unknown> => {
        const admin = kafka(lake).admin();
        await admin.connect();
        const offsets = await admin.fetchOffsets({ groupId: 'billing', topics: ['orders'] });
        await admin.disconnect();
        return offsets[0]!.partitions.map(({ partition, offset }) => [partition, offset]).sort((a, b) => Number(a[0]) - Number(b[0]));
      };
      const member = kafka(first).consumer({ groupId: 'billing', maxWaitTimeInMs: 200 });
      await member.connect();
      await member.subscribe({ topic: 'orders', fromBeginning: true });
      let taken = 0;
      await member.run({ autoCommit: false, eachMessage: async () => void taken++ });
      await eventually('a member at work', () => taken > 0 || undefined);
      await member.commitOffsets([0, 1, 2].map((partition) => ({ topic: 'orders', partition, offset: String(5 + partition) })));
      await member.disconnect();

      const look = async (lake: Lake): Promise<unknown> => ({
        ids: (await lake.reader.topics()).map((topic) => [topic.name, topic.id]),
        config: (await lake.json<{ overrides: object }>('/v1/topics/orders')).overrides,
        ends: await lake.ends('orders'),
        tiers: await Promise.all([0, 1, 2].map((partition) => lake.tiers('orders', partition))),
        boundaries: (await lake.storage('orders')).map(({ boundary }) => boundary),
        group: await offsetsOf(lake),
        rows: await lake.sql('SELECT n, _partition_id, _offset, _key FROM orders ORDER BY n'),
      });
      const before = await look(first);
      expect(before).toMatchObject({
        config: { 'max.message.bytes': '2000000', 'lake.value.format': 'json' },
        ends: [
          [0, 15],
          [0, 15],
          [0, 15],
        ],
        boundaries: [10, 10, 10],
        group: [
          [0, '5'],
          [1, '6'],
          [2, '7'],
        ],
      });
      expect(await terminate(first)).toBe(0);
      await using second = await Lake.start({ dataDir: path });
      expect(await look(second)).toEqual(before);
      expect((await second.topic('orders')).id).toBe(id);

      // A member of the group goes on where it was committed.
      const consumer = kafka(second).consumer({ groupId: 'billing', maxWaitTimeInMs: 200 });
      const seen: string[] = [];
      await consumer.connect();
      await consumer.subscribe({ topic: 'orders' });
      await consumer.run({ eachMessage: async ({ partition, message }) => void seen.push(`${partition}/${message.offset}`) });
      await eventually('the records after the committed offsets', () => (seen.length >= 10 + 9 + 8 ? seen : undefined));
      await consumer.disconnect();
      const due = [0, 1, 2].flatMap((partition) => Array.from({ length: 10 - partition }, (_, n) => `${partition}/${5 + partition + n}`));
      expect(seen.toSorted()).toEqual(due.toSorted());
      await second.worksFor('orders');
      expect(await terminate(second)).toBe(0);
    } finally {
      await remove();
    }
  });

  it('has every record it acknowledged while it was being stopped', async () => {
    const { path, remove } = await dataDir();
    try {
      await using first = await Lake.start({ dataDir: path });
      await first.createTopic('t');
      const producer = openProducer({ ...first.client, deliveryTimeoutMs: 1500, batchBytes: 2000, lingerMs: 0 });
      const acknowledged = new Map<number, number>();
      const sending: Promise<unknown>[] = [];
      for (let n = 0; n < 3000; n++) {
        sending.push(producer.send('t', { key: null, value: json({ n }), partition: 0 }).then(({ offset }) => acknowledged.set(offset, n)));
        if (n === 1500) first.service.kill('SIGTERM');
        if (n % 100 === 0) await sleep(5);
      }
      await Promise.allSettled(sending);
      await producer.close().catch(() => undefined);
      expect(await first.service.ended).toBe(0);
      expect(acknowledged.size).toBeGreaterThan(100);
      await using second = await Lake.start({ dataDir: path });
      const found = new Map(
        (await second.consume('t')).map(({ offset, value }) => [offset, (JSON.parse(String(value)) as { n: number }).n]),
      );
      const missing = [...acknowledged].filter(([offset, n]) => found.get(offset) !== n);
      expect(missing).toEqual([]);
    } finally {
      await remove();
    }
  });

  it.skipIf(!canSeeProcesses)('leaves no process behind when its supervisor is killed, and starts again', async () => {
    const { path, remove } = await dataDir();
    try {
      await using first = await Lake.start({ dataDir: path, set: { 'lake.commit.interval.ms': '200' } });
      await first.createTopic('t');
      await first.worksFor('t');
      await first.flush('t');
      const processes = processesBelow(first.service.pid);
      expect(new Set(processes.map(({ kind }) => kind))).toEqual(new Set(['broker', 'tier', 'gateway', 'column worker', 'query engine']));
      first.service.kill('SIGKILL');
      await first.service.ended;
      await eventually('every process gone', () => processes.every(({ pid }) => !isRunning(pid)) || undefined, stopWithinMs);
      await using second = await Lake.start({ dataDir: path });
      expect(await second.sql('SELECT count(*) FROM t')).toEqual([[1]]);
      await second.worksFor('t');
    } finally {
      await remove();
    }
  });
});

/** Records with everything a record can have, in an order that puts each shape into each batch. */
function shapes(random: Seeded, count: number): ProducerRecord[] {
  const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => random.whole(0, 256)));
  const keys = [null, Buffer.alloc(0), Buffer.from('ORD'), Buffer.from('Ω'), Buffer.from([0xff, 0x00, 0xfe])];
  const values: (() => Buffer | null)[] = [
    () => null,
    () => Buffer.alloc(0),
    () => json({ n: random.whole(0, 1000), name: 'x' }),
    () => json({ n: 'not a number', nested: { a: [1, 2, null] } }),
    () => json({ n: 1.5, flag: true, gone: null }),
    () => Buffer.from('{"n": 12'),
    () => Buffer.from('[1,2]'),
    () => bytes(random.whole(1, 300)),
    () => json({ n: Number.MAX_SAFE_INTEGER, text: 'y'.repeat(random.whole(0, 3000)) }),
  ];
  const headers: NonNullable<ProducerRecord['headers']>[] = [
    [],
    [{ key: 'trace', value: Buffer.from('1') }],
    [
      { key: 'twice', value: Buffer.from('a') },
      { key: 'twice', value: Buffer.from('b') },
    ],
    [
      { key: '', value: null },
      { key: 'empty', value: Buffer.alloc(0) },
      { key: 'null', value: null },
    ],
    [
      { key: Buffer.from([0xc3, 0x28, 0xff]), value: Buffer.from([0xff]) },
      { key: 'after', value: Buffer.from('x') },
    ],
  ];
  const now = Date.now();
  return Array.from({ length: count }, () => ({
    key: random.pick(keys),
    value: random.pick(values)(),
    headers: random.pick(headers),
    timestampMs: random.pick([0, 1, 981_173_106_007, now, now - random.whole(0, 10 ** 9)]),
  }));
}

const plain = (records: readonly DecodedRecord[]): unknown[] =>
  records.map(({ offset, timestampMs, key, value, headers }) => ({
    offset,
    timestampMs,
    key: key?.toString('hex') ?? null,
    value: value?.toString('hex') ?? null,
    headers: headers.map((header) => [Buffer.from(header.key).toString('hex'), header.value?.toString('hex') ?? null]),
  }));

describe('records that have left the local disk', () => {
  it('come back equal in every field, whatever codec they came with, also after a restart', async () => {
    const random = seeded('cold records');
    const { path, remove } = await dataDir();
    try {
      await using first = await Lake.start({ dataDir: path });
      await first.createTopic('t');
      const sent: ProducerRecord[] = [];
      for (const compression of compressionCodecs) {
        const records = shapes(random, 200);
        await first.produce(
          't',
          records.map((record) => ({ ...record, partition: 0 })),
          { compression, batchBytes: 8000 },
        );
        sent.push(...records);
      }
      const due = plain(
        sent.map(({ key, value, headers, timestampMs }, offset) => ({
          offset,
          timestampMs: timestampMs!,
          key: key === null ? null : Buffer.from(key),
          value: value === null ? null : Buffer.from(value),
          headers: headers!.map((header) => ({ key: Buffer.from(header.key), value: header.value })),
        })),
      );
      expect(plain(await first.consume('t'))).toEqual(due);
      await first.cool('t');
      expect(await first.tiers('t')).toEqual({ cold: [0, sent.length], hot: [sent.length, sent.length] });
      expect(plain(await first.consume('t'))).toEqual(due);
      // From the middle of whatever batch it is in.
      for (const from of [1, 333, 777, sent.length - 1]) expect(plain(await first.consume('t', 0, from))).toEqual(due.slice(from));
      expect(await terminate(first)).toBe(0);
      await using second = await Lake.start({ dataDir: path });
      expect(plain(await second.consume('t'))).toEqual(due);
      const [counts] = await second.sql('SELECT count(*), count(_key), count(_value), sum(len(_headers)) FROM t');
      const headerCount = sent.reduce((sum, { headers }) => sum + headers!.length, 0);
      const notNull = (field: 'key' | 'value'): number => sent.filter((record) => record[field] !== null).length;
      expect(counts!.map(Number)).toEqual([sent.length, notNull('key'), notNull('value'), headerCount]);
    } finally {
      await remove();
    }
  });

  it('are found by time, in whichever tier the first one is', async () => {
    const random = seeded('offsets for times');
    await using lake = await Lake.start();
    await lake.createTopic('t');
    const base = Date.now() - 10 ** 7;
    // Out of order, with ties, some far back.
    const times = Array.from({ length: 300 }, (_, n) => base + n * 1000 + random.whole(-20_000, 20_000) * random.whole(0, 2));
    const produce = (from: number, to: number): Promise<unknown> =>
      lake.produce(
        't',
        times.slice(from, to).map((timestampMs) => ({ key: null, value: json({}), partition: 0, timestampMs })),
        {
          batchBytes: 500,
        },
      );
    await produce(0, 120);
    await lake.cool('t');
    await produce(120, 200);
    await lake.flush('t');
    await produce(200, 300);
    const stored = (await lake.storage('t'))[0]!;
    expect([stored.local_start_offset, stored.boundary]).toEqual([120, 200]);

    const { name } = await lake.topic('t');
    const found = async (timestampMs: number): Promise<number> =>
      (await lake.reader.listOffsets(name, [{ partition: 0, timestampMs }]))[0]!.offset;
    const asked = [...new Set(times.flatMap((time) => [time - 1, time, time + 1])), 0, base - 10 ** 6, Date.now() + 10 ** 6];
    const wrong: string[] = [];
    for (const time of asked) {
      const due = times.findIndex((candidate) => candidate >= time);
      const offset = await found(time);
      if (offset !== due) wrong.push(`${time}: ${offset}, not ${due}`);
    }
    expect(wrong).toEqual([]);
    const largest = Math.max(...times);
    expect(await found(-3)).toBe(times.indexOf(largest));
    expect([await found(-2), await found(-1)]).toEqual([0, 300]);
    // SQL and the records route agree on what lies between two times.
    const [from, to] = [times[50]!, times[250]!].sort((a, b) => a - b) as [number, number];
    const due = times.flatMap((time, offset) => (time >= from && time < to ? [offset] : []));
    const rows = await lake.sql(
      `SELECT _offset FROM t WHERE _timestamp >= make_timestamptz(${from}000) AND _timestamp < make_timestamptz(${to}000) ORDER BY 1`,
    );
    expect(rows.map(([offset]) => Number(offset))).toEqual(due);
    const lines = (await (await lake.http(`/v1/topics/t/records?from=${from}&to=${to}`)).text()).trim().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { offset: number }).offset)).toEqual(due);
  });
});

describe('a topic that is deleted', () => {
  it('takes its table and objects along, and one made anew under its name never meets it', async () => {
    await using lake = await Lake.start();
    const first = await lake.createTopic('t');
    await lake.produce(
      't',
      Array.from({ length: 50 }, (_, old) => ({ key: null, value: json({ old }) })),
    );
    await lake.cool('t');
    await lake.produce('t', [{ key: null, value: json({ old: 50 }) }]);
    expect([...lake.objects().keys()].some((key) => key.includes(first))).toBe(true);
    await lake.deleteTopic('t');
    const second = await lake.createTopic('t');
    expect(second).not.toBe(first);
    expect(await lake.ends('t')).toEqual([[0, 0]]);
    expect(await lake.sql('SELECT count(*) FROM t')).toEqual([[0]]);
    await lake.produce('t', [{ key: null, value: json({ fresh: 1 }) }]);
    expect(await lake.sql('SELECT * EXCLUDE (_timestamp) FROM t')).toEqual([[1, null, 0, 0, null, '{"fresh":1}']]);
    await lake.cool('t');
    expect((await lake.consume('t')).map(({ value }) => String(value))).toEqual(['{"fresh":1}']);
    expect(await lake.sql('SELECT fresh, _offset FROM t')).toEqual([[1, 0]]);
    // A mark stays for whoever has slept over the deletion.
    const left = (part: string): string[] => [...lake.objects().keys()].filter((key) => key.startsWith('topics/') && key.includes(part));
    const marks = (...ids: readonly string[]): string[] => ids.map((id) => `topics/t/${id}/metadata/vacated.json`).sort();
    const areGone = (part: string, ...ids: readonly string[]) =>
      JSON.stringify(left(part).sort()) === JSON.stringify(marks(...ids)) || undefined;
    await eventually('the objects of the first gone', () => areGone(first, first));
    expect([...lake.objects().keys()].some((key) => key.includes(second))).toBe(true);
    await lake.deleteTopic('t');
    await eventually('the objects of the second gone', () => areGone('', first, second));
  });
});
