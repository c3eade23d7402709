/** What APIs of security answer where nobody is authenticated or authorized. */
import { kafkaErrors } from '../../wire/index.js';

export const noAuthorizer = {
  errorCode: kafkaErrors.SECURITY_DISABLED,
  errorMessage: 'no authorizer is configured on the broker',
} as const;

/** Delegation tokens stand for whoever has authenticated, which nobody does. */
export const noTokens = { errorCode: kafkaErrors.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED } as const;

/** A token that is not given out. */
export const noTime = -1;

export const anonymous = { type: 'User', name: 'ANONYMOUS' } as const;
