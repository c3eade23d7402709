// The bucket goes away under load and comes back, with real processes: seconds here, an hour in the simulation
// (test/sim/outage.test.ts, which also fills the disk).
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Lake } from '../support/lake.js';
import { eventually } from '../support/processes.js';
import { seeded } from '../support/seed.js';
import { consumedDifferences, selectedDifferences, Workload } from '../support/workload.js';

const topic = 'events';
const partitions = 3;
const awayMs = 8_000;
/** Retries pause for up to half a minute. */
const backWithinMs = 60_000;

describe('a bucket that is away for a while', () => {
  it('holds up no producer and no reader of the hot log; then all of it becomes cold, once and in order', async () => {
    await using lake = await Lake.start({
      set: {
        'lake.file.bytes': '1048576',
        'lake.commit.interval.ms': '400',
        'log.segment.bytes': '1048576',
        'log.retention.check.interval.ms': '500',
      },
    });
    await lake.createTopic(topic, partitions);
    const workload = Workload.start(lake, { topic, partitions, producers: 2, recordsPerSecond: 600 }, seeded('outage'));
    const boundaries = async (): Promise<readonly number[]> => (await lake.storage(topic)).map(({ boundary }) => boundary);
    await eventually('first commits', async () => (await boundaries()).every((boundary) => boundary > 0) || undefined, backWithinMs);

    const bucket = join(lake.service.dataDir, 'bucket');
    const away = `${bucket}.away`;
    await rename(bucket, away);
    await writeFile(bucket, 'not a folder');
    // What was under way in the folder may still end.
    await sleep(1_000);
    const atStart = { acked: workload.acked, boundaries: await boundaries() };
    await sleep(awayMs);
    expect(workload.acked).toBeGreaterThan(atStart.acked + 1_000);
    expect(await boundaries()).toEqual(atStart.boundaries);
    expect((await lake.consume(topic, 0)).length).toBeGreaterThan(0);

    await rm(bucket);
    await rename(away, bucket);
    await eventually(
      'commits of every partition',
      async () => (await boundaries()).every((boundary, at) => boundary > atStart.boundaries[at]!) || undefined,
      backWithinMs,
    );
    await workload.stop();
    expect(workload.failures).toEqual([]);
    expect(workload.contradictions).toEqual([]);
    await lake.cool(topic);
    for (const { boundary, high_watermark: end, partition } of await lake.storage(topic)) {
      expect(boundary).toBe(end);
      expect(end).toBe(workload.acknowledged[partition]!.size);
    }
    expect(await consumedDifferences(lake, topic, workload)).toEqual([]);
    expect(await selectedDifferences(lake, topic, workload)).toEqual([]);
  });
});
