/** The daemon with the real column workers, on a directory: what was produced comes back, and DuckDB reads the cold files. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type BatchRebuilder,
  type ColumnWorkers,
  findTimestamp,
  openBatchRebuilder,
  openColumnWorkers,
} from '../../../src/columns/index.js';
import { systemClock, systemRandom } from '../../../src/kernel/index.js';
import { type ObjectStore, openObjectStore } from '../../../src/objects/index.js';
import { compressionCodecs, decodeBatch, type NewRecord, walkBatches } from '../../../src/wire/index.js';
import { SimBroker } from '../../support/sim-broker.js';
import { loadTable, type Running, startDaemon, temporaryFolder, until } from '../../support/daemon-fixture.js';

const folder = temporaryFolder();
let workers: ColumnWorkers;
let rebuilder: BatchRebuilder;
let store: ObjectStore;
let tier: Running;
const broker = new SimBroker();

const odd: NewRecord[] = [
  { timestampMs: 1000, key: null, value: null },
  { timestampMs: 900, key: Buffer.alloc(0), value: Buffer.alloc(0) },
  { timestampMs: -1, key: Buffer.from([0xff, 0xfe]), value: Buffer.from('{"a": 1, "a": 2, "b": {"c": []}}') },
  { timestampMs: 9_007_199_254_740_000, key: Buffer.from('far'), value: Buffer.from('{"a": "text", "n": 9007199254740993}') },
  {
    timestampMs: 5000,
    key: Buffer.from('headers'),
    value: Buffer.from('not json'),
    headers: [
      { key: 'h', value: null },
      { key: 'h', value: Buffer.alloc(0) },
      { key: Buffer.from([0xc3, 0x28]), value: Buffer.from('x') },
    ],
  },
];

beforeAll(async () => {
  workers = openColumnWorkers({ count: 1, tempDir: join(folder, 'temp') });
  rebuilder = openBatchRebuilder({ count: 1 });
  store = await openObjectStore(`file://${folder}/bucket`, { clock: systemClock, random: systemRandom });
  broker.create('flights', 2, { 'lake.file.bytes': '300000' });
  tier = await startDaemon(broker, store, {
    workers,
    rebuilder,
    findTimestamp,
    settings: { verifyTypedRowGroups: 'all' },
    spoolDir: join(folder, 'spool'),
  });
}, 30_000);

afterAll(async () => {
  await tier.close();
  await workers.close();
  await rebuilder.close();
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

function flat(bytes: Buffer): unknown[] {
  const found: unknown[] = [];
  walkBatches(bytes, (at) => {
    for (const { offset, timestampMs, key, value, headers } of decodeBatch(bytes, at)) {
      found.push([
        offset,
        timestampMs,
        key?.toString('hex') ?? null,
        value?.toString('hex') ?? null,
        headers.map((header) => [header.key.toString('hex'), header.value?.toString('hex') ?? null]),
      ]);
    }
  });
  return found;
}

describe('the daemon with real workers', () => {
  it('keeps every field of every record, for Kafka and for SQL', { timeout: 60_000 }, async () => {
    let n = 0;
    for (const compression of compressionCodecs) {
      const batch = (): NewRecord[] =>
        Array.from({ length: 400 }, () => {
          n++;
          return {
            timestampMs: 1_000_000_000_000 + n,
            key: Buffer.from(`key-${n % 50}`),
            value: Buffer.from(JSON.stringify({ n, delay: n % 3 === 0 ? n / 4 : n, origin: `O${n % 9}`, late: n % 2 === 0 })),
          };
        });
      broker.append('flights', 0, batch(), { compression, producerId: 77n, producerEpoch: 1, baseSequence: n });
      broker.append('flights', 1, [...batch(), ...odd], { compression });
    }
    await tier.call('tier.flush', {});
    for (let round = 0; round < 3; round++) {
      broker.append('flights', 0, odd);
      await tier.call('tier.flush', {});
    }
    const snapshot = await loadTable(broker, store, 'flights');
    const topicId = snapshot.topicId;
    expect(snapshot.partitions.map((p) => p.boundary)).toEqual([2015, 2025]);

    for (const partition of [0, 1]) {
      const log = flat(broker.bytesOf('flights', partition));
      for (const offset of [0, 1, 777, 2014]) {
        const { parts, result } = await tier.hydrate({ topicId, partition, offset, maxBytes: 1e9 });
        expect(result.nextOffset).toBe(snapshot.partitions[partition]?.boundary);
        const got = parts.flatMap((part) => flat(part.payload)).filter((record) => ((record as unknown[])[0] as number) >= offset);
        expect(got).toEqual(log.slice(offset));
      }
    }

    const files = snapshot.files.map((file) => `'${store.localPath(file.key) ?? ''}'`);
    const db = await DuckDBInstance.create(':memory:', { autoinstall_known_extensions: 'false' });
    const connection = await db.connect();
    const reader = await connection.runAndReadAll(
      `SELECT count(*), count(n), sum(n) FILTER (n < 1e9), count(late), min(_offset), count(DISTINCT (_partition_id, _offset)) FROM read_parquet([${files.join(',')}], union_by_name = true)`,
    );
    expect(reader.getRowsJS()[0]?.map(Number)).toEqual([2015 + 2025, 4000 + 8, (4000 * 4001) / 2, 4000, 0, 4040]);
    connection.closeSync();
    db.closeSync();
  });

  it('finds times in cold files', async () => {
    const { topicId } = await loadTable(broker, store, 'flights');
    const at = async (timestampMs: number, fromOffset = 0) =>
      (await tier.call('tier.offset-for-timestamp', { topicId, partition: 0, timestampMs, fromOffset, belowOffset: 2009 })).found;
    const first = 1_000_000_000_000 + 1;
    expect(await at(first)).toMatchObject({ offset: 0, timestampMs: first });
    expect(await at(first + 100)).toMatchObject({ offset: 100 });
    expect(await at(9_007_199_254_740_000, 2004)).toMatchObject({ offset: 2008 });
    expect((await tier.call('tier.max-timestamp', { topicId, partition: 0, fromOffset: 0, belowOffset: 2009 })).found).toMatchObject({
      offset: 2003,
      timestampMs: 9_007_199_254_740_000,
    });
  });

  it('goes on after its worker was killed', { timeout: 30_000 }, async () => {
    const end = broker.partition('flights', 0).end;
    for (const pid of workers.pids) process.kill(pid, 'SIGKILL');
    broker.append('flights', 0, odd);
    await tier.call('tier.flush', {});
    await until(() => broker.partition('flights', 0).boundary === end + odd.length, 'the range is committed');
  });
});
