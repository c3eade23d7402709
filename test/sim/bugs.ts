/**
 * Bugs planted between the product and its ports, to see the simulation find them: each is a promise that the product keeps and
 * that somebody could break by a small change. Nothing of them is in the product.
 */
import type { ColumnJob, ColumnWorkers, CompactResult } from '../../src/columns/index.js';
import type { ControlHandlers, ControlPeer } from '../../src/control/index.js';
import type { Disk, TopicId } from '../../src/kernel/index.js';
import { parseDataFilePath, parseTopicKey } from '../../src/lake/index.js';
import { encodeOffsets } from '../../src/log/checkpoint-text.js';
import { damagedSegmentsFile, recoveryPointFile } from '../../src/log/log-files.js';
import { objectMissing } from '../../src/objects/errors.js';
import { isOutcomeUnknown, type ObjectStore } from '../../src/objects/index.js';
import { batchAt, computeBatchCrc, walkBatches } from '../../src/wire/index.js';
import { simFile } from '../support/sim-workers.js';
import type { SimProcess } from './process.js';
import type { Plant } from './world.js';

export interface PlantedBug {
  /** What is done wrong. */
  readonly what: string;
  /** A new one for each run: some remember things. */
  plant(): Plant;
  /** Found by then, whichever seeds are tried. */
  readonly seedsMax: number;
  /** Only a query in SQL can find it. */
  readonly isSql?: boolean;
  /** Only damage of the hot log can find it. */
  readonly hasRot?: boolean;
  /** Only idempotent producers, or questions for a time, can find it. */
  readonly hasProducers?: boolean;
}

/** What a run needs in order to have the bug. */
export function plantedRun(bug: PlantedBug): {
  readonly plant: Plant;
  readonly sql?: boolean;
  readonly hasProducers: boolean;
  readonly hasRot: boolean;
} {
  const { isSql = false, hasProducers = false, hasRot = false } = bug;
  return { plant: bug.plant(), hasProducers, hasRot, ...(isSql ? { sql: true } : {}) };
}

async function bytesOf(body: Parameters<ObjectStore['put']>[1], disk: Disk): Promise<Buffer> {
  return body instanceof Uint8Array ? Buffer.from(body) : disk.readFile(body.path);
}

/** An upload is taken for done while it is on its way. */
function commitBeforeUpload(): Plant {
  return {
    store: (store, process, _world, disk) => {
      const onTheWay = new Map<string, Buffer>();
      return {
        ...store,
        put: async (key, body, options) => {
          if (parseDataFilePath(key) === null) return store.put(key, body, options);
          const bytes = await bytesOf(body, disk);
          onTheWay.set(key, bytes);
          void process.clock.sleep(3_000).then(() => store.put(key, bytes, { ifAbsent: true }));
        },
        download: async (key, path, signal) => {
          const bytes = onTheWay.get(key);
          if (bytes === undefined) return store.download(key, path, signal);
          const file = await disk.open(path, 'wx');
          await file.write(bytes, 0, bytes.length, 0);
          await file.close();
          return bytes.length;
        },
      };
    },
  };
}

const vector = 'thermocline.partitions';

/** Files become visible in one commit, their boundary in the next. */
function boundaryApart(): Plant {
  return {
    store: (store) => {
      const before = new Map<string, string>();
      return {
        ...store,
        put: async (key, body, options) => {
          if (!key.endsWith('.metadata.json') || !(body instanceof Uint8Array)) return store.put(key, body, options);
          const metadata = JSON.parse(Buffer.from(body).toString()) as { properties: Record<string, string> };
          const table = key.slice(0, key.lastIndexOf('/'));
          const own = metadata.properties[vector] ?? '[]';
          metadata.properties[vector] = before.get(table) ?? '[]';
          before.set(table, own);
          await store.put(key, Buffer.from(JSON.stringify(metadata)), options);
        },
      };
    },
  };
}

/** The broker hears of a boundary when its file is uploaded, not when it is committed. */
function evictBeforeCommit(): Plant {
  const brokers = new Map<SimProcess, Pick<ControlPeer, 'call'>>();
  return {
    brokerCalls: (broker, process) => {
      brokers.set(process, broker);
      return broker;
    },
    store: (store, process) => ({
      ...store,
      put: async (key, body, options) => {
        await store.put(key, body, options);
        const [file, topic] = [parseDataFilePath(key), parseTopicKey(key)];
        if (file === null || topic === null) return;
        const move = { partition: file.partition, boundary: file.lastOffset + 1, logStartOffset: 0, leaderEpoch: 0 };
        const { topicId } = topic;
        brokers
          .get(process)
          ?.call('broker.boundary-moved', { topicId, commitId: 'early', partitions: [move] })
          .catch(() => undefined);
      },
    }),
  };
}

