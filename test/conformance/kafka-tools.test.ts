// Apache Kafka's own command-line tools, and so its Java client, against a running service: topics, offsets, producing, consuming.
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kafkaTool } from '../support/kafka-tools.js';
import { alterTopic } from '../../src/client/index.js';
import { Lake } from '../support/lake.js';
import { kafka44 } from '../support/outside-tools.js';
import { temporaryFolder } from '../support/service.js';

const topic = 'tools';

describe.skipIf(kafka44.path === undefined)(`Kafka's tools${kafka44.note}`, () => {
  let lake: Lake;
  /** Runs a tool against the service and gives the lines it wrote. */
  const tool = async (main: string, args: readonly string[], input?: string): Promise<string[]> => {
    const { code, stdout, stderr } = await kafkaTool(main, ['--bootstrap-server', lake.service.kafka, ...args], input);
    expect([main, code, stderr.match(/ERROR.*|.*Exception.*/g)]).toEqual([main, 0, null]);
    return stdout.split('\n').filter((line) => line !== '');
  };

  beforeAll(async () => {
    lake = await Lake.start();
  });
  afterAll(async () => {
    await lake?.[Symbol.asyncDispose]();
  });

  it('create, list and describe a topic', async () => {
    const asked = ['--create', '--topic', topic, '--partitions', '3', '--replication-factor', '1', '--config', 'segment.bytes=1048576'];
    expect(await tool('TopicCommand', asked)).toEqual([`Created topic ${topic}.`]);
    expect(await tool('TopicCommand', ['--list'])).toEqual([topic]);
    const described = await tool('TopicCommand', ['--describe', '--topic', topic]);
    expect(described[0]).toMatch(/PartitionCount: 3\s+ReplicationFactor: 1\s+Configs: segment\.bytes=1048576/);
    expect(described.slice(1).map((line) => /Partition: (\d)\s+Leader: (\d+)/.exec(line)?.slice(1))).toEqual([
      ['0', '1'],
      ['1', '1'],
      ['2', '1'],
    ]);
  });

  it('produce with keys and headers, also idempotently and compressed, and consume as a group', async () => {
    const lines = Array.from({ length: 300 }, (_, i) => `h:${i},empty:\tkey ${i % 10}\t{"i":${i}}`);
    const parse = ['parse.key=true', 'parse.headers=true'].flatMap((property) => ['--reader-property', property]);
    const asked = ['--topic', topic, '--compression-codec', 'zstd', '--command-property', 'enable.idempotence=true', ...parse];
    await tool('ConsoleProducer', asked, `${lines.join('\n')}\n`);
    const shown = ['key', 'headers'].flatMap((name) => ['--formatter-property', `print.${name}=true`]);
    const group = ['--topic', topic, '--from-beginning', '--group', 'tools', '--timeout-ms', '60000'];
    const seen = await tool('consumer.ConsoleConsumer', [...group, '--max-messages', '300', ...shown]);
    expect(seen.sort()).toEqual(lines.sort());
    expect(await lake.sql(`SELECT count(*), sum(i) FROM ${topic}`)).toEqual([[300, (299 * 300) / 2]]);
  });

  it('consume as a group of the new protocol', async () => {
    const asked = ['--topic', topic, '--from-beginning', '--timeout-ms', '60000', '--max-messages', '300'];
    const group = ['--group', 'new', '--command-property', 'group.protocol=consumer'];
    expect(await tool('consumer.ConsoleConsumer', [...asked, ...group])).toHaveLength(300);
    const described = await tool('consumer.group.ConsumerGroupCommand', ['--describe', '--group', 'new', '--offsets']);
    const rows = described.filter((line) => line.startsWith('new ')).map((line) => line.split(/ +/));
    expect(rows.reduce((sum, row) => sum + Number(row[4]), 0)).toBe(300);
    expect(await tool('consumer.group.ConsumerGroupCommand', ['--list', '--type', 'consumer'])).toContainEqual(
      expect.stringMatching(/^new +Consumer/),
    );
  });

  it('find the offsets of both tiers', async () => {
    const ends = (await lake.ends(topic)).map(([, end]) => end);
    await lake.cool(topic);
    await lake.produce(topic, [{ partition: 1, key: null, value: Buffer.from('hot') }]);
    const at = async (time: string): Promise<string[]> => (await tool('GetOffsetShell', ['--topic', topic, '--time', time])).sort();
    const listed = (offsets: readonly number[]): string[] => offsets.map((offset, partition) => `${topic}:${partition}:${offset}`);
    expect(await at('earliest')).toEqual(listed([0, 0, 0]));
    expect(await at('latest')).toEqual(listed(ends.map((end, partition) => (partition === 1 ? end + 1 : end))));
    expect(await at('earliest-local')).toEqual(listed(ends));
    expect(await at('latest-tiered')).toEqual(listed(ends.map((end) => end - 1)));
  });

  it('delete records of both tiers', async () => {
    const folder = await temporaryFolder();
    try {
      const file = `${folder.path}/offsets.json`;
      const [, [, end]] = (await lake.ends(topic)) as [unknown, [number, number]];
      const partitions = [
        { topic, partition: 0, offset: 3 },
        { topic, partition: 1, offset: -1 },
      ];
      await writeFile(file, JSON.stringify({ version: 1, partitions }));
      const said = await tool('DeleteRecordsCommand', ['--offset-json-file', file]);
      // In whatever order the tool has them.
      expect(said.filter((line) => line.startsWith('partition')).sort()).toEqual([
        `partition: ${topic}-0\tlow_watermark: 3`,
        `partition: ${topic}-1\tlow_watermark: ${end}`,
      ]);
      expect((await lake.ends(topic)).map(([start]) => start)).toEqual([3, end, 0]);
      const rows = await lake.sql(`SELECT _partition_id, min(_offset) FROM ${topic} GROUP BY 1 ORDER BY 1`);
      expect(rows.map((row) => row.map(Number))).toEqual([
        [0, 3],
        [2, 0],
      ]);
    } finally {
      await folder.remove();
    }
  });

  it('produce and consume verifiably, and say what they did', async () => {
    const events = (lines: readonly string[]): Record<string, unknown>[] =>
      lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    await tool('TopicCommand', ['--create', '--topic', 'verified', '--partitions', '2']);
    const sent = events(await tool('VerifiableProducer', ['--topic', 'verified', '--max-messages', '40', '--acks', '-1']));
    expect(sent.find(({ name }) => name === 'tool_data')).toMatchObject({ sent: 40, acked: 40 });
    const asked = ['--topic', 'verified', '--group-id', 'verifying', '--max-messages', '40', '--reset-policy', 'earliest'];
    const seen = events(await tool('VerifiableConsumer', asked));
    const total = (name: string): number =>
      seen.filter((event) => event['name'] === name).reduce((sum, { count }) => sum + Number(count ?? 0), 0);
    expect(total('records_consumed')).toBe(40);
    expect(seen.filter(({ name }) => name === 'offsets_committed').map(({ success }) => success)).not.toContain(false);
    expect(seen.at(-1)).toMatchObject({ name: 'shutdown_requested' });
  });

  it('measure producing and consuming', async () => {
    const load = ['--topic', 'verified', '--num-records', '2000', '--record-size', '100', '--throughput', '-1'];
    const produced = await tool('ProducerPerformance', load);
    expect(produced.at(-1)).toMatch(/^2000 records sent, /);
    const consumed = await tool('ConsumerPerformance', ['--topic', 'verified', '--num-records', '2000', '--group', 'measuring']);
    expect(Number(consumed.at(-1)?.split(', ')[4])).toBeGreaterThanOrEqual(2000);
  });

  it('say what lies where', async () => {
    const lines = await tool('LogDirsCommand', ['--describe', '--topic-list', 'verified', '--broker-list', '1']);
    const { brokers } = JSON.parse(lines.at(-1) ?? '') as {
      brokers: { logDirs: { error: unknown; partitions: { partition: string; size: number; isFuture: boolean }[] }[] }[];
    };
    const [folder] = brokers[0]!.logDirs;
    expect(folder?.error).toBe(null);
    expect(
      folder!.partitions
        .map(({ partition, isFuture }) => [partition, isFuture])
        .sort(([one], [other]) => (String(one) < String(other) ? -1 : 1)),
    ).toEqual([
      ['verified-0', false],
      ['verified-1', false],
    ]);
    expect(folder!.partitions.every(({ size }) => size > 0)).toBe(true);
  });

  it('list, move and delete a group’s positions, and the group', async () => {
    const hour = 3_600_000;
    const atHour = (value: string, i: number): object => ({
      partition: 0,
      key: null,
      value: Buffer.from(value),
      timestampMs: Date.UTC(2026, 0, 1) + i * hour,
    });
    await tool('TopicCommand', ['--create', '--topic', 'moved', '--partitions', '2']);
    await lake.produce('moved', ['a', 'b', 'c', 'd'].map(atHour) as Parameters<Lake['produce']>[1]);
    const group = (args: readonly string[]): Promise<string[]> =>
      tool('consumer.group.ConsumerGroupCommand', ['--group', 'mover', ...args]);
    /** The last column of each row, by partition. */
    const moved = async (scope: string, to: readonly string[]): Promise<string[]> => {
      const lines = await group(['--topic', scope, '--reset-offsets', ...to]);
      return lines.flatMap((line) => line.match(/^mover +moved +(\d+ +\d+)/)?.[1]?.replace(/ +/, ':') ?? []).sort();
    };
    expect(await moved('moved', ['--to-latest', '--execute'])).toEqual(['0:4', '1:0']);
    expect(await moved('moved:0', ['--shift-by', '-3', '--execute'])).toEqual(['0:1']);
    // A time between the second record and the third.
    expect(await moved('moved:0', ['--to-datetime', '2026-01-01T01:30:00.000Z', '--execute'])).toEqual(['0:2']);
    expect(await group(['--topic', 'moved:0', '--reset-offsets', '--to-earliest', '--dry-run', '--export'])).toEqual(['moved,0,0']);
    const [described, states] = await Promise.all([group(['--describe']), group(['--describe', '--state'])]);
    expect(
      described
        .flatMap(
          (line) =>
            line
              .match(/^mover +moved +(\d+ +\d+ +\d+ +\d+)/)?.[1]
              ?.split(/ +/)
              .join(':') ?? [],
        )
        .sort(),
    ).toEqual(['0:2:4:2', '1:0:0:0']);
    expect(states.at(-1)).toMatch(/ Empty +0 *$/);
    expect(await tool('consumer.group.ConsumerGroupCommand', ['--list', '--state', 'Empty'])).toContainEqual(
      expect.stringMatching(/^mover +Empty/),
    );
    expect((await group(['--topic', 'moved:1', '--delete-offsets'])).at(-1)).toMatch(/^moved +1 +Successful/);
    expect(await group(['--delete'])).toEqual(["Deletion of requested consumer groups ('mover') was successful."]);
    expect(await tool('consumer.group.ConsumerGroupCommand', ['--list'])).not.toContain('mover');
    await tool('TopicCommand', ['--delete', '--topic', 'moved|verified']);
  });

  it('change a topic’s configuration', async () => {
    await alterTopic(lake.client, topic, { 'retention.ms': '86400000' });
    const [described = ''] = await tool('TopicCommand', ['--describe', '--topic', topic]);
    expect(described).toMatch(/Configs: .*retention\.ms=86400000/);
    expect(described).toMatch(/Configs: .*segment\.bytes=1048576/);
  });

  it('delete the topic', async () => {
    await tool('TopicCommand', ['--delete', '--topic', topic]);
    expect(await tool('TopicCommand', ['--list'])).toEqual(['__consumer_offsets']);
  });
});
