/**
 * The gateway's one secret, where it has one: a caller shows it as `Authorization: Bearer …`, as Iceberg catalogs and most HTTP clients
 * can. Whether the service lives and is ready is told to everyone: those who ask that hold no secrets. So is what the routes are, and the
 * page to try them, which hold no data.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { LakeError } from '../kernel/index.js';
import type { MiddlewareHandler } from 'hono';
import { docsPaths } from './docs-route.js';
import { openapiPath } from './openapi-route.js';

const openPaths: ReadonlySet<string> = new Set(['/livez', '/readyz', openapiPath, ...docsPaths]);

/** Of one length whatever is hashed, so that comparing tells nothing about it. */
const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Errors: `unauthenticated`. */
export function bearer(token: string): MiddlewareHandler {
  const wanted = digestOf(token);
  return async (c, next) => {
    if (!openPaths.has(c.req.path)) {
      const shown = /^Bearer +(\S+) *$/i.exec(c.req.header('authorization') ?? '')?.[1];
      if (shown === undefined) throw refused('this service wants a token');
      if (!timingSafeEqual(digestOf(shown), wanted)) throw refused('the token is not the one of this service');
    }
    await next();
  };
}

function refused(message: string): LakeError {
  return new LakeError('unauthenticated', message, {
    hint: 'Send Authorization: Bearer with the value of http.token; the command line takes THERMOCLINE_TOKEN or --token.',
  });
}

/** Of a 401 (RFC 6750). */
export const challenge = { 'www-authenticate': 'Bearer realm="thermocline"' } as const;
