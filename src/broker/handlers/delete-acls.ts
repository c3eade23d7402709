/**
 * DeleteAcls. Versions served: 1–3.
 * Behaviour: there is no authorizer, so there are no access control lists: each filter is refused, as by Kafka without one.
 * Ignored: what the filters say. Errors, by filter: SECURITY_DISABLED (54), always.
 */
import { deleteAclsApi } from '../../wire/index.js';
import { type Handler, handlerOf } from './handler.js';
import { noAuthorizer } from './no-security.js';

export function deleteAclsHandler(): Handler {
  return handlerOf(deleteAclsApi, ({ filters }) => ({ filterResults: filters.map(() => ({ ...noAuthorizer, matchingAcls: [] })) }));
}
