/**
 * Column workers without DuckDB: a "cold file" is JSON of its records. It obeys the jobs' contract (ranges, digests, pairs,
 * rebuilt batches that span holes), so that the daemon's logic can be driven through thousands of steps in a second.
 */
import {
  type BatchRebuilder,
  type ColumnJob,
  type TimeLookup,
  type ColumnPair,
  type ColumnWorkers,
  composeDigests,
  emptyDigest,
  type EncodeResult,
  footerKeys,
  readFileFooter,
  RecordDigest,
} from '../../src/columns/index.js';
import { ThriftWriter } from '../../src/columns/thrift-compact.js';
import { type Disk, LakeError, systemDisk } from '../../src/kernel/index.js';
import {
  batchBytes,
  batchLeaderEpoch,
  batchMagic,
  type DecodedRecord,
  decodeBatch,
  encodeBatch,
  isBatchCrcValid,
  isControl,
  walkBatches,
} from '../../src/wire/index.js';

/** Bytes in base64; `null` is null. */
export interface SimRow {
  readonly offset: number;
  readonly timestampMs: number;
  readonly leaderEpoch: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [key: string, value: string | null])[];
}

export interface SimFile {
  readonly rows: readonly SimRow[];
  readonly columns: readonly number[];
}

function digestOf(rows: readonly SimRow[]): string {
  const digest = new RecordDigest();
  for (const row of rows) {
    digest.begin(row.offset, row.timestampMs, 0, row.leaderEpoch, -1, -1, -1, -1);
    for (const text of [row.key, row.value, ...row.headers.flat()]) {
      if (text === null) digest.absent();
      else {
        const bytes = Buffer.from(text, 'base64');
        digest.bytes(bytes, 0, bytes.length);
      }
    }
    digest.end();
  }
  return rows.length === 0 ? emptyDigest : digest.toString();
}

function pairsOf(rows: readonly SimRow[]): ColumnPair[] {
  const pairs = new Map<string, ColumnPair>();
  for (const row of rows) {
    let value: unknown;
    try {
      value = JSON.parse(Buffer.from(row.value ?? '', 'base64').toString());
    } catch {
      continue;
    }
    if (typeof value !== 'object' || value === null) continue;
    for (const [name, field] of Object.entries(value)) {
      const kind = typeof field === 'number' ? 'long' : 'text';
      pairs.set(`${kind}:${name}`, { name, kind });
    }
  }
  return [...pairs.values()];
}

const long = (value: number): string => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(value));
  return bytes.toString('base64');
};

/** Behind the JSON stands a Parquet footer without row groups, which `readFileFooter` reads. */
const tailBytes = 8;

function footerOf(rows: number, columns: readonly number[], values: Readonly<Record<string, string>>): Buffer {
  const thrift = new ThriftWriter();
  thrift.i32(1, 1);
  const elements: { name: string; fieldId?: number }[] = [
    { name: 'schema' },
    ...columns.map((fieldId) => ({ name: `c${fieldId}`, fieldId })),
  ];
  thrift.structs(2, elements, (element) => {
    if (element.fieldId !== undefined) thrift.i32(1, 2);
    thrift.text(4, element.name);
    if (element.fieldId === undefined) thrift.i32(5, columns.length);
    else thrift.i32(9, element.fieldId);
  });
  thrift.i64(3, rows);
  thrift.structs(4, [], () => undefined);
  thrift.structs(5, Object.entries(values), ([key, value]) => {
    thrift.text(1, key);
    thrift.text(2, value);
  });
  thrift.end();
  const footer = thrift.finish();
  const tail = Buffer.alloc(tailBytes);
  tail.writeUInt32LE(footer.length);
  tail.write('PAR1', 4);
  return Buffer.concat([footer, tail]);
}

/** What a file of these workers holds, staged or cold. */
export function simFile(bytes: Buffer): SimFile {
  const isCold = bytes.subarray(-4).toString() === 'PAR1';
  const end = isCold ? bytes.length - tailBytes - bytes.readUInt32LE(bytes.length - tailBytes) : bytes.length;
  return JSON.parse(bytes.toString('utf8', 0, end)) as SimFile;
}

const base64 = (bytes: Buffer | null): string | null => bytes?.toString('base64') ?? null;
const bytesOf = (text: string | null): Buffer | null => (text === null ? null : Buffer.from(text, 'base64'));

/** A record as these files hold it. */
export function simRow(record: DecodedRecord, leaderEpoch: number): SimRow {
  return {
    offset: record.offset,
    timestampMs: record.timestampMs,
    leaderEpoch,
    key: base64(record.key),
    value: base64(record.value),
    headers: record.headers.map(({ key, value }) => [Buffer.from(key).toString('base64'), base64(value)]),
  };
}

