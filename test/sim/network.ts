/**
 * What lies between the roles: control connections and Kafka requests with delays, cuts and silences. A connection keeps its
 * frames in order, as TCP does; it never loses one in its middle, it ends.
 */
import { LakeError } from '../../src/kernel/index.js';
import { type Channel, ControlConnection } from '../../src/control/connection.js';
import type { Frame } from '../../src/control/frames.js';
import type { ControlHandlers, ControlPeer, Hello } from '../../src/control/index.js';
import type { Seeded } from '../support/seed.js';
import type { SimProcess } from './process.js';
import type { Scheduler } from './scheduler.js';

/** A connection on which nothing comes through is given up after so long. */
const silentMsMax = 20_000;

/** Between the broker and one other process. */
export class SimLink {
  latencyMs = 0.2;
  /** Nothing comes through; connections end when they notice. */
  isCut = false;
  readonly #scheduler: Scheduler;
  readonly #random: Seeded;
  readonly #connections = new Set<SimConnection>();

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
    this.#random = scheduler.random.apart();
  }

  delayMs(): number {
    return this.latencyMs * (0.5 + this.#random.float());
  }

  cut(): void {
    this.isCut = true;
    for (const connection of this.#connections) {
      connection.silence();
      this.#scheduler.after(this.#random.float() * silentMsMax, () => connection.end());
    }
  }

  heal(): void {
    this.isCut = false;
  }

  /** Every connection breaks off; new ones can be made. */
  reset(): void {
    for (const connection of this.#connections) connection.end();
  }

  /** Errors: `peer-gone`. */
  async connect(
    client: { readonly process: SimProcess; readonly hello: Hello; readonly handlers: ControlHandlers },
    server: () => ControlServer | undefined,
  ): Promise<ControlPeer> {
    const refused = (): LakeError => new LakeError('peer-gone', 'nobody answers');
    return client.process.call(
      this.delayMs(),
      this.delayMs(),
      () => {
        const there = server();
        if (this.isCut || there?.process.isAlive !== true) throw refused();
        const connection = new SimConnection(this, this.#scheduler, client.process, there.process, () =>
          this.#connections.delete(connection),
        );
        this.#connections.add(connection);
        const peer = new ControlConnection(connection.first, there.hello, client.handlers);
        there.accept(new ControlConnection(connection.second, client.hello, there.handlers), connection);
        return peer;
      },
      { isOutside: true },
    );
  }
}

/** The broker's control socket. */
export interface ControlServer {
  readonly process: SimProcess;
  readonly hello: Hello;
  readonly handlers: ControlHandlers;
  accept(peer: ControlPeer, connection: SimConnection): void;
}

export class SimConnection {
  readonly first: Channel;
  readonly second: Channel;
  readonly #link: SimLink;
  readonly #scheduler: Scheduler;
  readonly #processes: readonly [SimProcess, SimProcess];
  readonly #onEnd: () => void;
  #isOpen = true;
  #isSilent = false;

  constructor(link: SimLink, scheduler: Scheduler, first: SimProcess, second: SimProcess, onEnd: () => void) {
    this.#link = link;
    this.#scheduler = scheduler;
    this.#processes = [first, second];
    this.#onEnd = onEnd;
    this.first = this.#channel(first, second, () => this.second);
    this.second = this.#channel(second, first, () => this.first);
  }

  /** Nothing comes through any more, and nobody is told. */
  silence(): void {
    this.#isSilent = true;
  }

  /** Each end learns of it for itself. */
  end(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#onEnd();
    const [first, second] = this.#processes;
    this.#scheduler.after(this.#link.delayMs(), () => first.deliver(() => this.first.onEnd(new Error('connection reset'))));
    this.#scheduler.after(this.#link.delayMs(), () => second.deliver(() => this.second.onEnd(new Error('connection reset'))));
  }

  #channel(own: SimProcess, other: SimProcess, to: () => Channel): Channel {
    let arrivesMs = 0;
    const scheduler = this.#scheduler;
    return {
      onFrame: () => undefined,
      onEnd: () => undefined,
      send: async (frame) => {
        // As over a socket: the receiver's bytes are its own.
        const copy: Frame = { ...frame, payload: Buffer.from(frame.payload) };
        if (!this.#isOpen || this.#isSilent || !own.isAlive) return;
        arrivesMs = Math.max(arrivesMs, scheduler.nowMs + this.#link.delayMs());
        scheduler.after(arrivesMs - scheduler.nowMs, () => {
          if (this.#isSilent) return;
          other.deliver(() => {
            if (this.#isOpen) to().onFrame(copy);
          });
        });
      },
      close: () => this.end(),
    };
  }
}
