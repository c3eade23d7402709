import { describe, expect, it } from 'vitest';
import { topicName } from '../../../src/kernel/index.js';
import { filesOfPartition, findFile, planFiles, type TableSnapshot } from '../../../src/lake/index.js';
import { coldFile, id, memoryStore, openTable } from './table-fixture.js';

const table = openTable(memoryStore());
const snapshot: TableSnapshot = {
  topic: topicName('orders'),
  topicId: id,
  metadataVersion: 1,
  holes: [],
  snapshotId: '1',
  schemaId: 0,
  columns: [],
  partitions: [
    { partition: 0, boundary: 40, logStartOffset: 0, leaderEpoch: 0 },
    { partition: 2, boundary: 10, logStartOffset: 0, leaderEpoch: 0 },
  ],
  samples: [],
  appended: [],
  files: [
    coldFile(table, 0, 0, 9, { minMs: 100, maxMs: 200 }),
    coldFile(table, 0, 10, 19, { minMs: 150, maxMs: 300 }),
    coldFile(table, 0, 25, 34, { minMs: 300, maxMs: 400 }),
    coldFile(table, 2, 0, 9, { minMs: 0, maxMs: 1000 }),
  ],
};
const bases = (files: readonly { partition: number; baseOffset: number }[]): string[] =>
  files.map((file) => `${file.partition}:${file.baseOffset}`);

describe('planning', () => {
  it('takes all files where nothing restricts', () => {
    expect(planFiles(snapshot, {})).toEqual({ files: snapshot.files, prunedFiles: 0 });
  });

  it('prunes by partition, offset and time, half open', () => {
    expect(bases(planFiles(snapshot, { partitions: new Set([2]) }).files)).toEqual(['2:0']);
    expect(bases(planFiles(snapshot, { partitions: new Set([0]), fromOffset: 19, toOffset: 25 }).files)).toEqual(['0:10']);
    expect(bases(planFiles(snapshot, { fromMs: 300, toMs: 301 }).files)).toEqual(['0:10', '0:25', '2:0']);
    expect(bases(planFiles(snapshot, { toMs: 100 }).files)).toEqual(['2:0']);
    expect(planFiles(snapshot, { fromMs: 1001 })).toEqual({ files: [], prunedFiles: 4 });
  });

  it('finds the file of an offset, and the next one from within a hole', () => {
    expect(findFile(snapshot, 0, 0)?.baseOffset).toBe(0);
    expect(findFile(snapshot, 0, 9)?.baseOffset).toBe(0);
    expect(findFile(snapshot, 0, 10)?.baseOffset).toBe(10);
    expect(findFile(snapshot, 0, 22)?.baseOffset).toBe(25);
    expect(findFile(snapshot, 0, 36)).toBeNull();
    expect(findFile(snapshot, 0, 40)).toBeNull();
    expect(findFile(snapshot, 1, 0)).toBeNull();
    expect(findFile(snapshot, 2, 9)?.partition).toBe(2);
  });

  it('lists the files of one partition', () => {
    expect(bases(filesOfPartition(snapshot, 0))).toEqual(['0:0', '0:10', '0:25']);
    expect(filesOfPartition(snapshot, 1)).toEqual([]);
  });
});
