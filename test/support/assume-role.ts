// Temporary credentials with fewer rights, from a server that has STS (MinIO): how a policy is tried out for real.
import { createHash, createHmac } from 'node:crypto';
import type { S3Server } from './versitygw.js';

const region = 'us-east-1';
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** As environment of the AWS SDK. The request is signed by hand (Signature Version 4): no client here has the call. */
export async function credentialsWithPolicy(server: S3Server, policy: object): Promise<Record<string, string>> {
  const form = { Action: 'AssumeRole', Version: '2011-06-15', DurationSeconds: '3600', Policy: JSON.stringify(policy) };
  const body = new URLSearchParams(form).toString();
  const at = new Date().toISOString().replaceAll(/[-:]|\.\d{3}/g, '');
  const day = at.slice(0, 8);
  const scope = `${day}/${region}/sts/aws4_request`;
  const headers: Record<string, string> = {
    'content-type': 'application/x-www-form-urlencoded',
    'host': `127.0.0.1:${server.port}`,
    'x-amz-content-sha256': sha256(body),
    'x-amz-date': at,
  };
  const names = Object.keys(headers).join(';');
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
  const canonical = ['POST', '/', '', lines.join(''), names, sha256(body)].join('\n');
  const key = [region, 'sts', 'aws4_request'].reduce((last: Buffer, part) => hmac(last, part), hmac(`AWS4${server.secretKey}`, day));
  const signature = hmac(key, ['AWS4-HMAC-SHA256', at, scope, sha256(canonical)].join('\n')).toString('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=${server.accessKey}/${scope}, SignedHeaders=${names}, Signature=${signature}`;
  const response = await fetch(server.endpoint, { method: 'POST', body, headers: { ...headers, authorization } });
  const text = await response.text();
  const value = (name: string): string => {
    const found = new RegExp(`<${name}>([^<]+)<`).exec(text)?.[1];
    if (found === undefined) throw new Error(`no ${name} in the answer to AssumeRole: ${text}`);
    return found;
  };
  return {
    AWS_ACCESS_KEY_ID: value('AccessKeyId'),
    AWS_SECRET_ACCESS_KEY: value('SecretAccessKey'),
    AWS_SESSION_TOKEN: value('SessionToken'),
  };
}
