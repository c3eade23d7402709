/** Appends, rewrites and log starts by several writers over a bucket that loses requests and answers, against a model. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { entryStatus, ManifestReader, parseTableMetadata, TableStore, type TableMetadata } from '../../src/iceberg/index.js';
import { isLakeError, systemClock, systemRandom } from '../../src/kernel/index.js';
import {
  boundaryOf,
  type ColdFile,
  filesOfPartition,
  logStartOf,
  partitionsProperty,
  type TableChange,
  type TableSnapshot,
  type TopicTable,
} from '../../src/lake/index.js';
import { parsePartitions } from '../../src/lake/partition-vector.js';
import type { ObjectStore } from '../../src/objects/index.js';
import { faults, unreliable, until, writerOf } from './unreliable-table.js';
import { change, coldFile, memoryStore, openTable, rewrite } from '../unit/lake/table-fixture.js';

const partitions = [0, 1, 2];

/** What a writer does next; positions are fractions of what it knows. */
type Step = {
  readonly writer: number;
  readonly partition: number;
  readonly kind: 'append' | 'hole' | 'compact' | 'log-start' | 'head' | 'all-at-once';
  readonly at: number;
  readonly length: number;
};
const step: fc.Arbitrary<Step> = fc.record({
  writer: fc.nat(2),
  partition: fc.constantFrom(...partitions),
  kind: fc.constantFrom('append', 'append', 'append', 'hole', 'compact', 'compact', 'log-start', 'head', 'all-at-once'),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.integer({ min: 1, max: 20 }),
});
/** The offsets that have a row in each object ever made: what the objects would hold. */
class Contents {
  readonly #byKey = new Map<string, readonly number[]>();

  of(key: string): readonly number[] {
    return this.#byKey.get(key) ?? [];
  }

  append(table: TopicTable, { partition, kind, length }: Step, known: TableSnapshot): TableChange['moves'][number] {
    const from = boundaryOf(known.partitions, partition);
    const to = from + length;
    if (kind === 'hole') return { partition, from, to, leaderEpoch: 1, files: [] };
    const file = coldFile(table, partition, from, to - 1);
    this.#byKey.set(file.key, range(from, to));
    return { partition, from, to, leaderEpoch: 1, files: [file] };
  }