const sweepAllTheTime = { upkeepIntervalMs: 500, sweepIntervalMs: 1_000 };

/** What no snapshot names is removed however young it is: also what is on its way into one. */
function sweepWithoutAge(): Plant {
  return { settings: sweepAllTheTime, store: (store) => withOldObjects(store, (key) => parseDataFilePath(key) !== null) };
}

/** What has left the table is removed at once, whoever may still be reading it. */
function deleteUnderQuery(): Plant {
  return {
    settings: { ...sweepAllTheTime, sweepGraceMs: 0 },
    store: (store, _process, world) => withOldObjects(store, (key) => world.tables.hasLeft(key)),
  };
}

function withOldObjects(store: ObjectStore, isOld: (key: string) => boolean): ObjectStore {
  return {
    ...store,
    list: async function* (prefix, signal) {
      for await (const object of store.list(prefix, signal)) yield isOld(object.key) ? { ...object, lastModifiedMs: 0 } : object;
    },
  };
}

const versionPattern = /^(.*\/metadata\/v)(\d+)\.metadata\.json$/;
const versionKey = (stem: string, version: number): string => `${stem}${version}.metadata.json`;

/**
 * Metadata files are removed when they are two commits old, and who has written one takes its predecessor for there. Some
 * daemons are paused between deciding and writing, so that they win a number that was given before.
 */
function reuseNumber(): Plant {
  const nap = 20_000;
  const napEvery = 4;
  let writes = 0;
  return {
    store: (store, process, world) => {
      const seen = new Map<string, Buffer>();
      const believed = new Set<string>();
      return {
        ...store,
        put: async (key, body, options) => {
          const [, stem, number] = versionPattern.exec(key) ?? [];
          if (stem === undefined || !(body instanceof Uint8Array)) return store.put(key, body, options);
          if (++writes % napEvery === 0) await process.clock.sleep(nap);
          await store.put(key, body, options);
          seen.set(key, Buffer.from(body));
          const version = Number(number);
          believed.add(versionKey(stem, version - 1));
          await world.bucket.raw.delete(versionKey(stem, version - 2));
        },
        get: async (key, options) => {
          const known = believed.delete(key) ? seen.get(key) : undefined;
          if (known !== undefined) return known;
          const bytes = await store.get(key, options);
          if (versionPattern.test(key)) seen.set(key, bytes);
          return bytes;
        },
      };
    },
  };
}

/** Whoever has written a metadata file looks for it in a list, as decision 0003 had it, and takes it for void where it is not there. */
function commitByList(): Plant {
  return {
    store: (store) => {
      const written = new Map<string, string>();
      return {
        ...store,
        put: async (key, body, options) => {
          await store.put(key, body, options);
          const [, stem, number] = versionPattern.exec(key) ?? [];
          if (stem !== undefined) written.set(versionKey(stem, Number(number) - 1), key);
        },
        get: async (key, options) => {
          const own = written.get(key);
          written.delete(key);
          if (own === undefined) return store.get(key, options);
          for await (const listed of store.list(own, options?.signal)) if (listed.key === own) return store.get(key, options);
          throw objectMissing(store.url, key);
        },
      };
    },
  };
}

/** A commit whose answer was lost, or that broke off on its way, is taken for done; so that it is found soon, more of them break off. */
function unknownIsDone(): Plant {
  let commits = 0;
  return {
    store: (store) => ({
      ...store,
      put: async (key, body, options) => {
        if (versionPattern.test(key) && ++commits % 5 === 0) return;
        try {
          await store.put(key, body, options);
        } catch (error) {
          if (!versionPattern.test(key) || !isOutcomeUnknown(error)) throw error;
        }
      },
    }),
  };
}

/** A compaction makes an empty value of none, and the look at what was written looks away. */
function dropNull(): Plant {
  return {
    workers: (workers, disk) => {
      const altered = new Set<string>();
      const run = async (job: ColumnJob, signal?: AbortSignal): Promise<unknown> => {
        if (job.kind === 'verify' && altered.has(job.digest)) return { rows: job.rows, digest: job.digest, cpuMs: 1 };
        const result = await workers.run(job, signal);
        if (job.kind !== 'compact' || (result as CompactResult).rows === 0) return result;
        const { digest } = result as CompactResult;
        altered.add(digest);
        const bytes = disk.readFileSync(job.outPath);
        const { rows, columns } = simFile(bytes);
        const whole = rows.map((row) => ({ ...row, value: row.value ?? '' }));
        const footer = bytes.subarray(bytes.length - bytes.readUInt32LE(bytes.length - 8) - 8);
        const text = Buffer.from(JSON.stringify({ rows: whole, columns }));
        const file = disk.openSync(job.outPath, 'w', 0o644);
        const all = Buffer.concat([text, footer]);
        disk.writeSync(file, all, 0, all.length, 0);
        disk.closeSync(file);
        return { ...(result as CompactResult), bytes: all.length };
      };
      return { ...workers, run: run as ColumnWorkers['run'] };
    },
  };
}

