/**
 * `recover`: a new data directory out of a bucket alone.
 *
 * ```
 *  empty ──► read the bucket, plan ──► recover.json: under way ──► write the data directory ──► commit the holes ──► recover.json: done
 *                                            │                                                        │
 *                                            └──── interrupted: the same plan is carried out again ◄──┘
 * ```
 *
 * Nothing in the bucket changes before the data directory is written, and no service starts in it before all is done.
 */
import { mkdir, readdir, stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { readRecoverJournal, recoverJournalFile, restoreBroker, writeRecoverJournal } from '../broker/index.js';
import { connectBroker } from '../client/index.js';
import { placesOf, type ServerConfig } from '../config/index.js';
import { ManifestReader } from '../iceberg/index.js';
import { type ClusterId, isErrno, isLakeError, LakeError, systemClock, systemRandom } from '../kernel/index.js';
import { readIdentity } from '../lake/index.js';
import { isLockFile, lockDirectory } from '../log/index.js';
import { type ObjectStore, openObjectStore, parseBucketUrl } from '../objects/index.js';
import type { Logger } from '../telemetry/index.js';
import {
  commitHoles,
  planRecovery,
  readBucket,
  type RecoverPorts,
  type RecoveredRow,
  recoveredRows,
  type RecoverPlan,
} from '../tier/index.js';
import { metadataApi } from '../wire/index.js';
import { dataDirError } from './data-dir-error.js';
import { closeAll, storeOptions } from './role.js';

/** A broker that does not answer within this is taken for gone. */
const aliveTimeoutMs = 2_000;

export interface RecoverOptions {
  /** `data.dir` and `bucket.url`, and the defaults that topics are opened with. */
  readonly config: ServerConfig;
  readonly offsetGap: number;
  readonly acceptLoss: boolean;
  readonly logger: Logger;
  readonly onProgress: (progress: RecoverProgress) => void;
  readonly signal?: AbortSignal;
}

export type RecoverProgress =
  | { readonly step: 'reading'; readonly objects: number; readonly tables: number; readonly coldFiles: number }
  | { readonly step: 'planned'; readonly partitions: number; readonly tables: number }
  | { readonly step: 'writing'; readonly partitions: number }
  | { readonly step: 'committing'; readonly tables: number }
  | { readonly step: 'done' };

export interface RecoverReport {
  readonly clusterId: ClusterId;
  readonly bucket: string;
  readonly recoveredAtMs: number;
  readonly state: RecoverPlan['state'];
  readonly topics: number;
  readonly coldFiles: number;
  readonly coldBytes: number;
  readonly committedOffsets: number;
  readonly partitions: readonly RecoveredRow[];
  readonly remarks: readonly string[];
  /** Whether this run went on where another one was interrupted. */
  readonly isContinued: boolean;
}

/** What the journal holds while the recovery is under way. */
interface Begun {
  readonly bucket: string;
  readonly plan: RecoverPlan;
}

/**
 * Errors: `data-dir-not-empty`, `data-dir-locked`, `data-dir-unusable`, `bucket-in-use`, `object-missing` (the bucket holds no service), `data-dir-foreign`
 * (another cluster's table or an interrupted recovery of one), `table-corrupt`, `unsupported`, and those of disk and store.
 */
export async function recover(options: RecoverOptions): Promise<RecoverReport> {
  const { dataDir, bucketUrl } = placesOf(options.config);
  await requireBucketFolder(bucketUrl);
  try {
    return await recoverInto(dataDir, bucketUrl, options);
  } catch (error) {
    throw dataDirError(error, dataDir);
  }
}

async function recoverInto(dataDir: string, bucketUrl: string, options: RecoverOptions): Promise<RecoverReport> {
  const begun = await requireEmptyOrBegun(dataDir, bucketUrl);
  await mkdir(dataDir, { recursive: true });
  const lock = await lockDirectory(dataDir, { clock: systemClock, random: systemRandom });
  let store: ObjectStore | undefined;
  try {
    store = await openObjectStore(bucketUrl, storeOptions(options.config));
    return await recoverFrom(store, options, dataDir, begun);
  } finally {
    await closeAll(
      () => store?.close(),
      () => lock.release(),
    );
  }
}

async function recoverFrom(store: ObjectStore, options: RecoverOptions, dataDir: string, begun: Begun | undefined): Promise<RecoverReport> {
  const { config, logger, onProgress, signal = new AbortController().signal } = options;
  const ports: RecoverPorts = { store, manifests: new ManifestReader(store), clock: systemClock, random: systemRandom, signal };
  const plan = begun === undefined ? await planFrom(ports, options) : await planAgain(store, begun, signal);
  if (plan.state !== null) await requireNobodyAlive(plan.state.kafka, plan.clusterId, store.url);
  const tables = plan.topics.filter(({ isCold }) => isCold).length;
  onProgress({ step: 'planned', partitions: plan.topics.reduce((sum, topic) => sum + topic.partitions.length, 0), tables });
  await writeRecoverJournal(dataDir, { status: 'under-way', content: { bucket: store.url, plan } satisfies Begun });
  onProgress({ step: 'writing', partitions: 0 });
  await restoreBroker({ config, dataDir, clock: systemClock, random: systemRandom, logger }, brokerRestoreOf(plan), (partitions) =>
    onProgress({ step: 'writing', partitions }),
  );
  onProgress({ step: 'committing', tables: 0 });
  await commitHoles(ports, plan, (committed) => onProgress({ step: 'committing', tables: committed }));
  const report = reportOf(plan, store.url, begun !== undefined);
  await writeRecoverJournal(dataDir, { status: 'done', content: report });
  onProgress({ step: 'done' });
  return report;
}

async function planFrom(ports: RecoverPorts, { offsetGap, acceptLoss, onProgress }: RecoverOptions): Promise<RecoverPlan> {
  const contents = await readBucket(ports, (read) => onProgress({ step: 'reading', ...read }));
  return planRecovery(contents, { nowMs: systemClock.nowMs(), random: systemRandom, offsetGap, acceptLoss });
}

/** The plan of an interrupted recovery. Errors: `data-dir-foreign` where the bucket is not the one it was made for. */
async function planAgain(store: ObjectStore, { plan }: Begun, signal: AbortSignal): Promise<RecoverPlan> {
  const found = (await readIdentity(store, signal))?.clusterId;
  if (found === plan.clusterId) return plan;
  throw new LakeError(
    'data-dir-foreign',
    `${store.url} belongs to cluster ${found ?? '(nobody)'}; the recovery was of cluster ${plan.clusterId}`,
    {
      hint: 'Go on with the bucket it was begun with, or empty the data directory first.',
      facts: { url: store.url, bucketCluster: found, dataDirCluster: plan.clusterId },
    },
  );
}

/** A bucket directory that is not there would be made, and be empty. */
async function requireBucketFolder(bucketUrl: string): Promise<void> {
  const path = folderOf(bucketUrl);
  if (path === undefined) return;
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() === true) return;
  throw new LakeError('object-missing', `there is no bucket at ${bucketUrl}`, {
    hint: 'Name the bucket URL the service ran with, with its prefix.',
    facts: { url: bucketUrl },
  });
}

