// Which assignors the members of a sequence's consumer groups want: between equally many votes Kafka does not choose by a rule.
import type { Told } from './chance.js';
import type { Step } from './step.js';

interface Asked {
  readonly groupId?: string;
  readonly memberId?: string;
  readonly instanceId?: string | null;
  readonly serverAssignor?: string | null;
}

interface Vote {
  readonly instanceId: string | null;
  readonly assignor: string | undefined;
}

const leaveGroup = 13;
const membersVersion = 3;
const consumerGroupHeartbeat = 68;
const leaveEpoch = -1;
const assignors = ['range', 'uniform'] as const;

export class Votes {
  readonly #groups = new Map<string, Map<string, Vote>>();
  #hadTie = false;

  /** Whether two assignors had equally many votes at some time. */
  get hadTie(): boolean {
    return this.#hadTie;
  }

  /** Whether a group had members that speak the new protocol, and has none now. */
  isLeft(groupId: string): boolean {
    return this.#groups.get(groupId)?.size === 0;
  }

  /** A step that was answered: what is refused is no vote. */
  note({ api, version, body }: Step, told: Told): void {
    const { groupId = '', memberId = '', instanceId = null, serverAssignor } = body as Asked;
    const votes = this.#groups.get(groupId) ?? new Map<string, Vote>();
    if (api === leaveGroup) {
      if (version < membersVersion && told.errorCode === 'NONE') votes.delete(idOf(memberId));
      for (const { memberId: id, groupInstanceId, errorCode } of told.members ?? []) {
        if (errorCode === 'NONE') votes.delete(id === '' ? (ofInstance(votes, groupInstanceId ?? '') ?? '') : id);
      }
    } else if (api === consumerGroupHeartbeat && told.errorCode === 'NONE') {
      const id = told.memberId ?? memberId;
      const replaced = instanceId === null ? undefined : ofInstance(votes, instanceId);
      const before = votes.get(id) ?? votes.get(replaced ?? '');
      if (replaced !== undefined && replaced !== id) votes.delete(replaced);
      if (told.memberEpoch === leaveEpoch) votes.delete(id);
      else votes.set(id, { instanceId: instanceId ?? before?.instanceId ?? null, assignor: serverAssignor ?? before?.assignor });
    } else return;
    this.#groups.set(groupId, votes);
    const [range, uniform] = assignors.map((name) => [...votes.values()].filter(({ assignor }) => assignor === name).length);
    if (range === uniform && range !== 0) this.#hadTie = true;
  }
}

/** Members of consumer groups choose their ids: a step names one by its client, or by the id. */
function idOf(memberId: string): string {
  return memberId.replace(/^\$member:.*\//, 'id-of-');
}

function ofInstance(votes: ReadonlyMap<string, Vote>, instanceId: string): string | undefined {
  return [...votes].find(([_id, vote]) => vote.instanceId === instanceId)?.[0];
}
