import { createServer, type Server, type Socket } from 'node:net';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client as MinioClient } from 'minio';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isLakeError, MiB } from '../../src/kernel/index.js';
import { isOutcomeUnknown, LocalCache, openObjectStore, type ObjectStore } from '../../src/objects/index.js';
import { objectStoreContract } from '../contract/object-store.contract.js';
import { versitygw } from '../support/outside-tools.js';
import { type S3Server, startVersitygw } from '../support/versitygw.js';

const useCredentials = (accessKey: string, secretKey: string): void => {
  process.env['AWS_ACCESS_KEY_ID'] = accessKey;
  process.env['AWS_SECRET_ACCESS_KEY'] = secretKey;
};
// Nothing outside this machine may be asked for credentials.
process.env['AWS_EC2_METADATA_DISABLED'] = 'true';

/** A server that runs already, as JSON: {"url":"s3://bucket/prefix","endpoint":"http://…","accessKey":"…","secretKey":"…"}. */
const given = process.env['THERMOCLINE_TEST_S3'];
if (given !== undefined) {
  const { url, endpoint, accessKey, secretKey } = JSON.parse(given) as Record<'url' | 'endpoint' | 'accessKey' | 'secretKey', string>;
  useCredentials(accessKey, secretKey);
  objectStoreContract(`S3 at ${endpoint}`, () => ({
    open: () => openObjectStore(`${url}/${process.pid}-${process.hrtime.bigint()}`, { endpoint }),
    manyKeys: 1100,
  }));
}

