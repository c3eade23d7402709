/**
 * Session timeouts of a classic group's members: who gives no sign of life for so long is gone. One that waits for an answer cannot give any,
 * and is waited for, as in Kafka; but a new one may have been given up by its client, which joins as another, so not for ever.
 */
import { type Clock, minuteMs } from '../../kernel/index.js';
import { runAfter } from '../deadline.js';
import type { Member } from './member.js';

/** How long a new member may wait, or its session where that is longer. */
const newJoinMaxMs = 5 * minuteMs;

export class Sessions {
  readonly #clock: Clock;
  readonly #onExpired: (member: Member) => void;

  constructor(clock: Clock, onExpired: (member: Member) => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  /** Watches a member, of which this is the first sign, until its `stopWatch` is called. */
  begin(member: Member): void {
    this.saw(member);
    this.#watch(member, member.sessionTimeoutMs);
  }

  /** There was a sign of life. */
  saw(member: Member): void {
    member.lastSeenMs = this.#clock.monotonicMs();
  }

  /** One timer a member, which looks when it is due whether there was a sign of life meanwhile. */
  #watch(member: Member, ms: number): void {
    member.stopWatch = runAfter(this.#clock, ms, () => {
      const leftMs = member.lastSeenMs + limitMsOf(member) - this.#clock.monotonicMs();
      if (leftMs > 0) this.#watch(member, Math.min(leftMs, member.sessionTimeoutMs));
      else this.#onExpired(member);
    });
  }
}

function limitMsOf({ sessionTimeoutMs, answerJoin, answerSync, isNew }: Member): number {
  if (answerJoin === undefined && answerSync === undefined) return sessionTimeoutMs;
  return isNew ? Math.max(newJoinMaxMs, sessionTimeoutMs) : Infinity;
}
