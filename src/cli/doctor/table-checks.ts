/**
 * The tables in the bucket: each metadata head and its hint, boundaries beside the broker's, every file that is referenced, what nobody
 * refers to, and locations that point elsewhere. One listing in key order; one table's objects are in memory at a time.
 */
import { hintKey, TableStore, vacatedKey } from '../../iceberg/index.js';
import {
  type ClusterId,
  dayMs,
  formatBytes,
  isLakeError,
  systemClock,
  systemRandom,
  type TopicId,
  type TopicName,
} from '../../kernel/index.js';
import { boundaryOf, openTopicTable, parseTopicKey, tablePrefix, type TableSnapshot } from '../../lake/index.js';
import type { ObjectInfo, ObjectStore } from '../../objects/index.js';
import { fail, failed, type Finding, ok, warn } from './finding.js';
import { brokerTopic, type BrokerTopic, type ServiceView } from './service-checks.js';

/** Objects looked at without `--deep`: about 20 MB while they are held. */
const objectsMax = 100_000;
/** Files named of those that are wrong; their number is told in full. */
const namedMax = 3;

export interface TableCheckOptions {
  readonly store: ObjectStore;
  readonly clusterId: ClusterId;
  readonly view: ServiceView | undefined;
  readonly isDeep: boolean;
}

/** What a listing has of one table. */
interface ListedTable {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly data: ReadonlyMap<string, ObjectInfo>;
}

export async function tableChecks(options: TableCheckOptions): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  let tables = 0;
  try {
    for await (const listed of listedTables(options.store, options.isDeep ? Number.POSITIVE_INFINITY : objectsMax)) {
      if (listed === null) {
        findings.push(
          warn('tables', `more than ${objectsMax} objects: later tables were not looked at`, 'Run `doctor --deep` for all of them.'),
        );
        break;
      }
      tables++;
      const check = `table ${listed.topic}`;
      try {
        findings.push(...(await checkTable(check, listed, options)));
      } catch (error) {
        findings.push(failed(check, error));
      }
    }
  } catch (error) {
    findings.push(failed('tables', error));
  }
  return tables === 0 && findings.length === 0 ? [ok('tables', 'there are none yet')] : findings;
}

/** Each table once its last object was seen; `null` where the bound was met before the end. */
async function* listedTables(store: ObjectStore, bound: number): AsyncGenerator<ListedTable | null> {
  let current: { topic: TopicName; topicId: TopicId; data: Map<string, ObjectInfo>; isDropped: boolean } | undefined;
  let seen = 0;
  for await (const info of store.list('topics/')) {
    if (++seen > bound) {
      yield null;
      return;
    }
    const table = parseTopicKey(info.key);
    if (table === null) continue;
    if (current?.topicId !== table.topicId) {
      if (current?.isDropped === false) yield current;
      current = { ...table, data: new Map(), isDropped: false };
    }
    const prefix = tablePrefix(table.topic, table.topicId);
    if (info.key.startsWith(`${prefix}/data/`)) current.data.set(info.key, info);
    // What is left of a deleted topic is the daemon's to remove.
    else if (info.key === vacatedKey(prefix)) current.isDropped = true;
  }
  if (current?.isDropped === false) yield current;
}

async function checkTable(check: string, listed: ListedTable, options: TableCheckOptions): Promise<readonly Finding[]> {
  const { store, clusterId, view } = options;
  const { topic, topicId } = listed;
  const ports = { clock: systemClock, random: systemRandom };
  // Asked before the table is read: what the broker knows of it then, it must hold.
  const before = await brokersView(view, listed);
  const snapshot = await openTopicTable(store, { topic, topicId, clusterId }, ports).load();
  const after = await brokersView(view, listed);
  const prefix = tablePrefix(topic, topicId);
  const version = await new TableStore(store, prefix, ports).load();
  if (version === null)
    return [warn(check, `${prefix} has objects and no metadata`, 'Nothing to do: the first commit, or the sweep, ends it.')];
  const findings = [
    ...(await checkHint(check, store, prefix, version.version)),
    ...checkLocation(check, store, prefix, version.metadata.location),
    ...(view === undefined ? [] : checkBoundaries(check, snapshot, before, after)),
    ...(await checkFiles(check, store, listed, snapshot)),
  ];
  const bytes = snapshot.files.reduce((sum, file) => sum + file.bytes, 0);
  const summary = `v${snapshot.metadataVersion}, ${snapshot.files.length} files, ${formatBytes(bytes)}`;
  return findings.some(({ state }) => state === 'fail') ? findings : [ok(check, summary), ...findings];
}

