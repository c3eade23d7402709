/**
 * DescribeAcls. Versions served: 1–3.
 * Behaviour: there is no authorizer, so there are no access control lists: refused, as by Kafka without one.
 * Ignored: the filter. Errors: SECURITY_DISABLED (54), always.
 */
import { describeAclsApi } from '../../wire/index.js';
import { type Handler, handlerOf } from './handler.js';
import { noAuthorizer } from './no-security.js';

export function describeAclsHandler(): Handler {
  return handlerOf(describeAclsApi, () => ({ ...noAuthorizer, resources: [] }));
}
