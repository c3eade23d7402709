// One of the two brokers as a run sees it: connections, the names it chose for things, and requests made of steps.
import { connect, type Socket } from 'node:net';
import { type Api, apiByKey, decodeResponse, encodeRequest, FrameReader, type MessageInput } from '../../src/wire/index.js';
import { defaultOf, type Fields, isInVersions } from '../../src/wire/notation.js';
import { type BatchSpec, batchBytesOf, consumerProtocolBytes, messageSetBytesOf, type MessagesSpec, type Step } from './step.js';

/** What came back: a message, or why there is none. */
export type Answer = { readonly body: unknown } | { readonly none: 'closed' | 'silent' | 'not-decodable' };

/** Longer than anything here waits by itself. */
export const answerDeadlineMs = 8_000;
/** An id that no topic and no producer has. */
const nobodysTopicId = 'AAAAAAAAQACAAAAAAAAA';
const nobodysProducerId = 987_654_321n;

class Lane {
  readonly #socket: Socket;
  readonly #frames = new FrameReader();
  #waiting: ((frame: Buffer | 'closed') => void) | undefined;
  isClosed = false;

  constructor(address: string) {
    const [host = '', port] = address.split(':');
    this.#socket = connect({ host, port: Number(port) });
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk: Buffer) => {
      for (const frame of this.#frames.push(chunk)) this.#settle(frame);
    });
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      this.isClosed = true;
      this.#settle('closed');
    });
  }

  #settle(outcome: Buffer | 'closed'): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(outcome);
  }

  /** The next frame that comes. What may be held waits until the lane is closed. */
  async ask(chunks: readonly Buffer[], mayBeHeld = false): Promise<Buffer | 'closed' | 'silent'> {
    if (this.isClosed) return 'closed';
    const outcome = new Promise<Buffer | 'closed' | 'silent'>((resolve) => {
      const silent = (): void => {
        this.close();
        resolve('silent');
      };
      const timer = mayBeHeld ? undefined : setTimeout(silent, answerDeadlineMs);
      this.#waiting = (frame) => {
        clearTimeout(timer);
        resolve(frame);
      };
    });
    for (const chunk of chunks) this.#socket.write(chunk);
    return outcome;
  }

  send(chunks: readonly Buffer[]): void {
    for (const chunk of chunks) this.#socket.write(chunk);
  }

  close(): void {
    this.#waiting = undefined;
    this.#socket.destroy();
    this.isClosed = true;
  }
}

/** A body with the fields that a version has and no others; what it does not name is the field's default. */
function fitted(fields: Fields, value: Readonly<Record<string, unknown>>, version: number): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields)) {
    if (!isInVersions(field.options.versions, version)) continue;
    const { type } = field;
    if (type.kind === 'struct') {
      out[name] = fitted(type.fields, (value[name] ?? {}) as Record<string, unknown>, version);
      continue;
    }
    const given = value[name] === undefined ? defaultOf(field) : value[name];
    if (type.kind === 'array' && type.element.kind === 'struct' && Array.isArray(given)) {
      const { fields: element } = type.element;
      out[name] = given.map((item: Record<string, unknown>) => fitted(element, item, version));
    } else out[name] = given;
  }
  return out;
}

export interface RunNames {
  /** Part of every topic and group name of this run. */
  readonly run: string;
  readonly runMs: number;
}

/** What answers said of a member, a producer or a fetch session. */
interface Kept {
  readonly producerId?: bigint;
  readonly memberId?: string;
  readonly generationId?: number;
  readonly memberEpoch?: number;
  readonly owned?: unknown;
  readonly sessionId?: number;
  /** Of the next fetch of the session. */
  readonly sessionEpoch?: number;
}

export class Side {
  readonly address: string;
  readonly #names: RunNames;
  readonly #lanes = new Map<number, Lane>();
  /** What ids of topics stand for, those of deleted ones too. */
  readonly idNames = new Map<string, string>();
  readonly topicIds = new Map<string, string>();
  readonly #kept = new Map<string, Kept>();

  constructor(address: string, names: RunNames) {
    this.address = address;
    this.#names = names;
  }

  topicName(name: string): string {
    return `${this.#names.run}-${name}`;
  }