describe.skipIf(versitygw.path === undefined)(`a real S3 server${versitygw.note}`, () => {
  let server: S3Server;
  let store: ObjectStore;
  const open = (url: string, endpoint = server.endpoint): Promise<ObjectStore> => openObjectStore(url, { endpoint });

  beforeAll(async () => {
    server = await startVersitygw(versitygw.path ?? '', ['lake', 'other']);
    useCredentials(server.accessKey, server.secretKey);
    store = await open('s3://lake/shared');
  });
  afterAll(async () => {
    await store?.close();
    await server?.stop();
  });

  objectStoreContract('S3', () => ({ open: () => open('s3://other/a/prefix'), manyKeys: 1100 }));

  const minio = (): MinioClient =>
    new MinioClient({
      endPoint: '127.0.0.1',
      port: server.port,
      useSSL: false,
      accessKey: server.accessKey,
      secretKey: server.secretKey,
      region: 'us-east-1',
      pathStyle: true,
    });
  const collect = async (stream: AsyncIterable<Buffer>): Promise<Buffer> => {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    return Buffer.concat(chunks);
  };

  it('is read by another client as it was written, in one request and in parts', async () => {
    const large = Buffer.alloc(20 * MiB, 'large');
    await store.put('ours/small', Buffer.from('small'));
    await store.put('ours/large', large);
    const client = minio();
    expect((await collect(await client.getObject('lake', 'shared/ours/small'))).toString()).toBe('small');
    expect(large.equals(await collect(await client.getObject('lake', 'shared/ours/large')))).toBe(true);
    const names: (string | undefined)[] = [];
    for await (const item of client.listObjectsV2('lake', 'shared/ours/', true)) names.push((item as { name?: string }).name);
    expect(names).toEqual(['shared/ours/large', 'shared/ours/small']);
  });

  it('reads what another client wrote, and respects its keys', async () => {
    const client = minio();
    const large = Buffer.alloc(70 * MiB, 'theirs');
    await client.putObject('lake', 'shared/theirs/small', Buffer.from('small'));
    await client.putObject('lake', 'shared/theirs/large', large, large.length);
    expect((await store.get('theirs/small')).toString()).toBe('small');
    expect(large.equals(await store.get('theirs/large'))).toBe(true);
    await expect(store.put('theirs/small', Buffer.from('ours'), { ifAbsent: true })).rejects.toMatchObject({ code: 'object-exists' });
  });

  it('keeps one of several large conditional uploads in parts', async () => {
    const outcomes = await Promise.allSettled(
      [1, 2, 3].map((writer) => store.put('parts', Buffer.alloc(17 * MiB, writer), { ifAbsent: true })),
    );
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1);
    const lost = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
    expect(lost.every((error) => isLakeError(error, 'object-exists'))).toBe(true);
    expect((await store.get('parts'))[0]).toBe(outcomes.findIndex((outcome) => outcome.status === 'fulfilled') + 1);
  });

  it('says what to do about a missing bucket, wrong keys and a server that is not there', async () => {
    const missing = await open('s3://nowhere');
    await expect(missing.put('a', Buffer.from('x'))).rejects.toMatchObject({ code: 'store-refused', hint: /Create the bucket/ });
    await expect(missing.get('a')).rejects.toMatchObject({ code: 'store-refused' });
    await missing.close();

    useCredentials(server.accessKey, 'wrong');
    const refused = await open('s3://lake');
    await expect(refused.put('a', Buffer.from('x'))).rejects.toMatchObject({ code: 'store-refused', hint: /AWS_SECRET_ACCESS_KEY/ });
    await refused.close();
    useCredentials(server.accessKey, server.secretKey);

    const absent = await open('s3://lake', 'http://127.0.0.1:1');
    const error: unknown = await absent.put('a', Buffer.from('x'), { ifAbsent: true }).catch((cause: unknown) => cause);
    expect(isLakeError(error, 'store-unavailable') && !isOutcomeUnknown(error)).toBe(true);
    await absent.close();
  });

  it('finds out that it has won where the answer to a conditional write was lost, and that it does not know where all are', async () => {
    const proxy = await startProxy(server.port);
    const through = await open('s3://lake/lost', `http://127.0.0.1:${proxy.port}`);
    try {
      proxy.loseAnswers = true;
      proxy.losesMax = 2;
      await through.put('one', Buffer.from('x'), { ifAbsent: true });
      expect(proxy.lost).toBe(2);
      await expect(through.put('one', Buffer.from('y'), { ifAbsent: true })).rejects.toMatchObject({ code: 'object-exists' });
      proxy.losesMax = Number.POSITIVE_INFINITY;
      const error: unknown = await through.put('all', Buffer.from('x'), { ifAbsent: true }).catch((cause: unknown) => cause);
      expect(isOutcomeUnknown(error)).toBe(true);
      expect(isLakeError(error) && error.retriable).toBe(true);
      proxy.loseAnswers = false;
      expect((await through.get('all')).toString()).toBe('x');
    } finally {
      await through.close();
      await proxy.stop();
    }
  });

  it('tries a read again whose connection broke', async () => {
    const proxy = await startProxy(server.port);
    const through = await open('s3://lake/again', `http://127.0.0.1:${proxy.port}`);
    try {
      await through.put('key', Buffer.from('x'));
      proxy.loseAnswers = true;
      proxy.losesMax = 2;
      expect((await through.get('key')).toString()).toBe('x');
      expect(proxy.lost).toBe(2);
    } finally {
      await through.close();
      await proxy.stop();
    }
  });

  it('fills a local cache', async () => {
    await store.put('cached', Buffer.from('bytes'));
    const folder = join(server.folder, '..', 'cache');
    const cache = await LocalCache.open({ store, dir: folder, maxBytes: 100 });
    const [a, b] = await Promise.all([cache.fetchToLocal('cached'), cache.fetchToLocal('cached')]);
    expect(a.path).toBe(b.path);
    expect(cache.stats).toMatchObject({ bytes: 5, entries: 1, misses: 1 });
    await cache.close();
  });

  it('notices an object that was damaged in the bucket', async () => {
    await store.put('damaged', Buffer.from('right'));
    await writeFile(join(server.folder, 'lake', 'shared', 'damaged'), 'wrong');
    await expect(store.get('damaged')).rejects.toMatchObject({ code: 'store-unavailable' });
  });
});

interface Proxy {
  readonly port: number;
  /** Passes requests on and closes the connection instead of answering. */
  loseAnswers: boolean;
  losesMax: number;
  lost: number;
  stop(): Promise<void>;
}

async function startProxy(target: number): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const { connect } = await import('node:net');
  const server: Server = createServer((inbound) => {
    const outbound = connect(target, '127.0.0.1');
    for (const socket of [inbound, outbound]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
    }
    inbound.pipe(outbound);
    outbound.on('data', (chunk: Buffer) => {
      if (proxy.loseAnswers && proxy.lost < proxy.losesMax) {
        proxy.lost++;
        inbound.destroy();
        outbound.destroy();
      } else {
        inbound.write(chunk);
      }
    });
    inbound.on('close', () => outbound.destroy());
    outbound.on('close', () => inbound.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const proxy: Proxy = {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    loseAnswers: false,
    losesMax: Number.POSITIVE_INFINITY,
    lost: 0,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}
