/**
 * Reads footers ahead of the questions: of the newest files of a table, as soon as a snapshot of it is loaded, so that a question
 * about files that nobody has asked of yet begins with what it needs of them. Few at a time, each once; a footer that could not be
 * read costs nobody an answer, for the question that needs it reads it itself.
 */
import { RecentlyUsed, type TopicId, toLakeError } from '../../kernel/index.js';
import { blocksOf, type ColdFile, type TableSnapshot } from '../../lake/index.js';
import type { Logger } from '../../telemetry/index.js';

/** Of one snapshot. With footers of 40 kB they take a third of what footers may take in memory. */
const filesPerSnapshotMax = 256;
/** At once; questions have the rest of the requests that may be under way. */
const readsAtOnce = 2;
/** Waiting; more are left to the questions. */
const waitingMax = 4096;
/** Files whose turn has been, by key: as many as the tables have that are loaded at a start. */
const seenMax = 32_768;

export interface FootersAheadPorts {
  /** Resolves when the footer is in memory, or need not be. */
  readonly learn: (file: ColdFile, signal: AbortSignal) => Promise<void>;
  /** False where a file's footer would push out others that are in use. */
  readonly hasRoom: () => boolean;
  readonly logger: Logger;
}

export class FootersAhead {
  readonly #ports: FootersAheadPorts;
  readonly #seen = new RecentlyUsed<string, true>(seenMax);
  /** Tables whose files of their first snapshot had their turn. */
  readonly #begun = new Set<TopicId>();
  /** Files to read; those of a table's first snapshot only as long as there is room. */
  readonly #waiting: { readonly file: ColdFile; readonly isFirst: boolean }[] = [];
  readonly #closed = new AbortController();
  readonly #reading = new Set<Promise<void>>();

  constructor(ports: FootersAheadPorts) {
    this.#ports = ports;
  }

  /** Returns at once. */
  want(snapshot: TableSnapshot): void {
    if (this.#closed.signal.aborted) return;
    const isFirst = !this.#begun.has(snapshot.topicId);
    this.#begun.add(snapshot.topicId);
    for (const file of newestOf(snapshot)) {
      if (this.#seen.get(file.key) === true || this.#waiting.length >= waitingMax) continue;
      this.#seen.set(file.key, true, 1);
      this.#waiting.push({ file, isFirst });
    }
    while (this.#reading.size < readsAtOnce && this.#waiting.length > 0) {
      const reading = this.#readAll();
      this.#reading.add(reading);
      void reading.finally(() => this.#reading.delete(reading));
    }
  }

  /** Resolves when nothing is being read. */
  async settled(): Promise<void> {
    while (this.#reading.size > 0) await Promise.all(this.#reading);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#waiting.length = 0;
    await this.settled();
  }

  async #readAll(): Promise<void> {
    const { learn, hasRoom, logger } = this.#ports;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (next.isFirst && !hasRoom()) continue;
      try {
        await learn(next.file, this.#closed.signal);
      } catch (error) {
        if (this.#closed.signal.aborted) return;
        const { code, message } = toLakeError(error);
        // The others would most likely fail alike, and take their time over it.
        this.#waiting.length = 0;
        logger.warn('no footers could be read ahead; the first queries read them', { code, error: message });
      }
    }
  }
}

/** The last files of each partition, the newest of all partitions first. */
function newestOf(snapshot: TableSnapshot): ColdFile[] {
  const perPartition = Math.ceil(filesPerSnapshotMax / Math.max(1, snapshot.partitions.length));
  const files = snapshot.partitions.flatMap(({ partition }) => lastFiles(snapshot, partition, perPartition));
  return files
    .sort((a, b) => a.rank - b.rank)
    .slice(0, filesPerSnapshotMax)
    .map(({ file }) => file);
}

function lastFiles(snapshot: TableSnapshot, partition: number, count: number): { readonly file: ColdFile; readonly rank: number }[] {
  const last: { file: ColdFile; rank: number }[] = [];
  for (const { files } of [...blocksOf(snapshot, partition)].reverse()) {
    for (const file of [...files].reverse()) {
      if (last.length >= count) return last;
      last.push({ file, rank: last.length });
    }
  }
  return last;
}
