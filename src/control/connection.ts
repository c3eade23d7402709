/**
 * One end of a control connection, whatever carries its frames: asks the peer, answers it, and keeps both directions within
 * their bounds. A streaming answer may be at most `partsInFlightMax` parts ahead of its reader.
 */
import { errorFromPlain, errorToPlain, LakeError, type PlainError, toLakeError } from '../kernel/index.js';
import { type Frame, frameKinds, noPayload } from './frames.js';
import type {
  CallOptions,
  ControlHandlers,
  ControlMethod,
  ControlParams,
  ControlPeer,
  ControlResult,
  Hello,
  ServeContext,
} from './messages.js';

/** Calls under way per direction; what one peer may have asked and not been answered. */
export const callsInFlightMax = 256;
/** Parts of one answer that were sent and not yet taken; with the frame's bound this bounds what a slow reader costs. */
export const partsInFlightMax = 4;

/** Carries frames in order. `onFrame` may throw: the frame is refused and the channel closed. */
export interface Channel {
  onFrame: (frame: Frame) => void;
  /** Called once, when nothing more can come or go. */
  onEnd: (cause: Error | undefined) => void;
  /** Resolves when the bytes have left this process (they may be reused); rejects when they cannot. */
  send(frame: Frame): Promise<void>;
  close(cause?: Error): void;
}

interface AskedCall {
  readonly method: ControlMethod;
  readonly onPart: CallOptions['onPart'];
  readonly settle: (outcome: { readonly result: unknown } | { readonly error: unknown }) => void;
  /** Parts received that `onPart` has not finished with. */
  partsQueued: number;
  /** Resolves when all parts received so far are taken; never rejects. */
  partsTaken: Promise<void>;
}

interface ServedCall {
  readonly abort: AbortController;
  credit: number;
  readonly waitingForCredit: (() => void)[];
}

type AnyHandler = (params: unknown, context: ServeContext) => Promise<unknown>;

/** A `ControlPeer` over a channel on which both sides have introduced themselves. */
export class ControlConnection implements ControlPeer {
  readonly peer: Hello;
  readonly closed: Promise<void>;
  readonly #channel: Channel;
  readonly #handlers: ControlHandlers;
  readonly #asked = new Map<number, AskedCall>();
  readonly #served = new Map<number, ServedCall>();
  #lastId = 0;
  #gone: LakeError | undefined;

  constructor(channel: Channel, peer: Hello, handlers: ControlHandlers) {
    this.#channel = channel;
    this.peer = peer;
    this.#handlers = handlers;
    channel.onFrame = (frame) => this.#receive(frame);
    this.closed = new Promise((resolve) => {
      channel.onEnd = (cause) => {
        this.#end(cause);
        resolve();
      };
    });
  }

  close(): void {
    this.#channel.close();
  }

