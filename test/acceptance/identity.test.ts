// Same name is not same log: a bucket belongs to one cluster, and a data directory to one broker at a time.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { Lake, objectsIn } from '../support/lake.js';
import { type CommandResult, runCommand, temporaryFolder } from '../support/service.js';

const ending: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

async function folder(): Promise<string> {
  const made = await temporaryFolder();
  ending.push(() => made.remove());
  return made.path;
}

/** Starts a service that is expected to refuse. */
function serve(dataDir: string, more: readonly string[] = [], command = 'serve'): Promise<CommandResult> {
  const listen = ['--kafka-listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0'];
  return runCommand([command, '--data-dir', dataDir, ...listen, ...more]);
}

const keys = (bucket: string): string[] => [...objectsIn(bucket).keys()].sort();

describe('a bucket', () => {
  it('is refused to the data directory of another cluster and to an empty one, and stays as it was', async () => {
    const root = await folder();
    const [own, foreign, empty] = ['own', 'foreign', 'empty'].map((name) => join(root, name));
    const bucket = join(root, 'bucket');
    const url = pathToFileURL(bucket).href;
    {
      await using lake = await Lake.start({ dataDir: own!, set: { 'bucket.url': url } });
      await lake.createTopic('t');
      await lake.produce('t', [{ key: null, value: Buffer.from('{"a":1}') }]);
      await lake.cool('t');
    }
    {
      // Another cluster, with a bucket of its own.
      await using lake = await Lake.start({ dataDir: foreign! });
      await lake.createTopic('t');
    }
    const before = keys(bucket);
    for (const dataDir of [foreign!, empty!]) {
      const { code, stderr, stdout } = await serve(dataDir, ['--bucket', url]);
      expect(stderr).toMatch(/^error: file:.*bucket belongs to cluster \S+; this data directory is of cluster \S+$/m);
      expect(stderr).toMatch(/^hint: Point --data-dir at the data of cluster \S+, or use another bucket prefix/m);
      expect(stderr).toContain('data-dir-foreign');
      expect(stdout).not.toContain('"ready"');
      expect(code).toBe(4);
    }
    expect(keys(bucket)).toEqual(before);
    await using lake = await Lake.start({ dataDir: own!, set: { 'bucket.url': url } });
    expect(await lake.sql('SELECT a FROM t')).toEqual([[1]]);
    await lake.worksFor('t');
  });

  it('is refused to a tier daemon of another cluster that is started by hand', async () => {
    const root = await folder();
    await using lake = await Lake.start({ dataDir: join(root, 'own') });
    await using other = await Lake.start({ dataDir: join(root, 'other') });
    const bucket = pathToFileURL(join(other.service.dataDir, 'bucket')).href;
    const { code, stderr } = await serve(lake.service.dataDir, ['--bucket', bucket], 'tier');
    expect(stderr).toMatch(/^error: file:.* belongs to cluster/m);
    expect(code).toBe(4);
    await lake.createTopic('t');
    await lake.worksFor('t');
  });
});

describe('a data directory', () => {
  it('is refused to a second service while the first runs, and free again when it has stopped', async () => {
    const root = await folder();
    const dataDir = join(root, 'data');
    const first = await Lake.start({ dataDir });
    ending.push(() => first.stop());
    await first.createTopic('t');
    const { code, stderr } = await serve(dataDir);
    expect(stderr).toMatch(/^error: another process uses .*data\/(log|query)$/m);
    expect(stderr).toMatch(/^hint: Stop the other service, or give this one another --data-dir\.$/m);
    expect(code).toBe(4);
    await first.worksFor('t');
    expect(await first.stop()).toBe(0);
    await using second = await Lake.start({ dataDir });
    await second.worksFor('t');
  });
});
