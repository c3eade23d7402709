// What the doctor finds on real S3 servers: one that keeps its word, one that does not, and wrong credentials.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { s3mock, versitygw } from '../support/outside-tools.js';
import { startS3Mock } from '../support/s3-servers.js';
import { runCommand, temporaryFolder } from '../support/service.js';
import { type S3Server, startVersitygw } from '../support/versitygw.js';

interface Finding {
  readonly check: string;
  readonly state: string;
  readonly detail: string;
  readonly hint?: string;
}

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder?.remove());

async function doctor(
  server: S3Server,
  bucket: string,
): Promise<{ readonly code: number | null; readonly found: Record<string, Finding> }> {
  const place = ['--bucket', `s3://${bucket}/p`, '--set', `bucket.endpoint=${server.endpoint}`, '--data-dir', folder.path, '--offline'];
  const environment = { AWS_ACCESS_KEY_ID: server.accessKey, AWS_SECRET_ACCESS_KEY: server.secretKey, AWS_EC2_METADATA_DISABLED: 'true' };
  const { code, stdout } = await runCommand(['doctor', ...place], { environment });
  const findings = stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Finding]));
  return { code, found: Object.fromEntries(findings.map((finding) => [finding.check, finding])) };
}

describe.skipIf(versitygw.path === undefined)(`the doctor on versitygw${versitygw.note}`, () => {
  let server: S3Server;
  beforeAll(async () => {
    server = await startVersitygw(versitygw.path ?? '', ['lake']);
  });
  afterAll(() => server?.stop());

  it('finds clock, identity and conditional writes as they should be', async () => {
    const { code, found } = await doctor(server, 'lake');
    expect(code).toBe(0);
    expect(Object.values(found).filter(({ state }) => state === 'fail')).toEqual([]);
    expect(found['conditional writes']).toMatchObject({ state: 'ok', detail: /in parts/ });
    expect(found['clock']).toMatchObject({ state: 'ok' });
    expect(found['identity']?.detail).toBe('nobody has claimed the prefix yet');
  });

  it('fails on a missing bucket and on wrong keys, and says what to do', async () => {
    expect(await doctor(server, 'nowhere')).toMatchObject({ code: 10, found: { bucket: { state: 'fail', hint: /Create the bucket/ } } });
    const wrong = await doctor({ ...server, secretKey: 'wrong' }, 'lake');
    expect(wrong).toMatchObject({ code: 10, found: { bucket: { state: 'fail', hint: 'Correct AWS_SECRET_ACCESS_KEY.' } } });
  });
});

describe.skipIf(s3mock.path === undefined)(`the doctor on Adobe's S3Mock${s3mock.note}`, () => {
  let server: S3Server;
  beforeAll(async () => {
    server = await startS3Mock(s3mock.path ?? '', 'lake');
  });
  afterAll(() => server?.stop());

  it('fails: conditional writes do not hold', async () => {
    const { code, found } = await doctor(server, 'lake');
    expect(code).toBe(10);
    expect(found['conditional writes']).toMatchObject({ state: 'fail', detail: /store-unsafe/, hint: /honours If-None-Match/ });
  });
});
