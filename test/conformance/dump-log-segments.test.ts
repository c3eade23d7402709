/**
 * Apache Kafka's own DumpLogSegments reads what the hot log writes.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { kafkaTool } from '../support/kafka-tools.js';
import { Lake } from '../support/lake.js';
import { kafka44 } from '../support/outside-tools.js';
import { temporaryFolder } from '../support/service.js';
import { batch, files, partitionFolder, sequenced, world } from '../unit/log/hot-world.js';

const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

/** What DumpLogSegments says of the files. It reports damage in words, not by its exit code. */
async function dump(paths: readonly string[], ...options: string[]): Promise<string> {
  const { code, stdout, stderr } = await kafkaTool('DumpLogSegments', [...options, '--files', paths.join(',')]);
  // Of Apache Kafka's own segments it says the same, for each that does not begin at offset 0.
  const complaints = stderr.replaceAll(/^Non-consecutive offsets in .*\n {2}-1 is followed by \d+\n/gm, '');
  expect([code, complaints]).toEqual([0, '']);
  expect(stdout).not.toMatch(/isvalid: false|mismatch|not found|out of order|corrupt|invalid|Error|Exception/i);
  return stdout;
}

const numbersOf = (text: string, pattern: RegExp): number[] => [...text.matchAll(pattern)].map((match) => Number(match[1]));
const upTo = (end: number): number[] => Array.from({ length: end }, (_none, i) => i);

