/**
 * The pool of query engines: child processes that run DuckDB, one query at a time each. A child keeps instances open ahead of the
 * queries (each with its own empty lease directory), so that no query waits for one; it is replaced when it dies, grows or is stuck.
 *
 *     instance:  opening ──opened──► ready ──claim──► in use ──discarded──► (its directories serve the next) opening
 *     child:     idle ──claim──► in use ──discarded──► idle        (any) ──exit──► gone
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { abortable, type Clock, entryPath, errorFromPlain, LakeError, MiB, UnderWay } from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';
import type { EngineArguments, FromEngine, ParseQuery, ToEngine } from './engine-protocol.js';

/** `nobody` and `nogroup`, on every Linux we know. */
const unprivileged = { uid: 65534, gid: 65534 };
/** Above this resident memory an idle child is replaced: DuckDB gave back what a query had, the allocator did not. */
const residentBytesMax = 768 * MiB;
/** How long an interrupted query may take to answer before its child is killed. */
const interruptGraceMs = 2000;
/** Engines in a row that one query may find dead: more than were killed by chance at once. */
const replacedMax = 3;
/** Instances that an idle child keeps open: one for the next query, one for the one that comes before the first is replaced. */
const instancesReady = 2;

export interface EnginePoolOptions {
  /** Folder of leases, owned by the pool alone; made anew. */
  readonly directory: string;
  readonly engines: number;
  readonly memoryBytes: number;
  readonly spillBytes: number;
  /** How far engines give way to others, 0 … 19. */
  readonly niceness: number;
  /** DDL of what every query may use. */
  readonly prelude: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The use of one engine for one query. */
export interface EngineSession {
  /** Name of the lease directory relative to the folder of leases, as SQL names its files. */
  readonly lease: string;
  /** The same as an absolute path. */
  readonly leasePath: string;
  readonly pid: number;
  /** Sends a message and waits for the answer. Errors: those of the engine, `worker-died`, `cancelled`. */
  ask<T extends FromEngine['type']>(message: ToEngine, expect: T): Promise<Extract<FromEngine, { type: T }>>;
  /** Called while a query runs, now and then, until the session is released: how many per cent of it are done, −1 where nobody knows. */
  onProgress(listener: (percent: number) => void): void;
  /** Next message of a running query. */
  next(): Promise<FromEngine>;
  tell(message: ToEngine): void;
  /** Gives the engine back: ends what it runs and drops the lease. To be called exactly once. */
  release(): Promise<void>;
}

interface Waiter {
  readonly resolve: (message: FromEngine) => void;
  readonly reject: (error: LakeError) => void;
}

/** The directories of one instance after another. */
interface Slot {
  readonly serial: number;
  /** Names relative to the folder of leases. */
  readonly lease: string;
  readonly spill: string;
}

class Engine {
  readonly child: ChildProcess;
  readonly slots: readonly Slot[];
  /** Instances that are open or being opened, oldest first. */
  readonly ready: Promise<Slot>[] = [];
  onProgress: ((percent: number) => void) | undefined;
  #inbox: FromEngine[] = [];
  #waiter: Waiter | undefined;
  readonly #opening = new Map<number, { readonly resolve: () => void; readonly reject: (error: LakeError) => void }>();
  #death: LakeError | undefined;

