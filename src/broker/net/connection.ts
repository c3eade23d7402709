/**
 * One client connection. Requests are answered in their order. The next one starts when the former is answered, as in
 * Kafka, but for runs of pipelined ones (Produce), which have taken their effect before they wait for the disk. Everything
 * held for a client is bounded: requests read ahead, and answers it does not take.
 */
import type { Socket } from 'node:net';
import { type Clock, InvariantError, KiB, MiB, secondMs, toLakeError } from '../../kernel/index.js';
import { returnReadBuffers } from '../../log/index.js';
import type { Logger } from '../../telemetry/index.js';
import {
  apiVersionsApi,
  decodeRequest,
  decodeRequestHeader,
  encodeResponse,
  FrameReader,
  isServed,
  kafkaErrors,
} from '../../wire/index.js';
import { type Answer, type AnswerRoom, type Handler, noAnswer } from '../handlers/handler.js';
import type { AnswerBudget, AnswerTaker } from './answer-budget.js';
import type { BudgetUser, RequestBudget } from './request-budget.js';

/** Requests of one connection that are read ahead. Two large produce requests of the usual clients. */
const readAheadBytesMax = 2 * MiB;
/** The smallest requests are counted as this much, so that their number is bounded too. */
const frameOverheadBytes = KiB;
/** Produce requests of one connection that wait for the same flush; clients keep 5 in flight. */
const pipelinedMax = 32;
/** A client that takes nothing of an answer for this long is gone. */
const stalledMaxMs = 60 * secondMs;
/** What is written when the broker stops may take this long to be sent. */
const closeMaxMs = secondMs;

export interface ConnectionPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly handlers: ReadonlyMap<number, Handler>;
  readonly budget: RequestBudget;
  readonly requestBytesMax: number;
  readonly idleMaxMs: number;
  readonly answers: AnswerBudget;
  /** A request is answered (or dropped: acks=0). */
  readonly onAnswered: (handler: Handler) => void;
  /** The connection is closed for what it sent. */
  readonly onRefused: () => void;
  readonly onClosed: (connection: Connection) => void;
}

interface Started {
  readonly handler: Handler | undefined;
  readonly bytes: number;
  /** Set when the answer is there; an empty list where none is sent. */
  chunks: readonly Buffer[] | undefined;
}

const nothing: readonly Buffer[] = [];

export class Connection implements BudgetUser, AnswerTaker {
  readonly #socket: Socket;
  readonly #ports: ConnectionPorts;
  readonly #frames: FrameReader;
  readonly #gone = new AbortController();
  readonly #clientHost: string;
  readonly #queue: Buffer[] = [];
  readonly #started: Started[] = [];
  /** Of whole frames, queued or started. */
  #frameBytes = 0;
  #heldBytes = 0;
  #underWay = 0;
  #unsentBytes = 0;
  #unsentSinceMs = 0;
  /** Of the answer that is read; only one is at a time, since requests that want room are not pipelined. */
  #room: AnswerRoom | undefined;
  /** Among what is unsent is an answer that there was room for. */
  #isRoomUnsent = false;
  #hasTaken = false;
  #isStarting = false;
  #isClosing = false;
  #isClosed = false;

  readonly #reserveAnswer = (wantedBytes: number): AnswerRoom | Promise<AnswerRoom> => {
    const reserved = this.#ports.answers.reserve(this, wantedBytes, this.#gone.signal);
    return reserved instanceof Promise ? reserved.then((room) => this.#hold(room)) : this.#hold(reserved);
  };

