import { describe, expect, it } from 'vitest';
import type { LevelSwitch, LogLevel } from '../../../src/telemetry/index.js';
import {
  alterConfigsApi,
  consumerGroupHeartbeatApi,
  createTopicsApi,
  describeConfigsApi,
  incrementalAlterConfigsApi,
  listConfigResourcesApi,
} from '../../../src/wire/index.js';
import { temporaryFolder, testBroker, WireClient } from './broker-fixture.js';

type Change = readonly [name: string, operation: number, value: string | null];
const [set, remove, append] = [0, 1, 2];
const kinds = { topic: 2, broker: 4, logger: 8, clientMetrics: 16, group: 32 } as const;
type Kind = keyof typeof kinds;

async function alter(client: WireClient, kind: Kind, resourceName: string, changes: readonly Change[], validateOnly = false) {
  const configs = changes.map(([name, configOperation, value]) => ({ name, configOperation, value }));
  const resources = [{ resourceType: kinds[kind], resourceName, configs }];
  return (await client.call(incrementalAlterConfigsApi, 1, { resources, validateOnly })).responses[0]!;
}

async function replace(client: WireClient, kind: Kind, resourceName: string, values: Readonly<Record<string, string>>) {
  const configs = Object.entries(values).map(([name, value]) => ({ name, value }));
  const resources = [{ resourceType: kinds[kind], resourceName, configs }];
  return (await client.call(alterConfigsApi, 2, { resources, validateOnly: false })).responses[0]!;
}

async function described(client: WireClient, kind: Kind, resourceName: string, keys: string[] | null = null) {
  const resources = [{ resourceType: kinds[kind], resourceName, configurationKeys: keys }];
  const { results } = await client.call(describeConfigsApi, 4, { resources, includeSynonyms: true, includeDocumentation: true });
  return results[0]!;
}

/** Value, source and where else it is set, of one key. */
async function valueOf(client: WireClient, kind: Kind, name: string, key: string) {
  const [config] = (await described(client, kind, name, [key])).configs;
  return config && [config.value, config.configSource, config.synonyms.map((one) => `${one.source} ${one.name}=${one.value}`)];
}

const session = 'consumer.session.timeout.ms';
const interval = 'consumer.heartbeat.interval.ms';