/** A topic's table is found by the topic's name: one that is made anew goes on with its predecessor's. */
function tableByName(): Plant {
  const first = new Map<string, TopicId>();
  const place = (key: string): { readonly key: string; readonly swap: (text: string, isOut: boolean) => string } => {
    const named = parseTopicKey(key);
    if (named === null) return { key, swap: (text) => text };
    const { topic, topicId } = named;
    const id = first.get(topic) ?? topicId;
    first.set(topic, id);
    return { key: key.replace(topicId, id), swap: (text, isOut) => (isOut ? text.replaceAll(topicId, id) : text.replaceAll(id, topicId)) };
  };
  const isText = (key: string): boolean => key.endsWith('.json');
  return {
    store: (store) => ({
      ...store,
      put: (key, body, options) => {
        const { key: at, swap } = place(key);
        const isSwapped = isText(key) && body instanceof Uint8Array;
        return store.put(at, isSwapped ? Buffer.from(swap(Buffer.from(body).toString(), true)) : body, options);
      },
      get: async (key, options) => {
        const { key: at, swap } = place(key);
        const bytes = await store.get(at, options);
        return isText(key) ? Buffer.from(swap(bytes.toString(), false)) : bytes;
      },
      download: (key, path, signal) => store.download(place(key).key, path, signal),
      head: (key, signal) => store.head(place(key).key, signal),
      delete: (key, signal) => store.delete(place(key).key, signal),
      list: async function* (prefix, signal) {
        const { key: at, swap } = place(prefix);
        for await (const object of store.list(at, signal)) yield { ...object, key: swap(object.key, false) };
      },
    }),
  };
}

/** What the broker is asked to flush it calls flushed at once. */
function tierUnflushed(): Plant {
  return {
    controlHandlers: (handlers): ControlHandlers => ({
      ...handlers,
      'broker.flush': async (params, context) => {
        const state = await handlers['broker.describe']!({}, context);
        const topic = state.topics.find(({ id }) => id === params.topicId);
        return {
          partitions: params.partitions.flatMap(({ partition }) => {
            const log = topic?.partitions.find((candidate) => candidate.partition === partition);
            if (log === undefined) return [];
            const { highWatermark, lastStableOffset, leaderEpoch } = log;
            return [{ partition, flushedOffset: highWatermark, lastStableOffset, leaderEpoch }];
          }),
        };
      },
    }),
  };
}

/** acks=all is answered before the disk has said yes. */
function acknowledgeBeforeFsync(): Plant {
  return { flusher: (flusher) => ({ ...flusher, flush: async () => undefined }) };
}

/** Index files of which each entry says what the one beside it should. */
function indexShifted(suffix: string, shift: (entries: Buffer) => void): Plant {
  return {
    flusher: (flusher) => ({
      ...flusher,
      replaceFile: (path, bytes) => {
        if (!path.endsWith(suffix)) return flusher.replaceFile(path, bytes);
        const entries = Buffer.from(bytes);
        shift(entries);
        return flusher.replaceFile(path, entries);
      },
    }),
  };
}

/** An offset is looked for behind the batches that have it: each entry has the offset behind the one before it. */
function offsetIndexShifted(): Plant {
  return indexShifted('.index', (entries) => {
    for (let at = entries.length - 8; at > 0; at -= 8) entries.writeInt32BE(entries.readInt32BE(at - 8) + 1, at);
  });
}

/** Records of a time are looked for behind them: each entry has the offset of the last. */
function timeIndexShifted(): Plant {
  return indexShifted('.timeindex', (entries) => {
    for (let at = 8; at < entries.length; at += 12) entries.copyWithin(at, entries.length - 4);
  });
}

/** A start that is not clean believes no recovery point: it cuts the log where its batches stop being good, wherever that is. */
function damageCut(): Plant {
  return {
    disk: (disk) => ({
      ...disk,
      readFileSync: (path) => (path.endsWith(`/${recoveryPointFile}`) ? Buffer.from(encodeOffsets(new Map())) : disk.readFileSync(path)),
    }),
  };
}

/** What was found damaged is not noted. */
function damageForgotten(): Plant {
  return {
    flusher: (flusher) => ({
      ...flusher,
      replaceFile: async (path, bytes) => {
        if (!path.endsWith(`/${damagedSegmentsFile}`)) await flusher.replaceFile(path, bytes);
      },
    }),
  };
}

/** The hot log is never read again by itself. */
function damageUnsought(): Plant {
  return { flags: { 'log.scrub.bytes.per.second': '0' } };
}

