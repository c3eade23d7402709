/**
 * A Parquet file that a worker wrote becomes an object that may be committed: upload, read the very object back, compare. What is not
 * to be committed is removed where that is quick, else it is swept: nobody else knows its name.
 */
import { join } from 'node:path';
import type { EncodeResult, TypedColumn, ValueFormat } from '../columns/index.js';
import { isLakeError, LakeError, type Offset, type PartitionId, retry, secondMs } from '../kernel/index.js';
import { withDeadline } from './deadline.js';
import type { TierPorts } from './ports.js';

/** A worker that dies is replaced, so its job is tried again at once; what fails for another reason is the caller's. */
const jobRetry = { firstMs: 100, maxMs: 2 * secondMs, tries: 3 };
/** What holds up the next try of what failed is short. */
const removalMs = 5 * secondMs;
/** One object's way to or from the bucket. */
export const transferRetry = { firstMs: 200, maxMs: 5 * secondMs, tries: 4 };

/** What the object must hold. */
export interface ExpectedFile {
  readonly key: string;
  readonly partition: PartitionId;
  readonly valueFormat: ValueFormat;
  readonly columns: readonly TypedColumn[];
  readonly rows: number;
  readonly digest: string;
  /** Of a compaction: its typed columns must be those of its inputs. */
  readonly typedDigest?: string;
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
}

/** Errors: `verify-failed`, `worker-died`, `timeout`, `cancelled`, and those of store and workers. */
export async function storeVerified(ports: TierPorts, encoded: EncodeResult, expected: ExpectedFile, signal: AbortSignal): Promise<void> {
  const { key } = expected;
  try {
    await upload(ports, key, encoded, signal);
    await verify(ports, encoded.bytes, expected, signal);
  } catch (error) {
    try {
      await removeObject(ports, key, ports.stop, removalMs);
    } catch (cause) {
      if (!ports.stop.aborted) ports.logger.warn('an object nobody refers to stays until it is swept', { key, error: cause });
    }
    throw error;
  }
}

/** One object, within a deadline. Errors: those of the store, `timeout`, `cancelled`. */
export function removeObject(ports: TierPorts, key: string, stop: AbortSignal, deadlineMs = ports.settings.bucketTimeoutMs): Promise<void> {
  return withDeadline(`removing ${key}`, deadlineMs, ports.clock, stop, (signal) => ports.store.delete(key, signal));
}

/** The name is this attempt's alone, so an object that is there already is an earlier try whose answer was lost. */
async function upload(ports: TierPorts, key: string, encoded: EncodeResult, signal: AbortSignal): Promise<void> {
  await retry(
    async () => {
      try {
        await withDeadline(`upload of ${key}`, transferMs(ports, encoded.bytes), ports.clock, signal, (inner) =>
          ports.store.put(key, { path: encoded.path }, { ifAbsent: true, signal: inner }),
        );
      } catch (error) {
        if (!isLakeError(error, 'object-exists')) throw error;
      }
    },
    transferRetry,
    ports,
    signal,
  );
}

/** Reads the very object back from the bucket and compares it with what is known of its records. */
async function verify(ports: TierPorts, bytes: number, expected: ExpectedFile, signal: AbortSignal): Promise<void> {
  const { key, columns, ...told } = expected;
  await onLocalFile(ports, { key, bytes }, transferRetry.tries, signal, async (path) => {
    const verified = await runJob(ports, signal, 'verifying', (inner) =>
      ports.workers.run(
        { kind: 'verify', path, ...told, typedColumns: columns, typedRowGroups: ports.settings.verifyTypedRowGroups },
        inner,
      ),
    );
    ports.counters.verifyCpuMs += verified.cpuMs;
    requireSameContent(key, expected, verified);
  });
}

/**
 * Runs `work` on an object's file: the very one where the bucket is a directory, else a copy in the spool that goes afterwards, fetched
 * in so many tries. Errors: those of the store and of `work`, `timeout`, `cancelled`.
 */
export async function onLocalFile<T>(
  ports: TierPorts,
  { key, bytes }: { readonly key: string; readonly bytes: number },
  tries: number,
  signal: AbortSignal,
  work: (path: string) => Promise<T>,
): Promise<T> {
  const local = ports.store.localPath(key);
  if (local !== null) return work(local);
  const path = join(ports.spoolDir, `${ports.random.uuid()}.readback`);
  const fetch = async (): Promise<void> => {
    await ports.disk.rm(path, { force: true });
    await withDeadline(`reading back ${key}`, transferMs(ports, bytes), ports.clock, signal, (inner) =>
      ports.store.download(key, path, inner),
    );
  };
  try {
    await retry(fetch, { ...transferRetry, tries }, ports, signal);
    return await work(path);
  } finally {
    await ports.disk.rm(path, { force: true });
  }
}

interface Content {
  readonly rows: number;
  readonly digest: string;
}

/** Errors: `verify-failed`. */
export function requireSameContent(where: string, expected: Content & { readonly partition: PartitionId }, found: Content): void {
  if (found.rows === expected.rows && found.digest === expected.digest) return;
  throw new LakeError(
    'verify-failed',
    `${where} has ${found.rows} rows, digest ${found.digest}; the log said ${expected.rows}, ${expected.digest}`,
    {
      hint: 'Nothing was committed or evicted. Check memory and disks; keep the spool folder for a report.',
      facts: { partition: expected.partition, rows: expected.rows, digest: expected.digest },
    },
  );
}

/** A job of the column workers with its deadline, tried again where its worker died. */
export function runJob<T>(ports: TierPorts, stop: AbortSignal, what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return retry(() => withDeadline(what, ports.settings.jobTimeoutMs, ports.clock, stop, work), jobRetry, ports, stop);
}

/** Deadline for moving so many bytes to or from the bucket. */
export function transferMs(ports: TierPorts, bytes: number): number {
  return ports.settings.bucketTimeoutMs + (bytes / ports.settings.transferBytesPerSecondMin) * secondMs;
}
