// Consumers that nobody here wrote stand in the hole of a recovery, or in front of it, and read on behind it: kafkajs, kcat,
// @platformatic/kafka and Apache Kafka's Java consumer; and idempotent producers go on above it.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { Consumer, type MessagesStream, stringDeserializers } from '@platformatic/kafka';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { kafkaTool } from '../support/kafka-tools.js';
import { Lake } from '../support/lake.js';
import { commitOffset, loseDataDir, notedInBucket, recoverTo } from '../support/lost-service.js';
import { kafka44, kcat } from '../support/outside-tools.js';
import { canSeeProcesses } from '../support/processes.js';
import { temporaryFolder } from '../support/service.js';

const topic = 'lost';
const groups = ['js', 'pl'] as const;
/** Cold, then hot only and lost, then new; partition 1 never got cold. */
const [cold, hot, fresh] = [20, 7, 5];

describe.skipIf(!canSeeProcesses)('a topic with a hole behind its cold records', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let lake: Lake;
  let opensAt: readonly number[];
  let set: Readonly<Record<string, string>>;
  const values = (what: string, count: number, partition: number) =>
    Array.from({ length: count }, (_, n) => ({ key: null, value: Buffer.from(`${what} ${n}`), partition }));
  const all = (): string[] => [
    ...Array.from({ length: cold }, (_, n) => `0 ${n} cold ${n}`),
    ...[0, 1].flatMap((partition) => Array.from({ length: fresh }, (_, n) => `${partition} ${opensAt[partition]! + n} new ${n}`)),
  ];
  /** What a consumer reads that stands at the end of what was, in the hole. */
  const behind = (): string[] => all().filter((line) => line.includes('new'));

  beforeAll(async () => {
    folder = await temporaryFolder();
    const bucket = pathToFileURL(join(folder.path, 'bucket')).href;
    set = { 'bucket.url': bucket };
    lake = await Lake.start({ dataDir: join(folder.path, 'first'), set });
    await lake.createTopic(topic, 2);
    await lake.produce(topic, values('cold', cold, 0));
    await lake.flush(topic);
    await lake.produce(topic, [...values('hot', hot, 0), ...values('hot', hot, 1)]);
    for (const group of groups) {
      await commitOffset(lake, group, topic, 0, cold + hot - 1);
      await commitOffset(lake, group, topic, 1, hot);
    }
    await notedInBucket(lake, bucket, 'noted');
    await loseDataDir(lake);
    const dataDir = join(folder.path, 'second');
    const { rows } = await recoverTo(dataDir, bucket);
    opensAt = rows.filter((row) => row.topic === topic).map((row) => row.opens_at);
    lake = await Lake.start({ dataDir, set });
    const producer = new Kafka({ brokers: [lake.service.kafka], logLevel: logLevel.NOTHING }).producer({
      idempotent: true,
      maxInFlightRequests: 1,
    });
    await producer.connect();
    for (const partition of [0, 1]) {
      const sent = await producer.send({
        topic,
        acks: -1,
        messages: values('new', fresh, partition).map(({ value }) => ({ value, partition })),
      });
      expect(sent.map(({ baseOffset }) => Number(baseOffset))).toEqual([opensAt[partition]]);
    }
    await producer.disconnect();
  }, 120_000);
  // Each consumer finds a broker that has no chunk of the topic yet.
  beforeEach(async () => {
    const { dataDir } = lake.service;
    await lake.stop();
    lake = await Lake.start({ dataDir, set });
  });
  afterAll(async () => {
    await lake?.stop();
    await folder?.remove();
  });

  it.each([
    ['from the beginning', 'new-js', all],
    ['from what its group committed in the hole', 'js', behind],
  ])('is read by kafkajs %s', async (_what, groupId, expected) => {
    const consumer = new Kafka({ brokers: [lake.service.kafka], logLevel: logLevel.NOTHING }).consumer({ groupId, maxWaitTimeInMs: 200 });
    const seen: string[] = [];
    try {
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachMessage: async ({ partition, message }) => void seen.push(`${partition} ${message.offset} ${String(message.value)}`),
      });
      await expect.poll(() => seen.length, { timeout: 60_000 }).toBeGreaterThanOrEqual(expected().length);
    } finally {
      await consumer.disconnect();
    }
    expect(seen.sort()).toEqual(expected().sort());
  });

  it.each([
    ['from the beginning', 'new-pl', 'earliest', all],
    ['from what its group committed in the hole', 'pl', 'committed', behind],
  ] as const)('is read by @platformatic/kafka %s', async (_what, groupId, mode, expected) => {
    const consumer = new Consumer({ bootstrapBrokers: [lake.service.kafka], clientId: 'p', groupId, deserializers: stringDeserializers });
    const seen: string[] = [];
    const stream = (await consumer.consume({ topics: [topic], mode, autocommit: false, maxWaitTime: 200 })) as MessagesStream<
      string,
      string,
      string,
      string
    >;
    try {
      stream.on('data', ({ partition, offset, value }) => void seen.push(`${partition} ${offset} ${value}`));
      await expect.poll(() => seen.length, { timeout: 60_000 }).toBeGreaterThanOrEqual(expected().length);
    } finally {
      await stream.close();
      await new Promise<void>((resolve) => {
        consumer.close(true, () => resolve());
      });
    }
    expect(seen.sort()).toEqual(expected().sort());
  });

  it.skipIf(kcat.path === undefined).each([
    ['from the beginning', 'beginning', all],
    ['from the middle of the hole', String(cold + 3), behind],
  ] as const)(`is read by kcat %s${kcat.note}`, async (_what, from, expected) => {
    const lines: string[] = [];
    for (const partition of ['0', '1']) {
      const args = ['-C', '-q', '-b', lake.service.kafka, '-t', topic, '-p', partition, '-o', from, '-e', '-f', '%p %o %s\\n'];
      const { stdout } = await promisify(execFile)(kcat.path ?? '', args, { timeout: 60_000 });
      lines.push(...stdout.split('\n').filter((line) => line !== ''));
    }
    expect(lines.sort()).toEqual(expected().sort());
  });

  it.skipIf(kafka44.path === undefined).each([
    ['from the beginning', 'earliest', all],
    ['from the middle of the hole', String(cold + 3), behind],
  ] as const)(`is read by Kafka's Java consumer %s${kafka44.note}`, async (_what, from, expected) => {
    const lines: string[] = [];
    for (const partition of ['0', '1']) {
      const count = expected().filter((line) => line.startsWith(`${partition} `)).length;
      const asked = ['--bootstrap-server', lake.service.kafka, '--topic', topic, '--partition', partition, '--offset', from];
      const shown = ['partition', 'offset'].flatMap((name) => ['--formatter-property', `print.${name}=true`]);
      const { code, stdout, stderr } = await kafkaTool('consumer.ConsoleConsumer', [
        ...asked,
        '--timeout-ms',
        '60000',
        '--max-messages',
        String(count),
        ...shown,
      ]);
      expect([code, stderr]).toEqual([0, expect.stringContaining(`a total of ${count} messages`)]);
      lines.push(...stdout.trimEnd().split('\n'));
    }
    const shownAs = (line: string): string => line.replace(/^(\d+) (\d+) (.*)$/, 'Partition:$1\tOffset:$2\t$3');
    expect(lines.sort()).toEqual(expected().map(shownAs).sort());
  });
});
