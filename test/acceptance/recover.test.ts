// The data directory is lost, and the bucket alone gives the service back: what was committed is read, groups go on where they were,
// new records lie above all that anybody may have seen, and what is gone is said.
import { readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Kafka, logLevel } from 'kafkajs';
import { afterEach, describe, expect, it } from 'vitest';
import { openProducer } from '../../src/client/index.js';
import { Lake } from '../support/lake.js';
import { commitOffset, committedOffset, loseDataDir, notedInBucket, recoverTo } from '../support/lost-service.js';
import { canSeeProcesses, eventually } from '../support/processes.js';
import { type Seeded, seeded } from '../support/seed.js';
import { runCommand, temporaryFolder } from '../support/service.js';

const topic = 'events';
const partitions = 3;

const everything = Array.from({ length: partitions }, () => Number.POSITIVE_INFINITY);

const ending: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

/** Offsets and numbers of what was acknowledged, by partition. */
class Produced {
  readonly byPartition = Array.from({ length: partitions }, () => new Map<number, number>());
  next = 0;

  end(partition: number): number {
    return Math.max(-1, ...this.byPartition[partition]!.keys()) + 1;
  }

  below(ends: readonly number[]): [number, number, number][] {
    return this.byPartition
      .flatMap((own, partition) =>
        [...own].filter(([at]) => at < ends[partition]!).map(([at, n]): [number, number, number] => [partition, at, n]),
      )
      .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  }
}

/** Produces until told to stop, or until the broker is gone. */
async function produceOn(lake: Lake, produced: Produced, random: Seeded, stop: AbortSignal): Promise<void> {
  const producer = openProducer({ ...lake.client, deliveryTimeoutMs: 3000 });
  try {
    while (!stop.aborted) {
      const batch = Array.from({ length: random.whole(1, 200) }, () => ({ n: produced.next++, partition: random.whole(0, partitions) }));
      const sent = batch.map(async ({ n, partition }) => {
        const { offset } = await producer.send(topic, { key: null, value: Buffer.from(JSON.stringify({ n })), partition });
        if (produced.byPartition[partition]!.has(offset)) throw new Error(`offset ${offset} of partition ${partition} was used twice`);
        produced.byPartition[partition]!.set(offset, n);
      });
      const outcomes = await Promise.allSettled(sent);
      const twice = outcomes.find((outcome) => outcome.status === 'rejected' && /twice/.test(String(outcome.reason)));
      if (twice?.status === 'rejected') throw twice.reason as Error;
      if (outcomes.some((outcome) => outcome.status === 'rejected')) return;
      await sleep(random.whole(0, 30));
    }
  } finally {
    await producer.close().catch(() => undefined);
  }
}

const consumedOf = async (lake: Lake, partition: number, from = 0): Promise<[number, number, number][]> =>
  (await lake.consume(topic, partition, from)).map(({ offset, value }) => [
    partition,
    offset,
    (JSON.parse(String(value)) as { n: number }).n,
  ]);

/** What a kafkajs group reads from its committed offsets on, until it has `count` records. */
async function readByGroup(lake: Lake, groupId: string, count: number): Promise<[number, number, number][]> {
  const consumer = new Kafka({ brokers: [lake.service.kafka], logLevel: logLevel.NOTHING }).consumer({ groupId, maxWaitTimeInMs: 200 });
  const seen: [number, number, number][] = [];
  try {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        seen.push([partition, Number(message.offset), (JSON.parse(String(message.value)) as { n: number }).n]);
      },
    });
    await eventually(`${count} records for the group`, () => seen.length >= count || undefined, 60_000);
  } finally {
    await consumer.disconnect();
  }
  return seen.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
}