/** `undefined` for what is no directory. Errors: `config-invalid-value`. */
function folderOf(bucketUrl: string): string | undefined {
  const place = parseBucketUrl(bucketUrl);
  return place.kind === 'directory' ? resolve(place.path) : undefined;
}

/**
 * `undefined` for an empty directory, or what an interrupted recovery has written down. The bucket itself may lie in it.
 * Errors: `data-dir-not-empty`, `data-dir-foreign` where it was begun from another bucket.
 */
async function requireEmptyOrBegun(dataDir: string, bucketUrl: string): Promise<Begun | undefined> {
  const names: string[] = await readdir(dataDir).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  });
  if (names.includes(recoverJournalFile)) {
    const journal = await readRecoverJournal(dataDir);
    if (journal?.status === 'under-way') return journal.content as Begun;
  }
  const own = bucketEntry(dataDir, bucketUrl);
  const others = names.filter((name) => name !== own && !isLockFile(name) && !name.startsWith(`${recoverJournalFile}.`));
  if (others.length === 0) return undefined;
  throw new LakeError(
    'data-dir-not-empty',
    `${dataDir} is not empty: it has ${others.slice(0, 5).join(', ')}${others.length > 5 ? ', …' : ''}`,
    {
      hint: 'Name a new folder with --data-dir. What is in this one may be newer than the bucket: try to start it with `thermocline serve` first.',
      facts: { dataDir },
    },
  );
}