  constructor(options: EnginePoolOptions, serial: number) {
    const isRoot = process.getuid?.() === 0;
    const { directory, niceness } = options;
    const args: EngineArguments = { directory, niceness, ...(isRoot ? { dropTo: unprivileged } : {}) };
    this.slots = Array.from({ length: instancesReady }, (_, at) => ({
      serial: at,
      lease: `lease-${serial}-${at}`,
      spill: `spill-${serial}-${at}`,
    }));
    this.child = fork(entryPath('query/engine-main'), [JSON.stringify(args)], {
      serialization: 'advanced',
      // A session of its own, which can give way as a whole.
      detached: true,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      execArgv: [],
    });
    this.child.on('message', (message) => this.#deliver(message as FromEngine));
    this.child.on('error', (error) => this.#die(`the query engine cannot be reached: ${error.message}`));
    this.child.on('exit', (code, signal) => this.#die(`query engine ${this.child.pid} ended (${signal ?? `exit code ${code}`})`));
  }

  get isDead(): boolean {
    return this.#death !== undefined;
  }

  tell(message: ToEngine): void {
    if (this.child.connected) this.child.send(message, () => undefined);
  }

  async next(): Promise<FromEngine> {
    const message =
      this.#inbox.shift() ??
      (await new Promise<FromEngine>((resolve, reject) => {
        if (this.#death === undefined) this.#waiter = { resolve, reject };
        else reject(this.#death);
      }));
    if (message.type === 'failed') throw errorFromPlain(message.error);
    return message;
  }

  async ask<T extends FromEngine['type']>(message: ToEngine, expect: T): Promise<Extract<FromEngine, { type: T }>> {
    this.tell(message);
    return this.answer(expect);
  }

  /** Of what was told before. */
  async answer<T extends FromEngine['type']>(expect: T): Promise<Extract<FromEngine, { type: T }>> {
    for (;;) {
      const answer = await this.next();
      if (answer.type === expect) return answer as Extract<FromEngine, { type: T }>;
    }
  }

  /** Opens an instance in a slot's directories, whatever else the child does. */
  async open(slot: Slot, { memoryBytes, spillBytes, prelude }: EnginePoolOptions): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      if (this.#death !== undefined) {
        reject(this.#death);
        return;
      }
      this.#opening.set(slot.serial, { resolve, reject });
      this.tell({ type: 'open', slot: slot.serial, lease: slot.lease, spill: slot.spill, memoryBytes, spillBytes, prelude });
    });
  }

  #deliver(message: FromEngine): void {
    if (message.type === 'opened') {
      const opening = this.#opening.get(message.slot);
      this.#opening.delete(message.slot);
      if (message.error === undefined) opening?.resolve();
      else opening?.reject(errorFromPlain(message.error));
      return;
    }
    if (message.type === 'progress') {
      this.onProgress?.(message.percent);
      return;
    }
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (waiter === undefined) this.#inbox.push(message);
    else waiter.resolve(message);
  }

  #die(reason: string): void {
    const death = (this.#death ??= new LakeError('worker-died', `the query failed alone: ${reason}`, {
      hint: 'Ask again. Where it comes again and the system has killed it for its memory, lower query.memory.bytes or query.concurrency.',
    }));
    this.#waiter?.reject(death);
    this.#waiter = undefined;
    for (const opening of this.#opening.values()) opening.reject(death);
    this.#opening.clear();
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await ended;
  }
}

export class EnginePool {
  readonly #options: EnginePoolOptions;
  /** Engines without a query, the longest idle first. */
  readonly #idle: Engine[] = [];
  readonly #all = new Set<Engine>();
  /** Engines on their way back; as many as there are engines. */
  readonly #givenBack = new UnderWay();
  /** Instances being opened, in any engine. */
  readonly #opening = new UnderWay();
  #serial = 0;
  #isClosed = false;

  private constructor(options: EnginePoolOptions) {
    this.#options = options;
  }

  /** Clears the folder of leases (a lease holds nothing but links and copies). No engine is started yet. */
  static async open(options: EnginePoolOptions): Promise<EnginePool> {
    await rm(options.directory, { recursive: true, force: true });
    await mkdir(options.directory, { recursive: true, mode: 0o755 });
    await chmod(options.directory, 0o755);
    return new EnginePool(options);
  }

