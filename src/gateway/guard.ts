/**
 * Keeps web pages of other origins out. The gateway listens on loopback, where every page in the user's browser could reach
 * it: so the Host must be one of ours (against DNS rebinding), an Origin must be our own, and a call that changes anything
 * needs a content type or a header that a foreign page cannot send without asking first (CORS preflight, which we refuse).
 * Nothing below the catalog's path changes anything: there a call to change is answered as the catalog's clients expect.
 */
import { LakeError } from '../kernel/index.js';
import type { MiddlewareHandler } from 'hono';

const loopbackNames = new Set(['localhost', '127.0.0.1', '[::1]', '::1']);
const changing = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);
/** Where the Iceberg catalog is. */
export const catalogPath = '/iceberg';
/** Any value will do: a page elsewhere cannot set it. */
export const ownHeader = 'x-thermocline';

function hostnameOf(host: string): string {
  return host.replace(/:\d+$/, '').toLowerCase();
}

export function isLoopback(host: string): boolean {
  return loopbackNames.has(host.toLowerCase()) || host.startsWith('127.');
}

/** `listenHost` is the address listened on; anything but loopback takes every Host, since it was opened on purpose. */
export function guard(listenHost: string): MiddlewareHandler {
  return async (c, next) => {
    const host = c.req.header('host') ?? '';
    const hostname = hostnameOf(host);
    if (isLoopback(listenHost) && !isLoopback(hostname)) {
      throw new LakeError('request-forbidden', `host "${host}" is not this service`, { hint: 'Use http://127.0.0.1 or http://localhost.' });
    }
    const origin = c.req.header('origin');
    if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
      throw new LakeError('request-forbidden', `origin "${origin}" may not call this service`, {
        hint: 'Call it from its own page or from a program.',
      });
    }
    if (changing.has(c.req.method) && !c.req.path.startsWith(`${catalogPath}/`)) {
      const type = (c.req.header('content-type') ?? '').split(';')[0]!.trim().toLowerCase();
      const isSafeType = type === 'application/json' || type === 'application/x-ndjson';
      const isQuery =
        c.req.path === '/v1/query' && (type === 'text/plain' || isSafeType) && c.req.header('sec-fetch-site') !== 'cross-site';
      if (!isSafeType && !isQuery && c.req.header(ownHeader) === undefined) {
        throw new LakeError('media-type-unsupported', `content type "${type}" is not taken here`, {
          hint: `Send content-type: application/json, or the header ${ownHeader}: 1.`,
        });
      }
    }
    await next();
  };
}
