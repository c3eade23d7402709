/**
 * Builds what is remembered of cold files behind the queries that could have used it: some files at a time, each time in a turn of its
 * own among the queries, which it gives up when one waits. Whatever fails here costs nobody an answer; the next query asks again.
 */
import type { TypedColumn } from '../../columns/index.js';
import { type Clock, isLakeError, LakeError, toLakeError } from '../../kernel/index.js';
import type { ColdFile } from '../../lake/index.js';
import type { Logger } from '../../telemetry/index.js';
import type { EngineSession } from '../engine.js';

/** Files waiting, of each kind: those of ten topics with a thousand each. */
const wantedMax = 10_000;
/** Times in a row that a build gives way; under a steady stream of queries it is then finished all the same. */
const givenWayMax = 5;

/** A cold file, and typed columns among which are all that it has. */
export interface WantedFile {
  readonly file: ColdFile;
  readonly columns: readonly TypedColumn[];
}

/** Something that can be remembered of a cold file. */
export interface BuildKind {
  /** For a warning: what is not there, and what follows. */
  readonly failure: string;
  /** Files and rows of one run: what an engine's start costs is shared, and yet a query never waits long for its turn. */
  readonly filesPerRun: number;
  readonly rowsPerRun: number;
  readonly hasRoom: boolean;
  has(file: ColdFile): boolean;
  /** Builds and keeps it of each. */
  build(session: EngineSession, wanted: readonly WantedFile[], signal: AbortSignal): Promise<void>;
}

export interface BuildsPorts {
  /** Calls `giveWay`, where it is given, when a query waits for the turn. Errors: `overloaded` where too many wait. */
  readonly enter: (giveWay: (() => void) | undefined, signal: AbortSignal) => Promise<() => void>;
  readonly claim: (signal: AbortSignal) => Promise<EngineSession>;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Queue {
  readonly kind: BuildKind;
  readonly wanted: Map<string, WantedFile>;
  /** Files that nothing can be built of here; not tried again by this service. */
  readonly hopeless: Set<string>;
  /** One after a failure, so that one file cannot keep others from theirs. */
  filesAtOnce: number;
}

export class BuildsBehind {
  readonly #ports: BuildsPorts;
  readonly #queues = new Map<BuildKind, Queue>();
  readonly #closed = new AbortController();
  #building: Promise<void> | undefined;
  #givenWay = 0;

  constructor(ports: BuildsPorts) {
    this.#ports = ports;
  }

  /** Returns at once. */
  want(kind: BuildKind, files: readonly ColdFile[], columns: readonly TypedColumn[] = []): void {
    if (files.length === 0 || this.#closed.signal.aborted) return;
    let queue = this.#queues.get(kind);
    if (queue === undefined) {
      queue = { kind, wanted: new Map(), hopeless: new Set(), filesAtOnce: kind.filesPerRun };
      this.#queues.set(kind, queue);
    }
    for (const file of files) {
      if (queue.wanted.size >= wantedMax) break;
      if (!queue.hopeless.has(file.key)) queue.wanted.set(file.key, { file, columns });
    }
    this.#building ??= this.#buildAll().finally(() => {
      this.#building = undefined;
    });
  }

  /** Resolves when nothing is wanted, or what is wanted cannot be built now. */
  async settled(): Promise<void> {
    while (this.#building !== undefined) await this.#building;
  }

  async close(): Promise<void> {
    this.#closed.abort();
    for (const { wanted } of this.#queues.values()) wanted.clear();
    await this.#building;
  }

  async #buildAll(): Promise<void> {
    for (;;) {
      const queue = [...this.#queues.values()].find(({ wanted }) => wanted.size > 0);
      if (queue === undefined) return;
      await this.#buildNext(queue);
    }
  }

  async #buildNext(queue: Queue): Promise<void> {
    const { kind, wanted } = queue;
    if (!kind.hasRoom) {
      wanted.clear();
      return;
    }
    const next = nextOf(queue);
    try {
      const isBuilt = await this.#buildSome(kind, next);
      this.#givenWay = isBuilt ? 0 : this.#givenWay + 1;
      if (isBuilt) for (const { file } of next) wanted.delete(file.key);
      if (wanted.size === 0) queue.filesAtOnce = kind.filesPerRun;
    } catch (error) {
      wanted.clear();
      if (this.#closed.signal.aborted) return;
      const { code, kind: of, message } = toLakeError(error);
      if (next.length === 1 && isLakeError(error) && of !== 'unavailable' && code !== 'overloaded') giveUp(queue, next);
      // The bucket or the engines are not well, or one file among many is not: the next query asks again.
      queue.filesAtOnce = 1;
      this.#ports.logger.warn(kind.failure, { code, error: message });
    }
  }

  /** False where it gave way to a query. */
  async #buildSome(kind: BuildKind, files: readonly WantedFile[]): Promise<boolean> {
    const { enter, claim, clock, timeoutMs } = this.#ports;
    const missing = files.filter(({ file }) => !kind.has(file));
    if (missing.length === 0) return true;
    const timer = new AbortController();
    const late = new AbortController();
    const waitedFor = new AbortController();
    clock.sleep(timeoutMs, timer.signal).then(
      () => late.abort(),
      () => undefined,
    );
    const giveWay = (): void => waitedFor.abort(new LakeError('cancelled', 'a query waits'));
    const signal = AbortSignal.any([this.#closed.signal, late.signal, waitedFor.signal]);
    let session: EngineSession | undefined;
    let leave: (() => void) | undefined;
    try {
      leave = await enter(this.#givenWay < givenWayMax ? giveWay : undefined, signal);
      signal.throwIfAborted();
      session = await claim(signal);
      await kind.build(session, missing, signal);
      return true;
    } catch (error) {
      if (!waitedFor.signal.aborted || this.#closed.signal.aborted) throw error;
      return false;
    } finally {
      timer.abort();
      try {
        await session?.release();
      } finally {
        leave?.();
      }
    }
  }
}

function nextOf({ kind, wanted, filesAtOnce }: Queue): WantedFile[] {
  const next: WantedFile[] = [];
  let rows = 0;
  for (const one of wanted.values()) {
    rows += one.file.rows;
    if (next.length > 0 && (next.length >= filesAtOnce || rows > kind.rowsPerRun)) break;
    next.push(one);
  }
  return next;
}

function giveUp({ hopeless }: Queue, files: readonly WantedFile[]): void {
  if (hopeless.size >= wantedMax) hopeless.clear();
  for (const { file } of files) hopeless.add(file.key);
}
