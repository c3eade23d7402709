/**
 * Bugs planted between the product and its ports, to see the simulation find them: each is a promise that the product keeps and
 * that somebody could break by a small change. Nothing of them is in the product.
 */
import type { ControlHandlers, ControlPeer } from '../../src/control/index.js';
import type { Disk, TopicId } from '../../src/kernel/index.js';
import { parseDataFilePath, parseTopicKey } from '../../src/lake/index.js';
import type { ObjectStore } from '../../src/objects/index.js';
import type { SimProcess } from './process.js';
import type { Plant } from './world.js';

export interface PlantedBug {
  /** What is done wrong. */
  readonly what: string;
  /** A new one for each run: some remember things. */
  plant(): Plant;
  /** Found by then, whichever seeds are tried. */
  readonly seedsMax: number;
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

export const bugs = {
  'commit-before-upload': { what: 'a commit does not wait for its upload', plant: commitBeforeUpload, seedsMax: 10 },
  'boundary-apart': { what: 'files and their boundary come in two commits', plant: boundaryApart, seedsMax: 5 },
  'evict-before-commit': { what: 'the broker may evict what is only uploaded', plant: evictBeforeCommit, seedsMax: 10 },
  'table-by-name': { what: 'a re-created topic goes on with the table of its predecessor', plant: tableByName, seedsMax: 30 },
  'tier-unflushed': { what: 'records that no fsync has covered are tiered', plant: tierUnflushed, seedsMax: 20 },
  'acknowledge-before-fsync': { what: 'acks=all is answered before the fsync', plant: acknowledgeBeforeFsync, seedsMax: 20 },
} as const satisfies Readonly<Record<string, PlantedBug>>;

export type BugName = keyof typeof bugs;
