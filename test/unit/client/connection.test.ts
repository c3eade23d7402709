import { createServer, type AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  connectBroker,
  createTopics,
  deleteTopics,
  describeConfigs,
  type KafkaConnection,
  parseBootstrap,
} from '../../../src/client/index.js';
import { topicId } from '../../../src/kernel/index.js';
import { apiVersionsApi, createTopicsApi, deleteTopicsApi, describeConfigsApi, metadataApi, produceApi } from '../../../src/wire/index.js';
import { ScriptedBroker } from '../../support/scripted-broker.js';

let broker: ScriptedBroker;
const opened: KafkaConnection[] = [];
const none = { brokers: [], topics: [] };

async function open(options: { requestTimeoutMs?: number } = {}): Promise<KafkaConnection> {
  const connection = await connectBroker({ bootstrap: broker.bootstrap, clientId: 'test', ...options });
  opened.push(connection);
  return connection;
}

beforeEach(async () => {
  broker = new ScriptedBroker();
  await broker.listen();
});
afterEach(async () => {
  for (const connection of opened.splice(0)) connection.close();
  await broker.close();
});

describe('bootstrap', () => {
  it('is a list of addresses, tried in order', async () => {
    expect(parseBootstrap('a:1, [::1]:2,c')).toEqual([
      { host: 'a', port: 1 },
      { host: '::1', port: 2 },
      { host: 'c', port: 9092 },
    ]);
    for (const text of ['', 'a:b', 'a:0', 'http://x'])
      expect(() => parseBootstrap(text)).toThrow(expect.objectContaining({ code: 'config-invalid-value' }) as Error);
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const dead = `127.0.0.1:${port}`;
    await expect(connectBroker({ bootstrap: dead, clientId: 'test' })).rejects.toMatchObject({ code: 'peer-gone', retriable: true });
    const connection = await connectBroker({ bootstrap: `${dead},${broker.bootstrap}`, clientId: 'test' });
    opened.push(connection);
    expect(connection.isOpen).toBe(true);
  });
});

describe('KafkaConnection', () => {
  it('speaks the highest version both sides know, and refuses where there is none', async () => {
    broker.versions = new Map([
      [metadataApi.key, [0, 4]],
      [produceApi.key, [0, 2]],
    ]);
    let version = -1;
    broker.on(metadataApi, (asked) => {
      version = asked.version;
      return none;
    });
    const connection = await open();
    await connection.request(metadataApi, { topics: null });
    expect(version).toBe(4);
    await expect(connection.request(metadataApi, { topics: null }, { minVersion: 10 })).rejects.toMatchObject({
      code: 'unsupported-version',
    });
    expect(() => connection.versionOf(produceApi)).toThrow(expect.objectContaining({ code: 'unsupported-version' }) as Error);
  });

  it('falls back to ApiVersions v0 where v3 is not known', async () => {
    const versions: number[] = [];
    broker.on(apiVersionsApi, ({ version }) => {
      versions.push(version);
      return version === 0 ? { errorCode: 0, apiKeys: [{ apiKey: 3, minVersion: 0, maxVersion: 1 }] } : { errorCode: 35, apiKeys: [] };
    });
    expect((await open()).versionOf(metadataApi)).toBe(1);
    expect(versions).toEqual([3, 0]);
  });

  it('keeps many requests in order, and bounds those under way', async () => {
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const asked: string[] = [];
    broker.on(metadataApi, async ({ body }) => {
      asked.push(body.topics?.[0]?.name ?? '');
      await held;
      return { brokers: [], topics: [{ errorCode: 0, name: body.topics?.[0]?.name ?? '', partitions: [] }] };
    });
    const connection = await open();
    const names = Array.from({ length: 50 }, (_, i) => `t${i}`);
    const answers = names.map((name) => connection.request(metadataApi, { topics: [{ name }] }));
    expect(connection.requestsInFlight).toBe(16);
    release();
    const got = await Promise.all(answers);
    expect(got.map((answer) => answer.topics[0]?.name)).toEqual(names);
    expect(asked).toEqual(names);
  });

  it('ends when an answer does not come in time, and says so to all who wait', async () => {
    broker.on(metadataApi, () => undefined);
    const connection = await open();
    const outcomes = await Promise.allSettled([
      connection.request(metadataApi, { topics: null }, { timeoutMs: 10 }),
      connection.request(metadataApi, { topics: null }),
    ]);
    expect(outcomes).toMatchObject([{ reason: { code: 'timeout' } }, { reason: { code: 'timeout' } }]);
    expect(connection.isOpen).toBe(false);
  });

  it('drops the answer to a cancelled request and goes on', async () => {
    broker.on(metadataApi, async () => {
      await new Promise(setImmediate);
      return none;
    });
    const connection = await open();
    const abort = new AbortController();
    const cancelled = connection.request(metadataApi, { topics: null }, { signal: abort.signal });
    abort.abort();
    await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });
    await expect(connection.request(metadataApi, { topics: null })).resolves.toMatchObject({ topics: [] });
  });

  it('fails everything with peer-gone when the broker hangs up, and refuses what is no Kafka broker', async () => {
    broker.on(metadataApi, ({ socket }) => void socket.destroy());
    const connection = await open();
    await expect(connection.request(metadataApi, { topics: null })).rejects.toMatchObject({ code: 'peer-gone', retriable: true });
    await expect(connection.request(metadataApi, { topics: null })).rejects.toMatchObject({ code: 'peer-gone' });
    broker.on(apiVersionsApi, ({ socket }) => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await expect(open()).rejects.toMatchObject({ code: 'frame-invalid' });
  });
});