/** Errors: `batch-corrupt`, as the product's own jobs and Kafka's clients have it. */
export function requireSound(batches: Buffer, at: number): void {
  const fault =
    batchMagic(batches, at) !== 2 ? 'it is not of format v2' : isBatchCrcValid(batches, at) ? undefined : 'its CRC does not match';
  if (fault !== undefined) throw new LakeError('batch-corrupt', `the batch at ${at} is damaged: ${fault}`);
}

function writeFile(disk: Disk, path: string, bytes: Buffer, flags: 'w' | 'wx'): void {
  const file = disk.openSync(path, flags, 0o644);
  for (let done = 0; done < bytes.length; ) done += disk.writeSync(file, bytes, done, bytes.length - done, done);
  disk.closeSync(file);
}

interface ColdRange {
  readonly path: string;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly rawBytes: number;
}

function writeCold(disk: Disk, rows: readonly SimRow[], columns: readonly number[], digest: string, range: ColdRange): EncodeResult {
  const text = Buffer.from(JSON.stringify({ rows, columns } satisfies SimFile));
  const footer = footerOf(rows.length, columns, {
    [footerKeys.digest]: digest,
    [footerKeys.baseOffset]: String(range.baseOffset),
    [footerKeys.lastOffset]: String(range.lastOffset),
    [footerKeys.rawBytes]: String(range.rawBytes),
  });
  writeFile(disk, range.path, Buffer.concat([text, footer]), 'wx');
  const times = rows.map((row) => row.timestampMs);
  const [min, max] = [Math.min(...times) * 1000, Math.max(...times) * 1000];
  return {
    path: range.path,
    bytes: text.length + footer.length,
    rows: rows.length,
    digest,
    metrics: [
      { fieldId: 3, bytes: 8, values: rows.length, nulls: 0, lower: long(min), upper: long(max) },
      ...columns.map((fieldId) => ({ fieldId, bytes: 1, values: rows.length, nulls: 0 })),
    ],
    splitOffsets: [0],
    cpuMs: 1,
  };
}

/** `before` may throw or wait in place of a worker that dies or is slow. */
export function simWorkers(before?: (job: ColumnJob) => void | Promise<void>, disk: Disk = systemDisk): ColumnWorkers {
  const readFile = (path: string): SimFile => simFile(disk.readFileSync(path));
  const run = (job: ColumnJob): unknown => {
    switch (job.kind) {
      case 'stage': {
        const rows: SimRow[] = [];
        let rawBytes = 0;
        let lastLeaderEpoch = -1;
        for (const spool of job.spools) {
          const bytes = disk.readFileSync(spool.path).subarray(0, spool.bytes);
          walkBatches(bytes, (at) => {
            requireSound(bytes, at);
            rawBytes += batchBytes(bytes, at);
            lastLeaderEpoch = batchLeaderEpoch(bytes, at);
            if (isControl(bytes, at)) return;
            for (const record of decodeBatch(bytes, at)) {
              if (record.offset < job.baseOffset || record.offset >= job.endOffset) continue;
              rows.push(simRow(record, lastLeaderEpoch));
            }
          });
        }
        writeFile(disk, job.outPath, Buffer.from(JSON.stringify({ rows, columns: [] } satisfies SimFile)), 'w');
        const times = rows.map((row) => row.timestampMs);
        return {
          path: job.outPath,
          rows: rows.length,
          baseOffset: job.baseOffset,
          lastOffset: job.endOffset - 1,
          minTimestampMs: rows.length === 0 ? undefined : Math.min(...times),
          maxTimestampMs: rows.length === 0 ? undefined : Math.max(...times),
          lastLeaderEpoch,
          rawBytes,
          digest: digestOf(rows),
          pairs: pairsOf(rows),
          isFinite: true,
          absentColumns: [],
          rawBatches: 0,
          cpuMs: 1,
        };
      }
      case 'encode': {
        const rows = job.staged.flatMap((staged) => readFile(staged.path).rows);
        const columns = job.typedColumns.map((column) => column.fieldId);
        return writeCold(disk, rows, columns, composeDigests(...job.staged.map((staged) => staged.digest)), {
          path: job.outPath,
          baseOffset: job.staged[0]?.baseOffset ?? -1,
          lastOffset: job.staged.at(-1)?.lastOffset ?? -1,
          rawBytes: job.staged.reduce((sum, staged) => sum + staged.rawBytes, 0),
        });
      }
      case 'compact': {
        const baseOffset = Math.max(job.fromOffset ?? 0, job.inputs[0]?.baseOffset ?? 0);
        const digests: string[] = [];
        const rows: SimRow[] = [];
        let rawBytes = 0;
        for (const input of job.inputs) {
          const footer = readFileFooter(input.path, disk);
          const all = readFile(input.path).rows;
          if (footer.digest !== input.digest || digestOf(all) !== input.digest)
            throw new LakeError('cold-corrupt', `${input.path} differs`);
          const kept = all.filter((row) => row.offset >= baseOffset);
          digests.push(kept.length === all.length ? input.digest : digestOf(kept));
          rawBytes += Math.round((footer.rawBytes * kept.length) / Math.max(1, all.length));
          rows.push(...kept);
        }
        const digest = composeDigests(emptyDigest, ...digests);
        const range = { path: job.outPath, baseOffset, lastOffset: job.inputs.at(-1)?.lastOffset ?? -1, rawBytes };
        const columns = job.typedColumns.map((column) => column.fieldId);
        const nothing = { path: job.outPath, bytes: 0, rows: 0, digest, metrics: [], splitOffsets: [], cpuMs: 1 };
        const written = rows.length === 0 ? nothing : writeCold(disk, rows, columns, digest, range);
        const times = rows.map((row) => row.timestampMs);
        return {
          ...written,
          ...range,
          typedDigest: '',
          minTimestampMs: rows.length === 0 ? undefined : Math.min(...times),
          maxTimestampMs: rows.length === 0 ? undefined : Math.max(...times),
        };
      }
      case 'verify': {
        const file = readFile(job.path);
        const digest = digestOf(file.rows);
        if (digest !== job.digest) throw new LakeError('verify-failed', `${job.path} differs`);
        return { rows: file.rows.length, digest, cpuMs: 1 };
      }
    }
  };
  return {
    pids: [],
    close: async () => undefined,
    run: (async (job: ColumnJob) => {
      await before?.(job);
      return run(job);
    }) as ColumnWorkers['run'],
  };
}

