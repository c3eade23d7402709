// The demo with its bucket on a real S3 server; a second tier daemon beside a service's own; and a service that finds another's prefix.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lake, objectsIn } from '../support/lake.js';
import { versitygw } from '../support/outside-tools.js';
import { canSeeProcesses, processesBelow } from '../support/processes.js';
import { type RunningService, runCommand, startService, temporaryFolder } from '../support/service.js';
import { type S3Server, startVersitygw } from '../support/versitygw.js';

const demoRecords = 200_000;
describe.skipIf(versitygw.path === undefined)(`a bucket on S3${versitygw.note}`, () => {
  let server: S3Server;
  let environment: Record<string, string>;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  const bucket = (prefix: string): Record<string, string> => ({ 'bucket.url': `s3://lake/${prefix}`, 'bucket.endpoint': server.endpoint });

  beforeAll(async () => {
    server = await startVersitygw(versitygw.path ?? '', ['lake']);
    environment = { AWS_ACCESS_KEY_ID: server.accessKey, AWS_SECRET_ACCESS_KEY: server.secretKey, AWS_REGION: 'us-east-1' };
    folder = await temporaryFolder();
  });
  afterAll(async () => {
    await server?.stop();
    await folder?.remove();
  });

  it('serves the demo, every comparison equal', async () => {
    const listen = ['--kafka-listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0'];
    const place = ['--data-dir', join(folder.path, 'demo'), '--bucket', 's3://lake/demo', '--set', `bucket.endpoint=${server.endpoint}`];
    const result = await runCommand(['demo', ...place, ...listen, '--records', String(demoRecords), '--exit'], { environment });
    expect([result.code, result.stderr]).toEqual([0, expect.not.stringMatching(/"level":"(error|fatal)"|Warning:/)]);
    const lines = result.stdout.trimEnd().split('\n');
    expect(lines.at(-1)).toBe(
      `demo: ${demoRecords} records produced; 3 questions and ${demoRecords} consumed records compared with the original: all equal`,
    );
    expect(lines.filter((line) => line.startsWith('equal to the original file'))).toHaveLength(3);
    const stored = [...objectsIn(join(server.folder, 'lake', 'demo')).keys()];
    expect(stored.filter((key) => key.endsWith('.parquet')).length).toBeGreaterThanOrEqual(6);
    expect(stored).toContain('cluster/identity.json');
  });

  it.skipIf(!canSeeProcesses)('takes each range from one of two tier daemons, none lost, doubled or overwritten', async () => {
    const topic = 'shared';
    const partitions = 3;
    const dataDir = join(folder.path, 'two');
    const lake = await Lake.start({ dataDir, set: bucket('two'), environment });
    let daemon: RunningService | undefined;
    try {
      const second = await startService({
        dataDir: join(folder.path, 'second'),
        command: ['tier'],
        set: { ...bucket('two'), 'control.listen': `unix:${join(dataDir, 'control.sock')}` },
        environment,
      });
      daemon = second;
      await lake.createTopic(topic, partitions, { 'lake.commit.interval.ms': '250', 'segment.bytes': String(1 << 20) });
      const objects = (): ReturnType<typeof objectsIn> => objectsIn(join(server.folder, 'lake', 'two'));
      const identities = new Map<string, string>();
      const expectNothingOverwritten = (): void => {
        for (const [key, { identity }] of objects()) {
          // The hint may be written again; data and metadata may not.
          if (!key.endsWith('.parquet') && !/metadata\/.+\.(json|avro)$/.test(key)) continue;
          expect([key, identities.get(key) ?? identity]).toEqual([key, identity]);
          identities.set(key, identity);
        }
      };
      const roundRecords = 600;
      let rounds = 0;
      const produceRound = async (): Promise<void> => {
        const first = rounds++ * roundRecords;
        const records = Array.from({ length: roundRecords }, (_, i) => ({
          partition: i % partitions,
          key: null,
          value: Buffer.from(JSON.stringify({ n: first + i })),
        }));
        await lake.produce(topic, records, { compression: 'lz4' });
        expectNothingOverwritten();
      };
      const race = async (): Promise<void> => {
        for (let i = 0; i < 8; i++) {
          await produceRound();
          await sleep(100);
        }
      };
      const commits = (service: RunningService): number => service.log().split('"msg":"committed"').length - 1;

      await race();
      await lake.cool(topic);
      // Each in turn sleeps while the other goes on, and finds a table that has moved when it wakes.
      const ownDaemon = processesBelow(lake.service.pid).find(({ kind }) => kind === 'tier')!.pid;
      for (const [sleeper, other] of [
        [second.pid, lake.service],
        [ownDaemon, second],
      ] as const) {
        process.kill(sleeper, 'SIGSTOP');
        const before = commits(other);
        await produceRound();
        await expect.poll(() => commits(other), { timeout: 60_000 }).toBeGreaterThan(before);
        await produceRound();
        process.kill(sleeper, 'SIGCONT');
        await race();
      }
      await lake.cool(topic);

      const total = rounds * roundRecords;
      const end = total / partitions;
      expect(await lake.sql(`SELECT count(*), count(DISTINCT n), min(n), max(n) FROM ${topic}`)).toEqual([[total, total, 0, total - 1]]);
      expect(await lake.sql(`SELECT _partition_id, count(DISTINCT _offset), max(_offset) FROM ${topic} GROUP BY 1 ORDER BY 1`)).toEqual(
        [0, 1, 2].map((partition) => [partition, end, end - 1]),
      );
      for (let partition = 0; partition < partitions; partition++) {
        const records = await lake.consume(topic, partition);
        expect(records.map((record) => record.offset)).toEqual(Array.from({ length: end }, (_, i) => i));
        expect(records.map((record) => (JSON.parse(String(record.value)) as { n: number }).n)).toEqual(
          Array.from({ length: end }, (_, i) => i * partitions + partition),
        );
      }
      expectNothingOverwritten();
    } finally {
      await daemon?.stop();
      await lake.stop();
    }
  });

  it('refuses another cluster on its prefix, and says what can be done', async () => {
    const first = await Lake.start({ dataDir: join(folder.path, 'first'), set: bucket('taken'), environment });
    await first.createTopic('t', 1);
    await first.produce('t', [{ key: null, value: Buffer.from('{"n":1}') }]);
    await first.cool('t');
    await first.stop();
    const flags = Object.entries(bucket('taken')).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
    const listen = ['--kafka-listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0'];
    const other = await runCommand(['serve', '--data-dir', join(folder.path, 'other'), ...flags, ...listen], { environment });
    expect(other.code).not.toBe(0);
    expect(other.stderr).toMatch(/belongs to (the )?cluster/);
    // And the first one finds its own again.
    const again = await Lake.start({ dataDir: join(folder.path, 'first'), set: bucket('taken'), environment });
    expect(await again.sql('SELECT count(*) FROM t')).toEqual([[1]]);
    await again.stop();
  });
});