  constructor(socket: Socket, ports: ConnectionPorts) {
    this.#socket = socket;
    this.#ports = ports;
    this.#frames = new FrameReader(ports.requestBytesMax);
    this.#clientHost = `/${socket.remoteAddress ?? 'unknown'}`;
    ports.budget.enter(this);
    socket.setNoDelay(true);
    socket.setTimeout(ports.idleMaxMs);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('drain', () => this.#drained());
    socket.on('timeout', () => this.#timedOut());
    socket.on('error', () => undefined);
    socket.on('close', () => this.#ended());
  }

  get pendingBytes(): number {
    return this.#frames.pendingBytes;
  }

  resume(): void {
    if (this.#frameBytes <= readAheadBytesMax) this.#socket.resume();
  }

  shed(): void {
    this.#refuse('more requests are half received than the broker may hold', { heldBytes: this.#heldBytes });
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  get unsentSinceMs(): number {
    return this.#unsentSinceMs;
  }

  get hasTaken(): boolean {
    return this.#hasTaken;
  }

  shedAnswers(): void {
    this.#refuse('its client takes no answers, and memory for those of others is short', { unsentBytes: this.#unsentBytes });
  }

  /** Ends the connection as soon as the answers already written are sent. */
  close(): void {
    this.#isClosing = true;
    this.#gone.abort();
    this.#socket.setTimeout(closeMaxMs);
    this.#socket.destroySoon();
  }

  #receive(chunk: Buffer): void {
    let frames: Buffer[];
    try {
      frames = this.#frames.push(chunk);
    } catch (error) {
      this.#refuse('a frame that is not one of the Kafka protocol', { error: toLakeError(error).message });
      return;
    }
    for (const frame of frames) {
      this.#queue.push(frame);
      this.#frameBytes += frame.length + frameOverheadBytes;
      this.#underWay++;
    }
    this.#ports.budget.changeUnderWay(frames.length);
    this.#account();
    this.#startNext();
    this.#pauseIfFull();
  }

  #pauseIfFull(): void {
    if (this.#isClosed) return;
    if (this.#frameBytes > readAheadBytesMax) this.#socket.pause();
    if (this.#ports.budget.isExceeded) {
      this.#socket.pause();
      this.#ports.budget.waitForRoom(this);
    }
  }

  #account(): void {
    const held = this.#frameBytes + this.#frames.pendingBytes;
    const change = held - this.#heldBytes;
    this.#heldBytes = held;
    if (change !== 0) this.#ports.budget.change(change);
  }

  #startNext(): void {
    // An answer that is there at once comes back here from inside `#start`: the loop goes on, not the recursion.
    if (this.#isStarting) return;
    this.#isStarting = true;
    try {
      while (!this.#isClosed && this.#queue.length > 0 && this.#unsentBytes === 0 && this.#mayStart(this.#queue[0]!)) {
        this.#start(this.#queue.shift()!);
      }
    } finally {
      this.#isStarting = false;
    }
  }

  #mayStart(frame: Buffer): boolean {
    if (this.#started.length === 0) return true;
    if (this.#started.length >= pipelinedMax || frame.length < 2) return false;
    return (
      this.#isPipelined(this.#ports.handlers.get(frame.readInt16BE(0))) && this.#started.every((one) => this.#isPipelined(one.handler))
    );
  }

  #isPipelined(handler: Handler | undefined): boolean {
    return handler?.isPipelined === true;
  }

  #start(frame: Buffer): void {
    let header: ReturnType<typeof decodeRequestHeader>;
    try {
      header = decodeRequestHeader(frame);
    } catch (error) {
      this.#refuse('a request without a header', { error: toLakeError(error).message });
      return;
    }
    const { apiKey, apiVersion, correlationId, clientId } = header;
    const handler = this.#ports.handlers.get(apiKey);
    const started: Started = { handler, bytes: frame.length + frameOverheadBytes, chunks: undefined };
    if (handler === undefined || !isServed(handler.api, apiVersion)) {
      if (apiKey !== apiVersionsApi.key) {
        this.#refuse('a request of an API or version that is not served', { apiKey, apiVersion, clientId });
        return;
      }
      this.#started.push(started);
      this.#settle(started, answerUnknownApiVersions(correlationId));
      return;
    }
    let request: unknown;
    try {
      request = decodeRequest(handler.api, apiVersion, frame, header.bodyAt);
    } catch (error) {
      this.#refuse('a request that cannot be read', { api: handler.api.name, apiVersion, clientId, error: toLakeError(error).message });
      return;
    }
    this.#started.push(started);
    const { signal } = this.#gone;
    const context = { version: apiVersion, clientId, clientHost: this.#clientHost, signal, reserveAnswer: this.#reserveAnswer };
    const answered = (answer: Answer<unknown>): void => {
      this.#settle(started, answer === noAnswer ? nothing : encodeResponse(handler.api, apiVersion, correlationId, answer as never));
    };
    const failed = (error: unknown): void => {
      if (error instanceof InvariantError) throw error;
      if (this.#isClosed) return;
      this.#refuse('a request that cannot be answered', { api: handler.api.name, apiVersion, clientId, error });
    };
    try {
      const answer = handler.answer(request, context);
      if (answer instanceof Promise) void answer.then(answered).catch(failed);
      else answered(answer);
    } catch (error) {
      failed(error);
    }
  }

  #hold(room: AnswerRoom): AnswerRoom {
    if (this.#isClosed) room.release();
    else this.#room = room;
    return room;
  }

  /** What was read is written, and counts as unsent from now on. */
  #giveRoomBack(): void {
    this.#room?.release();
    this.#room = undefined;
  }

  /** Writes every answer whose turn it is. */
  #settle(one: Started, chunks: readonly Buffer[]): void {
    one.chunks = chunks;
    if (this.#isClosed) return;
    let written = 0;
    this.#socket.cork();
    while (this.#started[0]?.chunks !== undefined) {
      const { chunks: ready, bytes, handler } = this.#started.shift()!;
      this.#write(ready!);
      this.#frameBytes -= bytes;
      this.#underWay--;
      written++;
      if (handler !== undefined) this.#ports.onAnswered(handler);
    }
    this.#socket.uncork();
    if (written === 0) return;
    this.#ports.budget.changeUnderWay(-written);
    if (this.#room !== undefined) this.#isRoomUnsent = true;
    this.#noteUnsent(this.#socket.writableNeedDrain ? this.#socket.writableLength : 0);
    this.#giveRoomBack();
    this.#account();
    if (this.#unsentBytes === 0) this.#next();
  }

  #write(chunks: readonly Buffer[]): void {
    const last = chunks.length - 1;
    for (let i = 0; i < last; i++) this.#socket.write(chunks[i]!);
    if (last < 0) return;
    // Only record batches are chunks of their own. Where the write failed, who knows who still has them.
    if (last === 0) this.#socket.write(chunks[0]!);
    else this.#socket.write(chunks[last]!, (error) => error ?? returnReadBuffers(chunks));
  }

  #next(): void {
    this.#startNext();
    if (!this.#isClosed && this.#socket.isPaused() && !this.#ports.budget.isExceeded) this.resume();
  }

  #noteUnsent(bytes: number): void {
    if (bytes === 0 && this.#isRoomUnsent) {
      this.#hasTaken = true;
      this.#isRoomUnsent = false;
    }
    if (bytes === this.#unsentBytes) return;
    if ((bytes === 0) !== (this.#unsentBytes === 0)) {
      this.#socket.setTimeout(bytes === 0 ? this.#ports.idleMaxMs : Math.min(stalledMaxMs, this.#ports.idleMaxMs));
    }
    if (bytes > 0) this.#unsentSinceMs = this.#ports.clock.monotonicMs();
    const change = bytes - this.#unsentBytes;
    this.#unsentBytes = bytes;
    this.#ports.answers.changed(this, change);
  }

  #drained(): void {
    this.#noteUnsent(0);
    this.#next();
  }

  #timedOut(): void {
    // A held request (long poll, join) is not silence of the client.
    if (!this.#isClosing && this.#unsentBytes === 0 && this.#started.length > 0) this.#socket.setTimeout(this.#ports.idleMaxMs);
    else this.#socket.destroy();
  }

  #refuse(what: string, facts: Readonly<Record<string, unknown>>): void {
    if (this.#isClosed) return;
    this.#ports.logger.warn(`connection closed: ${what}`, { client: this.#clientHost, ...facts });
    this.#ports.onRefused();
    this.#socket.destroy();
    this.#ended();
  }

  #ended(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#gone.abort();
    this.#noteUnsent(0);
    this.#giveRoomBack();
    this.#ports.budget.leave(this, this.#heldBytes, this.#underWay);
    this.#queue.length = 0;
    this.#started.length = 0;
    this.#ports.onClosed(this);
  }
}

/** KIP-511: a version of ApiVersions we do not know is answered in v0, with the range we do. */
function answerUnknownApiVersions(correlationId: number): Buffer[] {
  const { key, advertisedMinVersion, maxVersion } = apiVersionsApi;
  return encodeResponse(apiVersionsApi, 0, correlationId, {
    errorCode: kafkaErrors.UNSUPPORTED_VERSION,
    apiKeys: [{ apiKey: key, minVersion: advertisedMinVersion, maxVersion }],
  });
}
