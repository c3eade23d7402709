// Where an S3 store sends its requests, and with whose keys: all that can be tried without a cloud.
import dns from 'node:dns';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openObjectStore } from '../../../src/objects/index.js';

interface Seen {
  readonly host: string;
  readonly url: string;
  /** `Credential=<key>/<date>/<region>/…` of the signature. */
  readonly key: string;
  readonly region: string;
  readonly token: string | undefined;
}

const ends: (() => Promise<void> | void)[] = [];
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'thermocline-keys-'));
  ends.push(() => rm(folder, { recursive: true, force: true }));
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) vi.stubEnv(name, undefined);
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
  vi.stubEnv('AWS_CONFIG_FILE', join(folder, 'config'));
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(folder, 'credentials'));
  await writeFile(join(folder, 'config'), '');
  await writeFile(join(folder, 'credentials'), '');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  for (const end of ends.splice(0).reverse()) await end();
});

async function listen(answer: (url: string) => { readonly status?: number; readonly type?: string; readonly body?: string }): Promise<{
  readonly port: number;
  readonly seen: Seen[];
}> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      const [, key = '', region = ''] = /Credential=([^/]+)\/\d+\/([^/]+)\//.exec(request.headers.authorization ?? '') ?? [];
      const token = request.headers['x-amz-security-token'];
      seen.push({
        host: request.headers.host ?? '',
        url: request.url ?? '',
        key,
        region,
        token: typeof token === 'string' ? token : undefined,
      });
      const { status = 200, type = 'application/xml', body = '' } = answer(request.url ?? '');
      response.writeHead(status, { 'content-type': type }).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, seen };
}

const inAnHour = (): string => new Date(Date.now() + 3_600_000).toISOString();

async function headAt(url: string, options: Parameters<typeof openObjectStore>[1], key = 'a b/c'): Promise<void> {
  const store = await openObjectStore(url, options);
  await store.head(key);
  await store.close();
}

describe('a bucket', () => {
  beforeEach(() => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'k');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 's');
  });

  it('stands in the path where an endpoint is named', async () => {
    const { port, seen } = await listen(() => ({}));
    await headAt('s3://lake/p', { endpoint: `http://127.0.0.1:${port}` });
    expect(seen[0]).toMatchObject({ host: `127.0.0.1:${port}`, url: '/lake/p/a%20b/c', region: 'us-east-1' });
  });

  it('stands in the host name where path style is switched off', async () => {
    const { port, seen } = await listen(() => ({}));
    const lookup = dns.lookup;
    const names: string[] = [];
    vi.spyOn(dns, 'lookup').mockImplementation(((name: string, ...rest: [never, never]) => {
      names.push(name);
      return lookup('127.0.0.1', ...rest);
    }) as typeof dns.lookup);
    await headAt('s3://lake/p', { endpoint: `http://s3.store.test:${port}`, forcePathStyle: false });
    expect(names).toContain('lake.s3.store.test');
    expect(seen[0]).toMatchObject({ host: `lake.s3.store.test:${port}`, url: '/p/a%20b/c' });
  });

  it('is asked for in the region that is set, else in that of the environment', async () => {
    const { port, seen } = await listen(() => ({}));
    const endpoint = `http://127.0.0.1:${port}`;
    vi.stubEnv('AWS_REGION', 'eu-west-3');
    await headAt('s3://lake', { endpoint });
    await headAt('s3://lake', { endpoint, region: 'eu-central-1' });
    expect(seen.map(({ region }) => region)).toEqual(['eu-west-3', 'eu-central-1']);
  });
});

describe('credentials', () => {
  const use = async (): Promise<Seen | undefined> => {
    const { port, seen } = await listen(() => ({}));
    await headAt('s3://lake', { endpoint: `http://127.0.0.1:${port}` });
    return seen[0];
  };

  it('come from the environment, with the token of a session', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'from-environment');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 's');
    vi.stubEnv('AWS_SESSION_TOKEN', 'session');
    expect(await use()).toMatchObject({ key: 'from-environment', token: 'session' });
  });

  it('come from a profile, the named one', async () => {
    await writeFile(
      join(folder, 'credentials'),
      '[default]\naws_access_key_id=default\naws_secret_access_key=s\n[other]\naws_access_key_id=from-profile\naws_secret_access_key=s\n',
    );
    vi.stubEnv('AWS_PROFILE', 'other');
    expect(await use()).toMatchObject({ key: 'from-profile' });
  });

  it('come from a program that a profile names', async () => {
    const answer = JSON.stringify({ Version: 1, AccessKeyId: 'from-process', SecretAccessKey: 's', Expiration: inAnHour() });
    await writeFile(join(folder, 'answer.json'), answer);
    await writeFile(join(folder, 'config'), `[default]\ncredential_process = cat ${join(folder, 'answer.json')}\n`);
    expect(await use()).toMatchObject({ key: 'from-process' });
  });

  it('come from the endpoint of a container', async () => {
    const body = JSON.stringify({ AccessKeyId: 'from-container', SecretAccessKey: 's', Token: 't', Expiration: inAnHour() });
    const { port } = await listen(() => ({ type: 'application/json', body }));
    vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `http://127.0.0.1:${port}/credentials`);
    expect(await use()).toMatchObject({ key: 'from-container', token: 't' });
  });

  it('come for a web identity (a Kubernetes service account)', async () => {
    const credentials = `<AccessKeyId>from-identity</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>${inAnHour()}</Expiration>`;
    const body = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>${credentials}</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`;
    const { port } = await listen(() => ({ type: 'text/xml', body }));
    await writeFile(join(folder, 'token'), 'a.web.token');
    vi.stubEnv('AWS_WEB_IDENTITY_TOKEN_FILE', join(folder, 'token'));
    vi.stubEnv('AWS_ROLE_ARN', 'arn:aws:iam::123456789012:role/lake');
    vi.stubEnv('AWS_ENDPOINT_URL_STS', `http://127.0.0.1:${port}`);
    vi.stubEnv('AWS_REGION', 'us-east-1');
    expect(await use()).toMatchObject({ key: 'from-identity', token: 't' });
  });

  it('that are nowhere are told with what to set', async () => {
    const { port } = await listen(() => ({}));
    await expect(headAt('s3://lake', { endpoint: `http://127.0.0.1:${port}` })).rejects.toMatchObject({
      code: 'store-refused',
      hint: /AWS_ACCESS_KEY_ID/,
    });
  });
});
