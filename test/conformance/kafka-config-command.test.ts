// Apache Kafka's ConfigCommand (kafka-configs.sh) against a running service: what it shows, what it changes, what it is refused.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kafka44Tool } from '../support/kafka-tools.js';
import { Lake } from '../support/lake.js';
import { kafka44, kafka44Tools } from '../support/outside-tools.js';

const topic = 'configured';
const skipped = [kafka44, kafka44Tools].find(({ path }) => path === undefined);

describe.skipIf(skipped !== undefined)(`Kafka's ConfigCommand${skipped?.note ?? ''}`, () => {
  let lake: Lake;
  const config = async (...args: readonly string[]): Promise<{ code: number; lines: string[]; error: string | undefined }> => {
    const { code, stdout, stderr } = await kafka44Tool('ConfigCommand', ['--bootstrap-server', lake.service.kafka, ...args]);
    const error = /Caused by: org\.apache\.kafka\.common\.errors\.(.*)/.exec(stderr)?.[1];
    return { code, lines: stdout.split('\n').filter((line) => line !== ''), error };
  };
  const on = (type: string, ...name: readonly string[]): readonly string[] => [
    '--entity-type',
    type,
    ...name.flatMap((one) => ['--entity-name', one]),
  ];
  /** The keys that are shown, with their values. */
  const described = async (...of: readonly string[]): Promise<Record<string, string>> => {
    const { code, lines } = await config('--describe', ...of);
    expect(code).toBe(0);
    return Object.fromEntries(
      lines.flatMap((line) => [...line.matchAll(/^ {2}([\w.]+)=(.*?) sensitive=/g)].map(([, key, value]) => [key, value])),
    );
  };
  const alter = async (of: readonly string[], ...how: readonly string[]): Promise<string | undefined> => {
    const { code, lines } = await config('--alter', ...of, ...how);
    expect(code).toBe(0);
    return lines.at(-1);
  };

  beforeAll(async () => {
    lake = await Lake.start();
    await lake.createTopic(topic, 2);
  });
  afterAll(async () => {
    await lake?.[Symbol.asyncDispose]();
  });

  it('shows and changes those of a topic', async () => {
    const of = on('topics', topic);
    expect(await described(...of)).toEqual({});
    expect(await alter(of, '--add-config', 'retention.ms=86400000,segment.bytes=2097152')).toBe(
      `Completed updating config for topic ${topic}.`,
    );
    expect(await described(...of)).toEqual({ 'retention.ms': '86400000', 'segment.bytes': '2097152' });
    const all = await described(...of, '--all');
    expect(all).toMatchObject({ 'retention.ms': '86400000', 'cleanup.policy': 'delete', 'lake.value.format': 'auto' });
    await alter(of, '--delete-config', 'retention.ms');
    expect(await described(...of)).toEqual({ 'segment.bytes': '2097152' });
  });

  it('is told what is wrong with a value, a key and a topic', async () => {
    expect((await config('--alter', ...on('topics', topic), '--add-config', 'retention.ms=abc')).error).toMatch(
      /^InvalidConfigurationException: retention\.ms: "abc" is not a whole number/,
    );
    expect((await config('--alter', ...on('topics', topic), '--add-config', 'nosuch=1')).error).toMatch(
      /^InvalidConfigurationException: "nosuch" is not a topic configuration key/,
    );
    expect((await config('--alter', ...on('topics', 'nosuch'), '--add-config', 'retention.ms=1')).error).toMatch(
      /^UnknownTopicOrPartitionException/,
    );
  });

  it('shows and changes those of the broker, alone and by default', async () => {
    const alone = on('brokers', '1');
    const byDefault = ['--entity-type', 'brokers', '--entity-default'];
    await alter(alone, '--add-config', 'log.retention.ms=3600000');
    await alter(byDefault, '--add-config', 'log.retention.ms=7200000');
    expect(await described(...alone)).toMatchObject({ 'log.retention.ms': '3600000' });
    expect(await described(...byDefault)).toEqual({ 'log.retention.ms': '7200000' });
    await alter(alone, '--delete-config', 'log.retention.ms');
    expect(await described(...on('topics', topic), '--all')).toMatchObject({ 'retention.ms': '7200000' });
    await alter(byDefault, '--delete-config', 'log.retention.ms');
    expect(await described(...byDefault)).toEqual({});
  });

  it('shows and changes the level of the log, and those of a group', async () => {
    expect(await described(...on('broker-loggers', '1'))).toHaveProperty('root');
    const group = on('groups', 'grouped');
    await alter(group, '--add-config', 'consumer.session.timeout.ms=50000');
    expect(await described(...group)).toMatchObject({ 'consumer.session.timeout.ms': '50000' });
    await alter(group, '--delete-config', 'consumer.session.timeout.ms');
    expect(await described(...group)).toEqual({});
  });

  it('is refused what one broker without accounts does not keep', async () => {
    const refused = async (type: string, change: string): Promise<string | undefined> =>
      (await config('--alter', ...on(type, 'someone'), '--add-config', change)).error;
    expect(await refused('client-metrics', 'interval.ms=60000')).toMatch(
      /^InvalidRequestException: metrics of clients are not received here/,
    );
    expect(await refused('users', 'consumer_byte_rate=1000')).toMatch(/^UnsupportedVersionException/);
    expect(await refused('users', 'SCRAM-SHA-256=[iterations=4096,password=x]')).toMatch(/^UnsupportedSaslMechanismException/);
    expect(await described(...on('users', 'someone'))).toEqual({});
  });
});
