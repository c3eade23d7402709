/**
 * Reads cold files again, every byte, and compares them with what was committed: the object's length, the footer, the digest over all
 * records, all typed columns. Files rot where nobody reads them, and a copy can be had back only while somebody still has one.
 */
import { type ColdFileFooter, readFileFooter } from '../columns/index.js';
import type { ScrubbedFile } from '../control/index.js';
import { isLakeError, secondMs } from '../kernel/index.js';
import { type ColdFile, filesOfPartition, type TableSnapshot } from '../lake/index.js';
import { withDeadline } from './deadline.js';
import type { TierPorts } from './ports.js';
import { onLocalFile, runJob } from './store-file.js';
import type { TopicTier } from './topic-tier.js';
import { yieldToCuts } from './yield-to-cuts.js';

/** What is said of a damaged file. */
interface Damage {
  readonly problem: string;
  readonly hint: string;
}

const restoreHint =
  'Restore the object from a copy of the bucket or an earlier version of it. If there is none and the records are still on local disk, they can be produced again.';
const typedHint =
  'The records are whole; typed columns are not what their values say. After a change of lake.value.format that is so for files of both times; else restore the object.';

/** Of a file in a pass in the background. */
const triesMax = 2;

/** Files of one topic, one after the other, each reported before the next begins. Errors: those of the store, `timeout`, `cancelled`. */
export async function* scrubTopic(ports: TierPorts, topic: TopicTier, signal: AbortSignal): AsyncGenerator<ScrubbedFile> {
  const snapshot = await topic.refresh();
  for (const file of snapshot.files) {
    const scrubbed = await scrubFile(ports, topic, snapshot, file, signal);
    if (scrubbed !== null) yield scrubbed;
  }
}

/** One file; `null` where it has left the table meanwhile. Errors as `scrubTopic`. */
export async function scrubFile(
  ports: TierPorts,
  topic: TopicTier,
  snapshot: TableSnapshot,
  file: ColdFile,
  signal: AbortSignal,
): Promise<ScrubbedFile | null> {
  await yieldToCuts(ports);
  const damage = (await damageOf(ports, topic, snapshot, file, signal)) ?? damageOfPlace(snapshot, file);
  if (damage !== undefined && !(await isStillListed(topic, file))) return null;
  const { key, partition, rows, bytes } = file;
  ports.counters.scrubbedFiles++;
  ports.counters.scrubbedBytes += bytes;
  if (damage !== undefined) {
    ports.counters.scrubFindings++;
    ports.logger.error('a cold file is damaged', { topic: topic.name, key, ...damage });
  }
  return { topic: topic.name, partition, key, rows, bytes, ...damage };
}

/** A file that was compacted or expired while it was read may be gone already. */
async function isStillListed(topic: TopicTier, file: ColdFile): Promise<boolean> {
  return filesOfPartition(await topic.refresh(), file.partition).some((candidate) => candidate.key === file.key);
}

async function damageOf(
  ports: TierPorts,
  topic: TopicTier,
  snapshot: TableSnapshot,
  file: ColdFile,
  signal: AbortSignal,
): Promise<Damage | undefined> {
  const { store, clock, settings } = ports;
  const found = await withDeadline(`looking at ${file.key}`, settings.bucketTimeoutMs, clock, signal, (inner) =>
    store.head(file.key, inner),
  );
  if (found === null) return { problem: 'the object is not in the bucket', hint: restoreHint };
  if (found.bytes !== file.bytes) {
    return { problem: `the object has ${found.bytes} bytes; ${file.bytes} were committed`, hint: restoreHint };
  }
  try {
    return await onLocalFile(ports, file, 1, signal, async (path) => {
      const footer = readFileFooter(path, ports.disk);
      return damageOfFooter(footer, file) ?? damageOfContent(ports, topic, snapshot, file, footer, path, signal);
    });
  } catch (error) {
    // A worker that cannot read a file at all says so in one of two ways.
    if (!isLakeError(error, 'cold-corrupt', 'internal')) throw error;
    return { problem: error.message, hint: restoreHint };
  }
}

/** The table's word against the file's own. */
function damageOfFooter(footer: ColdFileFooter, file: ColdFile): Damage | undefined {
  const isSame = footer.rows === file.rows && footer.baseOffset === file.baseOffset && footer.lastOffset === file.lastOffset;
  if (isSame) return undefined;
  const problem =
    `its footer says ${footer.rows} rows of ${footer.baseOffset}…${footer.lastOffset}; ` +
    `the table says ${file.rows} of ${file.baseOffset}…${file.lastOffset}`;
  return { problem, hint: restoreHint };
}

