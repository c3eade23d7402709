/**
 * A cold file with its wide columns apart. DuckDB writes row group after row group, so that of a file of eight row groups the times and
 * a typed column are eight pieces between values that nobody asked for. With the wide columns of all row groups first, the others of the
 * whole file lie together, and what most questions ask of it is one request of a bucket.
 *
 * | in the file | |
 * |-------------|---|
 * | 4           | chunks of the wide columns, row group by row group |
 * | behind      | chunks of all other columns, row group by row group |
 * | behind      | the footer, its positions moved |
 */
import { closeSync, openSync, readSync, unlinkSync } from 'node:fs';
import { invariant, MiB, systemDisk, writeWholeSync } from '../kernel/index.js';
import { readFooterBytes } from './parquet-footer.js';
import { planApart, type PartPlan, readPartLayout } from './parquet-parts.js';

const copyBytes = MiB;

/** Writes the file anew under its own name, where that changes anything. Errors: `cold-corrupt`, those of the file system. */
export function setWideApart(path: string, wide: ReadonlySet<number>): void {
  const layout = readPartLayout(path, readFooterBytes(path));
  const isWide = layout.columnOfLeaf.map((column) => wide.has(column));
  if (layout.groups.length < 2 || !isWide.includes(true) || !isWide.includes(false)) return;
  const plan = planApart(layout, wide);
  const source = openSync(path, 'r');
  try {
    unlinkSync(path);
    const target = openSync(path, 'wx');
    try {
      copyPieces(source, target, plan);
      writeWholeSync(systemDisk, target, plan.footer(), plan.end);
    } finally {
      closeSync(target);
    }
  } finally {
    closeSync(source);
  }
}

function copyPieces(source: number, target: number, plan: PartPlan): void {
  const buffer = Buffer.allocUnsafe(copyBytes);
  readAt(source, buffer, 4, 0);
  writeWholeSync(systemDisk, target, buffer.subarray(0, 4), 0);
  for (const { from, to, bytes } of runsOf(plan)) {
    for (let done = 0; done < bytes; ) {
      const length = Math.min(copyBytes, bytes - done);
      readAt(source, buffer, length, from + done);
      writeWholeSync(systemDisk, target, buffer.subarray(0, length), to + done);
      done += length;
    }
  }
}

interface Run {
  readonly from: number;
  readonly to: number;
  bytes: number;
}

/** Pieces that lie side by side in both files as one. */
function runsOf({ pieces }: PartPlan): readonly Run[] {
  const runs: Run[] = [];
  for (const { from, to } of pieces) {
    const last = runs.at(-1);
    if (last !== undefined && last.from + last.bytes === from.at && last.to + last.bytes === to) last.bytes += from.bytes;
    else runs.push({ from: from.at, to, bytes: from.bytes });
  }
  return runs;
}

function readAt(file: number, into: Buffer, bytes: number, at: number): void {
  for (let done = 0; done < bytes; ) {
    const read = readSync(file, into, done, bytes - done, at + done);
    invariant(read > 0, 'a file has the chunks that its footer names', { at });
    done += read;
  }
}
