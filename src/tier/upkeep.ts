/**
 * What keeps tables fit without anybody asking: small cold files are put together, a file that the log start falls into loses its
 * head, old snapshots expire, what nobody needs is swept. One thing at a time in the whole daemon, within a budget of bytes a round, and
 * never while a cut waits for its turn.
 */
import { backoffMs, isLakeError, type LakeError, type PartitionId, retry, type TopicId } from '../kernel/index.js';
import { type ColdFile, filesOfPartition, logStartOf, type PartitionCold, type TableChange, type TableSnapshot } from '../lake/index.js';
import type { LocalCache } from '../objects/index.js';
import { chooseMerge } from './compaction.js';
import { Wakeup, withDeadline } from './deadline.js';
import type { TierPorts } from './ports.js';
import { prepareRewrite, rawBytesOf } from './rewrite-files.js';
import { fileBytesFor } from './settings.js';
import { sweepTable } from './sweep.js';
import type { TopicTier } from './topic-tier.js';
import { yieldToCuts } from './yield-to-cuts.js';

/** A merge may become so much larger than its target, as rows differ in size. */
const rawBytesSlack = 1.5;
/** Tries to commit one rewrite; afterwards it is decided anew. */
const commitTries = 3;
/** Damaged files are remembered, so that they are not fetched again and again; beyond this the oldest is tried once more. */
const damagedMax = 1000;
/** So many rows say what a row of the topic takes. */
const sampleRowsMin = 100;
/** Files whose raw bytes are known exactly; of the others they are estimated. A key takes some 200 bytes: 2 MB. */
const sizesMax = 10_000;

interface TopicUpkeep {
  /** Since when a file is known to be straddled by the log start, wall time by key; 0 for what was found at the start. */
  readonly heads: Map<string, number>;
  /** Learnt from a footer at first, then from those of what is rewritten. */
  rawBytesPerRow: number | undefined;
  sweepAtMs: number;
  failures: number;
  retryAtMs: number;
  isKnown: boolean;
}

export class Upkeep {
  readonly #ports: TierPorts;
  readonly #cache: LocalCache;
  readonly #topics: () => Iterable<TopicTier>;
  readonly #known = new Map<TopicId, TopicUpkeep>();
  readonly #damaged = new Map<string, true>();
  /** Raw bytes by key, as footers say. */
  readonly #sizes = new Map<string, number>();
  readonly #wakeup: Wakeup;

  constructor(ports: TierPorts, cache: LocalCache, topics: () => Iterable<TopicTier>) {
    this.#ports = ports;
    this.#cache = cache;
    this.#topics = topics;
    this.#wakeup = new Wakeup(ports.clock);
  }

  /** The daemon stops. */
  wake(): void {
    this.#wakeup.wake();
  }

  /** Ends when the daemon stops. */
  async run(): Promise<void> {
    const { stop, settings } = this.#ports;
    while (!stop.aborted) {
      await this.#wakeup.wait(settings.upkeepIntervalMs, stop);
      await this.#round();
    }
  }

  async #round(): Promise<void> {
    const { stop } = this.#ports;
    const topics = [...this.#topics()];
    const ids = new Set(topics.map((topic) => topic.id));
    for (const id of this.#known.keys()) if (!ids.has(id)) this.#known.delete(id);
    for (const topic of topics) {
      if (stop.aborted) return;
      await this.#keep(topic);
    }
  }

  #stateOf(topic: TopicTier): TopicUpkeep {
    const { clock, random, settings } = this.#ports;
    let state = this.#known.get(topic.id);
    if (state === undefined) {
      // Sweeps of many topics are spread over the interval, also after a restart.
      const sweepAtMs = clock.monotonicMs() + random.float() * settings.sweepIntervalMs;
      state = { heads: new Map(), rawBytesPerRow: undefined, sweepAtMs, failures: 0, retryAtMs: 0, isKnown: false };
      this.#known.set(topic.id, state);
    }
    return state;
  }

