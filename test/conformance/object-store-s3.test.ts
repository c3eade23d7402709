import { createServer, type Server, type Socket } from 'node:net';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client as MinioClient } from 'minio';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isLakeError, MiB, systemRandom } from '../../src/kernel/index.js';
import {
  isOutcomeUnknown,
  LocalCache,
  type ObjectStore,
  openObjectStore,
  probeConditionalWrites,
  RequestCounters,
  type RequestOperation,
  type RequestOutcome,
} from '../../src/objects/index.js';
import { objectStoreContract, type OtherClient } from '../contract/object-store.contract.js';
import { minioServer, s3mock, versitygw } from '../support/outside-tools.js';
import { minioClient, startMinio, startS3Mock } from '../support/s3-servers.js';
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

const servers = [
  { name: 'versitygw', tool: versitygw, start: startVersitygw, tellsUnfinished: true },
  { name: 'MinIO', tool: minioServer, start: startMinio, tellsUnfinished: false },
];

describe.each(servers.map((one) => ({ ...one, title: `${one.name}${one.tool.note}` })))(
  'on $title',
  ({ name, tool, start, tellsUnfinished }) => {
    describe.skipIf(tool.path === undefined)('a store', () => {
      let server: S3Server;
      let store: ObjectStore;
      const open = (url: string, endpoint = server.endpoint): Promise<ObjectStore> => openObjectStore(url, { endpoint });

      beforeAll(async () => {
        server = await start(tool.path ?? '', ['lake', 'other']);
        useCredentials(server.accessKey, server.secretKey);
        store = await open('s3://lake/shared');
      });
      afterAll(async () => {
        await store?.close();
        await server?.stop();
      });

      objectStoreContract(`S3 (${name})`, () => ({
        open: () => open('s3://other/a/prefix'),
        other: otherClient(() => minioClient(server), 'other', 'a/prefix/', tellsUnfinished),
        manyKeys: 1100,
      }));

      it('says what to do about a missing bucket, wrong keys and a server that is not there', async () => {
        const missing = await open('s3://nowhere');
        await expect(missing.put('a', Buffer.from('x'))).rejects.toMatchObject({ code: 'store-refused', hint: /Create the bucket/ });
        await expect(missing.get('a')).rejects.toMatchObject({ code: 'store-refused' });
        await missing.close();

        useCredentials(server.accessKey, 'wrong-and-long-enough');
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

      it('counts each request once: one for a small object, and one a part and two more for a large one', async () => {
        const counters = new RequestCounters();
        const counted = await openObjectStore('s3://lake/counted', { endpoint: server.endpoint, counters });
        await counted.put('small', Buffer.alloc(1000));
        await counted.put('large', Buffer.alloc(33 * MiB));
        await counted.get('large', { range: { start: 5, end: 105 } });
        await counted.head('none');
        await expect(counted.put('small', Buffer.alloc(1), { ifAbsent: true })).rejects.toMatchObject({ code: 'object-exists' });
        const of = (operation: RequestOperation, outcome: RequestOutcome): number => counters.requests(operation, outcome);
        expect([
          of('put', 'ok'),
          of('put', 'exists'),
          of('create-upload', 'ok'),
          of('put-part', 'ok'),
          of('complete-upload', 'ok'),
        ]).toEqual([1, 1, 1, 3, 1]);
        // One looks for what is not there, one whose the object is that was there already.
        expect([of('get', 'ok'), of('head', 'missing'), of('head', 'ok')]).toEqual([1, 1, 1]);
        expect(counters.requests()).toBe(10);
        expect([counters.sentBytes, counters.receivedBytes, counters.retries]).toEqual([1000 + 33 * MiB + 1, 100, 0]);
        await counted.close();
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

      it.skipIf(name !== 'versitygw')('notices an object that was damaged in the bucket, whole or in parts', async () => {
        const large = Buffer.alloc(20 * MiB, 'right');
        await store.put('damaged', Buffer.from('right'));
        await store.put('damaged-large', large);
        await writeFile(join(server.folder, 'lake', 'shared', 'damaged'), 'wrong');
        large[19 * MiB] = 0;
        await writeFile(join(server.folder, 'lake', 'shared', 'damaged-large'), large);
        await expect(store.get('damaged')).rejects.toMatchObject({ code: 'store-unavailable' });
        await expect(store.download('damaged-large', join(server.folder, '..', 'damaged'))).rejects.toMatchObject({
          code: 'store-unavailable',
        });
        await rm(join(server.folder, 'lake', 'shared', 'damaged-large'));
      });
    });
  },
);

describe.skipIf(s3mock.path === undefined)(`on Adobe's S3Mock, where several writers win${s3mock.note}`, () => {
  let server: S3Server;
  beforeAll(async () => {
    server = await startS3Mock(s3mock.path ?? '', 'lake');
    useCredentials(server.accessKey, server.secretKey);
  });
  afterAll(() => server?.stop());

  it('the probe refuses the bucket, and leaves nothing behind', async () => {
    const store = await openObjectStore('s3://lake/probed', { endpoint: server.endpoint });
    await expect(probeConditionalWrites(store, systemRandom)).rejects.toMatchObject({ code: 'store-unsafe', hint: /If-None-Match/ });
    for await (const { key } of store.list('')) expect.unreachable(`${key} was left behind`);
    await store.close();
  });

  it('several writers of an object in parts win now and then, so a probe of whole objects alone would not be enough', async () => {
    const store = await openObjectStore('s3://lake/parts', { endpoint: server.endpoint });
    let unsafe = 0;
    for (let round = 0; round < 20; round++) {
      const writers = [1, 2, 3, 4, 5].map((writer) => store.put(`${round}`, Buffer.from([writer]), { ifAbsent: true, inParts: true }));
      const outcomes = await Promise.allSettled(writers);
      if (outcomes.filter((outcome) => outcome.status === 'fulfilled').length !== 1) unsafe++;
    }
    expect(unsafe).toBeGreaterThan(0);
    await store.close();
  });
});

/** The store's place through the other client, at whose keys the prefix stands. */
function otherClient(client: () => MinioClient, bucket: string, prefix: string, tellsUnfinished: boolean): OtherClient {
  return {
    put: async (key, bytes) => {
      await client().putObject(bucket, prefix + key, bytes, bytes.length);
    },
    get: async (key) => {
      const chunks: Buffer[] = [];
      for await (const chunk of await client().getObject(bucket, prefix + key)) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks);
    },
    list: async (below) => {
      const keys: string[] = [];
      for await (const item of client().listObjectsV2(bucket, prefix + below, true)) {
        keys.push((item as { name: string }).name.slice(prefix.length));
      }
      return keys;
    },
    leaveUnfinished: async (key) => {
      await client().initiateNewMultipartUpload(bucket, prefix + key, {});
    },
    unfinished: async () => {
      if (!tellsUnfinished) return undefined;
      const keys: string[] = [];
      for await (const item of client().listIncompleteUploads(bucket, prefix, true)) keys.push((item as { key: string }).key);
      return keys;
    },
  };
}

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
