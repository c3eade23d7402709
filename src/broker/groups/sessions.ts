/** Session timeouts of a classic group's members: who gives no sign of life for so long is gone. */
import { type Clock, minuteMs } from '../../kernel/index.js';
import { runAfter } from '../deadline.js';
import type { Member } from './member.js';

/** A member whose JoinGroup is held is not timed out by its session: Kafka gives a new one this long. */
const heldJoinMaxMs = 5 * minuteMs;

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
      const isHeld = member.answerJoin !== undefined || member.answerSync !== undefined;
      const limitMs = isHeld ? Math.max(heldJoinMaxMs, member.sessionTimeoutMs) : member.sessionTimeoutMs;
      const leftMs = member.lastSeenMs + limitMs - this.#clock.monotonicMs();
      if (leftMs > 0) this.#watch(member, Math.min(leftMs, member.sessionTimeoutMs));
      else this.#onExpired(member);
    });
  }
}
