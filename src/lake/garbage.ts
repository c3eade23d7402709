/**
 * What nobody needs of a table any more, kind by kind. A commit deletes nothing: what it drops stays readable for those that are at
 * work on it, and goes when it is old enough and out of every reader's reach.
 *
 * | kind | garbage when | why an age |
 * |---|---|---|
 * | data file, manifest, manifest list | no live snapshot needs it, and the store has had it for the minimum age | it may be on its way into a commit |
 * | `v<N>.metadata.json` | not among the last hundred, and a day old | a daemon that sleeps compares its predecessor and looks for its commit ids (decision 0003) |
 *
 * A snapshot is live while the current metadata names it, and for a grace after it stopped being the current one. A table without
 * metadata is left alone: a list that is wrong must not cost a table.
 */
import { type ListedVersion, type LiveObjects, type TableStore, type TableVersion, versionKey } from '../iceberg/index.js';
import { dayMs, LakeError, type TimestampMs } from '../kernel/index.js';
import type { ObjectInfo } from '../objects/index.js';
import { dataPrefix, metadataPrefix } from './bucket-layout.js';

export type GarbageKind = 'data' | 'metadata';

export interface GarbageObject extends ObjectInfo {
  readonly kind: GarbageKind;
}

export interface GarbageRules {
  readonly nowMs: TimestampMs;
  /** How long after it stopped being the current one a snapshot may still be read. At most a day. */
  readonly graceMs: number;
  /** An object that no snapshot needs goes when the store has had it for so long. */
  readonly minAgeMs: number;
}

/** Metadata files younger than this stay, and so do the last hundred. */
export const metadataAgeMinMs: number = dayMs;
export const metadataFilesKept = 100;

/**
 * Garbage of a table, metadata files last and oldest first, so that the chain of those never has a gap. Reads what the live snapshots
 * consist of, then lists what there is; an object is yielded while its page of the list is read.
 * Errors: `table-corrupt`, `store-unavailable` where the table is older than `known`, and those of the store.
 */
export async function* findGarbage(
  table: TableStore,
  rules: GarbageRules,
  known: TableVersion | null,
  signal?: AbortSignal,
): AsyncGenerator<GarbageObject> {
  const head = await table.load(known, signal);
  if (head === null) return;
  const versions = await table.listVersions(signal);
  requireNotBehind(table, head, known);
  const live = await table.liveObjects(head, versions, rules.nowMs - Math.min(rules.graceMs, metadataAgeMinMs), signal);
  yield* unneeded(table, live, rules, signal);
  for (const old of oldVersions(versions, head, rules.nowMs)) {
    yield { key: versionKey(table.prefix, old.version), bytes: old.bytes, lastModifiedMs: old.lastModifiedMs, kind: 'metadata' };
  }
}

/** A bucket that shows an older table than was seen before shows too little of it. */
function requireNotBehind(table: TableStore, head: TableVersion, known: TableVersion | null): void {
  if (known === null || head.version >= known.version) return;
  throw new LakeError(
    'store-unavailable',
    `${table.prefix}: version ${head.version} is listed as the latest, ${known.version} was read before`,
    {
      hint: 'Check that the bucket lists all it holds; nothing is swept until it does.',
      facts: { table: table.prefix, version: head.version, known: known.version },
    },
  );
}

async function* unneeded(table: TableStore, live: LiveObjects, rules: GarbageRules, signal?: AbortSignal): AsyncGenerator<GarbageObject> {
  const oldestKeptMs = rules.nowMs - rules.minAgeMs;
  for (const [kind, prefix, suffix] of [
    ['data', dataPrefix(table.prefix), ''],
    ['metadata', metadataPrefix(table.prefix), '.avro'],
  ] as const) {
    for await (const object of table.store.list(prefix, signal)) {
      if (object.key.endsWith(suffix) && object.lastModifiedMs < oldestKeptMs && !live.has(object.key)) yield { ...object, kind };
    }
  }
}

function oldVersions(versions: readonly ListedVersion[], head: TableVersion, nowMs: TimestampMs): readonly ListedVersion[] {
  return versions.filter(
    ({ version, lastModifiedMs }) => version <= head.version - metadataFilesKept && lastModifiedMs < nowMs - metadataAgeMinMs,
  );
}
