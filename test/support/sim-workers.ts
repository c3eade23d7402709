/**
 * Column workers without DuckDB: a "cold file" is JSON of its records. It obeys the jobs' contract (ranges, digests, pairs,
 * rebuilt batches that span holes), so that the daemon's logic can be driven through thousands of steps in a second.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { type ColumnJob, type ColumnPair, type ColumnWorkers, composeDigests, emptyDigest, RecordDigest } from '../../src/columns/index.js';
import { LakeError } from '../../src/kernel/index.js';
import { batchBytes, batchLeaderEpoch, decodeBatch, encodeBatch, isControl, walkBatches } from '../../src/wire/index.js';

interface Row {
  readonly offset: number;
  readonly timestampMs: number;
  readonly leaderEpoch: number;
  readonly key: string | null;
  readonly value: string | null;
}

interface SimFile {
  readonly rows: readonly Row[];
  readonly columns: readonly number[];
}

function digestOf(rows: readonly Row[]): string {
  const digest = new RecordDigest();
  for (const row of rows) {
    digest.begin(row.offset, row.timestampMs, 0, row.leaderEpoch, -1, -1, -1, -1);
    for (const text of [row.key, row.value]) {
      if (text === null) digest.absent();
      else {
        const bytes = Buffer.from(text, 'base64');
        digest.bytes(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);
      }
    }
    digest.end();
  }
  return rows.length === 0 ? emptyDigest : digest.toString();
}

function pairsOf(rows: readonly Row[]): ColumnPair[] {
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

const readFile = (path: string): SimFile => JSON.parse(readFileSync(path, 'utf8')) as SimFile;

/** `before` may throw or wait in place of a worker that dies or is slow. */
export function simWorkers(before?: (job: ColumnJob) => void | Promise<void>): ColumnWorkers {
  const run = (job: ColumnJob): unknown => {
    switch (job.kind) {
      case 'stage': {
        const rows: Row[] = [];
        let rawBytes = 0;
        let lastLeaderEpoch = -1;
        for (const spool of job.spools) {
          const bytes = readFileSync(spool.path).subarray(0, spool.bytes);
          walkBatches(bytes, (at) => {
            rawBytes += batchBytes(bytes, at);
            lastLeaderEpoch = batchLeaderEpoch(bytes, at);
            if (isControl(bytes, at)) return;
            for (const record of decodeBatch(bytes, at)) {
              if (record.offset < job.baseOffset || record.offset >= job.endOffset) continue;
              rows.push({
                offset: record.offset,
                timestampMs: record.timestampMs,
                leaderEpoch: lastLeaderEpoch,
                key: record.key?.toString('base64') ?? null,
                value: record.value?.toString('base64') ?? null,
              });
            }
          });
        }
        writeFileSync(job.outPath, JSON.stringify({ rows, columns: [] } satisfies SimFile));
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
          rawBatches: 0,
          cpuMs: 1,
        };
      }
      case 'encode': {
        const rows = job.staged.flatMap((staged) => readFile(staged.path).rows);
        const columns = job.typedColumns.map((column) => column.fieldId);
        const text = JSON.stringify({ rows, columns } satisfies SimFile);
        writeFileSync(job.outPath, text, { flag: 'wx' });
        const times = rows.map((row) => row.timestampMs);
        const [min, max] = [Math.min(...times) * 1000, Math.max(...times) * 1000];
        return {
          path: job.outPath,
          bytes: text.length,
          rows: rows.length,
          digest: composeDigests(...job.staged.map((staged) => staged.digest)),
          metrics: [
            { fieldId: 3, bytes: 8, values: rows.length, nulls: 0, lower: long(min), upper: long(max) },
            ...columns.map((fieldId) => ({ fieldId, bytes: 1, values: rows.length, nulls: 0 })),
          ],
          splitOffsets: [0],
          cpuMs: 1,
        };
      }
      case 'verify': {
        const file = readFile(job.path);
        const digest = digestOf(file.rows);
        if (digest !== job.digest) throw new LakeError('verify-failed', `${job.path} differs`);
        return { rows: file.rows.length, digest, cpuMs: 1 };
      }
      case 'rebuild': {
        const { rows } = readFile(job.path);
        let first = rows.findIndex((row) => row.offset >= job.fromOffset);
        if (first < 0) first = rows.length - 1;
        const batches: Buffer[] = [];
        let bytes = 0;
        let next = rows[first]?.offset ?? job.fromOffset;
        const base = next;
        for (let index = first; index < rows.length && bytes < job.maxBytes; index++) {
          const row = rows[index] as Row;
          const end = rows[index + 1]?.offset ?? job.lastOffset + 1;
          const batch = encodeBatch({
            baseOffset: row.offset,
            leaderEpoch: row.leaderEpoch,
            lastOffsetDelta: end - 1 - row.offset,
            records: [
              {
                timestampMs: row.timestampMs,
                key: row.key === null ? null : Buffer.from(row.key, 'base64'),
                value: row.value === null ? null : Buffer.from(row.value, 'base64'),
              },
            ],
          });
          batches.push(batch);
          bytes += batch.length;
          next = end;
        }
        writeFileSync(job.outPath, Buffer.concat(batches));
        return { path: job.outPath, bytes, baseOffset: base, nextOffset: next, batches: batches.length, cpuMs: 1 };
      }
      case 'timestamp': {
        const rows = readFile(job.path).rows.filter((row) => row.offset >= job.fromOffset);
        let found: Row | undefined;
        for (const row of rows) {
          if (job.find === 'first' && row.timestampMs >= job.timestampMs) found ??= row;
          if (job.find === 'max' && (found === undefined || row.timestampMs > found.timestampMs)) found = row;
        }
        return {
          found: found === undefined ? null : { offset: found.offset, timestampMs: found.timestampMs, leaderEpoch: found.leaderEpoch },
          cpuMs: 1,
        };
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
