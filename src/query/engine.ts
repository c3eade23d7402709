/**
 * The pool of query engines: child processes that run DuckDB, one query at a time each. A child keeps a spare instance open
 * (with its own empty lease directory), so that a query does not wait for one; it is replaced when it dies, grows or is stuck.
 *
 *     starting ──opened──► spare ──claim──► in use ──discarded──► starting     (any) ──exit──► gone
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { abortable, type Clock, entryPath, errorFromPlain, LakeError, MiB } from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';
import type { EngineArguments, FromEngine, ToEngine } from './engine-protocol.js';

/** `nobody` and `nogroup`, on every Linux we know. */
const unprivileged = { uid: 65534, gid: 65534 };
/** Above this resident memory an idle child is replaced: DuckDB gave back what a query had, the allocator did not. */
const residentBytesMax = 768 * MiB;
/** How long an interrupted query may take to answer before its child is killed. */
const interruptGraceMs = 2000;
/** Spares in a row that one query may find dead: more than were killed by chance at once. */
const replacedMax = 3;

export interface EnginePoolOptions {
  /** Folder of leases, owned by the pool alone; made anew. */
  readonly directory: string;
  readonly engines: number;
  readonly memoryBytes: number;
  readonly spillBytes: number;
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

class Engine {
  readonly child: ChildProcess;
  readonly lease: string;
  readonly spill: string;
  #inbox: FromEngine[] = [];
  #waiter: Waiter | undefined;
  #death: LakeError | undefined;

  constructor(options: EnginePoolOptions, serial: number) {
    const isRoot = process.getuid?.() === 0;
    const args: EngineArguments = { directory: options.directory, ...(isRoot ? { dropTo: unprivileged } : {}) };
    this.lease = `lease-${serial}`;
    this.spill = `spill-${serial}`;
    this.child = fork(entryPath('query/engine-main'), [JSON.stringify(args)], {
      serialization: 'advanced',
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
    for (;;) {
      const answer = await this.next();
      if (answer.type === expect) return answer as Extract<FromEngine, { type: T }>;
    }
  }

  #deliver(message: FromEngine): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (waiter === undefined) this.#inbox.push(message);
    else waiter.resolve(message);
  }

  #die(reason: string): void {
    this.#death ??= new LakeError('worker-died', reason, { hint: 'Ask again; if it stays, lower what the query needs at once.' });
    this.#waiter?.reject(this.#death);
    this.#waiter = undefined;
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await ended;
  }
}

/** The system kills a process at once; its parent hears of it a little later. */
function isAlive(engine: Engine): Promise<boolean> {
  return engine.ask({ type: 'ping' }, 'alive').then(
    () => true,
    () => false,
  );
}

export class EnginePool {
  readonly #options: EnginePoolOptions;
  readonly #spares: Promise<Engine>[] = [];
  readonly #all = new Set<Engine>();
  /** Engines on their way back; as many as there are engines. */
  readonly #givenBack = new Set<Promise<void>>();
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
    while (!this.#isClosed && this.#all.size < this.#options.engines) this.#addSpare();
  }

