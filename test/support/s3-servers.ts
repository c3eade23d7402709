// The other S3 servers of the tests: MinIO, whose conditional writes hold, and Adobe's S3Mock, whose do not.
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'minio';
import { freePort, runServer, type S3Server } from './versitygw.js';

/** Starts a MinIO server with the given buckets. Its objects are no plain files. */
export async function startMinio(program: string, buckets: readonly string[]): Promise<S3Server> {
  const root = await mkdtemp(join(tmpdir(), 'thermocline-minio-'));
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const credentials = { accessKey: 'testtest', secretKey: 'testtest' };
  const stop = await runServer({
    command: [program, 'server', join(root, 'data'), '--address', `127.0.0.1:${port}`],
    environment: {
      MINIO_ROOT_USER: credentials.accessKey,
      MINIO_ROOT_PASSWORD: credentials.secretKey,
      MINIO_BROWSER: 'off',
      MINIO_UPDATE: 'off',
    },
    root,
    isUp: () => isOk(`${endpoint}/minio/health/live`),
  });
  const server: S3Server = { endpoint, port, ...credentials, folder: root, stop };
  const client = minioClient(server);
  for (const bucket of buckets) await client.makeBucket(bucket, 'us-east-1');
  return server;
}

/** Starts Adobe's S3Mock with one bucket; it asks nobody for credentials. */
export async function startS3Mock(jar: string, bucket: string): Promise<S3Server> {
  const root = await mkdtemp(join(tmpdir(), 'thermocline-s3mock-'));
  const [port, securePort] = [await freePort(), await freePort()];
  const endpoint = `http://127.0.0.1:${port}`;
  const settings = { httpPort: port, 'store.initialBuckets': bucket, 'store.root': root };
  const stop = await runServer({
    command: [
      'java',
      '-Xmx256m',
      '-XX:TieredStopAtLevel=1',
      '-jar',
      jar,
      ...Object.entries(settings).map(([name, value]) => `--com.adobe.testing.s3mock.${name}=${value}`),
      `--server.port=${securePort}`,
      '--server.address=127.0.0.1',
    ],
    root,
    isUp: () => isOk(`${endpoint}/`),
  });
  return { endpoint, port, accessKey: 'any', secretKey: 'any', folder: root, stop };
}

/** The second client, written by others than the first. */
export function minioClient(server: Pick<S3Server, 'port' | 'accessKey' | 'secretKey'>): Client {
  return new Client({
    endPoint: '127.0.0.1',
    port: server.port,
    useSSL: false,
    accessKey: server.accessKey,
    secretKey: server.secretKey,
    region: 'us-east-1',
    pathStyle: true,
  });
}

async function isOk(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}
