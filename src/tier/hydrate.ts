/**
 * Answers from cold files: record batches for a consumer, offsets for times. A throttled class of work, so that a consumer that
 * reads years of log takes neither the bucket nor the workers from the commits.
 */
import { enoughShare, type FoundTime, type RebuiltPart, type TimeQuestion } from '../columns/index.js';
import type { ControlParams, ControlResult, HydratedPart } from '../control/index.js';
import { invariant, LakeError, MiB, type Offset, type PartitionId, Semaphore, SingleFlight } from '../kernel/index.js';
import { boundaryOf, type ColdFile, filesOfPartition, findFile, logStartOf, type TableSnapshot } from '../lake/index.js';
import type { CacheLease, LocalCache } from '../objects/index.js';
import { batchBaseOffset } from '../wire/index.js';
import { throwIfStopped, withDeadline } from './deadline.js';
import { holeBatches } from './hole-batches.js';
import type { TierPorts } from './ports.js';
import { transferMs } from './store-file.js';
import type { TopicTier } from './topic-tier.js';

type SendPart = (facts: HydratedPart, payload: Uint8Array) => Promise<void>;

/** So that one reader in order does not take all slots. */
const perPartitionMax = 2;
/** No rebuilt batch is larger, unless one record is. */
const batchBytesMax = MiB;

export class Hydrator {
  readonly #ports: TierPorts;
  readonly #cache: LocalCache;
  readonly #slots: Semaphore;
  /** Hydrations of a partition under way: while one is sent, the next is rebuilt. */
  readonly #perPartition = new Map<string, Semaphore>();
  readonly #lookups = new SingleFlight<string, FoundTime | null>();
  readonly #lookupSlots: Semaphore;

  constructor(ports: TierPorts, cache: LocalCache) {
    this.#ports = ports;
    this.#cache = cache;
    this.#slots = new Semaphore(ports.settings.hydrationsAtOnce, ports.settings.hydrationsQueued);
    this.#lookupSlots = new Semaphore(ports.settings.lookupsAtOnce, ports.settings.lookupsQueued);
  }

