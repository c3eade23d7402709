/** Changing what is set on resources, for both APIs that do: each in its place, and how a refusal is answered. */
import { LakeError, messageWithHint, toLakeError } from '../../kernel/index.js';
import { kafkaErrors } from '../../wire/index.js';

export interface NamedResource {
  readonly resourceType: number;
  readonly resourceName: string;
}

export interface Outcome {
  readonly errorCode: number;
  readonly errorMessage: string | null;
}

/** Alters resources one after the other and answers each in its place; what `alter` throws is that resource's refusal. */
export async function alterResources<R extends NamedResource>(
  resources: readonly R[],
  alter: (resource: R) => Promise<void> | void,
): Promise<(NamedResource & Outcome)[]> {
  const responses: (NamedResource & Outcome)[] = [];
  for (const resource of resources) {
    const { resourceType, resourceName } = resource;
    const isTwice = resources.some((other) => other !== resource && isSame(other, resource));
    responses.push({ resourceType, resourceName, ...(await outcomeOf(resource, isTwice, alter)) });
  }
  return responses;
}

function isSame(a: NamedResource, b: NamedResource): boolean {
  return a.resourceType === b.resourceType && a.resourceName === b.resourceName;
}

async function outcomeOf<R extends NamedResource>(
  resource: R,
  isTwice: boolean,
  alter: (resource: R) => Promise<void> | void,
): Promise<Outcome> {
  try {
    if (isTwice) throw new LakeError('message-invalid', `${resource.resourceName} is listed more than once`);
    await alter(resource);
    return { errorCode: kafkaErrors.NONE, errorMessage: null };
  } catch (error) {
    const refusal = toLakeError(error);
    const { kafkaCode } = refusal;
    return { errorCode: kafkaCode === -1 ? kafkaErrors.KAFKA_STORAGE_ERROR : kafkaCode, errorMessage: messageWithHint(refusal) };
  }
}
