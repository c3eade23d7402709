// kill -9 of every process, at random moments, and some that stand still for a while, while records go in and cool: afterwards each acknowledged one is there once,
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
/** Stopped for so long at most, and then let go on, as a machine does that swaps or sleeps. */
const stops = 6;
const stopMsMax = 4_000;
/** Roles are started again within seconds, however often they died. */
const backWithinMs = 30_000;

const targets: readonly ProcessKind[] = ['broker', 'tier', 'gateway', 'column worker', 'query engine'];

function find(lake: Lake, kind: ProcessKind, random: Seeded): ServiceProcess | undefined {
  const found = processesBelow(lake.service.pid).filter((one) => one.kind === kind);
  return found.length === 0 ? undefined : random.pick(found);
}

/** A process that stood still may have been ended by its parent. */
function signalIfThere(pid: number, signal: 'SIGCONT'): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Whether an error is what a client may meet while a role is away, and says so. */
function isPassing(error: unknown): boolean {
  if (error instanceof Refusal) return error.problem.retriable === true;
  if (isLakeError(error)) return error.retriable;
  // The gateway itself is away.
  return error instanceof TypeError && /fetch failed|terminated/.test(error.message);
}

/** Does something again and again until told to stop; keeps what went wrong in a way it must not. */
class Again {
  done = 0;
  readonly wrong: unknown[] = [];
  readonly ended: Promise<void>;

  constructor(everyMs: number, stop: AbortSignal, work: () => Promise<unknown>) {
    this.ended = this.#run(everyMs, stop, work);
  }

  async #run(everyMs: number, stop: AbortSignal, work: () => Promise<unknown>): Promise<void> {
    while (!stop.aborted) {
      try {
        await work();
        this.done++;
      } catch (error) {
        if (!stop.aborted && !isPassing(error)) this.wrong.push(error);
      }
      await sleep(everyMs);
    }
  }
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

    // A consumer that follows from the first record on, and rides over it all.
    const { id } = await lake.topic(topic);
    const followed = Array.from({ length: partitions }, (): [number, string][] => []);
    const following = followed.map(
      (found, partition) =>
        new Again(100, stop.signal, async () => {
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
    const asking = new Again(150, stop.signal, async () => {
      const { acked } = workload;
      const [row] = await lake.sql(`SELECT count(*), count(DISTINCT (_partition_id, _offset)) FROM ${topic}`);
      const [count, distinct] = row!.map(Number);
      if (count !== distinct) throw new Error(`${count} rows at ${distinct} offsets`);
      if (count! < acked || count! > workload.sent) throw new Error(`${count} rows, ${acked} acknowledged before, ${workload.sent} sent`);
    });
    const evicting = new Again(700, stop.signal, () => lake.evict(topic));

    const history: string[] = [];
    try {
      const blows = [...Array<'SIGKILL'>(kills).fill('SIGKILL'), ...Array<'SIGSTOP'>(stops).fill('SIGSTOP')];
      const order = random.shuffled(blows.map((blow, at) => ({ blow, target: targets[at % targets.length]! })));
      for (const { blow, target } of order) {
        await sleep(random.whole(100, 2500));
        const victim = await eventually(`a ${target} to meet ${blow}`, () => find(lake, target, random), backWithinMs);
        const name = `${victim.kind}${victim.role === undefined ? '' : ` of the ${victim.role}`}`;
        history.push(`${name}${blow === 'SIGSTOP' ? ' stands still' : ''} at ${workload.acked} records`);
        process.kill(victim.pid, blow);
        if (blow === 'SIGKILL') continue;
        await sleep(random.whole(200, stopMsMax));
        signalIfThere(victim.pid, 'SIGCONT');
      }
      await eventually(
        'all roles back',
        () => (['broker', 'tier', 'gateway'] as const).every((kind) => find(lake, kind, random) !== undefined) || undefined,
        backWithinMs,
      );
    } finally {
      await workload.stop();
    }
    process.stderr.write(`kill: ${history.join(' · ')}\n`);
    expect(workload.failures).toEqual([]);
    expect(workload.contradictions).toEqual([]);
    expect(workload.acked).toBe(workload.sent);

    const answered = asking.done;
    await eventually(
      'answers to SQL again',
      () => {
        expect(asking.wrong).toEqual([]);
        return asking.done > answered + 2 || undefined;
      },
      backWithinMs,
    );
    await eventually(
      'the follower at the end',
      () => followed.every((found, p) => found.length >= workload.acknowledged[p]!.size) || undefined,
    );
    stop.abort();
    for (const task of [asking, evicting, ...following]) {
      await task.ended;
      expect(task.wrong).toEqual([]);
    }
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
