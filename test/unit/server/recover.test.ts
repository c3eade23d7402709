// A data directory out of a bucket alone: at every step where it can be interrupted, and on every bucket that is not what it should be.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadServerConfig, type ServerConfig } from '../../../src/config/index.js';
import type { NotedGroup, NotedTopic } from '../../../src/control/index.js';
import { clusterId, systemClock, systemRandom, topicId, topicName } from '../../../src/kernel/index.js';
import {
  claimBucket,
  type ClusterState,
  clusterStateKey,
  openTopicTable,
  type TableSnapshot,
  type TopicTable,
  writeClusterState,
} from '../../../src/lake/index.js';
import { openObjectStore, type ObjectStore } from '../../../src/objects/index.js';
import { recover, type RecoverProgress, type RecoverReport } from '../../../src/server/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';
import { fetchApi, initProducerIdApi, listOffsetsApi, metadataApi, offsetFetchApi } from '../../../src/wire/index.js';
import { batchOf, temporaryFolder, testBroker, WireClient } from '../broker/broker-fixture.js';
import { change, coldFile } from '../lake/table-fixture.js';

const cluster = clusterId('AAAAAAAAAAAAAAAAAAAAAQ');
const idOf = (letter: string) => topicId(`${letter.repeat(21)}Q`);
const offsetGap = 1000;
let root: string;
let store: ObjectStore;

beforeEach(async () => {
  root = await temporaryFolder();
  store = await openObjectStore(pathToFileURL(join(root, 'bucket')).href);
});
afterEach(() => store.close());

function configOf(dataDir: string, bucket = store.url): ServerConfig {
  return loadServerConfig({ flags: { 'data.dir': dataDir, 'bucket.url': bucket, 'offsets.topic.num.partitions': '3' } });
}

function recoverInto(
  dataDir: string,
  more: { readonly onProgress?: (progress: RecoverProgress) => void; readonly bucket?: string; readonly acceptLoss?: boolean } = {},
): Promise<RecoverReport> {
  return recover({
    config: configOf(dataDir, more.bucket),
    offsetGap,
    acceptLoss: more.acceptLoss ?? false,
    logger: silentLogger,
    onProgress: more.onProgress ?? (() => undefined),
  });
}

function tableOf(name: string, id: string, of = cluster): TopicTable {
  return openTopicTable(store, { topic: topicName(name), topicId: idOf(id), clusterId: of }, { clock: systemClock, random: systemRandom });
}

/** Commits files of ten offsets each to partitions, as if they were there. */
async function commitFiles(table: TopicTable, ends: readonly number[]): Promise<void> {
  const moves = ends.map((to, partition) => {
    const files = Array.from({ length: to / 10 }, (_, n) => coldFile(table, partition, n * 10, n * 10 + 9));
    return { partition, from: 0, to, leaderEpoch: 4, files };
  });
  for (const { files } of moves) for (const { key, bytes } of files) await store.put(key, Buffer.alloc(bytes));
  await table.commit(change(moves.filter(({ to }) => to > 0)));
}

const partition = (highWatermark: number, boundary: number, leaderEpoch = 4, logStartOffset = 0) => ({
  logStartOffset,
  boundary,
  highWatermark,
  leaderEpoch,
});

function noted(name: string, id: string, partitions: NotedTopic['partitions'], over: Partial<NotedTopic> = {}): NotedTopic {
  return { name: topicName(name), id: idOf(id), isInternal: false, isTiered: true, overrides: {}, createdMs: 5, partitions, ...over };
}

const groupOf = (group: string, topic: string, offset: number, metadata = ''): NotedGroup => ({
  group,
  offsets: [{ topic, partition: 0, offset, leaderEpoch: 4, metadata, committedMs: 9 }],
});