  /** Sends a step's request and waits for its answer. A lane that a broker closed is opened again. */
  async ask(step: Step): Promise<Answer> {
    const api = apiByKey(step.api) as Api;
    const body = fitted(api.request.fields, this.#filled(step.body) as Record<string, unknown>, step.version);
    const lane = this.#lane(step.lane ?? 0);
    const chunks = encodeRequest(api, step.version, 1, step.client ?? 'differ', body as MessageInput<unknown>);
    if (step.api === 0 && body['acks'] === 0) {
      // No answer is owed. What is asked behind it says whether the connection lives.
      lane.send(chunks);
      const next = await lane.ask(encodeRequest(apiByKey(18) as Api, 0, 2, 'differ', {} as MessageInput<unknown>));
      return Buffer.isBuffer(next) ? { body: { isOpen: true } } : { none: next };
    }
    const frame = await lane.ask(chunks, step.mayBeHeld);
    if (!Buffer.isBuffer(frame)) return { none: frame };
    try {
      const answer = decodeResponse(api, step.version, frame).body as Record<string, unknown>;
      this.#learn(step, answer);
      return { body: answer };
    } catch {
      return { none: 'not-decodable' };
    }
  }

  close(): void {
    for (const lane of this.#lanes.values()) lane.close();
  }

  #lane(number: number): Lane {
    const there = this.#lanes.get(number);
    if (there !== undefined && !there.isClosed) return there;
    const lane = new Lane(this.address);
    this.#lanes.set(number, lane);
    return lane;
  }

  #learn(step: Step, answer: Readonly<Record<string, unknown>>): void {
    const isTrial = (step.body as { readonly validateOnly?: boolean }).validateOnly === true;
    const topics = isTrial ? [] : (answer['topics'] ?? []);
    for (const { name, topicId, errorCode } of topics as { name?: string; topicId?: string; errorCode?: number }[]) {
      if (errorCode !== 0 || typeof name !== 'string' || topicId === undefined || /^A*$/.test(topicId)) continue;
      if (this.idNames.has(topicId)) continue;
      this.topicIds.set(name, topicId);
      const earlier = [...this.idNames.values()].filter((known) => known.startsWith(`id of ${name} `)).length;
      this.idNames.set(topicId, `id of ${name} (${earlier + 1})`);
    }
    if (step.keep === undefined) return;
    const { producerId, memberId, generationId, memberEpoch, assignment } = answer;
    const { sessionId } = answer as { readonly sessionId?: number };
    const asked = step.body as { readonly sessionEpoch?: unknown };
    const sessionEpoch = asked.sessionEpoch === 0 ? 1 : (this.#kept.get(step.keep)?.sessionEpoch ?? 0) + 1;
    const owned = (assignment as { topicPartitions: unknown } | null | undefined)?.topicPartitions;
    this.#kept.set(step.keep, {
      ...this.#kept.get(step.keep),
      ...(typeof producerId === 'bigint' && producerId >= 0n ? { producerId } : {}),
      ...(typeof memberId === 'string' && memberId !== '' ? { memberId } : {}),
      ...(typeof generationId === 'number' && generationId >= 0 ? { generationId } : {}),
      ...(typeof memberEpoch === 'number' && answer['errorCode'] === 0 ? { memberEpoch } : {}),
      ...(owned === undefined ? {} : { owned }),
      ...(sessionId !== undefined && answer['errorCode'] === 0 ? { sessionId, sessionEpoch } : {}),
    });
  }

  #filled(value: unknown): unknown {
    if (typeof value === 'string') {
      const at = value.indexOf(':');
      const name = value.slice(at + 1);
      if (value.startsWith('$topic:')) return this.topicName(name);
      if (value.startsWith('$group:')) return this.topicName(name);
      if (value.startsWith('$id:')) return this.topicIds.get(this.topicName(name)) ?? `${nobodysTopicId}${name}${name}`;
      if (value.startsWith('$member:')) return this.#kept.get(name)?.memberId ?? 'nobody';
      if (value.startsWith('$joined:')) return this.#kept.get(name)?.memberId ?? '';
      if (value.startsWith('$time:')) return this.#names.runMs + Number(name);
      if (value.startsWith('$bytes:')) return Buffer.from(name);
      return value;
    }
    if (Array.isArray(value)) return value.map((item) => this.#filled(item));
    if (typeof value !== 'object' || value === null) return value;
    if ('$empty' in value) return Buffer.alloc(0);
    if ('$generation' in value) return this.#kept.get(value.$generation as string)?.generationId ?? -1;
    if ('$epoch' in value) return this.#kept.get(value.$epoch as string)?.memberEpoch ?? 0;
    if ('$session' in value) return this.#kept.get(value.$session as string)?.sessionId ?? 0;
    if ('$sessionEpoch' in value) return this.#kept.get(value.$sessionEpoch as string)?.sessionEpoch ?? 1;
    if ('$owned' in value) return this.#kept.get(value.$owned as string)?.owned ?? [];
    if ('$subscription' in value) {
      return consumerProtocolBytes((value.$subscription as string[]).map((name) => ({ topic: this.topicName(name) })));
    }
    if ('$assignment' in value) {
      const [name, partitions] = value.$assignment as [string, number[]];
      return consumerProtocolBytes([{ topic: this.topicName(name), partitions }]);
    }
    if ('$messages' in value) return messageSetBytesOf(value.$messages as MessagesSpec, this.#names.runMs);
    if ('$pid' in value) return this.#producerId(value.$pid as string);
    if ('$batch' in value) {
      const spec = value.$batch as BatchSpec;
      return batchBytesOf(spec, spec.producer === undefined ? -1n : this.#producerId(spec.producer), this.#names.runMs);
    }
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#filled(item)]));
  }

  #producerId(name: string): bigint {
    return this.#kept.get(name)?.producerId ?? nobodysProducerId;
  }
}
