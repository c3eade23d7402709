// `thermocline bucket init` on real servers: what each can, and what each says that it cannot.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemRandom } from '../../src/kernel/index.js';
import { leastRightsPolicy, openObjectStore, probeConditionalWrites } from '../../src/objects/index.js';
import { credentialsWithPolicy } from '../support/assume-role.js';
import { minioServer, versitygw } from '../support/outside-tools.js';
import { minioClient, startMinio } from '../support/s3-servers.js';
import { type CommandResult, runCommand, temporaryFolder } from '../support/service.js';
import { type S3Server, startVersitygw } from '../support/versitygw.js';

interface Step {
  readonly step: string;
  readonly state: string;
  readonly detail: string;
  readonly policy?: object;
}

const steps = ({ stdout }: CommandResult): Step[] =>
  stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Step);
const states = (result: CommandResult): Record<string, string> => Object.fromEntries(steps(result).map(({ step, state }) => [step, state]));

function initOn(server: S3Server, ...args: string[]): Promise<CommandResult> {
  const place = ['--bucket', 's3://fresh/some/prefix', '--set', `bucket.endpoint=${server.endpoint}`];
  const environment = { AWS_ACCESS_KEY_ID: server.accessKey, AWS_SECRET_ACCESS_KEY: server.secretKey, AWS_EC2_METADATA_DISABLED: 'true' };
  return runCommand(['bucket', 'init', ...place, ...args], { environment });
}

describe.skipIf(minioServer.path === undefined)(`bucket init on MinIO${minioServer.note}`, () => {
  let server: S3Server;
  beforeAll(async () => {
    server = await startMinio(minioServer.path ?? '', []);
  });
  afterAll(() => server?.stop());

  it('makes nothing in a dry run', async () => {
    const result = await initOn(server, '--dry-run');
    expect(result.code).toBe(0);
    expect(states(result)).toMatchObject({ bucket: 'planned', versioning: 'planned' });
    expect(await minioClient(server).bucketExists('fresh')).toBe(false);
  });

  it('makes the bucket with what was asked for, says what the server lacks, and finds all done the next time', async () => {
    const result = await initOn(server, '--versioning', 'on', '--noncurrent-days', '3');
    expect([result.code, result.stderr]).toEqual([0, '']);
    expect(states(result)).toEqual({
      'bucket': 'done',
      'versioning': 'done',
      // MinIO has no such rule; it removes unfinished uploads itself.
      'thermocline-unfinished-uploads': 'lacking',
      'thermocline-noncurrent-versions': 'done',
      'conditional writes': 'there',
      'policy': 'there',
    });
    expect(await minioClient(server).getBucketVersioning('fresh')).toMatchObject({ Status: 'Enabled' });
    const again = await initOn(server, '--versioning', 'on', '--noncurrent-days', '3');
    expect(states(again)).toMatchObject({ 'bucket': 'there', 'versioning': 'there', 'thermocline-noncurrent-versions': 'there' });
  });

  it('leaves the rules of others as they are, and changes its own', async () => {
    const client = minioClient(server);
    const theirs = { ID: 'theirs', Status: 'Enabled', Filter: { Prefix: 'elsewhere/' }, Expiration: { Days: 9 } };
    const found = (await client.getBucketLifecycle('fresh')) as unknown as { Rule: never };
    await client.setBucketLifecycle('fresh', { Rule: [found.Rule, theirs] });
    const result = await initOn(server, '--noncurrent-days', '5');
    expect(states(result)).toMatchObject({ 'versioning': 'there', 'thermocline-noncurrent-versions': 'done' });
    const { Rule: rules } = (await client.getBucketLifecycle('fresh'))!;
    expect(rules.map(({ ID }) => ID).sort()).toEqual(['theirs', 'thermocline-noncurrent-versions']);
    expect(rules.find(({ ID }) => ID === 'theirs')).toMatchObject({ Expiration: { Days: 9 } });
  });

  it('prints rights with which the service can do its work under its prefix, and nothing beside it', async () => {
    const policy = steps(await initOn(server)).find(({ step }) => step === 'policy')?.policy;
    expect(policy).toEqual(leastRightsPolicy({ bucket: 'fresh', prefix: 'some/prefix' }));
    Object.assign(process.env, await credentialsWithPolicy(server, policy ?? {}));
    try {
      const store = await openObjectStore('s3://fresh/some/prefix', { endpoint: server.endpoint });
      await probeConditionalWrites(store, systemRandom);
      expect(await store.head('missing')).toBeNull();
      expect(await store.removeUnfinished(0)).toBe(0);
      await store.close();
      const beside = await openObjectStore('s3://fresh/other', { endpoint: server.endpoint });
      await expect(beside.put('x', Buffer.from('x'))).rejects.toMatchObject({ code: 'store-refused' });
      await beside.close();
    } finally {
      for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN']) delete process.env[name];
    }
  });

  it('says what is wrong with keys and addresses', async () => {
    const wrong = await initOn({ ...server, secretKey: 'wrong-and-long-enough' });
    expect(wrong).toMatchObject({ code: 1, stdout: '' });
    expect(wrong.stderr).toMatch(/^hint: Use credentials/m);
    const away = await initOn({ ...server, endpoint: 'http://127.0.0.1:1' });
    expect(away.stderr).toMatch(/^hint: Check that the object store is up/m);
  });
});

describe.skipIf(versitygw.path === undefined)(`bucket init on versitygw${versitygw.note}`, () => {
  let server: S3Server;
  beforeAll(async () => {
    server = await startVersitygw(versitygw.path ?? '', []);
  });
  afterAll(() => server?.stop());

  it('makes the bucket and says that this server has neither versioning nor lifecycle', async () => {
    const result = await initOn(server, '--versioning', 'on');
    expect([result.code, result.stderr]).toEqual([0, '']);
    expect(states(result)).toEqual({
      'bucket': 'done',
      'versioning': 'lacking',
      'thermocline-unfinished-uploads': 'lacking',
      'conditional writes': 'there',
      'policy': 'there',
    });
  });
});

describe('bucket init on a directory', () => {
  it('makes it with the folders above, once', async () => {
    const folder = await temporaryFolder();
    try {
      const path = join(folder.path, 'a', 'b');
      const init = (...more: string[]): Promise<CommandResult> =>
        runCommand(['bucket', 'init', '--bucket', pathToFileURL(path).href, ...more]);
      expect(states(await init('--dry-run'))).toEqual({ directory: 'planned' });
      expect(existsSync(path)).toBe(false);
      expect(states(await init())).toEqual({ 'directory': 'done', 'conditional writes': 'there' });
      expect(states(await init())).toEqual({ 'directory': 'there', 'conditional writes': 'there' });
      expect((await init('--versioning', 'sometimes')).code).toBe(2);
      expect((await init('--noncurrent-days', '0')).code).toBe(2);
    } finally {
      await folder.remove();
    }
  });
});