/** A bucket with a tiered topic, one that never got cold, one that is local only, and one known by its table alone. */
async function fillBucket(over: Partial<ClusterState> = {}): Promise<void> {
  await claimBucket(store, cluster, systemClock);
  await commitFiles(tableOf('orders', 'B'), [30, 20, 0]);
  await commitFiles(tableOf('late', 'C'), [10]);
  // A topic that was deleted, and an upload of it that came late.
  const erased = tableOf('erased', 'K');
  await commitFiles(erased, [10]);
  await erased.drop();
  await store.put(coldFile(erased, 0, 10, 19).key, Buffer.alloc(10));
  await writeClusterState(store, 0, {
    clusterId: cluster,
    writtenAtMs: systemClock.nowMs(),
    kafka: '127.0.0.1:1',
    nextProducerId: 3000n,
    topics: [
      noted('orders', 'B', [partition(45, 30), partition(20, 20), partition(7, 0)], { overrides: { 'segment.ms': '60000' } }),
      noted('young', 'D', [partition(0, 0, 0)]),
      noted('local', 'E', [partition(12, 0, 2, 3)], { isTiered: false, overrides: { 'remote.storage.enable': 'false' } }),
      noted('__consumer_offsets', 'F', [partition(9, 0), partition(0, 0), partition(2, 0)], { isInternal: true, isTiered: false }),
    ],
    dropped: [{ name: topicName('old'), id: idOf('G') }],
    views: [{ name: 'recent', sql: 'SELECT 1', savedMs: 17 }],
    groups: [
      groupOf('behind', 'orders', 12, 'até'),
      groupOf('ahead', 'orders', 44),
      groupOf('local', 'local', 5),
      groupOf('gone', 'nowhere', 1),
    ],
    offsetsLeftOut: 0,
    ...over,
  });
}

const snapshotOf = (name: string, id: string): Promise<TableSnapshot> => tableOf(name, id).load();

/** What a client finds in the recovered data directory. */
async function expectRecovered(dataDir: string): Promise<void> {
  const broker = await testBroker({ dataDir });
  expect(broker.clusterId).toBe(cluster);
  const client = await WireClient.open(broker);
  const { topics } = await client.call(metadataApi, 12, { topics: null });
  const found = new Map(topics.map((topic) => [topic.name, topic]));
  expect(new Set(found.keys())).toEqual(new Set(['__consumer_offsets', 'late', 'local', 'orders', 'young']));
  const { views } = await broker.controlHandlers['broker.describe']!({}, undefined as never);
  expect(views).toEqual([{ name: 'recent', sql: 'SELECT 1', savedMs: 17 }]);
  expect(found.get('orders')?.topicId).toBe(idOf('B'));
  expect(found.get('orders')?.partitions.map((p) => p.leaderEpoch)).toEqual([5, 5, 5]);
  const bounds = async (name: string, timestamp: number): Promise<number[]> => {
    const indexes = found.get(name)!.partitions.map((p) => p.partitionIndex);
    const asked = [{ name, partitions: indexes.map((partitionIndex) => ({ partitionIndex, timestamp })) }];
    const answer = await client.call(listOffsetsApi, 7, { replicaId: -1, topics: asked });
    return answer.topics[0]!.partitions.map(({ offset }) => offset);
  };
  expect([await bounds('orders', -2), await bounds('orders', -1)]).toEqual([
    [0, 0, 0],
    [1045, 1020, 1007],
  ]);
  expect([await bounds('young', -2), await bounds('young', -1)]).toEqual([[0], [1000]]);
  expect([await bounds('local', -2), await bounds('local', -1)]).toEqual([[1012], [1012]]);
  expect([await bounds('late', -2), await bounds('late', -1)]).toEqual([[0], [1010]]);
  const positionOf = async (groupId: string, name: string): Promise<[number, string | null]> => {
    const asked = [{ groupId, topics: [{ name, partitionIndexes: [0] }] }];
    const { groups } = await client.call(offsetFetchApi, 8, { groups: asked });
    const { committedOffset, metadata } = groups[0]!.topics[0]!.partitions[0]!;
    return [committedOffset, metadata];
  };
  expect(await positionOf('behind', 'orders')).toEqual([12, 'até']);
  expect(await positionOf('ahead', 'orders')).toEqual([44, '']);
  // Nothing is left below the log start: out of range would send the consumer anywhere.
  expect(await positionOf('local', 'local')).toEqual([1012, '']);
  const { producerId } = await client.call(initProducerIdApi, 4, { transactionalId: null, transactionTimeoutMs: 1000 });
  expect(producerId).toBeGreaterThanOrEqual(1_003_000n);
  const { baseOffset } = await client.produce('orders', batchOf(['new']));
  expect(baseOffset).toBe(1045);
  const { responses } = await client.call(fetchApi, 13, {
    maxWaitMs: 0,
    minBytes: 1,
    topics: [{ topicId: idOf('B'), partitions: [{ partition: 0, fetchOffset: 1045, partitionMaxBytes: 1 << 20 }] }],
  });
  expect(responses[0]!.partitions[0]).toMatchObject({ errorCode: 0, highWatermark: 1046, logStartOffset: 0 });
  await broker.close();
}

