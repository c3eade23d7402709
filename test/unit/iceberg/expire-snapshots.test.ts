import { describe, expect, it } from 'vitest';
import {
  currentSnapshot,
  expireSnapshots,
  parseTableMetadata,
  serializeTableMetadata,
  type TableMetadata,
} from '../../../src/iceberg/index.js';
import { emptyMetadata } from './table-world.js';

/** Snapshots 1 to `count`, one at each 1000 ms. */
function metadataOf(count: number, kept: TableMetadata['kept'] = {}): TableMetadata {
  const ids = Array.from({ length: count }, (_, index) => index + 1);
  return {
    ...emptyMetadata(),
    currentSnapshotId: String(count),
    snapshots: ids.map((id) => ({
      snapshotId: String(id),
      parentSnapshotId: id === 1 ? null : String(id - 1),
      sequenceNumber: id,
      timestampMs: id * 1000,
      manifestList: `memory:/snap-${id}.avro`,
      summary: { operation: 'append' },
      schemaId: 0,
    })),
    snapshotLog: ids.map((id) => ({ timestampMs: id * 1000, snapshotId: String(id) })),
    kept,
  };
}

const ids = (metadata: TableMetadata): number[] => metadata.snapshots.map((snapshot) => Number(snapshot.snapshotId));

describe('expiring snapshots', () => {
  it('leaves those that are young enough, in metadata and log alike', () => {
    const after = expireSnapshots(metadataOf(10), 7000);
    expect(ids(after)).toEqual([7, 8, 9, 10]);
    expect(after.snapshotLog.map((entry) => Number(entry.snapshotId))).toEqual([7, 8, 9, 10]);
    expect(currentSnapshot(after)?.snapshotId).toBe('10');
    expect(parseTableMetadata(serializeTableMetadata(after)).snapshots).toEqual(after.snapshots);
  });

  it('keeps the current one however old it is', () => {
    expect(ids(expireSnapshots(metadataOf(10), 1_000_000))).toEqual([10]);
  });

  it('keeps a hundred at most, of any age', () => {
    expect(ids(expireSnapshots(metadataOf(130)))).toEqual(Array.from({ length: 100 }, (_, index) => index + 31));
  });

  it('changes nothing where nothing is old', () => {
    const metadata = metadataOf(100);
    expect(expireSnapshots(metadata, 1000)).toBe(metadata);
    const none = emptyMetadata();
    expect(expireSnapshots(none, 1000)).toBe(none);
  });

  it('keeps what branches and tags name, and begins the log after the last that is gone', () => {
    const refs = { main: { 'snapshot-id': 10, 'type': 'branch' }, audit: { 'snapshot-id': 3, 'type': 'tag' } };
    const after = expireSnapshots(metadataOf(10, { refs }), 8000);
    expect(ids(after)).toEqual([3, 8, 9, 10]);
    expect(after.snapshotLog.map((entry) => Number(entry.snapshotId))).toEqual([8, 9, 10]);
    expect(JSON.parse(serializeTableMetadata(after).toString())).toMatchObject({ refs: { audit: { 'snapshot-id': 3 } } });
  });

  it('lets statistics go with their snapshot', () => {
    const kept = {
      'statistics': [{ 'snapshot-id': 2 }, { 'snapshot-id': 9 }],
      'partition-statistics': [{ 'snapshot-id': 1 }],
      'x': 1,
    };
    expect(expireSnapshots(metadataOf(10, kept), 8000).kept).toEqual({
      'statistics': [{ 'snapshot-id': 9 }],
      'partition-statistics': [],
      'x': 1,
    });
  });
});
