// Where a broker chooses by chance, or fails in a way that nobody could want: what comes after cannot be compared.
import type { Difference } from './compare.js';
import type { Step } from './step.js';

/** The fields of requests to groups that are looked at. */
interface Asked {
  readonly groupId?: string;
  readonly memberId?: string;
  readonly memberEpoch?: unknown;
  readonly serverAssignor?: string | null;
}

/** The fields of answers that are looked at. */
export interface Told {
  readonly errorCode?: string;
  readonly leader?: string;
  readonly memberId?: string;
}

const joinGroup = 11;
const leaveGroup = 13;
const consumerGroupHeartbeat = 68;
const consumerGroupDescribe = 69;
const groupApis: ReadonlySet<number> = new Set([joinGroup, leaveGroup, consumerGroupHeartbeat]);

/** What has happened in a sequence that lets chance in. */
export class Chance {
  #hasLeft = false;
  #hasBrokersIds = false;
  #hasTie = false;
  /** What members of groups want to be assigned by. */
  readonly #votes = new Map<string, Map<string, string>>();

  /** Notes a step that is asked now: what it changes may show in an answer that was held. */
  ask({ api, body }: Step): void {
    if (api === leaveGroup) this.#hasLeft = true;
    if (api !== consumerGroupHeartbeat) return;
    const { groupId = '', memberId = '', memberEpoch, serverAssignor } = body as Asked;
    const votes = this.#votes.get(groupId) ?? new Map<string, string>();
    this.#votes.set(groupId, votes);
    if (memberEpoch === -1) votes.delete(memberId);
    else if (typeof serverAssignor === 'string') votes.set(memberId, serverAssignor);
    const counts = ['range', 'uniform'].map((name) => [...votes.values()].filter((vote) => vote === name).length);
    if (counts[0] === counts[1] && counts[0] !== 0) this.#hasTie = true;
  }

  /**
   * Whether two answers differ only by what chance decides:
   * - after a leader has left, the next one is whichever member comes first in a hash table;
   * - between assignors with equally many votes Kafka changes its mind at every heartbeat, and begins a new epoch each time;
   * - assignors sort members by their ids, and some of those are the broker's own;
   * - a group that an unexpected exception struck is in no state that means anything.
   */
  decided(step: Step, kafka: Told, ours: Told, differences: readonly Difference[]): boolean {
    // Members of consumer groups send ids of their own, if they send one.
    if (step.api === joinGroup) this.#hasBrokersIds = true;
    if (step.api === consumerGroupHeartbeat && kafka.memberId?.startsWith('member ') === true) this.#hasBrokersIds = true;
    if (differences.length === 0) return false;
    if (groupApis.has(step.api) && kafka.errorCode === 'UNKNOWN_SERVER_ERROR') return true;
    if (this.#hasTie && (step.api === consumerGroupHeartbeat || step.api === consumerGroupDescribe)) return true;
    if (step.api === joinGroup && this.#hasLeft && hasOtherLeader(kafka, ours)) return true;
    return this.#hasBrokersIds && differences.every(({ path }) => /(^|\.)(a|targetA)ssignment\b/.test(path));
  }
}

function hasOtherLeader(kafka: Told, ours: Told): boolean {
  return kafka.leader !== ours.leader && (kafka.leader ?? '') !== '' && (ours.leader ?? '') !== '';
}
