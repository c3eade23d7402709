/**
 * DescribeUserScramCredentials. Versions served: 0.
 * Behaviour: nobody authenticates here, so no user has credentials. Users null, or none, asks for all.
 * Ignored: nothing.
 * Errors, by user: RESOURCE_NOT_FOUND (91), DUPLICATE_RESOURCE (92, named more than once).
 */
import { describeUserScramCredentialsApi, kafkaErrors } from '../../wire/index.js';
import { type Handler, handlerOf } from './handler.js';

export function describeUserScramCredentialsHandler(): Handler {
  return handlerOf(describeUserScramCredentialsApi, ({ users }) => {
    const names = (users ?? []).map(({ name }) => name);
    const results = [...new Set(names)].toSorted().map((user) => {
      const isTwice = names.indexOf(user) !== names.lastIndexOf(user);
      return isTwice
        ? { user, errorCode: kafkaErrors.DUPLICATE_RESOURCE, errorMessage: `user ${user} is named more than once`, credentialInfos: [] }
        : { user, errorCode: kafkaErrors.RESOURCE_NOT_FOUND, errorMessage: `user ${user} has no credentials`, credentialInfos: [] };
    });
    return { errorCode: kafkaErrors.NONE, errorMessage: '', results };
  });
}