/** The entry of the data directory that the bucket lies in, where it does. */
function bucketEntry(dataDir: string, bucketUrl: string): string | undefined {
  const path = folderOf(bucketUrl);
  if (path === undefined) return undefined;
  const within = relative(dataDir, path);
  return within === '' || within.startsWith('..') || isAbsolute(within) ? undefined : within.split(sep)[0];
}

/**
 * The state says where clients found the broker. If one of this cluster answers there, the service is not lost. Errors: `bucket-in-use`.
 * One that cannot be reached from here is not seen.
 */
async function requireNobodyAlive(kafka: string, clusterId: ClusterId, url: string): Promise<void> {
  let found: string | null;
  try {
    const connection = await connectBroker({
      bootstrap: kafka,
      clientId: 'thermocline-recover',
      connectTimeoutMs: aliveTimeoutMs,
      requestTimeoutMs: aliveTimeoutMs,
    });
    try {
      found = (await connection.request(metadataApi, { topics: [] }, { minVersion: 2 })).clusterId;
    } finally {
      connection.close();
    }
  } catch (error) {
    if (isLakeError(error)) return;
    throw error;
  }
  if (found !== clusterId) return;
  throw new LakeError('bucket-in-use', `the service of ${url} is alive: its broker answers at ${kafka}`, {
    hint: 'Stop it. If it is to go on elsewhere, move its data directory instead of recovering.',
    facts: { url, kafka, clusterId },
  });
}

function brokerRestoreOf(plan: RecoverPlan): Parameters<typeof restoreBroker>[1] {
  return {
    clusterId: plan.clusterId,
    dropped: plan.dropped,
    // An interrupted plan of before there were views has none.
    views: plan.views ?? [],
    nextProducerId: BigInt(plan.nextProducerId),
    groups: plan.groups,
    topics: plan.topics.map(({ name, id, isInternal, overrides, createdMs, isCold, partitions }) => ({
      name,
      id,
      isInternal,
      overrides,
      createdMs,
      partitions: partitions.map(({ partition, logStartOffset, openOffset, leaderEpoch }) => ({
        partition,
        logStartOffset,
        // The hole lies below it: consumers are told by the cold side that there is nothing.
        boundary: isCold ? openOffset : 0,
        openOffset,
        leaderEpoch,
      })),
    })),
  };
}

function reportOf(plan: RecoverPlan, bucket: string, isContinued: boolean): RecoverReport {
  return {
    clusterId: plan.clusterId,
    bucket,
    recoveredAtMs: systemClock.nowMs(),
    state: plan.state,
    topics: plan.topics.filter(({ isInternal }) => !isInternal).length,
    coldFiles: plan.topics.reduce((sum, topic) => sum + topic.coldFiles, 0),
    coldBytes: plan.topics.reduce((sum, topic) => sum + topic.coldBytes, 0),
    committedOffsets: plan.groups.reduce((sum, { offsets }) => sum + offsets.length, 0),
    partitions: recoveredRows(plan),
    remarks: plan.remarks,
    isContinued,
  };
}