describe('admin', () => {
  const options = (): { bootstrap: string; clientId: string } => ({ bootstrap: broker.bootstrap, clientId: 'test' });

  it('creates topics with partitions and configuration', async () => {
    let body: unknown;
    const id = topicId('AAAAAAAAAAAAAAAAAAAAAQ');
    broker.on(createTopicsApi, (asked) => {
      body = asked.body;
      return {
        topics: asked.body.topics.map(({ name }) => ({
          name,
          topicId: id,
          errorCode: 0,
          errorMessage: null,
          numPartitions: 6,
          configs: [],
        })),
      };
    });
    expect(await createTopics(options(), [{ name: 'flights', partitions: 6, config: { 'segment.bytes': '1' } }])).toEqual([
      { name: 'flights', topicId: id, partitions: 6 },
    ]);
    expect(body).toMatchObject({
      topics: [{ name: 'flights', numPartitions: 6, replicationFactor: -1, configs: [{ name: 'segment.bytes', value: '1' }] }],
    });
    expect(broker.sockets.size).toBeLessThanOrEqual(1);
  });

  it('turns the broker’s codes into ours, with its message', async () => {
    broker.on(createTopicsApi, () => ({ topics: [{ name: 'x', errorCode: 36, errorMessage: 'there it is', configs: [] }] }));
    await expect(createTopics(options(), [{ name: 'x' }])).rejects.toMatchObject({
      code: 'topic-exists',
      message: expect.stringContaining('there it is') as string,
    });
    broker.on(deleteTopicsApi, () => ({ responses: [{ name: 'x', errorCode: 3 }] }));
    await expect(deleteTopics(options(), ['x'])).rejects.toMatchObject({ code: 'topic-unknown' });
    broker.versions = new Map([[deleteTopicsApi.key, [1, 5]]]);
    broker.on(deleteTopicsApi, ({ body }) => ({ responses: body.topicNames.map((name) => ({ name, errorCode: 0 })) }));
    await deleteTopics(options(), ['x']);
  });

  it('describes configurations', async () => {
    broker.on(describeConfigsApi, ({ body }) => ({
      results: body.resources.map(({ resourceType, resourceName }) => ({
        errorCode: 0,
        errorMessage: null,
        resourceType,
        resourceName,
        configs: [{ name: 'retention.ms', value: '-1', readOnly: false, isSensitive: false, synonyms: [], documentation: null }],
      })),
    }));
    expect(await describeConfigs(options(), { topic: 'flights' })).toMatchObject([{ name: 'retention.ms', value: '-1' }]);
  });
});
