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
    const users = [...new Set(changes.map(({ name }) => name))].toSorted();
    return { results: users.map((user) => ({ user, ...outcomeOf(changes.filter(({ name }) => name === user)) })) };
  });
}

/** Of a user's changes, the first problem in the order in which Kafka looks for them. */
function outcomeOf(changes: readonly Change[]): { readonly errorCode: number; readonly errorMessage: string } {
  const [first] = changes;
  if (first!.name === '') return { errorCode: kafkaErrors.UNACCEPTABLE_CREDENTIAL, errorMessage: 'a user has a name' };
  if (changes.some(({ mechanism }) => !mechanisms.has(mechanism)))
    return { errorCode: kafkaErrors.UNSUPPORTED_SASL_MECHANISM, errorMessage: 'unknown SCRAM mechanism' };
  if (changes.some(({ isDeletion }) => isDeletion))
    return { errorCode: kafkaErrors.RESOURCE_NOT_FOUND, errorMessage: `user ${first!.name} has no credentials to delete` };
  return { errorCode: kafkaErrors.UNSUPPORTED_SASL_MECHANISM, errorMessage: 'nobody authenticates here: no credentials are kept' };
}