async function damageOfContent(
  ports: TierPorts,
  topic: TopicTier,
  snapshot: TableSnapshot,
  file: ColdFile,
  footer: ColdFileFooter,
  path: string,
  signal: AbortSignal,
): Promise<Damage | undefined> {
  const typed = new Set(footer.typedFieldIds);
  const job = {
    partition: file.partition,
    baseOffset: file.baseOffset,
    lastOffset: file.lastOffset,
    rows: file.rows,
    digest: footer.digest,
  };
  const verify = (valueFormat: 'auto' | 'bytes'): Promise<unknown> =>
    runJob(ports, signal, 'scrubbing', (inner) =>
      ports.workers.run(
        {
          kind: 'verify',
          path,
          ...job,
          typedColumns: snapshot.columns.filter((column) => typed.has(column.fieldId)),
          valueFormat,
          typedRowGroups: 'all',
        },
        inner,
      ),
    );
  try {
    await verify(typed.size > 0 ? 'auto' : 'bytes');
    return undefined;
  } catch (error) {
    if (!isLakeError(error, 'verify-failed')) throw error;
    return { problem: error.message, hint: (await areRecordsWhole(() => verify('bytes'))) ? typedHint : restoreHint };
  }
}

async function areRecordsWhole(verify: () => Promise<unknown>): Promise<boolean> {
  try {
    await verify();
    return true;
  } catch (error) {
    if (!isLakeError(error, 'verify-failed', 'cold-corrupt', 'internal')) throw error;
    return false;
  }
}

/** Where the file lies among the others: an offset belongs to one. */
function damageOfPlace(snapshot: TableSnapshot, file: ColdFile): Damage | undefined {
  const files = filesOfPartition(snapshot, file.partition);
  const before = files[files.indexOf(file) - 1];
  if (before === undefined || before.lastOffset < file.baseOffset) return undefined;
  return { problem: `it overlaps ${before.key}`, hint: 'Roll the table back to its last sound snapshot.' };
}

/** Offsets below the boundary that no file stands for: markers and aborted records, or a range that was lost on the way. */
export function holesOf(snapshot: TableSnapshot): number {
  let holes = 0;
  for (const { partition, logStartOffset, boundary } of snapshot.partitions) {
    let next = logStartOffset;
    for (const file of filesOfPartition(snapshot, partition)) {
      if (file.baseOffset > next) holes++;
      next = file.lastOffset + 1;
    }
    if (next < boundary) holes++;
  }
  return holes;
}

/**
 * The slow pass over all that is cold, within a budget of bytes a second. It remembers nothing but where it is, and begins at a random
 * file, so that all are read in time however often the daemon starts.
 */
export class BackgroundScrub {
  readonly #ports: TierPorts;
  readonly #topics: () => Iterable<TopicTier>;
  /** Wall time of the last pass that ended, 0 before the first. */
  lastPassMs = 0;

  constructor(ports: TierPorts, topics: () => Iterable<TopicTier>) {
    this.#ports = ports;
    this.#topics = topics;
  }

  /** Ends when the daemon stops. */
  async run(): Promise<void> {
    const { stop, settings, clock, random } = this.#ports;
    if (settings.scrubBytesPerSecond === 0) return;
    let skipPart = random.float();
    while (!stop.aborted) {
      await clock.sleep(settings.scrubPauseMs, stop).catch(() => undefined);
      let isWhole = skipPart === 0;
      for (const topic of this.#topics()) isWhole = (await this.#pass(topic, skipPart)) && isWhole;
      if (isWhole && !stop.aborted) this.lastPassMs = clock.nowMs();
      skipPart = 0;
    }
  }

  /** Answers whether all was read; that of a topic that is closed meanwhile was: nothing is left to read. */
  async #pass(topic: TopicTier, skipPart: number): Promise<boolean> {
    try {
      const { files } = topic.table.snapshot ?? (await topic.refresh());
      let isWhole = true;
      for (const file of files.slice(Math.floor(files.length * skipPart))) isWhole = (await this.#readInTime(topic, file)) && isWhole;
      return isWhole;
    } catch (error) {
      if (topic.signal.aborted) return true;
      this.#ports.logger.warn('a table could not be loaded and is scrubbed with the next pass', { topic: topic.name, error });
      return false;
    }
  }

  /**
   * Answers whether a file of the pass was read, or has left the table. A bucket that fails is given time: a pass that began anew with each
   * failure would read the first files again and again, and the last ones never. Errors: `cancelled`.
   */
  async #readInTime(topic: TopicTier, file: ColdFile): Promise<boolean> {
    const { settings, clock, logger } = this.#ports;
    for (let tries = 1; ; tries++) {
      try {
        await this.#read(topic, file);
        return true;
      } catch (error) {
        topic.signal.throwIfAborted();
        logger.warn('a cold file could not be scrubbed', { topic: topic.name, key: file.key, error });
        if (tries === triesMax) return false;
        await clock.sleep(settings.scrubPauseMs, topic.signal);
      }
    }
  }

  async #read(topic: TopicTier, { key, partition, bytes }: ColdFile): Promise<void> {
    const { settings, clock } = this.#ports;
    topic.signal.throwIfAborted();
    const snapshot = topic.table.snapshot ?? (await topic.refresh());
    // By its key: a commit that rewrites a manifest makes all its files anew, also those that stay.
    const file = filesOfPartition(snapshot, partition).find((present) => present.key === key);
    if (file === undefined) return;
    await scrubFile(this.#ports, topic, snapshot, file, topic.signal);
    await clock.sleep((bytes / settings.scrubBytesPerSecond) * secondMs, topic.signal);
  }
}
