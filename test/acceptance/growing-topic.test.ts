// Partitions added to a living topic: Kafka clients, SQL, the records route and tiering see them, and what was asked before stays as it was.
import { describe, expect, it } from 'vitest';
import { addPartitions } from '../../src/client/index.js';
import { Lake } from '../support/lake.js';

const topic = 'growing';

function records(partition: number, from: number, count: number) {
  return Array.from({ length: count }, (_, i) => ({ partition, key: null, value: Buffer.from(JSON.stringify({ n: from + i })) }));
}

const perPartition = `SELECT _partition_id, count(*), min(n), max(n) FROM ${topic} GROUP BY 1 ORDER BY 1`;
const numbers = (rows: readonly (readonly unknown[])[]): number[][] => rows.map((row) => row.map(Number));

describe('a topic that grows while it is used', () => {
  it('is read in all of its partitions, hot and cold, and as of before it grew', async () => {
    await using lake = await Lake.start();
    await lake.createTopic(topic, 1);
    await lake.produce(topic, records(0, 0, 100));
    await lake.cool(topic);
    await lake.produce(topic, records(0, 100, 10));
    const before = await lake.ask(perPartition);
    expect(numbers(before.rows)).toEqual([[0, 110, 0, 109]]);

    await addPartitions(lake.client, topic, 3);
    await lake.produce(topic, [...records(2, 1000, 50), ...records(0, 110, 5)]);
    const all = [
      [0, 115, 0, 114],
      [2, 50, 1000, 1049],
    ];
    expect(numbers(await lake.sql(perPartition))).toEqual(all);
    expect((await lake.storage(topic)).map(({ partition, high_watermark }) => [partition, high_watermark])).toEqual([
      [0, 115],
      [1, 0],
      [2, 50],
    ]);
    expect(numbers((await lake.ask(perPartition, { as_of: before.snapshot })).rows)).toEqual([[0, 110, 0, 109]]);

    await lake.cool(topic);
    expect((await lake.storage(topic)).map(({ boundary, local_start_offset }) => [boundary, local_start_offset])).toEqual([
      [115, 115],
      [0, 0],
      [50, 50],
    ]);
    await lake.produce(topic, records(1, 2000, 1));
    const grown = await lake.ask(perPartition);
    expect(numbers(grown.rows)).toEqual([all[0], [1, 1, 2000, 2000], all[1]]);
    expect(grown.stats['cold_files']).toBeGreaterThan(1);
    expect((await lake.consume(topic, 2)).map(({ offset }) => offset)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(numbers((await lake.ask(perPartition, { as_of: before.snapshot })).rows)).toEqual([[0, 110, 0, 109]]);
    const lines = await (await lake.http(`/v1/topics/${topic}/records?partition=2&limit=1`)).text();
    expect(JSON.parse(lines.split('\n')[0]!)).toMatchObject({ partition: 2, offset: 0 });
  });
});