async function expectHoles(): Promise<void> {
  const { partitions, holes, files } = await snapshotOf('orders', 'B');
  expect(files).toHaveLength(5);
  expect(partitions.map(({ boundary, leaderEpoch }) => [boundary, leaderEpoch])).toEqual([
    [1045, 5],
    [1020, 5],
    [1007, 5],
  ]);
  expect(holes.map(({ from, to, leaderEpoch }) => [from, to, leaderEpoch])).toEqual([
    [30, 1045, 5],
    [20, 1020, 5],
    [0, 1007, 5],
  ]);
  expect((await snapshotOf('young', 'D')).partitions).toMatchObject([{ boundary: 1000 }]);
  expect((await snapshotOf('late', 'C')).partitions).toMatchObject([{ boundary: 1010 }]);
  expect((await snapshotOf('local', 'E')).metadataVersion).toBe(0);
}

describe('a recovery', () => {
  it('gives topics, positions and ids back, opens above all that was seen, and says what is lost', async () => {
    await fillBucket();
    const report = await recoverInto(join(root, 'new'));
    expect(report).toMatchObject({ clusterId: cluster, topics: 4, coldFiles: 6, committedOffsets: 3, isContinued: false });
    const rows = new Map(report.partitions.map((row) => [`${row.topic}-${row.partition}`, row]));
    expect(rows.get('orders-0')).toMatchObject({ cold_end_offset: 30, lost_from: 30, lost_to: 45, opens_at: 1045, known_by: 'state' });
    expect(rows.get('orders-1')).toMatchObject({ lost_from: null, lost_to: null, opens_at: 1020 });
    expect(rows.get('orders-2')).toMatchObject({ lost_from: 0, lost_to: 7, opens_at: 1007 });
    expect(rows.get('local-0')).toMatchObject({ lost_from: 3, lost_to: 12, log_start_offset: 1012, opens_at: 1012 });
    expect(rows.get('late-0')).toMatchObject({ lost_from: null, opens_at: 1010, known_by: 'table' });
    expect(report.remarks).toEqual([
      expect.stringContaining('late is known by its table only'),
      expect.stringContaining('1 committed offsets of partitions that are not there'),
    ]);
    await expectHoles();
    await expectRecovered(join(root, 'new'));
  });

  it('goes on where it was interrupted, at whichever step, with the same offsets', async () => {
    await fillBucket();
    const dataDir = join(root, 'new');
    let crashes = 0;
    // Each step on its first word and on its second: before anything of it is done, and in the midst of it.
    for (const step of ['reading', 'planned', 'writing', 'committing'] as const) {
      for (const word of step === 'planned' ? [1] : [1, 2]) {
        let heard = 0;
        const onProgress = (progress: RecoverProgress): void => {
          if (progress.step === step && ++heard === word) throw new Error(`crash while ${step}`);
        };
        // A plan that is written down is not read again.
        const isBegun = existsSync(join(dataDir, 'recover.json'));
        if (isBegun && step === 'reading') continue;
        await expect(recoverInto(dataDir, { onProgress })).rejects.toThrow(`crash while ${step}`);
        crashes++;
        if (step === 'writing' || step === 'committing')
          await expect(testBroker({ dataDir })).rejects.toMatchObject({ code: 'recover-unfinished' });
      }
    }
    const report = await recoverInto(dataDir);
    expect(report.isContinued).toBe(true);
    expect(crashes).toBe(7);
    await expectHoles();
    await expectRecovered(dataDir);
    await expect(recoverInto(dataDir)).rejects.toMatchObject({ code: 'data-dir-not-empty' });
  });

  it('is of one process at a time, and not carried on from another bucket', async () => {
    await fillBucket();
    const dataDir = join(root, 'new');
    let second: Promise<unknown> | undefined;
    await recoverInto(dataDir, {
      onProgress: ({ step }) => {
        if (step === 'writing') second ??= recoverInto(dataDir).catch((error: unknown) => error);
      },
    });
    expect(await second).toMatchObject({ code: 'data-dir-locked' });

    const broken = join(root, 'broken');
    await expect(
      recoverInto(broken, {
        onProgress: ({ step }) => {
          if (step === 'committing') throw new Error('crash');
        },
      }),
    ).rejects.toThrow('crash');
    const other = await openObjectStore(pathToFileURL(join(root, 'other')).href);
    await claimBucket(other, clusterId('ZZZZZZZZZZZZZZZZZZZZZQ'), systemClock);
    await expect(recoverInto(broken, { bucket: other.url })).rejects.toMatchObject({ code: 'data-dir-foreign' });
    await other.close();
    expect((await recoverInto(broken)).isContinued).toBe(true);
  });

  it('is refused where the broker of the bucket answers', async () => {
    const broker = await testBroker({ dataDir: join(root, 'alive') });
    const client = await WireClient.open(broker);
    await client.createTopic('t');
    await claimBucket(store, broker.clusterId, systemClock);
    const kafka = `127.0.0.1:${broker.kafkaAddress.port}`;
    await writeClusterState(store, 0, {
      clusterId: broker.clusterId,
      writtenAtMs: 1,
      kafka,
      nextProducerId: 0n,
      topics: [],
      dropped: [],
      views: [],
      groups: [],
      offsetsLeftOut: 0,
    });
    await expect(recoverInto(join(root, 'new'))).rejects.toMatchObject({ code: 'bucket-in-use', facts: { kafka } });
    expect(existsSync(join(root, 'new', 'recover.json'))).toBe(false);
    await broker.close();
    await recoverInto(join(root, 'new'));
  });

  it('is refused where somebody commits meanwhile', async () => {
    await fillBucket();
    const dataDir = join(root, 'new');
    const crash = ({ step }: RecoverProgress): void => {
      if (step === 'committing') throw new Error('crash');
    };
    await expect(recoverInto(dataDir, { onProgress: crash })).rejects.toThrow('crash');
    const table = tableOf('orders', 'B');
    await table.load();
    await table.commit(change([{ partition: 0, from: 30, to: 31, leaderEpoch: 4, files: [] }]));
    const error = await recoverInto(dataDir).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'bucket-in-use' });
  });

  it('takes a data directory that holds nothing but the bucket, and no other that is not empty', async () => {
    await fillBucket();
    await recoverInto(root);
    for (const name of ['log', 'metadata.json', 'something']) {
      const dataDir = join(root, `with-${name}`);
      mkdirSync(dataDir);
      writeFileSync(join(dataDir, name), '');
      await expect(recoverInto(dataDir)).rejects.toMatchObject({ code: 'data-dir-not-empty' });
      expect(readdirSync(dataDir)).toEqual([name]);
    }
  });

  it('does not take a file for a data directory, and leaves it as it is', async () => {
    await fillBucket();
    const dataDir = join(root, 'file');
    writeFileSync(dataDir, 'mine');
    await expect(recoverInto(dataDir)).rejects.toMatchObject({ code: 'data-dir-unusable', facts: { path: dataDir } });
    expect(readFileSync(dataDir, 'utf8')).toBe('mine');
  });
});

