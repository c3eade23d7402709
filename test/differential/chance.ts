// Where a broker chooses by chance, or fails in a way that nobody could want: what comes after cannot be compared.
import { attributeBits, batchAttributes, compressionCodecs } from '../../src/wire/index.js';
import type { Difference } from './compare.js';
import { type BatchSpec, batchBytesOf, type Step } from './step.js';
import { Votes } from './votes.js';

/** The fields of requests that are looked at. */
interface Asked {
  readonly groupId?: string;
  readonly groupsNames?: readonly string[];
  readonly topicData?: readonly { readonly partitionData: readonly { readonly records: { readonly $batch?: BatchSpec } }[] }[];
}

interface Coded {
  readonly errorCode: string;
}

interface CodedMember extends Coded {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
}

/** The fields of answers that are looked at. */
export interface Told {
  readonly none?: string;
  readonly errorCode?: string;
  readonly leader?: string;
  readonly memberId?: string;
  readonly memberEpoch?: number;
  readonly topics?: readonly { readonly partitions: readonly Coded[] }[];
  readonly members?: readonly CodedMember[];
  readonly results?: readonly Coded[];
}

const produce = 0;
const offsetCommit = 8;
const joinGroup = 11;
const leaveGroup = 13;
const syncGroup = 14;
const describeGroups = 15;
const listGroups = 16;
const deleteGroups = 42;
const consumerGroupHeartbeat = 68;
const consumerGroupDescribe = 69;
const groupApis: ReadonlySet<number> = new Set([joinGroup, leaveGroup, consumerGroupHeartbeat]);
/** From this version on Kafka leaves a batch's codec to whoever reads it. */
const anyCodecVersion = 7;

/** What has happened in a sequence that lets chance in. */
export class Chance {
  #hasLeft = false;
  #hasBrokersIds = false;
  #hasUnknownCodecBeside = false;
  #hasForgotten = false;
  readonly #votes = new Votes();
  readonly #written = new WrittenGroups();

  /** Notes a step that is asked now: what it changes may show in an answer that was held. */
  ask(step: Step): void {
    if (step.api === leaveGroup) this.#hasLeft = true;
    if (step.api === produce && step.version < anyCodecVersion && hasUnknownCodecBeside(step)) this.#hasUnknownCodecBeside = true;
  }

  /**
   * Whether two answers differ only by what chance decides:
   * - after a leader has left, the next one is whichever member comes first in a hash table;
   * - between assignors with equally many votes Kafka changes its mind at every heartbeat, and begins a new epoch each time;
   * - assignors sort members by their ids, and some of those are the broker's own;
   * - a classic group that a refused commit made is not shown by Kafka before something is written, of it or of another one near it;
   * - a consumer group without members is forgotten by Kafka, until it starts again, when a classic member that it does not know joins;
   * - who leaves while it waits for its assignment is never answered by Kafka;
   * - a group that an unexpected exception struck is in no state that means anything; and where it was a codec that is not there, Kafka
   *   refuses what the request has for other partitions too.
   */
  decided(step: Step, kafka: Told, ours: Told, differences: readonly Difference[]): boolean {
    // Members of consumer groups send ids of their own, if they send one.
    if (step.api === joinGroup) this.#hasBrokersIds = true;
    if (step.api === consumerGroupHeartbeat && kafka.memberId?.startsWith('member ') === true) this.#hasBrokersIds = true;
    this.#votes.note(step, kafka);
    this.#written.note(step, kafka);
    const { groupId = '' } = step.body as Asked;
    if (step.api === joinGroup && kafka.errorCode === 'UNKNOWN_MEMBER_ID' && this.#votes.isLeft(groupId)) this.#hasForgotten = true;
    if (differences.length === 0) return false;
    if (this.#hasUnknownCodecBeside || this.#hasForgotten) return true;
    if (groupApis.has(step.api) && kafka.errorCode === 'UNKNOWN_SERVER_ERROR') return true;
    if (this.#votes.hadTie && (step.api === consumerGroupHeartbeat || step.api === consumerGroupDescribe)) return true;
    if (this.#written.isInDoubt && (step.api === describeGroups || step.api === listGroups)) return true;
    if (step.api === syncGroup && this.#hasLeft && kafka.none === 'silent' && ours.errorCode === 'UNKNOWN_MEMBER_ID') return true;
    if (step.api === joinGroup && this.#hasLeft && hasOtherLeader(kafka, ours)) return true;
    return this.#hasBrokersIds && differences.every(({ path }) => /(^|\.)(a|targetA)ssignment\b/.test(path));
  }
}

/** Groups that came to be without a record of theirs in Kafka's log. */
class WrittenGroups {
  readonly #known = new Set<string>();
  readonly #unwritten = new Set<string>();

  get isInDoubt(): boolean {
    return this.#unwritten.size > 0;
  }

  note({ api, body }: Step, { errorCode, topics = [], results = [] }: Told): void {
    const { groupId = '', groupsNames = [] } = body as Asked;
    const isWritten =
      ((api === syncGroup || api === consumerGroupHeartbeat) && errorCode === 'NONE') ||
      (api === offsetCommit && topics.some(({ partitions }) => partitions.some((partition) => partition.errorCode === 'NONE')));
    if (isWritten) this.#unwritten.delete(groupId);
    else if (api === offsetCommit && !this.#known.has(groupId)) this.#unwritten.add(groupId);
    if (isWritten || (api === joinGroup && !this.#unwritten.has(groupId))) this.#known.add(groupId);
    if (api !== deleteGroups || !results.some((result) => result.errorCode === 'NONE')) return;
    for (const name of groupsNames) {
      this.#known.delete(name);
      this.#unwritten.delete(name);
    }
  }
}

/** Whether one of several batches has a codec that is not there. */
function hasUnknownCodecBeside({ body }: Step): boolean {
  const batches = ((body as Asked).topicData ?? []).flatMap(({ partitionData }) => partitionData.map(({ records }) => records.$batch));
  if (batches.length < 2) return false;
  const codecs = batches.map((batch) => (batch === undefined ? 0 : batchAttributes(batchBytesOf(batch, 0n, 0), 0) & attributeBits.codec));
  return codecs.some((codec) => codec >= compressionCodecs.length);
}

function hasOtherLeader(kafka: Told, ours: Told): boolean {
  return kafka.leader !== ours.leader && (kafka.leader ?? '') !== '' && (ours.leader ?? '') !== '';
}
