/**
 * AlterUserScramCredentials. Versions served: 0.
 * Behaviour: nobody authenticates here, so there are no credentials to delete, and none are kept.
 * Ignored: salts and passwords.
 * Errors, by user: UNACCEPTABLE_CREDENTIAL (93, no name), UNSUPPORTED_SASL_MECHANISM (33, one that is not there, and every credential that is to
 * be set), RESOURCE_NOT_FOUND (91, what is to be deleted).
 */
import { alterUserScramCredentialsApi, kafkaErrors } from '../../wire/index.js';
import { type Handler, handlerOf } from './handler.js';

/** SCRAM-SHA-256 and SCRAM-SHA-512. */
const mechanisms: ReadonlySet<number> = new Set([1, 2]);

interface Change {
  readonly name: string;
  readonly mechanism: number;
  readonly isDeletion: boolean;
}

export function alterUserScramCredentialsHandler(): Handler {
  return handlerOf(alterUserScramCredentialsApi, ({ deletions, upsertions }) => {
    const changes: readonly Change[] = [
      ...deletions.map(({ name, mechanism }) => ({ name, mechanism, isDeletion: true })),
      ...upsertions.map(({ name, mechanism }) => ({ name, mechanism, isDeletion: false })),
    ];
    const firsts = new Map<string, Change>();
    for (const change of changes) if (!firsts.has(change.name)) firsts.set(change.name, change);
    return {
      results: [...firsts.values()]
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
        .map((first) => ({ user: first.name, ...outcomeOf(first) })),
    };
  });
}

/** A user's first change decides, as in Kafka: none of them succeeds. */
function outcomeOf({ name, mechanism, isDeletion }: Change): { readonly errorCode: number; readonly errorMessage: string } {
  if (name === '') return { errorCode: kafkaErrors.UNACCEPTABLE_CREDENTIAL, errorMessage: 'a user has a name' };
  if (!mechanisms.has(mechanism)) return { errorCode: kafkaErrors.UNSUPPORTED_SASL_MECHANISM, errorMessage: 'unknown SCRAM mechanism' };
  if (isDeletion) return { errorCode: kafkaErrors.RESOURCE_NOT_FOUND, errorMessage: `user ${name} has no credentials to delete` };
  return { errorCode: kafkaErrors.UNSUPPORTED_SASL_MECHANISM, errorMessage: 'nobody authenticates here: no credentials are kept' };
}
