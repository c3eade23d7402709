// A table in memory with a clock and randomness of its own, for the tests of this room.
import { createHash } from 'node:crypto';
import type { Clock, Random } from '../../../src/kernel/index.js';
import {
  freshSnapshotId,
  newTableMetadata,
  TableStore,
  type IcebergSchema,
  type NewDataFile,
  type SnapshotRequest,
  type TableMetadata,
  type TableVersion,
} from '../../../src/iceberg/index.js';
import { MemoryStore, type ObjectStore } from '../../../src/objects/index.js';

export const startMs = 1_800_000_000_000;

/** A clock that moves when somebody sleeps, and only then. */
export function steppedClock(): Clock {
  let nowMs = startMs;
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      nowMs += ms;
      await Promise.resolve();
    },
  };
}

/** The same numbers for the same seed. */
export function seededRandom(seed: number): Random {
  let calls = 0;
  const bytes = (length: number): Buffer => {
    const digest = createHash('sha512').update(`${seed} ${calls++}`).digest();
    return digest.subarray(0, length);
  };
  return {
    bytes,
    uuid: () =>
      bytes(16)
        .toString('hex')
        .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
    float: () => bytes(4).readUInt32BE() / 2 ** 32,
  };
}

export const prefix = 'topics/orders/AAAAAAAAAAAAAAAAAAAAAQ';

export const schema: IcebergSchema = {
  schemaId: 0,
  fields: [
    { id: 1, name: '_partition_id', required: false, type: 'int' },
    { id: 2, name: '_offset', required: false, type: 'long' },
  ],
};

export function emptyMetadata(location = `memory:/${prefix}`): TableMetadata {
  return newTableMetadata({ uuid: '00000000-0000-4000-8000-000000000001', location, schema, properties: {}, nowMs: startMs });
}

export function file(name: string | number, rows = 10): NewDataFile {
  return { key: `${prefix}/data/${name}.parquet`, recordCount: rows, bytes: rows * 100 };
}

export interface World {
  readonly store: ObjectStore;
  readonly table: TableStore;
  readonly clock: Clock;
  readonly random: Random;
  /** Appends files and commits, once. */
  append(head: TableVersion, files: readonly NewDataFile[], commitId?: string): Promise<TableVersion>;
  /** Adds and removes files in one snapshot, and commits. */
  change(head: TableVersion, what: Partial<SnapshotRequest>): Promise<TableVersion>;
}

/** An append of nothing, made what a test needs. */
export function request(what: Partial<SnapshotRequest> & Pick<SnapshotRequest, 'snapshotId'>): SnapshotRequest {
  return { operation: 'append', dataFiles: [], removedFiles: new Set(), nowMs: startMs, summary: {}, commitId: 'c', ...what };
}

export function world(options: { readonly store?: ObjectStore; readonly seed?: number; readonly at?: string } = {}): World {
  const clock = steppedClock();
  const random = seededRandom(options.seed ?? 1);
  const store = options.store ?? new MemoryStore({ clock });
  const table = new TableStore(store, options.at ?? prefix, { clock, random });
  const changed: World['change'] = async (head, what) => {
    const commitId = what.commitId ?? random.uuid();
    const snapshotId = freshSnapshotId(head.metadata, random);
    const { metadata } = await table.nextSnapshot(head.metadata, request({ nowMs: clock.nowMs(), ...what, snapshotId, commitId }));
    return table.commit(head, metadata, commitId);
  };
  return {
    store,
    table,
    clock,
    random,
    append: (head, files, commitId = random.uuid()) => changed(head, { dataFiles: files, commitId }),
    change: changed,
  };
}

export async function keysOf(store: ObjectStore, under: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(under)) keys.push(key);
  return keys;
}