describe.skipIf(kafka44.path === undefined)(`Kafka's DumpLogSegments${kafka44.note}`, () => {
  it('reads segments, indexes and snapshots, and finds nothing wrong', async () => {
    const { dir, log, partition } = await world({ segmentBytes: 20_000, indexIntervalBytes: 300 });
    for (let i = 0; i < 200; i++) {
      // Timestamps ascend, but not from one batch to the next.
      const timestampMs = 1_000_000 + i * 50 + ((i * 7919) % 100) * 10;
      const compression = codecs[i % codecs.length] ?? 'none';
      partition.append(
        batch({ compression, timestampMs, count: 3, valueBytes: 60, producerId: 7n, producerEpoch: 1, baseSequence: i * 3 }),
        1,
      );
      partition.append(sequenced(BigInt(100 + (i % 9)), Math.floor(i / 9)), 1);
    }
    const end = partition.logEndOffset;
    await log.close();

    const path = (name: string): string => join(dir, partitionFolder, name);
    const segments = await files(dir, '.log');
    expect(segments.length).toBeGreaterThan(2);
    expect(numbersOf(await dump(segments.map(path), '--deep-iteration'), /^\| offset: (\d+) /gm)).toEqual(upTo(end));

    for (const kind of ['.index', '.timeindex']) {
      const found = await files(dir, kind);
      expect(found).toHaveLength(segments.length);
      const text = await dump(found.map(path));
      expect(text.match(kind === '.index' ? /offset: \d+ position: \d+/g : /timestamp: \d+ offset: \d+/g)?.length).toBeGreaterThan(20);
    }

    const snapshots = await files(dir, '.snapshot');
    expect(snapshots).toContain(`${String(end).padStart(20, '0')}.snapshot`);
    const last = await dump([path(snapshots.at(-1) as string)]);
    expect(last).toMatch(/producerId: 7 producerEpoch: 1/);
    // Five batches of each may be sent again. The newest is the last, which is the one that Kafka keeps.
    expect(last.match(/producerId: /g)).toHaveLength(50);
    expect(last).toMatch(/lastSequence: 599/);
    expect(numbersOf(last, /^producerId: 7 .*lastSequence: (\d+)/gm)).toEqual([587, 590, 593, 596, 599]);
  });

  it.each(['stopped', 'killed, recovered and stopped'] as const)('reads the data folder of a service that was %s', async (ending) => {
    const folder = await temporaryFolder();
    const topic = 'dumped';
    const perCodec = 2400;
    try {
      let lake = await Lake.start({ dataDir: folder.path });
      await lake.createTopic(topic, 2, { 'segment.bytes': String(1 << 20), 'index.interval.bytes': '2048' });
      for (const [round, compression] of codecs.entries()) {
        const records = Array.from({ length: perCodec }, (_none, i) => ({
          partition: i % 2,
          timestampMs: 1_700_000_000_000 + round * 1_000_000 + ((i * 7919) % perCodec) * 100,
          key: i % 3 === 0 ? null : Buffer.from(`k${i}`),
          value: incompressible(i, 500),
          headers: i % 5 === 0 ? [{ key: 'h', value: Buffer.from(compression) }] : [],
        }));
        await lake.produce(topic, records, { compression, batchBytes: 32 * 1024 });
      }
      await commitOffsets(lake.service.kafka, topic);
      if (ending === 'stopped') {
        await lake.stop();
      } else {
        lake.service.kill('SIGKILL');
        await lake.service.ended;
        lake = await Lake.start({ dataDir: folder.path });
        await lake.stop();
      }

      const log = join(folder.path, 'log');
      const end = (codecs.length * perCodec) / 2;
      for (const partition of [0, 1]) {
        const at = join(log, `${topic}-${partition}`);
        const found = (suffix: string): string[] =>
          readdirSync(at)
            .filter((name) => name.endsWith(suffix))
            .sort()
            .map((name) => join(at, name));
        expect(found('.log').length).toBeGreaterThan(1);
        const text = await dump(found('.log'), '--deep-iteration', '--print-data-log');
        expect(numbersOf(text, /^\| offset: (\d+) /gm)).toEqual(upTo(end));
        for (const codec of codecs) expect(text).toContain(`compresscodec: ${codec}`);
        expect(text.match(/headerKeys: \[h\]/g)?.length).toBe(end / 5);
        expect(found('.index')).toHaveLength(found('.log').length);
        expect((await dump(found('.index'))).match(/offset: \d+ position: \d+/g)?.length).toBeGreaterThan(10);
        expect((await dump(found('.timeindex'))).match(/timestamp: \d+ offset: \d+/g)?.length).toBeGreaterThan(10);
        const ids = numbersOf(await dump([found('.snapshot').at(-1)!]), /producerId: (\d+)/g);
        expect(new Set(ids).size).toBe(codecs.length);
      }

      const offsets = readdirSync(log)
        .filter((name) => name.startsWith('__consumer_offsets-'))
        .map((name) => join(log, name, `${'0'.repeat(20)}.log`));
      const decoded = await dump(offsets, '--offsets-decoder');
      expect(decoded).toMatch(new RegExp(`"group":"dumpers","topic":"${topic}","partition":1.*"offset":42`));
      expect(decoded).toMatch(/"protocolType":"consumer"/);
    } finally {
      await folder.remove();
    }
  });

  it('reads batches that were compressed anew and got the time of their append', async () => {
    const folder = await temporaryFolder();
    try {
      const lake = await Lake.start({ dataDir: folder.path });
      const levels = { 'compression.gzip.level': '9', 'compression.zstd.level': '19' };
      const count = 50;
      for (const type of ['uncompressed', ...codecs.slice(1)]) {
        await lake.createTopic(`as-${type}`, 1, { 'compression.type': type, 'message.timestamp.type': 'LogAppendTime', ...levels });
        for (const [round, compression] of codecs.entries()) {
          const records = Array.from({ length: count }, (_none, i) => ({
            partition: 0,
            timestampMs: 1_700_000_000_000,
            key: Buffer.from(`k${i}`),
            value: Buffer.from(`value ${round * count + i} ${'of the same text '.repeat(20)}`),
            headers: [{ key: 'h', value: Buffer.from(compression) }],
          }));
          await lake.produce(`as-${type}`, records, { compression });
        }
      }
      await lake.stop();
      for (const type of ['uncompressed', ...codecs.slice(1)]) {
        const path = join(folder.path, 'log', `as-${type}-0`, `${'0'.repeat(20)}.log`);
        const text = await dump([path], '--deep-iteration', '--print-data-log');
        const ofBatches = [...text.matchAll(/ compresscodec: (\S+) /g)].map((match) => match[1]);
        expect(new Set(ofBatches), type).toEqual(new Set([type === 'uncompressed' ? 'none' : type]));
        expect(numbersOf(text, /^\| offset: (\d+) /gm), type).toEqual(upTo(codecs.length * count));
        expect(numbersOf(text, / payload: value (\d+) of the same text/g), type).toEqual(upTo(codecs.length * count));
        expect(text.match(/headerKeys: \[h\]/g)?.length).toBe(codecs.length * count);
        expect(text.match(/^\| offset: .* LogAppendTime: \d+ /gm)?.length, type).toBe(codecs.length * count);
        expect(text).not.toMatch(/CreateTime|LogAppendTime: 1700000000000/);
      }
    } finally {
      await folder.remove();
    }
  });
});

/** Bytes that no codec makes much shorter. */
function incompressible(seed: number, bytes: number): Buffer {
  let state = seed + 1;
  return Buffer.from(
    Array.from({ length: bytes }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state >>> 24;
    }),
  );
}

/** Joins a group and commits an offset, so that there is something of groups in the log. */
async function commitOffsets(bootstrap: string, topic: string): Promise<void> {
  const consumer = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }).consumer({ groupId: 'dumpers', maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const joined = new Promise((resolve) => {
    consumer.on(consumer.events.GROUP_JOIN, resolve);
  });
  await consumer.run({ autoCommit: false, eachMessage: async () => undefined });
  await joined;
  await consumer.commitOffsets([{ topic, partition: 1, offset: '42' }]);
  await consumer.disconnect();
}