  /**
   * Streams record batches from the one that covers `offset`, until `maxBytes` or the boundary. Holes between files, and behind the
   * last, come as markers that every client steps over.
   * Errors: `offset-out-of-range` below the log start or at or above the boundary, `cold-unavailable`, `cold-corrupt`, `overloaded`,
   * `cancelled`.
   */
  async hydrate(
    topic: TopicTier,
    asked: ControlParams<'tier.hydrate'>,
    sendPart: SendPart,
    signal: AbortSignal,
  ): Promise<ControlResult<'tier.hydrate'>> {
    const key = `${asked.topicId}/${asked.partition}`;
    const turn = this.#perPartition.get(key) ?? new Semaphore(perPartitionMax, this.#ports.settings.hydrationsQueued);
    this.#perPartition.set(key, turn);
    const either = AbortSignal.any([signal, this.#ports.stop]);
    try {
      return await turn.run(() => this.#slots.run(() => this.#hydrate(topic, asked, sendPart, either), either), either);
    } finally {
      if (turn.held === 0 && turn.queued === 0) this.#perPartition.delete(key);
    }
  }

  async #hydrate(
    topic: TopicTier,
    asked: ControlParams<'tier.hydrate'>,
    sendPart: SendPart,
    signal: AbortSignal,
  ): Promise<ControlResult<'tier.hydrate'>> {
    const snapshot = await this.#snapshotWith(topic, asked.partition, asked.offset);
    const boundary = boundaryOf(snapshot.partitions, asked.partition);
    const logStart = logStartOf(snapshot.partitions, asked.partition);
    if (asked.offset < logStart || asked.offset >= boundary) {
      // The broker may not have heard of the log start yet.
      topic.tellAgain(asked.partition);
      throw new LakeError(
        'offset-out-of-range',
        `${topic.name}-${asked.partition}: offset ${asked.offset} is not in the table, which has [${logStart}, ${boundary})`,
        {
          facts: { partition: asked.partition, offset: asked.offset, logStart, boundary },
        },
      );
    }
    let next = asked.offset;
    let bytes = 0;
    while (next < boundary && bytes < asked.maxBytes * enoughShare) {
      throwIfStopped(signal, 'a hydration');
      const file = findFile(snapshot, asked.partition, next);
      if (file === null || file.baseOffset > next) {
        for (const hole of holeBatches(next, file?.baseOffset ?? boundary)) {
          await sendPart({ baseOffset: next, nextOffset: hole.nextOffset }, hole.bytes);
          next = hole.nextOffset;
          bytes += hole.bytes.length;
        }
        continue;
      }
      const sent = await this.#sendFrom(topic, file, next, asked.maxBytes - bytes, sendPart, signal);
      invariant(sent.nextOffset > next, 'a hydration moves on', { next, nextOffset: sent.nextOffset });
      next = sent.nextOffset;
      bytes += sent.bytes;
    }
    return { nextOffset: next, bytes };
  }

  /** Rebuilds batches of one file, which stands for `next`, and sends them in parts as they are made. */
  async #sendFrom(
    topic: TopicTier,
    file: ColdFile,
    next: Offset,
    maxBytes: number,
    sendPart: SendPart,
    signal: AbortSignal,
  ): Promise<{ readonly nextOffset: Offset; readonly bytes: number }> {
    const { settings, clock, rebuilder } = this.#ports;
    const job = {
      fromOffset: next,
      baseOffset: file.baseOffset,
      lastOffset: file.lastOffset,
      maxBytes,
      maxBatchBytes: Math.min(batchBytesMax, topic.settings.maxMessageBytes),
    };
    let baseOffset = next;
    let isFirst = true;
    const take = async ({ bytes, nextOffset, endOffset }: RebuiltPart): Promise<void> => {
      throwIfStopped(signal, 'a hydration');
      if (isFirst) baseOffset = Math.min(baseOffset, batchBaseOffset(bytes, 0));
      isFirst = false;
      // Where the job says its end, it brings enough: the hydration ends there too.
      await sendPart({ baseOffset, nextOffset, ...(endOffset === undefined ? {} : { endOffset }) }, bytes);
      baseOffset = nextOffset;
    };
    const rebuilt = await this.#withLocal(file, signal, (path) =>
      withDeadline('rebuilding batches', settings.jobTimeoutMs, clock, signal, (inner) =>
        rebuilder.rebuild({ path, ...job }, settings.hydratePartBytes, take, inner),
      ),
    );
    return { nextOffset: rebuilt.nextOffset, bytes: rebuilt.bytes };
  }

  /** First cold record at or above `fromOffset` whose timestamp is ≥ t: only files that can have one are opened. */
  async offsetForTimestamp(topic: TopicTier, asked: ControlParams<'tier.offset-for-timestamp'>): Promise<FoundTime | null> {
    const { partition, timestampMs } = asked;
    const snapshot = await this.#snapshotTo(topic, partition, asked.belowOffset);
    const fromOffset = Math.max(asked.fromOffset, logStartOf(snapshot.partitions, partition));
    const files = filesOfPartition(snapshot, partition).filter(
      (file) => file.lastOffset >= fromOffset && file.maxTimestampMs >= timestampMs,
    );
    for (const file of files) {
      const found = await this.#lookUp(file, { find: 'first', timestampMs, fromOffset });
      if (found !== null) return found;
    }
    return null;
  }

  /** The cold record at or above `fromOffset` with the largest timestamp, the first of several. */
  async maxTimestamp(topic: TopicTier, asked: ControlParams<'tier.max-timestamp'>): Promise<FoundTime | null> {
    const { partition } = asked;
    const snapshot = await this.#snapshotTo(topic, partition, asked.belowOffset);
    const fromOffset = Math.max(asked.fromOffset, logStartOf(snapshot.partitions, partition));
    const files = filesOfPartition(snapshot, partition).filter((file) => file.lastOffset >= fromOffset);
    let best: FoundTime | null = null;
    // Largest first. A file's largest may lie below the offset, so it is only what others cannot beat without being asked.
    for (const file of [...files].sort((a, b) => b.maxTimestampMs - a.maxTimestampMs || a.baseOffset - b.baseOffset)) {
      if (best !== null && file.maxTimestampMs < best.timestampMs) break;
      const found = await this.#lookUp(file, { find: 'max', timestampMs: 0, fromOffset });
      if (found === null) continue;
      const isBetter =
        best === null || found.timestampMs > best.timestampMs || (found.timestampMs === best.timestampMs && found.offset < best.offset);
      if (isBetter) best = found;
    }
    return best;
  }

