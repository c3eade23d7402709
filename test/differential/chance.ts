// Where a broker chooses by chance, or fails in a way that nobody could want: what comes after cannot be compared.
import type { Difference } from './compare.js';
import type { Step } from './step.js';

/** The fields of answers that are looked at. */
export interface Told {
  readonly errorCode?: string;
  readonly leader?: string;
  readonly memberId?: string;
}

const joinGroup = 11;
const leaveGroup = 13;
const consumerGroupHeartbeat = 68;
const groupApis: ReadonlySet<number> = new Set([joinGroup, leaveGroup, consumerGroupHeartbeat]);

/** What has happened in a sequence that lets chance in. */
export class Chance {
  #hasLeft = false;
  #hasBrokersIds = false;

  /**
   * Whether two answers differ only by what chance decides:
   * - after a leader has left, the next one is whichever member comes first in a hash table;
   * - assignors sort members by their ids, and some of those are the broker's own;
   * - a group that an unexpected exception struck is in no state that means anything.
   */
  decided(step: Step, kafka: Told, ours: Told, differences: readonly Difference[]): boolean {
    if (step.api === leaveGroup) this.#hasLeft = true;
    // Members of consumer groups send ids of their own, if they send one.
    if (step.api === joinGroup) this.#hasBrokersIds = true;
    if (step.api === consumerGroupHeartbeat && kafka.memberId?.startsWith('member ') === true) this.#hasBrokersIds = true;
    if (differences.length === 0) return false;
    if (groupApis.has(step.api) && kafka.errorCode === 'UNKNOWN_SERVER_ERROR') return true;
    if (step.api === joinGroup && this.#hasLeft && hasOtherLeader(kafka, ours)) return true;
    return this.#hasBrokersIds && differences.every(({ path }) => /(^|\.)(a|targetA)ssignment\b/.test(path));
  }
}

function hasOtherLeader(kafka: Told, ours: Told): boolean {
  return kafka.leader !== ours.leader && (kafka.leader ?? '') !== '' && (ours.leader ?? '') !== '';
}