  /** All rows of the inputs, or those from `fromOffset` on. */
  rewrite(table: TopicTable, inputs: readonly ColdFile[], fromOffset = 0): NonNullable<TableChange['rewrites']>[number] {
    const { partition, inputs: keys, outputs } = rewrite(table, inputs, fromOffset);
    const rows = keys.flatMap((key) => this.of(key)).filter((offset) => offset >= fromOffset);
    if (rows.length === 0) return { partition, inputs: keys, outputs: [] };
    const [output] = outputs;
    if (output === undefined) throw new Error('a rewrite of the fixture has one output');
    this.#byKey.set(output.key, rows);
    return { partition, inputs: keys, outputs: [{ ...output, rows: rows.length }] };
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

/** The change of a step from what the writer knows, or `null` where it has nothing to do. */
function decide(table: TopicTable, known: TableSnapshot, one: Step, contents: Contents): TableChange | null {
  const files = filesOfPartition(known, one.partition);
  const first = Math.floor(one.at * files.length);
  const run = files.slice(first, first + 1 + (one.length % 4));
  const boundary = boundaryOf(known.partitions, one.partition);
  const logStart = logStartOf(known.partitions, one.partition);
  switch (one.kind) {
    case 'append':
    case 'hole':
      return change([contents.append(table, one, known)]);
    case 'compact':
      return run.length < 2 ? null : { ...change([]), rewrites: [contents.rewrite(table, run)] };
    case 'log-start':
      return { ...change([]), logStarts: [{ partition: one.partition, logStartOffset: Math.floor(one.at * boundary) }] };
    case 'head': {
      const [head] = files;
      if (head === undefined || head.baseOffset >= logStart) return null;
      return { ...change([]), rewrites: [contents.rewrite(table, [head], logStart)] };
    }
    case 'all-at-once': {
      const move = contents.append(table, one, known);
      const rewrites = run.length < 2 ? [] : [contents.rewrite(table, run)];
      return { ...change([move]), rewrites, logStarts: [{ partition: one.partition, logStartOffset: Math.floor(one.at * move.to) }] };
    }
  }
}

interface Model {
  readonly boundaries: Map<number, number>;
  readonly logStarts: Map<number, number>;
  /** Last offset by key. */
  readonly files: Map<string, { readonly partition: number; readonly lastOffset: number }>;
  /** Offsets ever appended, by partition. */
  readonly appended: Map<number, number[]>;
}

function apply(model: Model, { moves, rewrites = [], logStarts = [] }: TableChange, contents: Contents): void {
  for (const move of moves) {
    expect(move.from).toBe(model.boundaries.get(move.partition) ?? 0);
    model.boundaries.set(move.partition, move.to);
    for (const file of move.files) {
      model.files.set(file.key, file);
      model.appended.set(move.partition, [...(model.appended.get(move.partition) ?? []), ...contents.of(file.key)]);
    }
  }
  for (const { inputs, outputs } of rewrites) {
    for (const key of inputs) expect(model.files.delete(key)).toBe(true);
    for (const file of outputs) model.files.set(file.key, file);
  }
  for (const { partition, logStartOffset } of logStarts) {
    model.logStarts.set(partition, Math.max(model.logStarts.get(partition) ?? 0, logStartOffset));
  }
  for (const [key, file] of model.files) if (file.lastOffset < (model.logStarts.get(file.partition) ?? 0)) model.files.delete(key);
}

/** Every manifest's counts against its entries, and the summary's totals against both. */
async function requireCounts(store: ObjectStore, prefix: string, metadata: TableMetadata): Promise<void> {
  const reader = new ManifestReader(store);
  const address = { prefix, location: metadata.location };
  const snapshot = metadata.snapshots.at(-1);
  if (snapshot === undefined) return;
  let [files, rows, bytes, deleted, deletedRows, added] = [0, 0, 0, 0, 0, 0];
  for (const manifest of await reader.manifests(address, snapshot)) {
    const entries = await reader.entries(address, manifest);
    const of = (status: number): readonly { readonly file: { readonly recordCount: number } }[] =>
      entries.filter((entry) => entry.status === status);
    const rowsOf = (status: number): number => of(status).reduce((sum, entry) => sum + entry.file.recordCount, 0);
    expect(manifest).toMatchObject({
      addedFiles: of(entryStatus.added).length,
      existingFiles: of(entryStatus.existing).length,
      deletedFiles: of(entryStatus.deleted).length,
      addedRows: rowsOf(entryStatus.added),
      existingRows: rowsOf(entryStatus.existing),
      deletedRows: rowsOf(entryStatus.deleted),
    });
    const live = entries.filter((entry) => entry.status !== entryStatus.deleted);
    expect(manifest.minSequenceNumber).toBe(Math.min(manifest.sequenceNumber, ...live.map((entry) => entry.sequenceNumber)));
    for (const entry of entries) {
      expect(entry.sequenceNumber).toBeLessThanOrEqual(manifest.sequenceNumber);
      expect(entry.fileSequenceNumber).toBe(entry.sequenceNumber);
      if (entry.status === entryStatus.added) expect(entry.snapshotId).toBe(manifest.addedSnapshotId);
    }
    files += live.length;
    rows += live.reduce((sum, entry) => sum + entry.file.recordCount, 0);
    bytes += live.reduce((sum, entry) => sum + entry.file.fileSizeBytes, 0);
    if (manifest.addedSnapshotId !== snapshot.snapshotId) continue;
    deleted += manifest.deletedFiles;
    deletedRows += manifest.deletedRows;
    added += manifest.addedFiles;
  }
  expect(snapshot.summary).toMatchObject({
    'total-data-files': String(files),
    'total-records': String(rows),
    'total-files-size': String(bytes),
    'added-data-files': String(added),
    ...(deleted === 0 ? {} : { 'deleted-data-files': String(deleted), 'deleted-records': String(deletedRows) }),
  });
}

describe('a table that several writers append to, compact and shorten', () => {
  it('is what its accepted changes make of it, version by version: nothing lost, nothing doubled', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 40 }),
        fc.array(faults, { minLength: 3, maxLength: 3 }),
        async (steps, plans) => {
          const inner = memoryStore();
          const contents = new Contents();
          const accepted = new Map<string, TableChange>();
          await Promise.all(
            plans.map(async (plan, writer) => {
              const table = writerOf(unreliable(inner, plan));
              for (const one of steps) {
                if (one.writer !== writer) continue;
                const wanted = decide(table, table.snapshot ?? (await until(() => table.load())), one, contents);
                if (wanted === null) continue;
                try {
                  await until(() => table.commit(wanted));
                  accepted.set(wanted.commitId, wanted);
                } catch (error) {
                  if (!isLakeError(error, 'commit-stale')) throw error;
                  await until(() => table.load());
                }
              }
            }),
          );
          const prefix = openTable(inner).prefix;
          const model: Model = { boundaries: new Map(), logStarts: new Map(), files: new Map(), appended: new Map() };
          const seen = new Set<string>();
          const last = (await openTable(inner).load()).metadataVersion;
          for (let version = 1; version <= last; version++) {
            const metadata = parseTableMetadata(await inner.get(`${prefix}/metadata/v${version}.metadata.json`));
            const commitId = (metadata.properties['thermocline.commits'] ?? '').split(' ')[0] ?? '';
            const applied = accepted.get(commitId);
            expect(applied, `version ${version} is of an accepted change`).toBeDefined();
            expect(seen.has(commitId), `${commitId} is applied once`).toBe(false);
            seen.add(commitId);
            if (applied !== undefined) apply(model, applied, contents);
            const listed = await new TableStore(inner, prefix, { clock: systemClock, random: systemRandom }).readDataFiles(metadata);
            expect(listed.map((entry) => entry.key).sort()).toEqual([...model.files.keys()].sort());
            for (const p of parsePartitions(metadata.properties[partitionsProperty])) {
              expect(p.boundary).toBe(model.boundaries.get(p.partition) ?? 0);
              expect(p.logStartOffset).toBe(model.logStarts.get(p.partition) ?? 0);
              const rows = listed.flatMap((entry) => (model.files.get(entry.key)?.partition === p.partition ? contents.of(entry.key) : []));
              const visible = rows.filter((offset) => offset >= p.logStartOffset).sort((a, b) => a - b);
              expect(visible).toEqual((model.appended.get(p.partition) ?? []).filter((offset) => offset >= p.logStartOffset));
            }
            await requireCounts(inner, prefix, metadata);
          }
          // What was answered without a commit was so already.
          for (const [commitId, one] of accepted) {
            if (seen.has(commitId)) continue;
            expect(one.moves.length + (one.rewrites ?? []).length).toBe(0);
            for (const { partition, logStartOffset } of one.logStarts ?? []) {
              expect(logStartOffset).toBeLessThanOrEqual(model.logStarts.get(partition) ?? 0);
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