/** As `findTimestamp`, in files of these workers. */
export const simFindTimestamp: TimeLookup = async (file, { find, timestampMs, fromOffset }) => {
  const rows = simFile(await file.read(0, file.bytes)).rows.filter((row) => row.offset >= fromOffset);
  let found: SimRow | undefined;
  for (const row of rows) {
    if (find === 'first' && row.timestampMs >= timestampMs) found ??= row;
    if (find === 'max' && (found === undefined || row.timestampMs > found.timestampMs)) found = row;
  }
  return found === undefined ? null : { offset: found.offset, timestampMs: found.timestampMs, leaderEpoch: found.leaderEpoch };
};

/** Batches out of files of these workers, one a record. */
export function simRebuilder(before?: () => Promise<void>, disk: Disk = systemDisk): BatchRebuilder {
  return {
    close: async () => undefined,
    rebuild: async (job, partBytes, take, signal) => {
      await before?.();
      signal?.throwIfAborted();
      const { rows } = simFile(disk.readFileSync(job.path));
      let first = rows.findIndex((row) => row.offset >= job.fromOffset);
      if (first < 0) first = rows.length - 1;
      const baseOffset = rows[first]?.offset ?? job.fromOffset;
      let nextOffset = baseOffset;
      let part: Buffer[] = [];
      let [bytes, partLength, batches] = [0, 0, 0];
      const flush = async (): Promise<void> => {
        if (part.length > 0) await take({ bytes: Buffer.concat(part), nextOffset, endOffset: undefined });
        [part, partLength] = [[], 0];
      };
      for (let index = first; index < rows.length && bytes < job.maxBytes; index++) {
        const row = rows[index] as SimRow;
        const end = rows[index + 1]?.offset ?? job.lastOffset + 1;
        const batch = encodeBatch({
          baseOffset: row.offset,
          leaderEpoch: row.leaderEpoch,
          lastOffsetDelta: end - 1 - row.offset,
          records: [
            {
              timestampMs: row.timestampMs,
              key: bytesOf(row.key),
              value: bytesOf(row.value),
              headers: row.headers.map(([key, value]) => ({ key: Buffer.from(key, 'base64'), value: bytesOf(value) })),
            },
          ],
        });
        if (partLength + batch.length > partBytes) await flush();
        part.push(batch);
        partLength += batch.length;
        bytes += batch.length;
        batches++;
        nextOffset = end;
      }
      await flush();
      return { bytes, baseOffset, nextOffset, batches };
    },
  };
}
