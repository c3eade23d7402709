/** What a handler of an API is: one function from request to answer, written once for all versions. */
import type { Api, MessageInput } from '../../wire/index.js';

/** Produce with acks=0: the client expects no bytes at all. */
export const noAnswer: unique symbol = Symbol('no answer');

export type Answer<Res> = MessageInput<Res> | typeof noAnswer;

/** What an answer may carry that is about to be read. */
export interface AnswerRoom {
  readonly bytes: number;
  /** It is not read, or carries nothing yet. An answer given is released by whoever writes it. */
  release(): void;
}

export interface RequestContext {
  readonly version: number;
  readonly clientId: string | null;
  /** As Kafka writes it: `/127.0.0.1`. */
  readonly clientHost: string;
  /** Aborted when the connection is gone or the broker stops. */
  readonly signal: AbortSignal;
  /** Room for a large answer of at most so many bytes: fewer, or later, while many are read or not yet taken by their clients. */
  readonly reserveAnswer: (wantedBytes: number) => AnswerRoom | Promise<AnswerRoom>;
}

/** What is thrown closes the connection with a log line: there is no other way to answer. */
export interface Handler<Req = unknown, Res = unknown> {
  readonly api: Api<Req, Res>;
  /** Takes its whole effect before it waits, so that the next pipelined request may start meanwhile. */
  readonly isPipelined: boolean;
  answer(request: Req, context: RequestContext): Promise<Answer<Res>> | Answer<Res>;
}

export function handlerOf<Req, Res>(
  api: Api<Req, Res>,
  answer: Handler<Req, Res>['answer'],
  options: { readonly isPipelined?: boolean } = {},
): Handler {
  return { api, answer, isPipelined: options.isPipelined ?? false } as Handler;
}
