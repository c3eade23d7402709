/** Until when each member of a consumer group must be heard of, and must have taken its next step; who is late is fenced. */
import type { ClassicSide, ConsumerMember } from './consumer-member.js';

interface Deadlines {
  readonly sessionAtMs: number;
  /** Until when a member must have given up what it is to revoke; a classic one must have joined again or synced. */
  readonly stepAtMs: number | undefined;
}

/** Of a classic member that was heard of: whether it has taken its step, is now to take one, or neither. */
export type ClassicStep = 'same' | 'done' | 'due';

export class MemberDeadlines {
  readonly #settings: { readonly sessionTimeoutMs: number };
  readonly #byMember = new Map<string, Deadlines>();

  /** `settings` are read whenever they count. */
  constructor(settings: { readonly sessionTimeoutMs: number }) {
    this.#settings = settings;
  }

  /** A sign of life of a classic member. */
  sawClassic(member: ConsumerMember, classic: ClassicSide, nowMs: number, step: ClassicStep): void {
    const before = this.#byMember.get(member.id)?.stepAtMs;
    const stepAtMs = step === 'done' ? undefined : step === 'due' ? (before ?? nowMs + member.rebalanceTimeoutMs) : before;
    this.#byMember.set(member.id, { sessionAtMs: nowMs + classic.sessionTimeoutMs, stepAtMs });
  }

  /** A member has said something of itself, and is what it is after that. */
  expectNext(said: ConsumerMember, after: ConsumerMember, nowMs: number): void {
    if (after.classic !== null) {
      // It has joined, and is to sync.
      this.#byMember.set(after.id, { sessionAtMs: nowMs + after.classic.sessionTimeoutMs, stepAtMs: nowMs + after.rebalanceTimeoutMs });
      return;
    }
    const sessionAtMs = nowMs + this.#settings.sessionTimeoutMs;
    const revokeAtMs = after === said ? this.#byMember.get(after.id)?.stepAtMs : nowMs + after.rebalanceTimeoutMs;
    this.#byMember.set(after.id, { sessionAtMs, stepAtMs: after.state === 'unrevoked' ? revokeAtMs : undefined });
  }

  /** A member that was saved has all of its time again. */
  restore(member: ConsumerMember, nowMs: number): void {
    const isRevoking = member.classic === null && member.state === 'unrevoked' && member.epoch >= 0;
    this.#byMember.set(member.id, {
      sessionAtMs: nowMs + (member.classic?.sessionTimeoutMs ?? this.#settings.sessionTimeoutMs),
      stepAtMs: isRevoking ? nowMs + member.rebalanceTimeoutMs : undefined,
    });
  }

  /** Nothing more is expected of a member than that it is heard of. */
  endStep(memberId: string): void {
    const { sessionAtMs } = this.#byMember.get(memberId)!;
    this.#byMember.set(memberId, { sessionAtMs, stepAtMs: undefined });
  }

  remove(memberId: string): void {
    this.#byMember.delete(memberId);
  }

  late(nowMs: number): readonly string[] {
    return [...this.#byMember].filter(([, deadlines]) => dueMs(deadlines) <= nowMs).map(([id]) => id);
  }

  /** When somebody is late at the earliest; `undefined` where there is no member. */
  get nextDueMs(): number | undefined {
    let next: number | undefined;
    for (const deadlines of this.#byMember.values()) next = Math.min(next ?? Infinity, dueMs(deadlines));
    return next;
  }
}

function dueMs({ sessionAtMs, stepAtMs }: Deadlines): number {
  return Math.min(sessionAtMs, stepAtMs ?? Infinity);
}
