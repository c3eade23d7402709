// The bucket is away for an hour under load, and the disk fills: what is promised for that, in virtual time.
import { describe, expect, it } from 'vitest';
import { hourMs, minuteMs, secondMs } from '../../src/kernel/index.js';
import { stream } from '../support/seed.js';
import { weathers } from './bucket.js';
import { Clients, type ClientTopic } from './client.js';
import { pass, settle, until } from './scenario.js';
import { World } from './world.js';

const partitions = 3;
/** A batch for each partition. */
const loadEveryMs = 2 * secondMs;
/** The hour's load is about 2 MB: the floor is reached well before its end. */
const diskBytes = 1_200_000;

interface Sample {
  readonly hotBytes: number;
  readonly lag: number;
  readonly refused: number;
  readonly boundaries: readonly number[];
  readonly ends: readonly number[];
}

class Outage {
  readonly world = new World(4, {
    daemons: 1,
    segmentBytes: 30_000,
    fileBytes: 20_000,
    commitIntervalMs: 10_000,
    localRetentionMs: 0,
    spoolBytes: 100_000,
    wallSpeed: 1,
    retentionMs: -1,
    retentionBytes: -1,
    snapshotMaxAgeMs: 86_400_000,
    scrubBytesPerSecond: 8_000,
  });
  readonly clients = new Clients(this.world);
  readonly #random = stream(4);
  #isLoading = false;

  async start(): Promise<ClientTopic> {
    this.world.start();
    await until(this.world, () => this.world.isAllUp(), minuteMs, 'all are up');
    this.clients.begin(() => this.clients.createTopic('orders', partitions));
    await until(this.world, () => this.clients.topics.has('orders'), minuteMs, 'a topic is made');
    return this.clients.topics.get('orders')!;
  }

  load(topic: ClientTopic): void {
    this.#isLoading = true;
    const round = (): void => {
      if (!this.#isLoading) return;
      for (let partition = 0; partition < partitions; partition++) {
        const own = this.#random.apart();
        this.clients.begin(() => this.clients.produce(topic, partition, -1, own));
      }
      this.world.scheduler.after(loadEveryMs, round);
    };
    round();
  }

  stopLoad(): void {
    this.#isLoading = false;
  }

  sample(topic: ClientTopic): Sample {
    const logs = [...this.world.broker!.core.topics.byId(topic.id)!.partitions.values()];
    const metrics = this.world.slots[0]!.daemon!.metricsSnapshot();
    return {
      hotBytes: this.world.broker!.core.log.hotBytes,
      lag: metrics.find(({ name }) => name === 'tier_upload_lag_records')!.value,
      refused: this.clients.refused,
      boundaries: logs.map((log) => log.boundary),
      ends: logs.map((log) => log.logEndOffset),
    };
  }

  /** A sample a minute. */
  async watch(topic: ClientTopic, minutes: number): Promise<Sample[]> {
    const samples: Sample[] = [];
    for (let minute = 0; minute < minutes; minute++) {
      await pass(this.world, minuteMs);
      samples.push(this.sample(topic));
    }
    return samples;
  }
}

describe('a bucket that is away for an hour', () => {
  it('costs disk, then a clear retriable error, and nothing else; it catches up faster than the load, and starves no partition', async () => {
    const outage = new Outage();
    const { world, clients } = outage;
    const topic = await outage.start();
    outage.load(topic);
    await outage.watch(topic, 2);
    world.diskA.capacityBytes = diskBytes;
    world.bucket.weather = weathers.away;
    const away = await outage.watch(topic, hourMs / minuteMs);

    // Until the floor everything is taken; the log and the lag grow.
    const full = away.findIndex(({ refused }) => refused > 0);
    expect(full).toBeGreaterThan(10);
    for (let minute = 1; minute < full; minute++) {
      expect(away[minute]!.hotBytes).toBeGreaterThan(away[minute - 1]!.hotBytes);
      expect(Math.min(...away[minute]!.ends)).toBeGreaterThan(Math.min(...away[minute - 1]!.ends));
    }
    for (let minute = 5; minute < full; minute++) expect(away[minute]!.lag).toBeGreaterThan(away[minute - 1]!.lag);
    // Below it produce is refused, which `Clients` sees as KAFKA_STORAGE_ERROR; no boundary has moved, the reserve is not used up.
    const last = away.at(-1)!;
    expect(last.refused).toBeGreaterThan(100);
    expect(last.boundaries).toEqual(away[1]!.boundaries);
    expect(world.diskA.capacityBytes - world.diskA.usedBytes).toBeGreaterThan(0);

    // It is back, and the load goes on.
    world.bucket.weather = weathers.fine;
    const back = [last, ...(await outage.watch(topic, 6))];
    const lagOf = ({ ends, boundaries }: Sample): number => ends.reduce((sum, end, at) => sum + end - boundaries[at]!, 0);
    const loadPerMinute = (away[5]!.ends[0]! - away[4]!.ends[0]!) * partitions;
    const caughtUp = back.findIndex((sample) => lagOf(sample) < loadPerMinute);
    expect(caughtUp).toBeGreaterThan(0);
    // Retries pause for up to half a minute, and requests that hang for as long: no partition stands still for two.
    for (let minute = 2; minute <= Math.max(2, caughtUp); minute++) {
      for (let partition = 0; partition < partitions; partition++) {
        expect(back[minute]!.boundaries[partition]).toBeGreaterThan(back[minute - 2]!.boundaries[partition]!);
      }
    }
    expect(back.at(-1)!.refused).toBe(back.at(-2)!.refused);
    expect(back.at(-1)!.hotBytes).toBeLessThan(last.hotBytes / 2);
    outage.stopLoad();
    await settle(world, clients);
    world.isClosing = true;
  });
});