describe('a bucket to recover from', () => {
  const refused = (code: string, message?: RegExp) =>
    expect.objectContaining({ code, ...(message === undefined ? {} : { message: expect.stringMatching(message) as string }) });

  it('is refused where it is not there, empty, or of nobody', async () => {
    const missing = pathToFileURL(join(root, 'nowhere')).href;
    await expect(recoverInto(join(root, 'new'), { bucket: missing })).rejects.toEqual(refused('object-missing', /no bucket at/));
    expect(existsSync(join(root, 'nowhere'))).toBe(false);
    await expect(recoverInto(join(root, 'new'))).rejects.toEqual(refused('object-missing', /holds no service/));
    await commitFiles(tableOf('orders', 'B'), [10]);
    await expect(recoverInto(join(root, 'new'))).rejects.toEqual(refused('object-missing', /holds no service/));
  });

  it('is refused where its identity is garbage, or a table or the state is of another cluster', async () => {
    await store.put('cluster/identity.json', Buffer.from('garbage'));
    await expect(recoverInto(join(root, 'new'))).rejects.toEqual(refused('table-corrupt', /identity\.json/));
    await store.delete('cluster/identity.json');
    await fillBucket();
    await commitFiles(tableOf('theirs', 'H', clusterId('ZZZZZZZZZZZZZZZZZZZZZQ')), [10]);
    await expect(recoverInto(join(root, 'new'))).rejects.toEqual(refused('data-dir-foreign', /topics\/theirs/));
    rmSync(join(root, 'bucket/topics/theirs'), { recursive: true });
    await fillBucket({ clusterId: clusterId('ZZZZZZZZZZZZZZZZZZZZZQ') }).catch(() => undefined);
    await writeClusterState(store, 1, {
      clusterId: clusterId('ZZZZZZZZZZZZZZZZZZZZZQ'),
      writtenAtMs: 1,
      kafka: 'x:1',
      nextProducerId: 0n,
      topics: [],
      dropped: [],
      views: [],
      groups: [],
      offsetsLeftOut: 0,
    });
    await expect(recoverInto(join(root, 'new'))).rejects.toEqual(refused('data-dir-foreign', /newest state/));
    expect(existsSync(join(root, 'new', 'recover.json'))).toBe(false);
  });

  it('is read by its last readable state where newer ones are garbage, and says so; a newer format is not passed over', async () => {
    await fillBucket();
    await store.put(clusterStateKey(2), Buffer.from('{"format":"thermocline-cluster-state/1"}'));
    const report = await recoverInto(join(root, 'new'));
    expect(report.state?.number).toBe(1);
    expect(report.remarks[0]).toMatch(/cluster\/state\/v2\.json.*the state before it is used/);
    await store.put(clusterStateKey(3), Buffer.from('{"format":"thermocline-cluster-state/2"}'));
    await expect(recoverInto(join(root, 'newer'))).rejects.toEqual(refused('unsupported'));
  });

  it('without any state gives the topics of its tables, with the default configuration', async () => {
    await claimBucket(store, cluster, systemClock);
    await commitFiles(tableOf('orders', 'B'), [30, 20]);
    const report = await recoverInto(join(root, 'new'));
    expect(report.partitions.map(({ topic, opens_at, known_by }) => [topic, opens_at, known_by])).toEqual([
      ['orders', 1030, 'table'],
      ['orders', 1020, 'table'],
    ]);
    expect(report.remarks[0]).toMatch(/There is no state of the cluster/);
  });

  it('is refused where a table has lost commits or all its metadata, unless that is accepted', async () => {
    await fillBucket();
    const newest = join(root, 'bucket/topics/orders', idOf('B'), 'metadata/v1.metadata.json');
    rmSync(newest);
    await expect(recoverInto(join(root, 'new'))).rejects.toEqual(refused('table-corrupt', /orders has no table/));
    expect(existsSync(join(root, 'new', 'recover.json'))).toBe(false);
    const report = await recoverInto(join(root, 'new'), { acceptLoss: true });
    expect(report.partitions[0]).toMatchObject({ cold_end_offset: 0, lost_from: 0, lost_to: 45, opens_at: 1045 });
    expect(report.remarks.join('\n')).toMatch(/orders has no table.*is lost/);
    expect(report.remarks.join('\n')).toMatch(/5 data files lie below topics\/orders/);
  });

  it('is refused where a table cannot be read', async () => {
    await fillBucket();
    const path = join(root, 'bucket/topics/orders', idOf('B'), 'metadata/v1.metadata.json');
    rmSync(path);
    writeFileSync(path, '{"format-version":2');
    await expect(recoverInto(join(root, 'new'))).rejects.toEqual(refused('table-corrupt'));
  });

  it('is taken with cold files missing, which are named', async () => {
    await fillBucket();
    const data = join(root, 'bucket/topics/orders', idOf('B'), 'data/p=0');
    const [first] = readdirSync(data).sort();
    rmSync(join(data, first!));
    const report = await recoverInto(join(root, 'new'));
    expect(report.remarks.join('\n')).toContain(first);
  });

  it('does not bring a deleted topic back, nor one whose name another has', async () => {
    await fillBucket();
    await commitFiles(tableOf('old', 'G'), [10]);
    await commitFiles(tableOf('Orders', 'I'), [10]);
    const report = await recoverInto(join(root, 'new'));
    expect([...new Set(report.partitions.map(({ topic }) => topic))]).toEqual(['orders', 'young', 'local', 'late']);
    expect(report.remarks.join('\n')).toMatch(/topic Orders of id .* is left aside/);
  });
});