  /** One topic's turn. A failure is logged and tried again later; it holds up no other topic. */
  async #keep(topic: TopicTier): Promise<void> {
    const { clock, settings, random, logger, counters } = this.#ports;
    const state = this.#stateOf(topic);
    if (clock.monotonicMs() < state.retryAtMs) return;
    try {
      const snapshot = topic.table.snapshot ?? (await topic.refresh());
      this.#noteHeads(snapshot, state);
      await this.#learnRowSize(topic, snapshot, state);
      await this.#rewriteFiles(topic, state);
      if (clock.monotonicMs() >= state.sweepAtMs) await this.#sweep(topic, state);
      state.failures = 0;
    } catch (error) {
      if (topic.signal.aborted) return;
      counters.upkeepFailures++;
      state.failures++;
      const retryMs = Math.max(settings.upkeepIntervalMs, backoffMs(settings.retry, state.failures, random));
      state.retryAtMs = clock.monotonicMs() + retryMs;
      logger.warn('upkeep of a table failed and is tried again', { topic: topic.name, error, retryMs: Math.round(retryMs) });
    }
  }

  #noteHeads(snapshot: TableSnapshot, state: TopicUpkeep): void {
    const now = this.#ports.clock.nowMs();
    const straddled = new Set(snapshot.partitions.flatMap((p) => headOf(snapshot, p)?.key ?? []));
    for (const key of state.heads.keys()) if (!straddled.has(key)) state.heads.delete(key);
    // How long one that is there at the start has been so is not known: long enough.
    for (const key of straddled) if (!state.heads.has(key)) state.heads.set(key, state.isKnown ? now : 0);
    state.isKnown = true;
  }

  /** Reads one footer, of a small file that has some rows: the table does not say what a row took in the log. */
  async #learnRowSize(topic: TopicTier, { files }: TableSnapshot, state: TopicUpkeep): Promise<void> {
    if (state.rawBytesPerRow !== undefined || files.length < 2) return;
    const whole = files.filter((file) => !this.#damaged.has(file.key));
    const sample =
      leastOf(
        whole.filter((file) => file.rows >= sampleRowsMin),
        (file) => file.bytes,
      ) ?? leastOf(whole, (file) => -file.rows);
    if (sample === undefined) return;
    try {
      const rawBytes = await rawBytesOf(this.#ports, this.#cache, sample, topic.signal);
      state.rawBytesPerRow = rawBytes / sample.rows;
      rememberWithin(this.#sizes, sizesMax, sample.key, rawBytes);
    } catch (error) {
      if (!isLakeError(error, 'cold-corrupt')) throw error;
      this.#noteDamaged(topic, [sample], error);
    }
  }

  async #rewriteFiles(topic: TopicTier, state: TopicUpkeep): Promise<void> {
    const { settings } = this.#ports;
    let bytesLeft = settings.rewriteBytesPerRound;
    while (bytesLeft > 0 && !topic.signal.aborted) {
      const { snapshot } = topic.table;
      const inputs = snapshot === undefined ? [] : this.#choose(topic, snapshot, state);
      if (snapshot === undefined || inputs.length === 0) return;
      await yieldToCuts(this.#ports);
      bytesLeft -= await this.#rewrite(topic, snapshot, inputs, state);
    }
  }

  /** A head that is due, else the files to merge; empty where all is well. */
  #choose(topic: TopicTier, snapshot: TableSnapshot, state: TopicUpkeep): readonly ColdFile[] {
    const now = this.#ports.clock.nowMs();
    for (const partition of snapshot.partitions) {
      const head = headOf(snapshot, partition);
      const since = head === undefined ? undefined : state.heads.get(head.key);
      // Half of the time is for the rewrite to fail and be tried again.
      const isDue = since !== undefined && now - since >= topic.settings.deleteMaxDelayMs / 2;
      if (head !== undefined && isDue && !this.#damaged.has(head.key)) return [head];
    }
    for (const { partition } of snapshot.partitions) {
      const inputs = this.#chooseMerge(topic, snapshot, partition, state);
      if (inputs.length > 0) return inputs;
    }
    return [];
  }

  #chooseMerge(topic: TopicTier, snapshot: TableSnapshot, partition: PartitionId, state: TopicUpkeep): readonly ColdFile[] {
    const files = filesOfPartition(snapshot, partition).filter((file) => !this.#damaged.has(file.key));
    const rawBytesPerRow = state.rawBytesPerRow ?? 0;
    return chooseMerge(files, {
      targetBytes: fileBytesFor(topic.settings, rawBytesPerRow),
      rawBytesOf: (file) => this.#sizes.get(file.key) ?? file.rows * rawBytesPerRow,
    });
  }

  /** Resolves to the bytes read. */
  async #rewrite(topic: TopicTier, snapshot: TableSnapshot, inputs: readonly ColdFile[], state: TopicUpkeep): Promise<number> {
    const { counters, logger, settings } = this.#ports;
    const [first] = inputs;
    if (first === undefined) return 0;
    try {
      const prepared = await prepareRewrite(this.#ports, this.#cache, {
        tablePrefix: topic.table.prefix,
        topic: topic.settings,
        columns: snapshot.columns,
        inputs,
        logStartOffset: logStartOf(snapshot.partitions, first.partition),
        rawBytesMax: topic.settings.fileBytes * rawBytesSlack,
        signal: topic.signal,
      });
      state.rawBytesPerRow = prepared.rawBytesPerRow ?? state.rawBytesPerRow;
      for (const [key, bytes] of prepared.sizes) rememberWithin(this.#sizes, sizesMax, key, bytes);
      // With what is known now, other files are chosen the next time.
      if (prepared.rewrite === null) return prepared.inputBytes;
      const { rewrite } = prepared;
      await this.#commit(topic, { rewrites: [rewrite], notAfterMs: prepared.beganMs + settings.sweepMinAgeMs / 2 });
      counters.rewrites++;
      counters.rewrittenFiles += rewrite.inputs.length;
      counters.rewrittenBytes += prepared.inputBytes;
      logger.info('rewrote cold files', {
        topic: topic.name,
        partition: rewrite.partition,
        inputs: rewrite.inputs.length,
        inputBytes: prepared.inputBytes,
        outputs: rewrite.outputs.map((file) => file.key),
        fromOffset: first.baseOffset,
      });
      return prepared.inputBytes;
    } catch (error) {
      if (isLakeError(error, 'commit-stale')) {
        // The files have changed under it: decided anew from what is there, in the next round.
        logger.info('files that were rewritten are no longer in the table', { topic: topic.name, reason: error.message });
        await topic.refresh();
        return settings.rewriteBytesPerRound;
      }
      if (!isLakeError(error, 'cold-corrupt')) throw error;
      this.#noteDamaged(topic, inputs, error);
      return settings.rewriteBytesPerRound;
    }
  }

  #noteDamaged(topic: TopicTier, inputs: readonly ColdFile[], error: LakeError): void {
    const { path, key } = error.facts as { readonly path?: string; readonly key?: string };
    const named = inputs.filter((file) => file.key === key || path?.endsWith(file.key) === true);
    // Where none is named, none of them is touched again before a scrub has told which it is.
    for (const file of named.length > 0 ? named : inputs) rememberWithin(this.#damaged, damagedMax, file.key, true);
    this.#ports.counters.upkeepFailures++;
    this.#ports.logger.error('a cold file is damaged and is left as it is', { topic: topic.name, error });
  }

  /** Commits with its lost answers: the same change again, as its id tells whether it is there. */
  async #commit(topic: TopicTier, what: Pick<TableChange, 'rewrites' | 'notAfterMs'>): Promise<void> {
    const { clock, random, settings } = this.#ports;
    const nowMs = clock.nowMs();
    const expireBeforeMs = nowMs - topic.settings.snapshotMaxAgeMs;
    const change: TableChange = { commitId: random.uuid(), moves: [], columns: [], expireBeforeMs, nowMs, ...what };
    const commit = (): Promise<TableSnapshot> =>
      withDeadline(`upkeep of ${topic.name}`, settings.bucketTimeoutMs, clock, topic.signal, (signal) =>
        topic.table.commit(change, signal),
      );
    topic.adopt(await retry(commit, { ...settings.retry, tries: commitTries }, this.#ports, topic.signal));
  }

  async #sweep(topic: TopicTier, state: TopicUpkeep): Promise<void> {
    const { clock, settings, logger } = this.#ports;
    await yieldToCuts(this.#ports);
    // A table that nobody writes to keeps its old snapshots, and with them their files, until somebody commits.
    await this.#commit(topic, {});
    const swept = await sweepTable(this.#ports, topic.name, topic.table, topic.signal);
    if (swept.objects > 0) logger.info('swept what nobody needs', { topic: topic.name, ...swept });
    state.sweepAtMs = swept.isComplete ? clock.monotonicMs() + settings.sweepIntervalMs : 0;
  }
}

/** The file that a partition's log start falls into, with rows or not: the first, where it begins below. */
function headOf(snapshot: TableSnapshot, { partition, logStartOffset }: PartitionCold): ColdFile | undefined {
  const [first] = filesOfPartition(snapshot, partition);
  return first !== undefined && first.baseOffset < logStartOffset ? first : undefined;
}

function leastOf(files: readonly ColdFile[], by: (file: ColdFile) => number): ColdFile | undefined {
  let least: ColdFile | undefined;
  for (const file of files) if (least === undefined || by(file) < by(least)) least = file;
  return least;
}

/** Lets the oldest go where there are too many. */
function rememberWithin<T>(map: Map<string, T>, sizeMax: number, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.keys().next();
  if (map.size > sizeMax && oldest.done !== true) map.delete(oldest.value);
}
