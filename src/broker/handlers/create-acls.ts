/**
 * CreateAcls. Versions served: 1–3.
 * Behaviour: there is no authorizer that would obey access control lists: each is refused, as by Kafka without one.
 * Ignored: what they say. Errors, by list: SECURITY_DISABLED (54), always.
 */
import { createAclsApi } from '../../wire/index.js';
import { type Handler, handlerOf } from './handler.js';
import { noAuthorizer } from './no-security.js';

export function createAclsHandler(): Handler {
  return handlerOf(createAclsApi, ({ creations }) => ({ results: creations.map(() => noAuthorizer) }));
}
