// Consumers that nobody here wrote start at the beginning of a topic whose records lie only in the bucket, and get every one of them
// as it was produced: kcat (librdkafka), kafkajs, @platformatic/kafka, Apache Kafka's Java consumer, and those of Go and Python.
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Consumer, type MessagesStream, stringDeserializers } from '@platformatic/kafka';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ask, goPrograms, pythonPrograms, type SeenRecord } from '../support/client-programs.js';
import { kafkaTool } from '../support/kafka-tools.js';
import { Lake } from '../support/lake.js';
import { kafka44, kcat } from '../support/outside-tools.js';
import { temporaryFolder } from '../support/service.js';

const topic = 'cold';
const partitions = 3;
/** Of each codec. Together they fill several segments and several cold files. */
const roundRecords = 4000;
const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
const firstMs = Date.UTC(2025, 5, 1);

const lineOf = ({ partition, offset, timestampMs, key, value, headers }: SeenRecord): string =>
  JSON.stringify([partition, offset, timestampMs, key, value, headers]);
const inOrder = (seen: readonly SeenRecord[]): string[] =>
  [...seen].sort((a, b) => a.partition - b.partition || a.offset - b.offset).map(lineOf);

describe('a topic that lies in the bucket only', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let lake: Lake;
  const produced: SeenRecord[] = [];
  let expected: readonly string[];

  beforeAll(async () => {
    folder = await temporaryFolder();
    lake = await Lake.start({ dataDir: folder.path });
    await lake.createTopic(topic, partitions, { 'segment.bytes': String(1 << 20), 'lake.file.bytes': String(1 << 20) });
    const next = Array.from({ length: partitions }, () => 0);
    for (const [round, compression] of codecs.entries()) {
      const records = Array.from({ length: roundRecords }, (_, i): SeenRecord => {
        const partition = (i * 7 + round) % partitions;
        return {
          partition,
          offset: next[partition]!++,
          timestampMs: firstMs + (round * roundRecords + i) * 1000 - (i % 3) * 500,
          key: i % 4 === 0 ? null : `key ${i % 100}`,
          // Neither short nor easy to compress.
          value:
            i % 50 === 1 ? null : `${compression} ${i} ${'äöü€😀'.slice(i % 4)} ${(i * 2654435761).toString(36).repeat(1 + (i % 120))}`,
          headers: i % 3 === 0 ? [['codec', compression] as const, ['i', String(i)] as const] : [],
        };
      });
      produced.push(...records);
      await lake.produce(
        topic,
        records.map(({ partition, timestampMs, key, value, headers }) => ({
          partition,
          timestampMs,
          key: key === null ? null : Buffer.from(key),
          value: value === null ? null : Buffer.from(value),
          headers: headers.map(([name, text]) => ({ key: name, value: Buffer.from(text) })),
        })),
        { compression },
      );
      // Files end in the middle, however busy the machine is.
      if (round === 1) await lake.cool(topic);
    }
    await lake.cool(topic);
    expected = inOrder(produced);
    const storage = await lake.storage(topic);
    expect(storage.map((p) => p.local_start_offset)).toEqual(storage.map((p) => p.high_watermark));
    expect(storage.reduce((sum, p) => sum + (p.cold_files ?? 0), 0)).toBeGreaterThan(partitions);
  }, 120_000);
  // Each consumer finds a broker that was started anew and has no chunk of the topic left.
  beforeEach(async () => {
    await lake.stop();
    await rm(join(folder.path, 'cache'), { recursive: true });
    lake = await Lake.start({ dataDir: folder.path });
  });
  afterAll(async () => {
    await lake?.stop();
    await folder?.remove();
  });

  it.skipIf(kcat.path === undefined)(`is read whole by kcat${kcat.note}`, async () => {
    const args = ['-b', lake.service.kafka, '-C', '-t', topic, '-o', 'beginning', '-e', '-q', '-J'];
    const { stdout } = await promisify(execFile)(kcat.path ?? '', args, { maxBuffer: 64 << 20 });
    const seen = stdout
      .trimEnd()
      .split('\n')
      .map((line): SeenRecord => {
        const { partition, offset, ts, key, payload, headers } = JSON.parse(line) as {
          partition: number;
          offset: number;
          ts: number;
          key: string | null;
          payload: string | null;
          headers?: string[];
        };
        const pairs = (headers ?? []).flatMap((text, i, all) => (i % 2 === 0 ? [[text, all[i + 1]!] as const] : []));
        return { partition, offset, timestampMs: ts, key, value: payload, headers: pairs };
      });
    expect(inOrder(seen)).toEqual(expected);
  });

  it('is read whole by kafkajs', async () => {
    const consumer = new Kafka({ brokers: [lake.service.kafka], logLevel: logLevel.NOTHING }).consumer({
      groupId: 'js',
      maxWaitTimeInMs: 200,
    });
    const seen: SeenRecord[] = [];
    try {
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      await consumer.run({
        eachMessage: async ({ partition, message }) => {
          const { offset, timestamp, key, value } = message;
          const headers = Object.entries(message.headers ?? {}).map(([name, text]) => [name, String(text)] as const);
          seen.push({
            partition,
            offset: Number(offset),
            timestampMs: Number(timestamp),
            key: key?.toString() ?? null,
            value: value?.toString() ?? null,
            headers,
          });
        },
      });
      await expect.poll(() => seen.length, { timeout: 120_000 }).toBeGreaterThanOrEqual(produced.length);
    } finally {
      await consumer.disconnect();
    }
    expect(inOrder(seen)).toEqual(expected);
  });

  it('is read whole by @platformatic/kafka', async () => {
    const consumer = new Consumer({
      bootstrapBrokers: [lake.service.kafka],
      clientId: 'p',
      groupId: 'p',
      deserializers: stringDeserializers,
    });
    const seen: SeenRecord[] = [];
    const stream = (await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false, maxWaitTime: 200 })) as MessagesStream<
      string,
      string,
      string,
      string
    >;
    try {
      stream.on('data', ({ partition, offset, timestamp, key, value, headers }) => {
        seen.push({
          partition,
          offset: Number(offset),
          timestampMs: Number(timestamp),
          key: (key as string | null | undefined) ?? null,
          value: (value as string | null | undefined) ?? null,
          headers: [...headers],
        });
      });
      await expect.poll(() => seen.length, { timeout: 120_000 }).toBeGreaterThanOrEqual(produced.length);
    } finally {
      await stream.close();
      await new Promise<void>((resolve) => {
        consumer.close(true, () => resolve());
      });
    }
    expect(inOrder(seen)).toEqual(expected);
  });

  for (const client of [...Object.values(goPrograms), ...Object.values(pythonPrograms)]) {
    it.skipIf(client.tool.path === undefined)(`is read whole by ${client.name}${client.tool.note}`, async () => {
      const asked = { scenario: 'read', bootstrap: lake.service.kafka, topic, group: client.name, count: produced.length };
      const { records } = await ask(client, asked);
      expect(inOrder(records!)).toEqual(expected);
    });
  }

  it.skipIf(kafka44.path === undefined)(`is read whole by Kafka's Java consumer${kafka44.note}`, async () => {
    const asked = ['--bootstrap-server', lake.service.kafka, '--topic', topic, '--from-beginning', '--timeout-ms', '60000'];
    const shown = ['partition', 'offset', 'timestamp', 'key', 'headers'].flatMap((name) => ['--formatter-property', `print.${name}=true`]);
    const count = ['--max-messages', String(produced.length)];
    const { code, stdout, stderr } = await kafkaTool('consumer.ConsoleConsumer', [...asked, ...count, ...shown]);
    expect([code, stderr]).toEqual([0, expect.stringContaining(`a total of ${produced.length} messages`)]);
    const lines = [...produced]
      .sort((a, b) => a.partition - b.partition || a.offset - b.offset)
      .map(({ partition, offset, timestampMs, key, value, headers }) => {
        const pairs = headers.length === 0 ? 'NO_HEADERS' : headers.map(([name, text]) => `${name}:${text}`).join(',');
        return [`CreateTime:${timestampMs}`, `Partition:${partition}`, `Offset:${offset}`, pairs, key ?? 'null', value ?? 'null'].join(
          '\t',
        );
      });
    expect(stdout.trimEnd().split('\n').sort()).toEqual(lines.sort());
  });
});