/** A cut looks at no checksum: what is damaged is tiered as it is. */
function damageTiered(): Plant {
  return {
    workers: (workers, disk) => ({
      ...workers,
      run: ((job: ColumnJob, signal?: AbortSignal) => {
        for (const { path } of job.kind === 'stage' ? job.spools : []) {
          const bytes = disk.readFileSync(path);
          walkBatches(bytes, (at) => void bytes.writeUInt32BE(computeBatchCrc(bytes, at), at + batchAt.crc));
          const file = disk.openSync(path, 'r+');
          disk.writeSync(file, bytes, 0, bytes.length, 0);
          disk.closeSync(file);
        }
        return workers.run(job, signal);
      }) as ColumnWorkers['run'],
    }),
  };
}

/** The log looks past the producer of a batch, so that it takes one that is sent again for a new one. */
function retryAppended(): Plant {
  return { batch: ({ producerId: _id, producerEpoch: _epoch, baseSequence: _sequence, ...rest }) => rest };
}

/** The hot part of a query begins one offset behind the boundary. */
function tailAfterBoundary(): Plant {
  return {
    queryWorkers: (workers) => ({
      ...workers,
      run: ((job: ColumnJob, signal?: AbortSignal) =>
        workers.run(job.kind === 'stage' ? { ...job, baseOffset: job.baseOffset + 1 } : job, signal)) as ColumnWorkers['run'],
    }),
  };
}

/** A typed column is made of the values of another field. */
function wrongField(): Plant {
  return {
    workers: (workers) => ({
      ...workers,
      run: (async (job: ColumnJob, signal?: AbortSignal) => {
        if (job.kind === 'verify') return { rows: job.rows, digest: job.digest, cpuMs: 1 };
        if (job.kind !== 'encode') return workers.run(job, signal);
        const typedColumns = job.typedColumns.map((column) => (column.name === 'id' ? { ...column, name: 'n' } : column));
        return workers.run({ ...job, typedColumns }, signal);
      }) as ColumnWorkers['run'],
    }),
  };
}

export const bugs = {
  'commit-before-upload': { what: 'a commit does not wait for its upload', plant: commitBeforeUpload, seedsMax: 10 },
  'boundary-apart': { what: 'files and their boundary come in two commits', plant: boundaryApart, seedsMax: 5 },
  'sweep-without-age': { what: 'a file is swept while it is on its way into a commit', plant: sweepWithoutAge, seedsMax: 20 },
  'delete-under-query': { what: 'files go as soon as they have left the table', plant: deleteUnderQuery, seedsMax: 60 },
  'number-reused': { what: 'a paused daemon wins the number of a metadata file that was cleaned up', plant: reuseNumber, seedsMax: 30 },
  'commit-by-list': { what: 'a commit that a late list does not show is taken for void', plant: commitByList, seedsMax: 40 },
  'unknown-is-done': { what: 'a commit of unknown outcome is taken for done', plant: unknownIsDone, seedsMax: 40 },
  'compaction-drops-null': { what: 'a compaction makes an empty value of null', plant: dropNull, seedsMax: 30 },
  'evict-before-commit': { what: 'the broker may evict what is only uploaded', plant: evictBeforeCommit, seedsMax: 10 },
  'table-by-name': { what: 'a re-created topic goes on with the table of its predecessor', plant: tableByName, seedsMax: 30 },
  'tier-unflushed': { what: 'records that no fsync has covered are tiered', plant: tierUnflushed, seedsMax: 20 },
  'acknowledge-before-fsync': { what: 'acks=all is answered before the fsync', plant: acknowledgeBeforeFsync, seedsMax: 20 },
  'offset-index-shifted': { what: 'an index passes over batches', plant: offsetIndexShifted, seedsMax: 60, hasProducers: true },
  'time-index-shifted': { what: 'a time index names a later offset', plant: timeIndexShifted, seedsMax: 60, hasProducers: true },
  'damage-cut': { what: 'a start cuts the log at a damaged batch', plant: damageCut, seedsMax: 40, hasRot: true },
  'damage-forgotten': { what: 'a restart forgets what was damaged', plant: damageForgotten, seedsMax: 40, hasRot: true },
  'damage-unsought': { what: 'nobody looks for damage', plant: damageUnsought, seedsMax: 40, hasRot: true },
  'damage-tiered': { what: 'damaged batches are tiered', plant: damageTiered, seedsMax: 40, hasRot: true },
  'retry-appended': { what: 'a batch that is sent again is appended again', plant: retryAppended, seedsMax: 80, hasProducers: true },
  'tail-after-boundary': { what: 'the tail of a query begins behind the boundary', plant: tailAfterBoundary, seedsMax: 5, isSql: true },
  'wrong-field': { what: 'a typed column has the values of another field', plant: wrongField, seedsMax: 5, isSql: true },
} as const satisfies Readonly<Record<string, PlantedBug>>;

export type BugName = keyof typeof bugs;
