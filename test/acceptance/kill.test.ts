// kill -9 of every process, at random moments, while records go in and cool: afterwards each acknowledged one is there once,
// at the offset it was acknowledged with, for a Kafka consumer and for SQL.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { isLakeError } from '../../src/kernel/index.js';
import { readPartition } from '../../src/client/index.js';
import { Lake, Refusal } from '../support/lake.js';
import { canSeeProcesses, eventually, type ProcessKind, processesBelow, type ServiceProcess } from '../support/processes.js';
import { type Seeded, seeded } from '../support/seed.js';
import { consumedDifferences, differences, selectedDifferences, Workload } from '../support/workload.js';

const topic = 'events';
const partitions = 3;
const kills = 20;
/** Roles are started again within seconds, however often they died. */
const backWithinMs = 30_000;

type Target = { readonly kind: ProcessKind; readonly role?: ProcessKind };
const targets: readonly Target[] = [
  { kind: 'broker' },
  { kind: 'tier' },
  { kind: 'gateway' },
  { kind: 'column worker', role: 'tier' },
  { kind: 'query engine' },
];

function find(lake: Lake, { kind, role }: Target, random: Seeded): ServiceProcess | undefined {
  const found = processesBelow(lake.service.pid).filter((one) => one.kind === kind && (role === undefined || one.role === role));
  return found.length === 0 ? undefined : random.pick(found);
}

/** Whether an error is what a client may meet while a role is away, and says so. */
function isPassing(error: unknown): boolean {
  if (error instanceof Refusal) return error.problem.retriable === true;
  if (isLakeError(error)) return error.retriable;
  // The gateway itself is away.
  return error instanceof TypeError && /fetch failed|terminated/.test(error.message);
}

/** Does something again and again, keeping what went wrong in a way it must not. */
async function again(everyMs: number, stop: AbortSignal, wrong: unknown[], work: () => Promise<unknown>): Promise<number> {
  let done = 0;
  while (!stop.aborted) {
    try {
      await work();
      done++;
    } catch (error) {
      if (!stop.aborted && !isPassing(error)) wrong.push(error);
    }
    await sleep(everyMs);
  }
  return done;
}

describe.skipIf(!canSeeProcesses)('a service whose processes are killed', () => {
  it('loses, doubles, moves and reorders nothing, whatever is killed and when', async () => {
    const random = seeded('kill');
    await using lake = await Lake.start({
      set: {
        'lake.file.bytes': '1048576',
        'lake.commit.interval.ms': '400',
        'log.segment.bytes': '1048576',
        'log.retention.check.interval.ms': '500',
        'log.local.retention.ms': '1000',
        'remote.fetch.max.wait.ms': '1000',
        'log.level': 'info',
      },
    });
    await lake.createTopic(topic, partitions);
    const workload = Workload.start(lake, { topic, partitions, producers: 3, recordsPerSecond: 1500 }, random);
    const stop = new AbortController();
    const wrong: unknown[] = [];

    // A consumer that follows from the first record on, and rides over it all.
    const { id } = await lake.topic(topic);
    const followed = Array.from({ length: partitions }, (): [number, string][] => []);
    const following = followed.map((found, partition) =>
      again(100, stop.signal, wrong, async () => {
        const read = { topicId: id, partition, offset: found.length, signal: stop.signal };
        for await (const records of readPartition(lake.reader, read)) {
          for (const { offset, value } of records) {
            const { producer, sequence } = JSON.parse(value!.toString()) as { producer: number; sequence: number };
            found.push([offset, `${producer}:${sequence}`]);
          }
        }
      }),
    );
    // A record acknowledged before a question is asked is in its answer, whatever dies meanwhile.
    const asking = again(150, stop.signal, wrong, async () => {
      const { acked } = workload;
      const [row] = await lake.sql(`SELECT count(*), count(DISTINCT (_partition_id, _offset)) FROM ${topic}`);
      const [count, distinct] = row!.map(Number);
      if (count !== distinct) throw new Error(`${count} rows at ${distinct} offsets`);
      if (count! < acked || count! > workload.sent) throw new Error(`${count} rows, ${acked} acknowledged before, ${workload.sent} sent`);
    });
    const evicting = again(700, stop.signal, wrong, () => lake.evict(topic));

    const history: string[] = [];
    try {
      const order = random.shuffled(Array.from({ length: kills }, (_, at) => targets[at % targets.length]!));
      for (const target of order) {
        await sleep(random.whole(100, 2500));
        const victim = await eventually(`a ${target.kind} to kill`, () => find(lake, target, random), backWithinMs);
        history.push(`${victim.kind} ${victim.pid} at ${workload.acked} records`);
        process.kill(victim.pid, 'SIGKILL');
      }
      await eventually(
        'all roles back',
        () => (['broker', 'tier', 'gateway'] as const).every((kind) => find(lake, { kind }, random) !== undefined) || undefined,
        backWithinMs,
      );
    } finally {
      await workload.stop();
    }
    process.stderr.write(`kill: ${history.join(' · ')}\n`);
    expect(workload.failures).toEqual([]);
    expect(workload.contradictions).toEqual([]);
    expect(workload.acked).toBe(workload.sent);

    await eventually(
      'the gateway answers again',
      () =>
        lake.http('/readyz').then(
          () => true,
          () => undefined,
        ),
      backWithinMs,
    );
    // The follower gets to the end as well.
    await eventually(
      'the follower at the end',
      () => followed.every((found, p) => found.length >= workload.acknowledged[p]!.size) || undefined,
    );
    stop.abort();
    const [answers] = await Promise.all([asking, evicting, ...following]);
    expect(wrong).toEqual([]);
    expect(answers).toBeGreaterThan(10);
    for (const [partition, found] of followed.entries()) expect(differences(workload.acknowledged[partition]!, found)).toEqual([]);

    // Hot tail and cold part together, then all of it cold.
    expect(await selectedDifferences(lake, topic, workload)).toEqual([]);
    expect(await consumedDifferences(lake, topic, workload)).toEqual([]);
    await lake.cool(topic);
    for (const partition of await lake.storage(topic)) {
      expect(partition).toMatchObject({
        log_start_offset: 0,
        boundary: partition.high_watermark,
        local_start_offset: partition.high_watermark,
      });
      expect(partition.high_watermark).toBe(workload.acknowledged[partition.partition]!.size);
    }
    expect(await selectedDifferences(lake, topic, workload)).toEqual([]);
    expect(await consumedDifferences(lake, topic, workload)).toEqual([]);
    expect(await lake.stop()).toBe(0);
  });
});