async function brokersView(view: ServiceView | undefined, listed: ListedTable): Promise<BrokerTopic | undefined> {
  if (view?.topics.get(listed.topicId) !== listed.topic) return undefined;
  return brokerTopic(view, listed.topic);
}

async function checkHint(check: string, store: ObjectStore, prefix: string, head: number): Promise<readonly Finding[]> {
  let hint: number;
  try {
    hint = Number((await store.get(hintKey(prefix))).toString().trim());
  } catch (error) {
    if (!isLakeError(error, 'object-missing')) throw error;
    return [
      warn(check, 'version-hint.text is missing: engines that read the table by its folder do not find it', 'The next commit writes it.'),
    ];
  }
  if (hint > head || !Number.isInteger(hint)) {
    const advice = 'Look for metadata files that were removed by hand; the bucket has lost commits.';
    return [fail(check, `version-hint.text names v${hint}, the newest metadata is v${head}`, advice)];
  }
  if (hint === head) return [];
  return [
    warn(check, `version-hint.text names v${hint}, the newest metadata is v${head}: others read older rows`, 'The next commit writes it.'),
  ];
}

function checkLocation(check: string, store: ObjectStore, prefix: string, location: string): readonly Finding[] {
  const here = store.location(prefix);
  const plain = (text: string): string => text.replace(/^file:\/*/, '/').replace(/^s3[an]:/, 's3:');
  if (plain(location) === plain(here)) return [];
  const hint = 'The service reads it all the same; for other engines move the bucket back.';
  return [warn(check, `its locations name ${location}, and it lies at ${here}`, hint)];
}

/** A boundary above the log end would hide records that come; one below what the broker has evicted by, lose some. */
function checkBoundaries(
  check: string,
  snapshot: TableSnapshot,
  before: BrokerTopic | undefined,
  after: BrokerTopic | undefined,
): readonly Finding[] {
  if (before === undefined || after === undefined) {
    return [
      warn(check, `no topic of the broker has the id ${snapshot.topicId}`, 'Nothing to do if it was deleted just now: its table goes too.'),
    ];
  }
  const findings: Finding[] = [];
  for (const { partition, high_watermark: end } of after.partitions) {
    const boundary = boundaryOf(snapshot.partitions, partition);
    const known = before.partitions.find((one) => one.partition === partition)?.boundary ?? 0;
    const hint = 'Stop the service and keep both data directory and bucket: one of them is older than the other.';
    if (boundary > end) findings.push(fail(check, `partition ${partition}: boundary ${boundary} is above the log end ${end}`, hint));
    if (boundary < known)
      findings.push(fail(check, `partition ${partition}: the broker has boundary ${known}, the table ${boundary}`, hint));
  }
  return findings;
}

async function checkFiles(check: string, store: ObjectStore, listed: ListedTable, snapshot: TableSnapshot): Promise<readonly Finding[]> {
  const wrong: string[] = [];
  for (const file of snapshot.files) {
    if (listed.data.get(file.key)?.bytes === file.bytes) continue;
    // The listing is older than the snapshot: ask again before anybody is alarmed.
    const now = await store.head(file.key);
    if (now?.bytes !== file.bytes)
      wrong.push(now === null ? `${file.key} is missing` : `${file.key} has ${now.bytes} bytes, not ${file.bytes}`);
  }
  const findings: Finding[] = [];
  if (wrong.length > 0) {
    const hint =
      'Bring the objects back (versions, another copy) before anything is compacted; `thermocline tier scrub` reads all of them.';
    findings.push(fail(check, `${wrong.length} files are not as committed: ${wrong.slice(0, namedMax).join(', ')}`, hint));
  }
  const referenced = new Set(snapshot.files.map(({ key }) => key));
  const oldMs = systemClock.nowMs() - dayMs;
  const orphans = [...listed.data.values()].filter(({ key, lastModifiedMs }) => !referenced.has(key) && lastModifiedMs < oldMs);
  if (orphans.length > 0) {
    const bytes = formatBytes(orphans.reduce((sum, info) => sum + info.bytes, 0));
    const hint = 'The sweep removes what no reader can need; if they stay for days look for it in the log of the tier daemon.';
    findings.push(warn(check, `${orphans.length} objects (${bytes}) older than a day belong to no current snapshot`, hint));
  }
  return findings;
}