  get pids(): readonly number[] {
    return [...this.#all].flatMap((engine) => (engine.child.pid === undefined ? [] : [engine.child.pid]));
  }

  /**
   * The caller bounds how many sessions there are at once to the number of engines. An engine that died while it was spare is
   * replaced, and the query does not hear of it, unless its replacements die as well.
   */
  async claim(signal: AbortSignal): Promise<EngineSession> {
    for (let replaced = 0; ; replaced++) {
      if (this.#isClosed) throw new LakeError('cancelled', 'the query service is closing');
      if (this.#spares.length === 0) this.start();
      const spare = this.#spares.shift();
      if (spare === undefined) throw new LakeError('internal', 'more queries than engines');
      try {
        const engine = await spare;
        if (await isAlive(engine)) return this.#session(engine, signal);
        await this.#discard(engine);
        throw new LakeError('worker-died', `query engine ${engine.child.pid} ended before its query began`, { hint: 'Ask again.' });
      } catch (error) {
        this.#addSpare();
        if (replaced >= replacedMax) throw error;
      }
    }
  }

  #session(engine: Engine, signal: AbortSignal): EngineSession {
    let isIdle = true;
    let isReleased = false;
    // After its release the engine may serve another query.
    const requireOurs = (): void => {
      signal.throwIfAborted();
      if (isReleased) throw new LakeError('cancelled', 'the query has ended');
    };
    return {
      lease: engine.lease,
      leasePath: join(this.#options.directory, engine.lease),
      pid: engine.child.pid ?? 0,
      ask: async (message, expect) => {
        requireOurs();
        isIdle = false;
        // An engine may be stuck: `release` deals with it then.
        const answer = await abortable(engine.ask(message, expect), signal);
        isIdle = message.type !== 'run';
        return answer;
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
        if (!isIdle) engine.tell({ type: 'interrupt' });
        const given = this.#giveBack(engine);
        this.#givenBack.add(given);
        await given.finally(() => this.#givenBack.delete(given));
      },
    };
  }

  /** The instance is closed and the next one opened ahead of time; a child that does not answer or has grown is replaced. */
  async #giveBack(engine: Engine): Promise<void> {
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
    if (!isReusable) {
      if (residentBytes === Number.POSITIVE_INFINITY && !this.#isClosed) {
        this.#options.logger.warn('a query engine died or did not stop in time: replaced', { pid: engine.child.pid });
      }
      await engine.kill();
    }
    await this.#clearDirectories(engine);
    if (isReusable && !this.#isClosed) this.#keepSpare(engine);
    else {
      this.#drop(engine);
      this.#addSpare();
    }
  }

  #addSpare(): void {
    if (this.#isClosed) return;
    const engine = new Engine(this.#options, this.#serial++);
    this.#all.add(engine);
    this.#keepSpare(engine);
  }

  #keepSpare(engine: Engine): void {
    const prepared = this.#prepare(engine).catch(async (error: unknown) => {
      await this.#discard(engine);
      throw error;
    });
    // Whoever claims it sees the error; an engine nobody claims must not end the process.
    prepared.catch(() => undefined);
    this.#spares.push(prepared);
  }

  async #prepare(engine: Engine): Promise<Engine> {
    const { directory, memoryBytes, spillBytes } = this.#options;
    await mkdir(join(directory, engine.lease), { recursive: true, mode: 0o755 });
    await chmod(join(directory, engine.lease), 0o755);
    await mkdir(join(directory, engine.spill), { recursive: true, mode: 0o700 });
    if (process.getuid?.() === 0) await chown(join(directory, engine.spill), unprivileged.uid, unprivileged.gid);
    // A query alone has all cores; several share them by the system's scheduler.
    const threads = availableParallelism();
    await engine.ask({ type: 'open', lease: engine.lease, spill: engine.spill, memoryBytes, spillBytes, threads }, 'opened');
    return engine;
  }

  async #clearDirectories(engine: Engine): Promise<void> {
    for (const name of [engine.lease, engine.spill]) {
      await rm(join(this.#options.directory, name), { recursive: true, force: true });
    }
  }

  #drop(engine: Engine): void {
    this.#all.delete(engine);
  }

  /** Ends an engine that cannot be used, and leaves nothing of it. */
  async #discard(engine: Engine): Promise<void> {
    await engine.kill();
    await this.#clearDirectories(engine);
    this.#drop(engine);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#all].map((engine) => engine.kill()));
    // What is still made or cleared below the folder is done when its engine is dead; then nothing comes into it any more.
    await Promise.allSettled([...this.#givenBack, ...this.#spares]);
    this.#all.clear();
    await rm(this.#options.directory, { recursive: true, force: true });
  }
}