  /**
   * Reads the file in ranges where it lies: a footer and a few columns of a row group, never the whole. Shared by all who ask the
   * same, so no caller ends it by leaving.
   */
  #lookUp(file: ColdFile, question: TimeQuestion): Promise<FoundTime | null> {
    const { stop, settings, clock, findTimestamp } = this.#ports;
    const { find, timestampMs, fromOffset } = question;
    return this.#lookups.run(`${file.key} ${find} ${timestampMs} ${fromOffset}`, () =>
      this.#lookupSlots.run(
        () =>
          withDeadline('a time lookup', settings.bucketTimeoutMs, clock, stop, (signal) =>
            findTimestamp({ name: file.key, bytes: file.bytes, read: (start, end) => this.#range(file, start, end, signal) }, question),
          ),
        stop,
      ),
    );
  }

  async #range(file: ColdFile, start: number, end: number, signal: AbortSignal): Promise<Buffer> {
    try {
      return await this.#ports.store.get(file.key, { range: { start, end }, signal });
    } catch (cause) {
      throw signal.aborted ? cause : unfetched(file, cause);
    }
  }

  async #withLocal<T>(file: ColdFile, signal: AbortSignal, work: (path: string) => Promise<T>): Promise<T> {
    let lease: CacheLease;
    try {
      lease = await withDeadline(`fetching ${file.key}`, transferMs(this.#ports, file.bytes), this.#ports.clock, signal, (inner) =>
        this.#cache.fetchToLocal(file.key, file.bytes, inner),
      );
    } catch (cause) {
      throw signal.aborted ? cause : unfetched(file, cause);
    }
    try {
      return await work(lease.path);
    } finally {
      lease.release();
    }
  }

  /** What is known of the table, loaded only if nothing is. */
  async #snapshot(topic: TopicTier): Promise<TableSnapshot> {
    return topic.table.snapshot ?? (await this.#refreshed(topic));
  }

  /** As `#snapshot`; looks again where another daemon may have moved the boundary beyond the offset. */
  async #snapshotWith(topic: TopicTier, partition: PartitionId, offset: Offset): Promise<TableSnapshot> {
    const known = await this.#snapshot(topic);
    return offset < boundaryOf(known.partitions, partition) ? known : this.#refreshed(topic);
  }

  /** One that has everything below an offset. Another daemon may have moved the boundary there, and a list may be late. */
  async #snapshotTo(topic: TopicTier, partition: PartitionId, belowOffset: Offset): Promise<TableSnapshot> {
    const snapshot = await this.#snapshotWith(topic, partition, belowOffset - 1);
    const boundary = boundaryOf(snapshot.partitions, partition);
    if (boundary >= belowOffset) return snapshot;
    throw new LakeError('cold-unavailable', `${topic.name}-${partition}: the table ends at ${boundary}, below ${belowOffset}`, {
      hint: 'Another daemon has gone further; this one sees it soon. Ask again.',
      facts: { partition, boundary, belowOffset },
    });
  }

  async #refreshed(topic: TopicTier): Promise<TableSnapshot> {
    try {
      return await topic.refresh();
    } catch (cause) {
      throw new LakeError('cold-unavailable', `the table of ${topic.name} cannot be loaded: ${(cause as Error).message}`, {
        cause,
        hint: 'Check the bucket; the read goes on by itself once it answers.',
      });
    }
  }
}

function unfetched(file: ColdFile, cause: unknown): LakeError {
  return new LakeError('cold-unavailable', `the cold file ${file.key} cannot be fetched: ${(cause as Error).message}`, {
    cause,
    hint: 'Check the bucket; the read goes on by itself once it answers.',
    facts: { key: file.key },
  });
}
