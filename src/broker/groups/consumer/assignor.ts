/** The server-side assignors of the new group protocol: who is to have which partitions. Pure functions, found by name. */
import { LakeError, type TopicId } from '../../../kernel/index.js';
import type { PartitionSets } from './partitions.js';
import { assignRanges } from './range-assignor.js';
import { assignUniformly } from './uniform-assignor.js';

export interface MemberToAssign {
  readonly id: string;
  readonly instanceId: string | null;
  readonly topics: ReadonlySet<TopicId>;
  /** Its target so far. */
  readonly target: PartitionSets;
}

export interface AssignorInput {
  readonly members: readonly MemberToAssign[];
  /** Of every topic that a member subscribes to. */
  readonly partitionCount: (topic: TopicId) => number;
}

/** Every member of the input, with what it is to have. */
export type Assignor = (input: AssignorInput) => ReadonlyMap<string, PartitionSets>;

export const assignorNames = ['uniform', 'range'] as const;
export type AssignorName = (typeof assignorNames)[number];

export const assignors: Readonly<Record<AssignorName, Assignor>> = { uniform: assignUniformly, range: assignRanges };

export function isAssignorName(name: string): name is AssignorName {
  return Object.hasOwn(assignors, name);
}

/** The names in a list with commas. Errors: `config-invalid-value` for one that is not served, or where there is none. */
export function assignorNamesOf(list: string): readonly [AssignorName, ...AssignorName[]] {
  const [first, ...rest] = list.split(',').map((name) => served(name.trim()));
  return [first!, ...rest];
}

function served(name: string): AssignorName {
  if (isAssignorName(name)) return name;
  throw new LakeError('config-invalid-value', `there is no assignor "${name}"`, {
    hint: `Set group.consumer.assignors to one or both of ${assignorNames.join(', ')}.`,
    facts: { key: 'group.consumer.assignors' },
  });
}