  /** Starts the engines that are missing, ahead of the queries that will need them. */
  start(): void {
    while (!this.#isClosed && this.#all.size < this.#options.engines) this.#addEngine();
  }

  get pids(): readonly number[] {
    return [...this.#all].flatMap((engine) => (engine.child.pid === undefined ? [] : [engine.child.pid]));
  }

  /**
   * The caller bounds how many sessions there are at once to the number of engines. An engine that died while it was idle is
   * replaced, and the query does not hear of it, unless its replacements die as well. `first` is what the session will be asked first:
   * the engine begins with it before it is known here that it is alive.
   */
  async claim(signal: AbortSignal, first?: ParseQuery): Promise<EngineSession> {
    for (let replaced = 0; ; replaced++) {
      if (this.#isClosed) throw new LakeError('cancelled', 'the query service is closing');
      if (this.#idle.length === 0) this.start();
      const engine = this.#idle.shift();
      const ready = engine?.ready.shift();
      if (engine === undefined || ready === undefined) throw new LakeError('internal', 'more queries than engines');
      try {
        const slot = await ready;
        const claimed = engine.ask({ type: 'claim', slot: slot.serial }, 'claimed');
        if (first !== undefined) engine.tell(first);
        await claimed;
        return this.#session(engine, slot, signal, first);
      } catch (error) {
        await this.#discard(engine);
        this.#addEngine();
        if (replaced >= replacedMax) throw error;
      }
    }
  }

  #session(engine: Engine, slot: Slot, signal: AbortSignal, first: ParseQuery | undefined): EngineSession {
    let isIdle = true;
    let told = first;
    const ask = async <T extends FromEngine['type']>(message: ToEngine, expect: T): Promise<Extract<FromEngine, { type: T }>> => {
      const before = told;
      told = undefined;
      if (before !== undefined && message.type === 'parse' && message.sql === before.sql) return engine.answer(expect);
      // Nobody wants its answer, which comes all the same.
      if (before !== undefined) await engine.answer('parsed').catch(() => undefined);
      return engine.ask(message, expect);
    };
    let isReleased = false;
    // After its release the engine may serve another query.
    const requireOurs = (): void => {
      signal.throwIfAborted();
      if (isReleased) throw new LakeError('cancelled', 'the query has ended');
    };
    return {
      lease: slot.lease,
      leasePath: join(this.#options.directory, slot.lease),
      pid: engine.child.pid ?? 0,
      ask: async (message, expect) => {
        requireOurs();
        isIdle = false;
        // An engine may be stuck: `release` deals with it then.
        const answer = await abortable(ask(message, expect), signal);
        isIdle = message.type !== 'run';
        return answer;
      },
      onProgress: (listener) => {
        requireOurs();
        engine.onProgress = listener;
      },
      next: async () => {
        requireOurs();
        const message = await abortable(engine.next(), signal);
        if (message.type === 'end') isIdle = true;
        return message;
      },
      tell: (message) => {
        if (!isReleased) engine.tell(message);
      },
      release: async () => {
        isReleased = true;
        engine.onProgress = undefined;
        if (!isIdle) engine.tell({ type: 'interrupt' });
        const given = this.#giveBack(engine, slot);
        this.#givenBack.add(given);
        await given;
      },
    };
  }

  /** The instance is closed and the next one opened ahead of time; a child that does not answer or has grown is replaced. */
  async #giveBack(engine: Engine, slot: Slot): Promise<void> {
    const discarded = (async (): Promise<number> => {
      engine.tell({ type: 'discard' });
      for (;;) {
        const message = await engine.next().catch((error: unknown) => {
          if (engine.isDead) throw error;
        });
        if (message?.type === 'discarded') return message.residentBytes;
      }
    })();
    const timer = new AbortController();
    const residentBytes = await Promise.race([
      discarded.catch(() => Number.POSITIVE_INFINITY),
      this.#options.clock.sleep(interruptGraceMs, timer.signal).then(
        () => Number.POSITIVE_INFINITY,
        () => Number.POSITIVE_INFINITY,
      ),
    ]);
    timer.abort();
    const isReusable = !engine.isDead && residentBytes < residentBytesMax && !this.#isClosed;
    if (isReusable) {
      this.#openAhead(engine, slot, () => this.#emptyDirectories(slot));
      this.#idle.push(engine);
      return;
    }
    if (residentBytes === Number.POSITIVE_INFINITY && !this.#isClosed) {
      this.#options.logger.warn('a query engine died or did not stop in time: replaced', { pid: engine.child.pid });
    }
    await this.#discard(engine);
    this.#addEngine();
  }

  #addEngine(): void {
    if (this.#isClosed) return;
    const engine = new Engine(this.#options, this.#serial++);
    this.#all.add(engine);
    for (const slot of engine.slots) this.#openAhead(engine, slot, () => this.#makeDirectories(slot));
    this.#idle.push(engine);
  }

  #openAhead(engine: Engine, slot: Slot, prepare: () => Promise<void>): void {
    const opened = (async () => {
      await prepare();
      await engine.open(slot, this.#options);
      return slot;
    })();
    // Whoever claims it sees the error; an engine nobody claims must not end the process.
    this.#opening.add(opened);
    engine.ready.push(opened);
  }

  async #makeDirectories(slot: Slot): Promise<void> {
    const { directory } = this.#options;
    await mkdir(join(directory, slot.lease), { recursive: true, mode: 0o755 });
    await chmod(join(directory, slot.lease), 0o755);
    await mkdir(join(directory, slot.spill), { recursive: true, mode: 0o700 });
    if (process.getuid?.() === 0) await chown(join(directory, slot.spill), unprivileged.uid, unprivileged.gid);
  }

  /** An instance that is closed leaves links and perhaps spilled blocks. */
  async #emptyDirectories(slot: Slot): Promise<void> {
    for (const name of [slot.lease, slot.spill]) {
      const directory = join(this.#options.directory, name);
      await Promise.all((await readdir(directory)).map((entry) => rm(join(directory, entry), { recursive: true, force: true })));
    }
  }

  /** Ends an engine that cannot be used, and leaves nothing of it. */
  async #discard(engine: Engine): Promise<void> {
    const at = this.#idle.indexOf(engine);
    if (at >= 0) this.#idle.splice(at, 1);
    await engine.kill();
    // What was still being prepared for it must not make a directory anew.
    await Promise.allSettled(engine.ready);
    for (const { lease, spill } of engine.slots) {
      for (const name of [lease, spill]) await rm(join(this.#options.directory, name), { recursive: true, force: true });
    }
    this.#all.delete(engine);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#all].map((engine) => engine.kill()));
    // What is still made or cleared below the folder is done when its engine is dead; then nothing comes into it any more.
    await Promise.all([this.#givenBack.settled(), this.#opening.settled()]);
    this.#all.clear();
    await rm(this.#options.directory, { recursive: true, force: true });
  }
}