describe.skipIf(!canSeeProcesses)('a service whose data directory is lost', () => {
  it('goes on from the bucket alone, round after round', async () => {
    const random = seeded('recover');
    const root = await temporaryFolder();
    ending.push(() => root.remove());
    const bucket = pathToFileURL(join(root.path, 'bucket')).href;
    const produced = new Produced();
    let survivors: [number, number, number][] = [];
    let id: string | undefined;
    let committedAt = 0;
    for (let round = 0; round < 3; round++) {
      const dataDir = join(root.path, `data-${round}`);
      const seenEnds = Array.from({ length: partitions }, (_, partition) => produced.end(partition));
      if (round > 0) {
        const { rows, told } = await recoverTo(dataDir, bucket);
        const own = rows.filter((row) => row.topic === topic);
        const coldEnds = own.map((row) => row.cold_end_offset);
        survivors = produced.below(coldEnds);
        for (const [partition, row] of own.entries()) {
          expect(row.opens_at).toBeGreaterThan(seenEnds[partition]!);
          // What is said to be lost was there, and begins where the cold records end.
          if (row.lost_from !== null) expect(row.lost_from).toBe(row.cold_end_offset);
          for (const at of produced.byPartition[partition]!.keys())
            if (at >= row.cold_end_offset) produced.byPartition[partition]!.delete(at);
        }
        expect(told).toMatch(/recovered cluster .* topics/);
      }
      const lake = await Lake.start({ dataDir, set: { 'bucket.url': bucket } });
      ending.push(() => lake.stop());
      if (round === 0) await lake.createTopic(topic, partitions, { 'lake.commit.interval.ms': '300', 'segment.ms': '600000' });
      const { id: foundId } = await lake.topic(topic);
      expect(foundId).toBe((id ??= foundId));
      if (round > 0) {
        // Everything that was committed, and nothing else, for a consumer, for SQL, and for a group from where it was.
        const rows = await Promise.all(Array.from({ length: partitions }, (_, partition) => consumedOf(lake, partition)));
        expect(rows.flat()).toEqual(survivors);
        const selected = await lake.sql(`SELECT _partition_id, _offset, n FROM ${topic} ORDER BY 1, 2`);
        expect(selected.map((row) => row.map(Number))).toEqual(survivors);
        const position = await committedOffset(lake, 'g', topic, 1);
        expect(position).toBe(committedAt);
        const config = await lake.json<{ overrides: Record<string, string> }>(`/v1/topics/${topic}`);
        expect(config.overrides).toEqual({ 'lake.commit.interval.ms': '300', 'segment.ms': '600000' });
      }
      if (round > 0) {
        const again = await lake.produce(
          topic,
          Array.from({ length: 60 }, (_, at) => ({
            key: null,
            value: Buffer.from(JSON.stringify({ n: produced.next + at })),
            partition: at % partitions,
          })),
        );
        for (const { partition, offset } of again) produced.byPartition[partition]!.set(offset, produced.next++);
        const ahead = produced.below(everything).filter(([partition, at]) => partition !== 1 || at >= committedAt);
        expect(await readByGroup(lake, 'g', ahead.length)).toEqual(ahead);
      }
      const stop = new AbortController();
      const producing = produceOn(lake, produced, random.apart(), stop.signal);
      // Something is cold for sure, and more of it at the moment of the loss.
      await eventually('records to cool', () => produced.byPartition.every((own) => own.size > (round + 1) * 100) || undefined, 60_000);
      await lake.flush(topic);
      committedAt = Math.max(0, produced.end(1) - random.whole(1, 20));
      await commitOffset(lake, 'g', topic, 1, committedAt);
      await notedInBucket(lake, bucket, `noted-${round}`);
      await sleep(random.whole(0, 1500));
      await loseDataDir(lake);
      stop.abort();
      await producing;
    }
  });

  it('is recovered by a command that is killed again and again, and starts only when that is done', async () => {
    const random = seeded('recover-kill');
    const root = await temporaryFolder();
    ending.push(() => root.remove());
    const bucket = pathToFileURL(join(root.path, 'bucket')).href;
    const lake = await Lake.start({ dataDir: join(root.path, 'first'), set: { 'bucket.url': bucket } });
    ending.push(() => lake.stop());
    for (let n = 0; n < 6; n++) await lake.createTopic(`t${n}`, 8);
    await lake.produce(
      't0',
      Array.from({ length: 100 }, (_, n) => ({ key: null, value: Buffer.from(JSON.stringify({ n })), partition: n % 8 })),
    );
    await lake.flush('t0');
    await commitOffset(lake, 'g', 't0', 1, 3);
    await notedInBucket(lake, bucket, 'noted');
    await loseDataDir(lake);
    const dataDir = join(root.path, 'second');
    let opens: unknown;
    let kills = 0;
    for (let afterMs = 200; ; afterMs *= 1.15 + random.float() / 3) {
      const args = ['recover', '--bucket', bucket, '--data-dir', dataDir];
      const { code, stdout, stderr } = await runCommand(args, { killAfterMs: afterMs });
      const journal = readJournal(dataDir);
      if (journal?.status === 'under-way') {
        const partitionsNow = journal.content.plan?.topics.flatMap((planned) => planned.partitions.map(({ openOffset }) => openOffset));
        opens ??= partitionsNow;
        expect(partitionsNow).toEqual(opens);
        if (kills === 0) {
          const served = await runCommand([
            'serve',
            '--data-dir',
            dataDir,
            '--bucket',
            bucket,
            '--kafka-listen',
            '127.0.0.1:0',
            '--http-listen',
            '127.0.0.1:0',
          ]);
          expect([served.code, served.stderr]).toEqual([4, expect.stringContaining('the recovery into')]);
        }
        kills++;
      }
      if (code === null) continue;
      expect([code, stderr]).toEqual([0, expect.stringContaining('recovered cluster')]);
      expect(stdout.trimEnd().split('\n')).toHaveLength(6 * 8 + 1);
      break;
    }
    process.stderr.write(`recover-kill: killed ${kills} times while it was under way\n`);
    const again = await Lake.start({ dataDir, set: { 'bucket.url': bucket } });
    ending.push(() => again.stop());
    expect(await committedOffset(again, 'g', 't0', 1)).toBe(3);
    expect(await again.sql('SELECT count(*), sum(n) FROM t0')).toEqual([[100, 4950]]);
    await again.worksFor('t0');
    await again.worksFor('t5');
  });

  it('whose folder is an empty one is told of recover, and what it makes is not made twice', async () => {
    const root = await temporaryFolder();
    ending.push(() => root.remove());
    const dataDir = join(root.path, 'data');
    const lake = await Lake.start({ dataDir });
    ending.push(() => lake.stop());
    await lake.createTopic('t');
    await lake.produce('t', [{ key: null, value: Buffer.from('{"a":1}') }]);
    await lake.flush('t');
    await lake.stop();
    // All but the bucket is gone.
    for (const name of readdirSync(dataDir)) if (name !== 'bucket') await rm(join(dataDir, name), { recursive: true });
    const bucket = pathToFileURL(join(dataDir, 'bucket')).href;
    const elsewhere = join(root.path, 'elsewhere');
    const refused = await runCommand([
      'serve',
      '--data-dir',
      elsewhere,
      '--bucket',
      bucket,
      '--kafka-listen',
      '127.0.0.1:0',
      '--http-listen',
      '127.0.0.1:0',
    ]);
    expect(refused.code).toBe(4);
    expect(refused.stderr).toMatch(/^hint: .*thermocline recover --bucket file:\/\/\S+ --data-dir/m);
    const notEmpty = await runCommand(['recover', '--bucket', bucket, '--data-dir', elsewhere]);
    expect([notEmpty.code, notEmpty.stderr]).toEqual([4, expect.stringContaining('is not empty')]);
    await recoverTo(dataDir, bucket);
    expect((await runCommand(['recover', '--bucket', bucket, '--data-dir', dataDir])).code).toBe(4);
    expect((await runCommand(['recover', '--bucket', bucket])).code).toBe(2);
    expect((await runCommand(['recover', '--bucket', `${bucket}-not`, '--data-dir', elsewhere])).code).toBe(3);
    const again = await Lake.start({ dataDir });
    ending.push(() => again.stop());
    expect(await again.sql('SELECT a FROM t')).toEqual([[1]]);
    await again.worksFor('t');
  });
});

interface Journal {
  readonly status: string;
  readonly content: { readonly plan?: { readonly topics: readonly { readonly partitions: readonly { readonly openOffset: number }[] }[] } };
}

function readJournal(dataDir: string): Journal | undefined {
  try {
    return JSON.parse(readFileSync(join(dataDir, 'recover.json'), 'utf8')) as Journal;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