  call<M extends ControlMethod>(method: M, params: ControlParams<M>, options: CallOptions = {}): Promise<ControlResult<M>> {
    const { signal, timeoutMs } = options;
    return new Promise<ControlResult<M>>((resolve, reject) => {
      if (this.#gone !== undefined) throw this.#gone;
      if (signal?.aborted === true) throw cancelled(method, signal);
      if (this.#asked.size >= callsInFlightMax) {
        throw new LakeError('overloaded', `${this.#asked.size} calls to the ${this.peer.role} are under way already`, {
          hint: 'Try again a little later.',
        });
      }
      const json = JSON.stringify({ method, params });
      const id = this.#nextId();
      const giveUp = (error: LakeError): void => {
        if (!this.#asked.has(id)) return;
        this.#post({ kind: frameKinds.cancel, id, json: '', payload: noPayload });
        settle({ error });
      };
      const onAbort = (): void => giveUp(cancelled(method, signal));
      const timer =
        timeoutMs === undefined
          ? undefined
          : setTimeout(() => {
              giveUp(
                new LakeError('timeout', `the ${this.peer.role} did not answer ${method} within ${timeoutMs} ms`, {
                  facts: { method, timeoutMs },
                }),
              );
            }, timeoutMs);
      const settle: AskedCall['settle'] = (outcome) => {
        if (!this.#asked.delete(id)) return;
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        if ('error' in outcome) reject(toLakeError(outcome.error));
        else resolve(outcome.result as ControlResult<M>);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#asked.set(id, { method, onPart: options.onPart, settle, partsQueued: 0, partsTaken: Promise.resolve() });
      this.#post({ kind: frameKinds.request, id, json, payload: noPayload });
    });
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId + 1) >>> 0;
    while (this.#asked.has(this.#lastId));
    return this.#lastId;
  }

  /** Sends what nobody waits for. A channel that cannot send ends, and that settles every call. */
  #post(frame: Frame): void {
    this.#channel.send(frame).catch((error: unknown) => this.#channel.close(toLakeError(error)));
  }

  #receive(frame: Frame): void {
    switch (frame.kind) {
      case frameKinds.request:
        this.#serve(frame);
        return;
      case frameKinds.result:
      case frameKinds.failure: {
        const call = this.#asked.get(frame.id);
        if (call === undefined) return;
        const content = parse(frame.json);
        const outcome = frame.kind === frameKinds.result ? { result: content } : { error: errorFromPlain(content as PlainError) };
        // The answer comes after its parts also here.
        void call.partsTaken.then(() => call.settle(outcome));
        return;
      }
      case frameKinds.part:
        this.#takePart(frame);
        return;
      case frameKinds.partAck: {
        const call = this.#served.get(frame.id);
        if (call === undefined) return;
        call.credit++;
        call.waitingForCredit.shift()?.();
        return;
      }
      case frameKinds.cancel:
        this.#served.get(frame.id)?.abort.abort(new LakeError('cancelled', 'the caller cancelled'));
        return;
      default:
        throw new LakeError('frame-invalid', `a control frame of kind ${frame.kind} has no place here`);
    }
  }

  #takePart(frame: Frame): void {
    const call = this.#asked.get(frame.id);
    if (call === undefined) return;
    call.partsQueued++;
    if (call.partsQueued > partsInFlightMax) {
      throw new LakeError(
        'frame-invalid',
        `the ${this.peer.role} sent more than ${partsInFlightMax} parts of ${call.method} ahead of its credit`,
      );
    }
    const facts = parse(frame.json);
    const take = async (): Promise<void> => {
      if (this.#asked.get(frame.id) !== call) return;
      try {
        await call.onPart?.(facts, frame.payload);
        call.partsQueued--;
        this.#post({ kind: frameKinds.partAck, id: frame.id, json: '', payload: noPayload });
      } catch (error) {
        this.#post({ kind: frameKinds.cancel, id: frame.id, json: '', payload: noPayload });
        call.settle({ error });
      }
    };
    call.partsTaken = call.partsTaken.then(take);
  }

  #serve(frame: Frame): void {
    const { method, params } = parse(frame.json) as { readonly method: unknown; readonly params: unknown };
    if (typeof method !== 'string') throw new LakeError('frame-invalid', 'a control request names no method');
    const handler = (Object.hasOwn(this.#handlers, method) ? this.#handlers[method as ControlMethod] : undefined) as AnyHandler | undefined;
    if (handler === undefined || this.#served.size >= callsInFlightMax) {
      const error =
        handler === undefined
          ? new LakeError('unsupported', `${method} is not answered here`, { facts: { method } })
          : new LakeError('overloaded', `${this.#served.size} calls are being answered already`, { hint: 'Try again a little later.' });
      this.#answer(frame.id, frameKinds.failure, errorToPlain(error));
      return;
    }
    if (this.#served.has(frame.id)) throw new LakeError('frame-invalid', `call ${frame.id} is under way already`);
    const call: ServedCall = { abort: new AbortController(), credit: partsInFlightMax, waitingForCredit: [] };
    this.#served.set(frame.id, call);
    call.abort.signal.addEventListener('abort', () => {
      for (const wake of call.waitingForCredit.splice(0)) wake();
    });
    const context: ServeContext = {
      peer: this.peer,
      signal: call.abort.signal,
      sendPart: (facts, payload) => this.#sendPart(frame.id, call, facts, payload),
    };
    const run = async (): Promise<void> => {
      try {
        const result = await handler(params, context);
        this.#answer(frame.id, frameKinds.result, result);
      } catch (error) {
        this.#answer(frame.id, frameKinds.failure, errorToPlain(error));
      } finally {
        this.#served.delete(frame.id);
      }
    };
    void run();
  }

  #answer(id: number, kind: typeof frameKinds.result | typeof frameKinds.failure, content: unknown): void {
    if (this.#gone !== undefined) return;
    this.#post({ kind, id, json: JSON.stringify(content ?? {}), payload: noPayload });
  }

  async #sendPart(id: number, call: ServedCall, facts: unknown, payload: Uint8Array): Promise<void> {
    const { signal } = call.abort;
    signal.throwIfAborted();
    while (call.credit === 0) {
      await new Promise<void>((resolve) => call.waitingForCredit.push(resolve));
      signal.throwIfAborted();
    }
    call.credit--;
    const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    await this.#channel.send({ kind: frameKinds.part, id, json: JSON.stringify(facts ?? {}), payload: bytes });
    signal.throwIfAborted();
  }

  #end(cause: Error | undefined): void {
    const why = cause === undefined ? '' : `: ${cause.message}`;
    this.#gone = new LakeError('peer-gone', `the connection to the ${this.peer.role} has ended${why}`, { cause });
    for (const call of this.#asked.values()) call.settle({ error: this.#gone });
    for (const call of this.#served.values()) call.abort.abort(this.#gone);
  }
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new LakeError('frame-invalid', 'a control frame holds no JSON', { cause: error });
  }
}

function cancelled(method: ControlMethod, signal: AbortSignal | undefined): LakeError {
  return new LakeError('cancelled', `${method} was cancelled`, { cause: signal?.reason, facts: { method } });
}