describe('a group’s configuration', () => {
  it('has every key of Kafka 4.4, and only those that groups here obey can be set', async () => {
    const client = await WireClient.open(await testBroker());
    const { configs, errorCode } = await described(client, 'group', 'g');
    expect(errorCode).toBe(0);
    expect(configs.filter(({ readOnly }) => !readOnly).map(({ name }) => name)).toEqual([
      'consumer.session.timeout.ms',
      'consumer.heartbeat.interval.ms',
      'consumer.assignment.interval.ms',
    ]);
    expect(configs).toHaveLength(21);
    for (const { documentation, synonyms } of configs) {
      expect(documentation).not.toBe('');
      expect(synonyms.at(-1)).toMatchObject({ source: 5 });
    }
    const refused = await alter(client, 'group', 'g', [['share.session.timeout.ms', set, '50000']]);
    expect(refused).toMatchObject({ errorCode: 40 });
    expect(refused.errorMessage).toContain('there are no share groups here');
    expect((await alter(client, 'group', '', [[session, set, '1']])).errorCode).toBe(42);
    // What cannot be done to a key is told before that.
    expect((await alter(client, 'group', '', [[session, append, '50000']])).errorCode).toBe(40);
  });

  it('is kept for good, listed and taken back', async () => {
    const dataDir = await temporaryFolder();
    const broker = await testBroker({ dataDir });
    const client = await WireClient.open(broker);
    const listed = async (from: WireClient) =>
      (await from.call(listConfigResourcesApi, 1, { resourceTypes: [32] })).configResources.map(({ resourceName }) => resourceName);
    expect(await valueOf(client, 'group', 'g', session)).toEqual(['45000', 5, [`5 group.${session}=45000`]]);
    expect(await alter(client, 'group', 'g', [[session, set, '50000']], true)).toMatchObject({ errorCode: 0 });
    expect(await listed(client)).toEqual([]);
    expect(await alter(client, 'group', 'g', [[session, set, '50000']])).toMatchObject({ errorCode: 0, errorMessage: null });
    expect(await replace(client, 'group', 'h', { [interval]: '6000' })).toMatchObject({ errorCode: 0 });
    await broker.close();
    const again = await WireClient.open(await testBroker({ dataDir }));
    expect(await listed(again)).toEqual(['g', 'h']);
    expect(await valueOf(again, 'group', 'g', session)).toEqual(['50000', 8, [`8 ${session}=50000`, `5 group.${session}=45000`]]);
    expect(await replace(again, 'group', 'g', { [interval]: '7000' })).toMatchObject({ errorCode: 0 });
    expect(await valueOf(again, 'group', 'g', session)).toEqual(['45000', 5, [`5 group.${session}=45000`]]);
    expect(await alter(again, 'group', 'g', [[interval, remove, null]])).toMatchObject({ errorCode: 0 });
    expect(await listed(again)).toEqual(['h']);
  });

  it('is refused by Kafka’s codes, outside the broker’s bounds too', async () => {
    const client = await WireClient.open(await testBroker({ flags: { 'group.consumer.min.session.timeout.ms': '10000' } }));
    const code = async (changes: readonly Change[], name = 'g') => (await alter(client, 'group', name, changes)).errorCode;
    expect(await code([[session, set, '9999']])).toBe(40);
    expect(await code([[session, set, '60001']])).toBe(40);
    expect(await code([[session, set, 'long']])).toBe(40);
    expect(await code([[session, set, null]])).toBe(42);
    expect(await code([[session, append, '1']])).toBe(40);
    expect(await code([['consumer.sessions', set, '1']])).toBe(40);
    expect(await code([[session, set, '50000']], '')).toBe(42);
    expect((await described(client, 'group', '')).errorCode).toBe(42);
    // A session no longer than its heartbeat.
    const both: Change[] = [
      [session, set, '10000'],
      [interval, set, '10000'],
    ];
    expect(await code(both)).toBe(40);
    expect(await code([[session, set, '10000']])).toBe(0);
    expect(await code([[interval, set, '10000']])).toBe(40);
  });

  it('is obeyed: heartbeats are told the interval, and who is silent for the session is fenced', async () => {
    const bounds = { 'group.consumer.min.session.timeout.ms': '1', 'group.consumer.min.heartbeat.interval.ms': '1' };
    const dataDir = await temporaryFolder();
    const broker = await testBroker({ dataDir, flags: bounds });
    const client = await WireClient.open(broker);
    await client.createTopic('a');
    const beat = (from: WireClient, memberEpoch: number) =>
      from.call(consumerGroupHeartbeatApi, 1, {
        groupId: 'g',
        memberId: 'm',
        memberEpoch,
        ...(memberEpoch === 0 ? { rebalanceTimeoutMs: 10_000, subscribedTopicNames: ['a'], topicPartitions: [] } : {}),
      });
    expect(await beat(client, 0)).toMatchObject({ errorCode: 0, memberEpoch: 2, heartbeatIntervalMs: 5000 });
    const short: Change[] = [
      [session, set, '300'],
      [interval, set, '100'],
    ];
    expect(await alter(client, 'group', 'g', short)).toMatchObject({ errorCode: 0 });
    expect(await beat(client, 2)).toMatchObject({ errorCode: 0, heartbeatIntervalMs: 100 });
    await expect.poll(async () => (await beat(client, 2)).errorCode, { interval: 500, timeout: 10_000 }).toBe(25);
    await broker.close();
    // Bounds that were drawn closer hold for what was set before.
    const again = await WireClient.open(await testBroker({ dataDir, flags: { 'group.consumer.min.heartbeat.interval.ms': '200' } }));
    expect(await valueOf(again, 'group', 'g', interval)).toMatchObject(['100', 8, expect.anything()]);
    expect(await beat(again, 0)).toMatchObject({ errorCode: 0, heartbeatIntervalMs: 200 });
  });

  it('must leave the broker’s own values within its bounds', async () => {
    await expect(testBroker({ flags: { 'group.consumer.session.timeout.ms': '60001' } })).rejects.toMatchObject({ code: 'config-refused' });
  });
});

