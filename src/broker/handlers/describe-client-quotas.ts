/**
 * DescribeClientQuotas. Versions served: 0–1.
 * Behaviour: there are no quotas, so none matches; a filter is checked as Kafka checks it. They cannot be set: AlterClientQuotas is not served.
 * Ignored: whether the filter is strict.
 * Errors: UNSUPPORTED_VERSION (35, a type of entity that is not there), INVALID_REQUEST (42, a type that is empty, named twice, or an address
 * beside users or clients; a way to match that is not there, or with a name where it takes none).
 */
import { describeClientQuotasApi, type DescribeClientQuotasRequest, kafkaErrors } from '../../wire/index.js';
import { type Handler, handlerOf } from './handler.js';

type Component = DescribeClientQuotasRequest['components'][number];

const matchTypes = { exact: 0, byDefault: 1, any: 2 } as const;
const address = 'ip';
const entityTypes: ReadonlySet<string> = new Set(['user', 'client-id', address]);

interface Refusal {
  readonly errorCode: number;
  readonly errorMessage: string;
}

export function describeClientQuotasHandler(): Handler {
  return handlerOf(describeClientQuotasApi, ({ components }) => {
    const refusal = refusalOf(components);
    return refusal === undefined ? { errorCode: kafkaErrors.NONE, errorMessage: '', entries: [] } : { ...refusal, entries: null };
  });
}

/** One component after the other, as Kafka looks at them. */
function refusalOf(components: readonly Component[]): Refusal | undefined {
  const invalid = (errorMessage: string): Refusal => ({ errorCode: kafkaErrors.INVALID_REQUEST, errorMessage });
  const seen = new Set<string>();
  for (const component of components) {
    const { entityType } = component;
    if (seen.has(entityType)) return invalid(`entity type ${entityType} is named more than once`);
    if (entityType === '') return invalid('an entity type is empty');
    if (!entityTypes.has(entityType))
      return { errorCode: kafkaErrors.UNSUPPORTED_VERSION, errorMessage: `unsupported entity type ${entityType}` };
    const problem = matchProblem(component);
    if (problem !== undefined) return invalid(problem);
    seen.add(entityType);
  }
  return seen.has(address) && seen.size > 1 ? invalid('an address is not matched together with users or clients') : undefined;
}

function matchProblem({ matchType, match }: Component): string | undefined {
  switch (matchType) {
    case matchTypes.exact:
      return match === null ? 'an exact match names nothing' : undefined;
    case matchTypes.byDefault:
    case matchTypes.any:
      return match === null ? undefined : 'only an exact match has a name';
    default:
      return `unknown match type ${matchType}`;
  }
}
