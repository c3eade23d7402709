// Two tier daemons for one broker and one bucket: each range is committed once, by whoever is first, also when one of them
// sleeps in the middle of its work or dies.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Lake, objectsIn, type StoredObject } from '../support/lake.js';
import { canSeeProcesses, eventually, processesBelow } from '../support/processes.js';
import { seeded } from '../support/seed.js';
import { type RunningService, startService } from '../support/service.js';
import { consumedDifferences, selectedDifferences, Workload } from '../support/workload.js';

const topic = 'events';
const partitions = 2;
const settings = {
  'lake.file.bytes': '1048576',
  'lake.commit.interval.ms': '100',
  'log.segment.bytes': '1048576',
  'log.local.retention.ms': '1000',
  'log.retention.check.interval.ms': '500',
};

/** Keeps what it has seen of every object: one that changes afterwards was overwritten. */
class BucketWatch {
  readonly overwritten: string[] = [];
  readonly #seen = new Map<string, string>();
  readonly #bucket: string;
  readonly #timer: NodeJS.Timeout;

  constructor(bucket: string) {
    this.#bucket = bucket;
    this.#timer = setInterval(() => this.look(), 100);
  }

  look(): Map<string, StoredObject> {
    const objects = objectsIn(this.#bucket);
    for (const [key, { identity }] of objects) {
      // The one object that is written again and again: a hint, which only grows.
      if (key.endsWith('/version-hint.text')) continue;
      const before = this.#seen.get(key);
      if (before !== undefined && before !== identity) this.overwritten.push(key);
      this.#seen.set(key, identity);
    }
    return objects;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

interface Metadata {
  readonly 'table-uuid': string;
  readonly 'last-sequence-number': number;
  readonly 'current-snapshot-id': number | bigint | null;
  readonly 'snapshots': readonly { readonly 'snapshot-id': number; readonly 'parent-snapshot-id'?: number }[];
  readonly 'metadata-log': readonly { readonly 'metadata-file': string }[];
}

/** What is wrong with the chain of a table's metadata files: it has no gap, no branch and no step back. */
function chainProblems(objects: ReadonlyMap<string, StoredObject>): { readonly versions: number; readonly problems: string[] } {
  const files = [...objects]
    .flatMap(([key, { path }]) => {
      const version = /\/metadata\/v(\d+)\.metadata\.json$/.exec(key)?.[1];
      return version === undefined ? [] : [{ version: Number(version), metadata: JSON.parse(readFileSync(path, 'utf8')) as Metadata }];
    })
    .sort((a, b) => a.version - b.version);
  const problems: string[] = [];
  for (const [at, { version, metadata }] of files.entries()) {
    if (version !== at + 1) problems.push(`v${version} stands where v${at + 1} is due`);
    const before = files[at - 1]?.metadata;
    if (before === undefined) continue;
    const current = metadata.snapshots.find((snapshot) => snapshot['snapshot-id'] === metadata['current-snapshot-id']);
    const follows =
      current?.['parent-snapshot-id'] === before['current-snapshot-id'] ||
      metadata['current-snapshot-id'] === before['current-snapshot-id'];
    if (!follows) problems.push(`the snapshot of v${version} does not follow that of v${version - 1}`);
    if (metadata['table-uuid'] !== before['table-uuid']) problems.push(`v${version} is of another table`);
    if (metadata['last-sequence-number'] < before['last-sequence-number']) problems.push(`v${version} has an older sequence number`);
    const last = metadata['metadata-log'].at(-1)?.['metadata-file'] ?? '';
    if (!last.endsWith(`/v${version - 1}.metadata.json`)) problems.push(`v${version} was made after ${last}`);
  }
  return { versions: files.length, problems };
}

const commits = (log: string): number => log.split('\n').filter((line) => /"msg":"committed"/.test(line)).length;
const losses = (log: string): number => log.split('\n').filter((line) => /another writer was first|not ours/.test(line)).length;

describe.skipIf(!canSeeProcesses)('two tier daemons on one bucket', () => {
  it('commit each range once, whichever of them sleeps or dies', async () => {
    const random = seeded('two daemons');
    await using lake = await Lake.start({ set: settings });
    const bucket = join(lake.service.dataDir, 'bucket');
    await lake.createTopic(topic, partitions);
    const watch = new BucketWatch(bucket);
    let second: RunningService | undefined;
    try {
      second = await startService({ command: ['tier'], dataDir: lake.service.dataDir, set: settings });
      const workload = Workload.start(lake, { topic, partitions, producers: 2, recordsPerSecond: 1200 }, random);
      const supervised = (): Promise<number> =>
        eventually('the supervised daemon', () => processesBelow(lake.service.pid).find(({ kind }) => kind === 'tier')?.pid);
      const logs = [lake.service.log, second.log];
      await eventually('the two to have met', () => logs.some((log) => losses(log()) > 0) || undefined, 60_000);

      // Each sleeps for a while, in the middle of whatever it does, and goes on with what it believed.
      for (let round = 0; round < 4; round++) {
        const pid = round % 2 === 0 ? second.pid : await supervised();
        process.kill(pid, 'SIGSTOP');
        await sleep(random.whole(700, 2500));
        process.kill(pid, 'SIGCONT');
        await sleep(random.whole(300, 1500));
      }
      // The supervised one dies and comes back; then the other dies, and stays dead.
      process.kill(await supervised(), 'SIGKILL');
      await sleep(random.whole(1000, 2500));
      process.kill(second.pid, 'SIGKILL');
      await second.ended;
      await sleep(1500);
      await workload.stop();
      expect(workload.failures).toEqual([]);
      expect(workload.contradictions).toEqual([]);
      expect(workload.acked).toBe(workload.sent);

      await lake.cool(topic);
      expect(await selectedDifferences(lake, topic, workload)).toEqual([]);
      expect(await consumedDifferences(lake, topic, workload)).toEqual([]);

      watch.stop();
      const objects = watch.look();
      expect(watch.overwritten).toEqual([]);
      const { versions, problems } = chainProblems(objects);
      expect(problems).toEqual([]);
      expect(versions).toBeGreaterThan(5);
      for (const log of logs) expect(commits(log())).toBeGreaterThan(0);
      // A daemon may die between its write and its word about it: twice one was killed.
      const told = logs.reduce((sum, log) => sum + commits(log()), 0);
      expect(versions - told).toBeOneOf([0, 1, 2]);

      // The files of the table stand side by side, from the first offset to the boundary, and each is there.
      const files = await lake.sql('SELECT partition, base_offset, last_offset, rows, key FROM system.cold_files ORDER BY 1, 2');
      for (const [partition, acknowledged] of workload.acknowledged.entries()) {
        let next = 0;
        for (const [, base, last, rows, key] of files.filter((file) => file[0] === partition)) {
          expect([key, Number(base), Number(rows)]).toEqual([key, next, Number(last) - Number(base) + 1]);
          expect(objects.has(String(key))).toBe(true);
          next = Number(last) + 1;
        }
        expect(next).toBe(acknowledged.size);
      }
    } finally {
      watch.stop();
      second?.kill('SIGKILL');
    }
  });
});