describe('the broker’s configuration', () => {
  it('takes defaults of topics while it runs, for this broker over all brokers, for good', async () => {
    const dataDir = await temporaryFolder();
    const broker = await testBroker({ dataDir, flags: { 'log.roll.ms': '70000' } });
    const client = await WireClient.open(broker);
    await client.createTopic('a');
    await client.createTopic('own', 1, { 'segment.ms': '5000' });
    expect(await valueOf(client, 'topic', 'a', 'segment.ms')).toMatchObject(['70000', 4, expect.anything()]);
    expect(await alter(client, 'broker', '', [['log.roll.ms', set, '80000']])).toMatchObject({ errorCode: 0, errorMessage: null });
    expect(await valueOf(client, 'topic', 'a', 'segment.ms')).toMatchObject(['80000', 3, expect.anything()]);
    expect(await alter(client, 'broker', '1', [['log.roll.ms', set, '90000']], true)).toMatchObject({ errorCode: 0 });
    expect(await alter(client, 'broker', '1', [['log.roll.ms', set, '90000']])).toMatchObject({ errorCode: 0 });
    await broker.close();
    const again = await WireClient.open(await testBroker({ dataDir, flags: { 'log.roll.ms': '70000' } }));
    const levels = ['2 log.roll.ms=90000', '3 log.roll.ms=80000', '4 log.roll.ms=70000', '5 log.roll.ms=604800000'];
    expect(await valueOf(again, 'topic', 'a', 'segment.ms')).toEqual(['90000', 2, levels]);
    expect(await valueOf(again, 'broker', '1', 'log.roll.ms')).toEqual(['90000', 2, levels]);
    expect(await valueOf(again, 'topic', 'own', 'segment.ms')).toEqual(['5000', 1, ['1 segment.ms=5000', ...levels]]);
    const { topics } = await again.call(createTopicsApi, 7, {
      topics: [{ name: 'b', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
    });
    expect(topics[0]!.configs?.find(({ name }) => name === 'segment.ms')).toMatchObject({ value: '90000', configSource: 2 });
    // Of all brokers, what is set to all.
    expect((await described(again, 'broker', '')).configs).toMatchObject([{ name: 'log.roll.ms', value: '80000', configSource: 3 }]);
    expect(await replace(again, 'broker', '1', {})).toMatchObject({ errorCode: 0 });
    expect(await alter(again, 'broker', '', [['log.roll.ms', remove, null]])).toMatchObject({ errorCode: 0 });
    expect(await valueOf(again, 'topic', 'a', 'segment.ms')).toMatchObject(['70000', 4, expect.anything()]);
  });

  it('refuses what is read at its start, and what cannot be used, by Kafka’s codes', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('a');
    const answer = (changes: readonly Change[], name = '1') => alter(client, 'broker', name, changes);
    const fixed = await answer([
      ['num.partitions', set, '3'],
      ['node.id', set, '3'],
    ]);
    expect(fixed).toMatchObject({ errorCode: 42 });
    expect(fixed.errorMessage).toContain('node.id, num.partitions');
    expect(await answer([['log.roll.ms', set, 'soon']])).toMatchObject({ errorCode: 42 });
    expect(await answer([['log.roll.mx', set, '1']])).toMatchObject({ errorCode: 40 });
    expect(await answer([['log.roll.ms', append, '1']])).toMatchObject({ errorCode: 40 });
    expect(await answer([['log.roll.ms', set, '1']], '2')).toMatchObject({ errorCode: 42 });
    expect(await answer([['log.roll.ms', set, '1']], 'x')).toMatchObject({ errorCode: 42 });
    expect(await answer([['node.id', remove, null]])).toMatchObject({ errorCode: 0 });
    // A topic that could not have its configuration then is named.
    await client.createTopic('tiered', 1, { 'remote.storage.enable': 'true' });
    const compacted = await answer([['log.cleanup.policy', set, 'compact']]);
    expect(compacted).toMatchObject({ errorCode: 40 });
    expect(compacted.errorMessage).toContain('topic tiered cannot');
    const { configs } = await described(client, 'broker', '1');
    expect(configs.find(({ name }) => name === 'num.partitions')).toMatchObject({ readOnly: true, configSource: 5 });
    expect(configs.find(({ name }) => name === 'log.roll.ms')).toMatchObject({ readOnly: false, configType: 5 });
    expect(configs.find(({ name }) => name === 'http.token')).toMatchObject({ isSensitive: true, value: null, synonyms: [] });
  });
});

describe('loggers and client metrics', () => {
  it('refuses a logger that is not there, and another broker’s', async () => {
    const client = await WireClient.open(await testBroker());
    expect(await alter(client, 'logger', '1', [['kafka.server', set, 'INFO']])).toMatchObject({ errorCode: 40 });
    expect(await alter(client, 'logger', '2', [['root', set, 'INFO']])).toMatchObject({ errorCode: 42 });
    expect(await replace(client, 'logger', '1', {})).toMatchObject({ errorCode: 42 });
    expect((await described(client, 'logger', '2')).errorCode).toBe(42);
  });

  it('sets the level of the one logger there is', async () => {
    let level: LogLevel = 'info';
    const levels: LevelSwitch = { get: () => level, set: (to) => void (level = to) };
    const client = await WireClient.open(await testBroker({ level: levels }));
    const shown = async () => (await described(client, 'logger', '1')).configs;
    expect(await shown()).toMatchObject([
      { name: 'root', value: 'INFO', configSource: 6, configType: 0, readOnly: false, documentation: '' },
    ]);
    expect(await alter(client, 'logger', '1', [['root', set, 'WARN']], true)).toMatchObject({ errorCode: 0 });
    expect(level).toBe('info');
    expect(await alter(client, 'logger', '1', [['root', set, 'WARN']])).toMatchObject({ errorCode: 0 });
    expect(level).toBe('warn');
    expect(await shown()).toMatchObject([{ value: 'WARN' }]);
    expect(await alter(client, 'logger', '1', [['root', set, 'warn']])).toMatchObject({ errorCode: 40 });
    expect(await alter(client, 'logger', '1', [['root', remove, null]])).toMatchObject({ errorCode: 42 });
    expect(await alter(client, 'logger', '1', [['root', append, 'INFO']])).toMatchObject({ errorCode: 42 });
  });

  it('describes a subscription to client metrics by its defaults, and takes none', async () => {
    const client = await WireClient.open(await testBroker());
    const { configs } = await described(client, 'clientMetrics', 'm');
    expect(configs.map(({ name, value, readOnly }) => [name, value, readOnly])).toEqual([
      ['interval.ms', '300000', true],
      ['match', '', true],
      ['metrics', '', true],
    ]);
    expect((await described(client, 'clientMetrics', '')).errorCode).toBe(42);
    expect(await alter(client, 'clientMetrics', 'm', [['interval.ms', set, '60000']])).toMatchObject({ errorCode: 42 });
    expect(await alter(client, 'clientMetrics', 'm', [['interval.ms', append, '60000']])).toMatchObject({ errorCode: 40 });
    expect(await alter(client, 'clientMetrics', 'm', [['interval', set, '60000']])).toMatchObject({ errorCode: 42 });
    expect(await alter(client, 'clientMetrics', 'm', [['interval.ms', remove, null]])).toMatchObject({ errorCode: 0 });
  });
});
